"""The API server under test: the one that KUBECONFIG names, else an embedded one of our own."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import itertools
import json
import os
import random
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kubelab import pki
from kubelab.apiclient import ApiClient, ApiFailure, Resource

TOOLS = Path(__file__).parents[3] / ".tools"
BINARIES = {
    "kubectl-1.20": TOOLS / "kubectl-1.20" / "usr" / "bin" / "kubectl",
    "kubectl-1.35": TOOLS / "kubectl-1.35" / "kubectl",
}
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
ACCOUNTS = Resource("", "v1", "serviceaccounts", namespaced=True)
START_S = 60.0
_numbers = itertools.count()


@dataclass(frozen=True)
class Cluster:
    """Where the server is. `embedded` ones have no controllers."""

    kubeconfig: Path
    embedded: bool


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    named = os.environ.get("KUBECONFIG")
    if named:
        yield Cluster(Path(named), embedded=False)
        return
    folder = tmp_path_factory.mktemp("apiserver")
    command = [sys.executable, "-m", "kubelab.apiserver.standalone", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Cluster(folder / "kubeconfig", embedded=True)
        finally:
            process.terminate()
            assert process.wait(START_S) == 0


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[ApiClient]:
    async with ApiClient.from_kubeconfig(cluster.kubeconfig, user_agent="api-test") as found:
        yield found


@pytest.fixture
async def namespace(client: ApiClient) -> AsyncIterator[str]:
    name = f"api-test-{os.getpid()}-{next(_numbers)}"
    await client.create(NAMESPACES, {"metadata": {"name": name}})
    try:
        await client.create(ACCOUNTS, {"metadata": {"name": "default"}}, name)
    except ApiFailure as failure:
        # Where controllers run they make it.
        if not failure.already_exists:
            raise
    yield name
    await client.delete(NAMESPACES, name)


@dataclass(frozen=True)
class Kubectl:
    """One kubectl binary at the server under test."""

    binary: Path
    kubeconfig: Path
    home: Path

    def __call__(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """What a command prints on standard output; on failure both outputs are told."""
        done = subprocess.run(
            [str(self.binary), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=200,
            env={"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home), "PATH": os.environ["PATH"]},
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout if check else done.stdout + done.stderr


@pytest.fixture(params=sorted(BINARIES))
def kubectl(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Callable[..., str]:
    binary = BINARIES[request.param]
    if not binary.exists():
        pytest.skip(f"{binary} is not installed: make setup does it")
    return Kubectl(binary, cluster.kubeconfig, tmp_path)


@dataclass
class Webhooks:
    """A webhook server on loopback with TLS. What it says depends on the path; what it was sent is kept."""

    port: int
    ca: str
    """PEM of its authority in base64, as configurations carry it."""
    received: list[dict[str, Any]] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)
    """Ports that it was called from."""

    def client(self, path: str) -> dict[str, Any]:
        """How a configuration names a webhook of this server."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.ca}

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.json()
        wanted = ("User-Agent", "Accept", "Content-Type")
        headers = {name: request.headers[name] for name in wanted}
        self.received.append({"path": request.path_qs, "headers": headers, "body": body})
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername")[1])
        if request.path.startswith("/convert"):
            return web.json_response(converted(body, fails=request.path == "/convertfail"))
        return await admission_answer(request.path, body)


async def admission_answer(path: str, body: dict[str, Any]) -> web.Response:
    if path == "/slow":
        await asyncio.sleep(3)
    if path == "/err":
        return web.Response(status=500, text="boom")
    if path == "/junk":
        return web.json_response({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "junk": 1})
    response: dict[str, Any] = {"uid": body["request"]["uid"], "allowed": not path.startswith("/deny")}
    if path == "/deny":
        response["status"] = {"message": "because I say so"}
    elif path == "/denycode":
        response["status"] = {"message": "teapot", "reason": "Teapot", "code": 418}
    elif path == "/warn":
        response["warnings"] = ["first warning", 'second, with "quotes"']
    elif path == "/mutate":
        operations = [{"op": "add", "path": "/data", "value": {"injected": "yes"}}]
        patch = base64.b64encode(json.dumps(operations).encode()).decode()
        response |= {"patchType": "JSONPatch", "patch": patch}
    return web.json_response({"kind": "AdmissionReview", "apiVersion": body["apiVersion"], "response": response})


def converted(body: dict[str, Any], *, fails: bool) -> dict[str, Any]:
    """Towers have a `size` in v1, a `height` in v2."""
    request = body["request"]
    result: dict[str, Any] = {"status": "Failed", "message": "cannot convert"} if fails else {"status": "Success"}
    objects = []
    for obj in request["objects"]:
        names = ("size", "height") if request["desiredAPIVersion"].endswith("/v2") else ("height", "size")
        spec = {names[1] if name == names[0] else name: value for name, value in obj.get("spec", {}).items()}
        objects.append({**obj, "apiVersion": request["desiredAPIVersion"], "spec": spec})
    response = {"uid": request["uid"], "result": result, "convertedObjects": [] if fails else objects}
    return {"kind": "ConversionReview", "apiVersion": body["apiVersion"], "response": response}


@pytest.fixture
async def webhooks(tmp_path: Path) -> AsyncIterator[Webhooks]:
    authority = pki.Authority(time.time(), random.Random(1).randrange)
    names = pki.api_server_names([ipaddress.IPv4Address("127.0.0.1")])
    files = pki.write_identity(authority.issue(pki.Subject("webhook", (), names)), tmp_path, "webhook")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    hooks = Webhooks(0, base64.b64encode(authority.certificate).decode())
    runner = web.ServerRunner(web.Server(hooks.serve), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        hooks.port = runner.addresses[0][1]
        yield hooks
    finally:
        await runner.cleanup()

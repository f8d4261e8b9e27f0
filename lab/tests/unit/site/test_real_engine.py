"""The engine of real binaries: what is started, and how programs that are not ours get ready."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kubelab.engines import Commands, EmbeddedEngine, Site
from kubelab.real_engine import BINARIES, AssetsError, RealEngine, chosen, engine

WITHIN_S = 60.0
PROGRAM = """
import http.server, json, os, sys
posts = []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if len(posts) or self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(json.dumps(posts).encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = any(path == self.path for path, _ in posts)
        posts.append([self.path, json.loads(body)])
        self.send_response(409 if known else 201)
        self.end_headers()
    def log_message(self, *_):
        pass
print(os.getpid(), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    folder.mkdir()
    for name in BINARIES:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def test_one_variable_chooses_the_engine(assets: Path) -> None:
    assert chosen({}) == ""
    assert isinstance(engine("", Commands()), EmbeddedEngine)
    found = chosen({"KUBEBUILDER_ASSETS": str(assets)})
    assert engine(found, Commands()) == RealEngine(assets)


def test_binaries_that_are_not_there_are_named(assets: Path) -> None:
    (assets / "etcd").unlink()
    (assets / "kube-scheduler").chmod(0o644)
    with pytest.raises(AssetsError, match=r"has no executable etcd, kube-scheduler; unset it"):
        chosen({"KUBEBUILDER_ASSETS": str(assets)})


def test_only_the_api_and_its_controllers_are_others(site: Site, assets: Path) -> None:
    real, embedded = RealEngine(assets), EmbeddedEngine()
    names = [[component.name for component in stage] for stage in real.stages(site)]
    assert names[:2] == [["etcd"], ["apiserver"]]
    assert names[2][:3] == ["relay", "controllers", "scheduler"]
    assert real.stages(site)[2][3:] == embedded.stages(site)[1][1:]
    assert next(component.pass_fds for component in real.stages(site)[2]) == (7,)


def test_the_binaries_are_told_about_the_cluster(site: Site, assets: Path) -> None:
    RealEngine(assets).prepare(site)
    api = json.loads(site.path("apiserver.json").read_text())
    assert api["argv"][0] == str(assets / "kube-apiserver")
    assert "--advertise-address=198.51.100.10" in api["argv"]
    assert "--service-cluster-ip-range=198.18.128.0/17,2001:db8:300::/112" in api["argv"]
    assert {path for path, _ in api["objects"]} == {"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"}
    for name in ("etcd", "controllers", "scheduler"):
        assert json.loads(site.path(f"{name}.json").read_text())["argv"][0].startswith(str(assets))
    for flag in api["argv"]:
        option, _, value = flag.partition("=")
        if option.endswith("-file"):
            assert Path(value).exists(), flag
    assert (site.layout.pki / "service-account.pub").read_bytes().startswith(b"-----BEGIN PUBLIC KEY")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def start(module: str, config: Path, *passed: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, str(config)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=passed,
    )


async def read_line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await asyncio.wait_for(stream.readline(), WITHIN_S)).decode().strip()


async def test_a_program_that_serves_is_ready_and_has_its_objects(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "config.json"
    argv = [sys.executable, "-c", PROGRAM, str(port)]
    objects = [["/a", {"x": 1}], ["/a", {"again": "is known"}]]
    health = f"http://127.0.0.1:{port}/health"
    config.write_text(json.dumps({"argv": argv, "health": health, "objects": objects}))
    process = await start("kubelab.foreign", config)
    try:
        assert await read_line(process.stdout) == "ready"
        # It is the very process that was started, and prints to the log.
        assert int(await read_line(process.stderr)) == process.pid
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), WITHIN_S)
        writer.close()
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == objects
    finally:
        process.terminate()
        await process.wait()
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.read(), WITHIN_S) == b""


async def test_a_program_that_ends_is_never_ready(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    health = f"http://127.0.0.1:{free_port()}/health"
    config.write_text(json.dumps({"argv": ["/bin/sh", "-c", "exit 3"], "health": health}))
    process = await start("kubelab.foreign", config)
    output, _ = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert (output, process.returncode) == (b"", 3)


@pytest.fixture
async def relayed(tmp_path: Path) -> AsyncIterator[tuple[int, Any]]:
    """The relay's port, and the server behind it, which answers with what it was sent, in capitals."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data.upper())
                await writer.drain()
            writer.write(b"<end>")
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0))
    config = tmp_path / "relay.json"
    port = server.sockets[0].getsockname()[1]
    config.write_text(json.dumps({"listen_fd": listener.fileno(), "host": "127.0.0.1", "port": port}))
    process = await start("kubelab.relay", config, listener.fileno())
    try:
        assert await read_line(process.stdout) == "ready"
        yield listener.getsockname()[1], server
    finally:
        server.close()
        process.terminate()
        listener.close()
        _, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert (process.returncode, errors) == (0, b"")


async def test_the_relay_hands_on_both_ways_to_the_end(relayed: tuple[int, Any]) -> None:
    port, _ = relayed
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x" * 300_000)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), WITHIN_S)
    writer.close()
    assert answer == b"X" * 300_000 + b"<end>"


async def test_the_relay_outlives_clients_that_go_and_a_server_that_is_gone(relayed: tuple[int, Any]) -> None:
    port, server = relayed
    for number in range(300):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 10 ** (number % 6))
        if number % 3:
            await asyncio.sleep(number % 20 / 10_000)
        writer.transport.abort()
    server.close()
    await server.wait_closed()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), WITHIN_S) == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)

"""Speakers as processes, each on a node of its own, with an API server of the lab: start, memory, idle, and churn.

    bench/speaker_process.py                    # 5,000 Services; takes about three minutes
    bench/speaker_process.py --services 500 --starts 1

Three namespaces on one bridge are the nodes. Started as on a node: by command line, with gossip, metrics over TLS and a
kubeconfig; a neighbour asks by ARP. Needs root, starts no lab.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml
from installation import ROOT, create_all, pool, report
from speaker_alone import address, cpu_s, endpoint_slice, enter_empty_namespace, footprint_mib, service

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource
from kubelab.apiserver.main import StaticUser
from kubelab.apiserver.standalone import prepare

NAMESPACE = "metallb-system"
TOKEN = "bench"  # of an API server that lives as long as this program
NODES = ("node-a", "node-b", "node-c")
OURS = "10.99.0.254"
LABELS = {"app": "metallb", "component": "speaker"}
GOSSIP_PORT = 7946
METRICS_PORT = 9120
PATIENCE_S = 300.0
LOOK_S = 5.0
RESTS_PERCENT = 2.5
IDLE_S = 30.0
CHANGE_S = 0.01
ASK_S = 0.005
QUESTIONS = 1000

CORE_NODES = Resource("", "v1", "nodes", namespaced=False)
PODS = Resource("", "v1", "pods", namespaced=True)
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
ACCOUNTS = Resource("", "v1", "serviceaccounts", namespaced=True)
SERVICES = Resource("", "v1", "services", namespaced=True)
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", namespaced=True)
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
POOLS = Resource("metallb.io", "v1beta1", "ipaddresspools", namespaced=True)
ADVERTISEMENTS = Resource("metallb.io", "v1beta1", "l2advertisements", namespaced=True)


class Node:
    """A namespace with a cable to the bridge, and the speaker that runs there."""

    def __init__(self, number: int, kubeconfig: Path, keys: Path) -> None:
        """Nothing runs there yet."""
        self.name = NODES[number]
        self.address = f"10.99.0.{number + 1}"
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "METALLB_NAMESPACE": NAMESPACE,
            "METALLB_NODE_NAME": self.name,
            "METALLB_POD_NAME": f"speaker-{self.name}",
            "METALLB_ML_BIND_ADDR": self.address,
            "METALLB_ML_BIND_PORT": str(GOSSIP_PORT),
            "METALLB_ML_LABELS": ",".join("=".join(each) for each in LABELS.items()),
            "METALLB_ML_SECRET_KEY_PATH": str(keys),
        }
        self._holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep infinity"], stdout=-1)
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        self._speaker: subprocess.Popen[bytes] | None = None
        port = f"port{number}"
        lines = (
            f"link add {port} type veth peer name eth0 netns {self._holder.pid}",
            f"link set {port} master wire up",
        )
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        inside = ("link set lo up", "link set eth0 up", f"address add {self.address}/24 dev eth0")
        subprocess.run([*self._enter(), "ip", "-batch", "-"], input="\n".join(inside), text=True, check=True)

    def start(self) -> None:
        """Starts the speaker."""
        argv = [*self._enter(), sys.executable, "-m", "metallb", "speaker", "--log-level=error"]
        self._speaker = subprocess.Popen(argv, env=self._environment, stdout=subprocess.DEVNULL, cwd=ROOT)

    def stop(self) -> None:
        """Ends the speaker, if there is one."""
        if self._speaker is not None:
            self._speaker.send_signal(signal.SIGTERM)
            try:
                self._speaker.wait(10)
            except subprocess.TimeoutExpired:
                self._speaker.kill()
                self._speaker.wait()
            self._speaker = None

    def close(self) -> None:
        """Takes the node away."""
        self.stop()
        self._holder.kill()
        self._holder.wait()

    @property
    def pids(self) -> list[int]:
        """The speaker, and the process that answers for it."""
        if self._speaker is None or self._speaker.poll() is not None:
            raise SystemExit(f"the speaker of {self.name} has ended")
        pid = self._speaker.pid
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [pid, *children]

    def _enter(self) -> list[str]:
        return ["nsenter", "--net", "--target", str(self._holder.pid)]


@contextlib.asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[ApiClient, Path]]:
    """One of the lab's: a client, and a kubeconfig by which nodes reach it."""
    listener = socket.create_server(("0.0.0.0", 0))  # noqa: S104  # in a network of its own
    port = listener.getsockname()[1]
    users = {TOKEN: StaticUser("bench", ("system:masters",))}
    config = msgspec.structs.replace(prepare(folder, listener.fileno(), port), tokens=users, audit_log="")
    file = folder / "config.json"
    file.write_bytes(msgspec.json.encode(config))
    argv = [sys.executable, "-m", "kubelab.apiserver", str(file)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, pass_fds=[listener.fileno()])
    listener.close()
    try:
        assert process.stdout is not None
        if (await process.stdout.readline()).strip() != b"ready":
            raise SystemExit("the API server ended before it was ready")
        for_nodes = yaml.safe_load((folder / "kubeconfig").read_text())
        for_nodes["clusters"][0]["cluster"] |= {"server": f"https://{OURS}:{port}", "tls-server-name": "127.0.0.1"}
        file = folder / "kubeconfig-of-nodes"
        file.write_text(yaml.safe_dump(for_nodes))
        async with ApiClient.from_kubeconfig(folder / "kubeconfig") as client:
            yield client, file
    finally:
        process.terminate()
        await process.wait()


async def prepare_cluster(client: ApiClient, nodes: Iterable[Node]) -> None:
    """CRDs, a pool, an advertisement; nodes, and a Pod for each speaker."""
    for path in sorted((ROOT / "manifests" / "crds").glob("*.yaml")):
        definition = yaml.safe_load(path.read_text())
        definition["spec"].pop("conversion", None)  # nobody answers here
        await client.create(CRDS, definition)
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for namespace in ("default", NAMESPACE):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await client.create(ACCOUNTS, account, namespace=namespace)
    everywhere = {"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "all"}}
    await _until_served(client, POOLS, pool("198.19.0.0/16"))
    await _until_served(client, ADVERTISEMENTS, everywhere)
    for node in nodes:
        await client.create(CORE_NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name}})
        await add_pod(client, node)


async def add_pod(client: ApiClient, node: Node) -> None:
    """The Pod of a node's speaker, ready."""
    name, container = f"speaker-{node.name}", {"name": "speaker", "image": "none"}
    metadata = {"name": name, "labels": LABELS}
    spec = {"nodeName": node.name, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    await client.create(PODS, pod, namespace=NAMESPACE)
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "podIP": node.address, "podIPs": [{"ip": node.address}], "conditions": ready}
    await client.patch(PODS, name, {"status": status}, kind=PatchKind.MERGE, namespace=NAMESPACE, subresource="status")


async def _until_served(client: ApiClient, resource: Resource, body: dict[str, Any]) -> None:
    """CRDs take a moment."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await client.create(resource, body, namespace=NAMESPACE)
            except ApiFailure:
                await asyncio.sleep(0.1)
            else:
                return


async def add_services(client: ApiClient, numbers: range) -> None:
    """Services with their addresses, and the EndpointSlice of each."""

    def written(kind: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        dropped = ("uid", "resourceVersion", "creationTimestamp", "managedFields")
        metadata = {name: value for name, value in body["metadata"].items() if name not in dropped}
        return {**body, "apiVersion": version, "kind": kind, "metadata": metadata}

    def plain(number: int) -> dict[str, Any]:
        body = written("Service", "v1", service(number))
        spec = {name: body["spec"][name] for name in ("type", "selector", "externalTrafficPolicy")}
        ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]
        return {**body, "spec": {**spec, "ports": ports, "allocateLoadBalancerNodePorts": False}}

    def part(number: int) -> dict[str, Any]:
        return {**written("EndpointSlice", "discovery.k8s.io/v1", endpoint_slice(number)), "addressType": "IPv4"}

    await create_all(client, SLICES, map(part, numbers))
    await create_all(client, SERVICES, map(plain, numbers))
    gate = asyncio.Semaphore(32)

    async def show(number: int) -> None:
        async with gate:
            body = {"status": service(number)["status"]}
            name = f"service-{number}"
            await client.patch(SERVICES, name, body, kind=PatchKind.MERGE, namespace="default", subresource="status")

    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(show(number))


async def asked(targets: list[str], count: int, interval_s: float, wait_s: float = 1.0) -> dict[str, Any]:
    """What the neighbour sees that asks for addresses."""
    options = ["--interval", str(interval_s), "--count", str(count), "--wait", str(wait_s)]
    argv = ["-m", "kubelab.arping", *options, "wire", OURS, *targets]
    asking = await asyncio.create_subprocess_exec(sys.executable, *argv, stdout=asyncio.subprocess.PIPE)
    out, _ = await asking.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


ASK = """
import sys, time
from kubelab.arping import ask
print("ready", flush=True)
deadline = time.monotonic() + float(sys.argv[1])
while time.monotonic() < deadline:
    if ask("wire", sys.argv[2], sys.argv[3:], 1, 0.0, 0.005).answered:
        print(time.monotonic(), flush=True)
        break
"""


async def start_s(node: Node, services: int) -> tuple[float, float]:
    """From the start of a speaker that is alone to its first answer for the Service that was made last.

    Seconds, and those of CPU that it used meanwhile.
    """
    target = address(services - 1)
    argv = [sys.executable, "-c", ASK, str(PATIENCE_S), OURS, target]
    asking = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert asking.stdout is not None
    await asking.stdout.readline()
    began = time.monotonic()
    node.start()
    answer = await asking.stdout.readline()
    used = cpu_s(node.pids)
    await asking.wait()
    if not answer:
        raise SystemExit(f"no answer for {target} in {PATIENCE_S:.0f} s")
    return float(answer) - began, used


async def starts(node: Node, services: int, times: int) -> dict[str, float]:
    """Several starts, one after another; none: nothing is measured."""
    took, used = [], []
    for _ in range(times):
        seconds, cpu = await start_s(node, services)
        took.append(seconds)
        used.append(cpu)
        await asyncio.to_thread(node.stop)
    if not took:
        return {}
    figures = {"median": statistics.median(took), "max": max(took), "cpu_median": statistics.median(used)}
    return {name: round(figure, 2) for name, figure in figures.items()}


async def all_answered(services: int) -> None:
    """Returns when three speakers answer for all that a sample asks for."""
    targets = [address(number) for number in range(0, services, max(1, services // 50))]
    async with asyncio.timeout(PATIENCE_S):
        while (await asked(targets, len(targets), 0.0))["answered"] < len(targets):
            pass


async def at_rest(nodes: list[Node]) -> float:
    """Waits until events and statuses of all are written; gives the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if max((await idle_percent(nodes, LOOK_S)).values()) < RESTS_PERCENT:
            break
    return round(time.monotonic() - began, 1)


async def idle_percent(nodes: list[Node], seconds: float) -> dict[str, float]:
    """Of one processor, by node, both processes together."""
    before, began = {node.name: cpu_s(node.pids) for node in nodes}, time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    return {node.name: round(100 * (cpu_s(node.pids) - before[node.name]) / took, 2) for node in nodes}


async def scrape(node: Node) -> int:
    """Reads a speaker's metrics as Prometheus does; gives their size in bytes."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"https://{node.address}:{METRICS_PORT}/metrics", ssl=trust) as answer,
    ):
        answer.raise_for_status()
        return len(await answer.read())


async def churned(client: ApiClient, services: int) -> dict[str, Any]:
    """Answers while Services change, one each 10 ms."""
    changes = 0

    async def change() -> None:
        nonlocal changes
        began = time.monotonic()
        while True:
            patch = {"metadata": {"labels": {"changed": str(changes)}}}
            await client.patch(
                SERVICES, f"service-{changes % services}", patch, kind=PatchKind.MERGE, namespace="default"
            )
            changes += 1
            await asyncio.sleep(max(0.0, began + changes * CHANGE_S - time.monotonic()))

    changing = asyncio.create_task(change())
    began = time.monotonic()
    try:
        targets = [address(number) for number in range(0, services, max(1, services // 50))]
        found = await asked(targets, QUESTIONS, ASK_S)
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)
    rate = round(changes / (time.monotonic() - began))
    return {**found["latency_us"], "answered": found["answered"], "changes_per_s": rate}


async def main(services: int, times: int) -> None:
    """Measures."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "secretkey").write_text("bench")
        client, kubeconfig = await stack.enter_async_context(api_server(folder))
        nodes = []
        for number in range(len(NODES)):
            nodes.append(Node(number, kubeconfig, folder))
            stack.callback(nodes[-1].close)
        await prepare_cluster(client, nodes[:1])
        await add_services(client, range(1))
        starts_at_1 = await starts(nodes[0], 1, times)
        await add_services(client, range(1, services))
        starts_at_all = await starts(nodes[0], services, times)
        for node in nodes[1:]:
            await client.create(CORE_NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node.name}})
            await add_pod(client, node)
        for node in nodes:
            node.start()
        await all_answered(services)
        figures = {
            "rests_after_s": await at_rest(nodes),
            "load": round(os.getloadavg()[0], 1),
            "start_s_at_1": starts_at_1,
            "start_s_at_all": starts_at_all,
            "idle_cpu_percent": await idle_percent(nodes, IDLE_S),
            "memory_mib": footprint_mib(nodes[0].pids),
            "metrics_bytes": await scrape(nodes[0]),
            "memory_mib_after_a_scrape": footprint_mib(nodes[0].pids),
            "churn_us": await churned(client, services),
            "memory_mib_after_churn": footprint_mib(nodes[0].pids),
        }
    report("speaker_process", services=services, questions=QUESTIONS, **figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    enter_empty_namespace()
    lines = f"link add wire type bridge mcast_snooping 0\nlink set wire up\nlink set lo up\naddress add {OURS}/24 dev wire\n"
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
    asyncio.run(main(given.services, given.starts))

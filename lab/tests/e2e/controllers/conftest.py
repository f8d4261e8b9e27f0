"""An API server and the controllers as processes, and kubelets that only pretend to run pods."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource
from kubelab.apiserver.standalone import Background
from kubelab.controllers.decide.nodes import LEASE_GRACE_S as REAL_GRACE_S
from kubelab.informer import Informer

API_SERVER = (sys.executable, "-m", "kubelab.apiserver.standalone", "--dir")
CONTROLLERS = """
import sys
from kubelab.controllers.decide import nodes
from kubelab.controllers.main import main
nodes.LEASE_GRACE_S = {grace_s}
nodes.STATUS_GRACE_S = 600.0  # a story may take its time
sys.exit(main())
"""

PODS = Resource("", "v1", "pods", True)
NODES = Resource("", "v1", "nodes", False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", True)
LEASE_NAMESPACE = "kube-node-lease"
WAIT_S = 60

Object = dict[str, Any]


def now(*, micro: bool = False) -> str:
    moment = datetime.now(UTC)  # noqa: TID251  # a kubelet reads the clock
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Process:
    """A program of the lab, followed until it says `ready`."""

    argv: tuple[str, ...]
    running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.running = await asyncio.create_subprocess_exec(*self.argv, stdout=asyncio.subprocess.PIPE)
        assert self.running.stdout is not None
        async with asyncio.timeout(60):
            while (line := (await self.running.stdout.readline()).decode()).strip() != "ready":
                assert line, f"{self.argv} ended before it was ready"

    def send(self, number: int) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.running is None:
            return 0
        if self.running.returncode is None:
            self.running.send_signal(number)
            if number != signal.SIGKILL:
                self.running.send_signal(signal.SIGCONT)
        await self.running.communicate()
        return self.running.returncode or 0


@dataclass
class Servers:
    """An API server, in a thread of this process, which is up in no time, or a process; and the controllers' process."""

    folder: Path
    lease_grace_s: float
    api: Process | None = None
    background: Background = field(init=False)
    controllers: Process = field(init=False)

    def __post_init__(self) -> None:
        self.background = Background(self.folder)
        config = self.folder / "controllers.json"
        config.write_text(json.dumps({"kubeconfig": str(self.folder / "kubeconfig")}))
        program = CONTROLLERS.format(grace_s=self.lease_grace_s)
        self.controllers = Process((sys.executable, "-c", program, str(config)))

    async def start(self) -> None:
        if self.api is None:
            await asyncio.to_thread(self.background.start)
        else:
            await self.api.start()
        await self.controllers.start()

    async def stop(self) -> None:
        await self.controllers.stop(signal.SIGKILL)
        if self.api is None:
            await asyncio.to_thread(self.background.stop)
        else:
            await self.api.stop(signal.SIGKILL)


class Eye:
    """Sees objects through informers, and waits for a state of them instead of for time."""

    def __init__(self, client: ApiClient, group: asyncio.TaskGroup) -> None:
        self.client = client
        self._group = group
        self._informers: dict[Resource, Informer] = {}
        self._changed = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def on(self, resource: Resource) -> dict[tuple[str, str], Object]:
        if resource not in self._informers:
            informer = Informer(self.client, resource)
            informer.subscribe(lambda *_: self._changed.set())
            self._informers[resource] = informer
            self.tasks.append(self._group.create_task(informer.run()))
            await asyncio.wait_for(informer.synced.wait(), WAIT_S)
        return self._informers[resource].store

    def subscribe(self, resource: Resource, callback: Callable[[str, Object | None, Object | None], None]) -> None:
        """Be told of all that happens to what is followed already."""
        self._informers[resource].subscribe(callback)

    async def until(self, condition: Callable[[], Any], *, within_s: float = WAIT_S) -> float:
        """Wait for a condition on what was seen; how long it took, in seconds."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()
        return loop.time() - begun


@dataclass
class Kubelet:
    """Says that a node is there and that its pods run; ends those that are told to go."""

    client: ApiClient
    name: str
    number: int
    labels: dict[str, str] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    started: int = 0
    renewed: list[float] = field(default_factory=list)
    """When it said that it lives, by the clock of the event loop."""

    async def run(self) -> None:
        with contextlib.suppress(ApiFailure):
            labels = {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux"} | self.labels
            meta = {"name": self.name, "labels": labels}
            await self.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {}})
        await self.say_ready()
        pods = Informer(self.client, PODS, field_selector=f"spec.nodeName={self.name}")
        work: asyncio.Queue[Object] = asyncio.Queue()
        pods.subscribe(lambda _kind, _old, new: work.put_nowait(new) if new is not None else None)
        nodes = Informer(self.client, NODES, field_selector=f"metadata.name={self.name}")
        nodes.subscribe(lambda _kind, old, new: work.put_nowait(new) if old is not None and new is not None else None)
        async with asyncio.TaskGroup() as group:
            group.create_task(pods.run())
            group.create_task(nodes.run())
            group.create_task(self.renew())
            while True:
                await self.tend(await work.get())

    async def renew(self) -> None:
        while True:
            spec = {"holderIdentity": self.name, "leaseDurationSeconds": 2, "renewTime": now(micro=True)}
            try:
                async with asyncio.timeout(10):
                    await self.client.patch(LEASES, self.name, {"spec": spec}, LEASE_NAMESPACE)
            except TimeoutError:
                continue
            except ApiFailure as failure:
                if failure.not_found:
                    meta = {"name": self.name, "namespace": LEASE_NAMESPACE}
                    made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
                    with contextlib.suppress(ApiFailure):
                        await self.client.create(LEASES, made)
            self.renewed.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.3)

    async def say_ready(self) -> None:
        sizes = {"cpu": "4", "memory": "8Gi", "pods": "110"}
        condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "fake"}
        condition |= {"lastHeartbeatTime": now(), "lastTransitionTime": now()}
        status = {"capacity": sizes, "allocatable": sizes, "conditions": [condition]}
        patch = {"status": status}
        await self.client.patch(NODES, self.name, patch, kind=PatchKind.STRATEGIC, subresource="status")

    async def tend(self, obj: Object) -> None:
        with contextlib.suppress(ApiFailure):
            if obj["kind"] == "Node":
                conditions = {c["type"]: c["status"] for c in obj["status"].get("conditions") or []}
                if conditions.get("Ready") != "True":
                    await self.say_ready()
            elif obj["spec"].get("nodeName") == self.name:
                await self._tend_pod(obj)

    async def _tend_pod(self, pod: Object) -> None:
        meta = pod["metadata"]
        if meta.get("deletionTimestamp"):
            await self.client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"], grace_period_s=0)
            return
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions") or []}
        if conditions.get("Ready") == "True" or "broken" in pod["spec"]["containers"][0]["image"]:
            return
        self.started += 1
        kinds = ("Initialized", "ContainersReady", "Ready")
        made = [{"type": kind, "status": "True", "lastTransitionTime": now()} for kind in kinds]
        addresses = [f"198.18.{self.number}.{self.started}", f"2001:db8:200:{self.number}::{self.started:x}"]
        if pod["status"].get("podIPs"):
            addresses = [entry["ip"] for entry in pod["status"]["podIPs"]]
        status = {
            "phase": "Running",
            "podIP": addresses[0],
            "podIPs": [{"ip": address} for address in addresses],
            "conditions": made,
        }
        patch = {"status": status}
        kind = PatchKind.STRATEGIC
        await self.client.patch(PODS, meta["name"], patch, meta["namespace"], kind=kind, subresource="status")


@dataclass
class Cluster:
    """The servers, the kubelets, and an administrator's eye and hand."""

    servers: Servers
    client: ApiClient
    eye: Eye
    group: asyncio.TaskGroup
    kubelets: dict[str, Kubelet] = field(default_factory=dict)

    async def add_node(self, name: str, **labels: str) -> Kubelet:
        kubelet = Kubelet(self.client, name, len(self.kubelets) + 1, labels)
        self.kubelets[name] = kubelet
        nodes = await self.eye.on(NODES)
        self.start(kubelet)
        await self.eye.until(lambda: ("", name) in nodes and not nodes["", name]["spec"].get("taints"))
        return kubelet

    def start(self, kubelet: Kubelet) -> None:
        kubelet.task = self.group.create_task(_to_the_end(kubelet.run()))

    async def kill(self, kubelet: Kubelet) -> None:
        assert kubelet.task is not None
        kubelet.task.cancel()
        await asyncio.wait([kubelet.task])


async def _to_the_end(run: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await run


@pytest.fixture
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Servers:
    """What is started. Nodes may be silent, as they may be on a busy machine, except to who is to `lose nodes`."""
    kind = getattr(request, "param", "")
    if kind == "processes":
        return Servers(tmp_path, REAL_GRACE_S, Process((*API_SERVER, str(tmp_path))))
    return Servers(tmp_path, REAL_GRACE_S if kind == "lose nodes" else 600.0)


@pytest.fixture
async def cluster(servers: Servers, tmp_path: Path) -> AsyncIterator[Cluster]:
    """An API server and controllers without nodes."""
    try:
        await servers.start()
        async with ApiClient.from_kubeconfig(tmp_path / "kubeconfig") as client, asyncio.TaskGroup() as group:
            made = Cluster(servers, client, Eye(client, group), group)
            yield made
            tasks = [*made.eye.tasks, *(k.task for k in made.kubelets.values() if k.task is not None)]
            for task in tasks:
                task.cancel()
    finally:
        await servers.stop()


@pytest.fixture
async def nodes(cluster: Cluster) -> dict[str, Kubelet]:
    """Three nodes."""
    names = ("n1", "n2", "n3")
    await cluster.eye.on(NODES)
    return dict(zip(names, await asyncio.gather(*(cluster.add_node(name) for name in names)), strict=True))

"""How fast Services get addresses, what that costs, and how a restart goes: by number of Services, for any controller.

    bench/assign.py                                    # ours, on an API server of the lab that it starts by itself
    bench/assign.py --services 500,1000,2000 --live    # Services come while the controller runs
    KUBECONFIG=... bench/assign.py                     # on a cluster without MetalLB; what it makes there it takes away
    bench/assign.py --command 'path/to/controller --port=0 --webhook-mode=disabled'

The controller runs as a process of the benchmark, not as a pod: so its CPU time and its peak memory are the kernel's own
numbers, and another implementation is measured in the same way. It is started with `KUBECONFIG`, `METALLB_NAMESPACE` and
`METALLB_POD_NAME` in its environment.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from installation import ROOT, report
from msgspec.json import Decoder

from metallb.api.core import Service
from metallb.kube.answers import Changed
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials, find
from metallb.kube.errors import AlreadyExistsError, ApiError, NotFoundError
from metallb.kube.objects import BARE
from metallb.kube.resources import IP_ADDRESS_POOLS, LEASES, NAMESPACES, PODS, SERVICES, Resource

NAMESPACE = "metallb-system"
BENCH = "bench-assign"
"""Namespace of the Services, name of the pool and of the pod that the controller takes for its own."""

OURS = f"{sys.executable} -m metallb controller --port=0 --webhook-mode=disabled --log-level=error"
SIZES = "500,1000,2000"
IN_FLIGHT = 32
TICK_S = 0.05
IDLE_S = 1.0
"""A process that used no more than `IDLE_SHARE` of a CPU for so long is idle."""

IDLE_SHARE = 0.04
PER_SERVICE_S = 0.1
"""After so long for each Service it is given up; upstream's controller takes 10 ms at 5,000."""

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True)
_HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figures:
    """What one size came to. Seconds are of wall time from the start of the process, or of the first Service."""

    services: int
    assigned_s: float
    cpu_s: float
    peak_mib: float
    restart_serves_s: float
    restart_idle_s: float
    restart_cpu_s: float
    restart_peak_mib: float

    def row(self) -> str:
        rate, each = self.services / self.assigned_s, 1000 * self.cpu_s / self.services
        return (
            f"| {self.services:,} | {self.assigned_s:.1f} | {rate:.0f} | {self.cpu_s:.1f} | {each:.2f} "
            f"| {self.peak_mib:.0f} | {self.restart_serves_s:.1f} | {self.restart_idle_s:.1f} "
            f"| {self.restart_cpu_s:.1f} | {self.restart_peak_mib:.0f} |"
        )


HEADER = """\
| Services | all assigned after s | a second | CPU s | CPU ms each | peak MiB \
| restart: serves after s | idle after s | CPU s | peak MiB |
|---|---|---|---|---|---|---|---|---|---|"""


class Controller:
    """The process that is measured."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.started = time.monotonic()

    @classmethod
    async def start(cls, command: str, kubeconfig: Path, port: int) -> Controller:
        """Starts it; the probes' port is one that nobody uses."""
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "METALLB_NAMESPACE": NAMESPACE,
            "METALLB_POD_NAME": BENCH,
        }
        argv = [*shlex.split(command), f"--health-probe-port={port}"]
        return cls(await asyncio.create_subprocess_exec(*argv, env=environment, stdout=asyncio.subprocess.DEVNULL))

    @property
    def cpu_s(self) -> float:
        """CPU seconds so far, user and system, with those of children that have ended (proc_pid_stat(5))."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(int(each) for each in fields[11:15]) / _HERTZ

    @property
    def peak_mib(self) -> float:
        """The most memory that it had resident (VmHWM, proc_pid_status(5))."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    async def idle(self) -> float:
        """Waits until it does nothing; gives the seconds from its start to its last piece of work."""
        samples: list[tuple[float, float]] = []
        while True:
            samples.append((time.monotonic(), self.cpu_s))
            window = [each for each in samples if each[0] > samples[-1][0] - IDLE_S]
            if samples[-1][0] - samples[0][0] > IDLE_S and window[-1][1] - window[0][1] <= IDLE_SHARE * IDLE_S:
                return window[0][0] - self.started
            await asyncio.sleep(TICK_S)

    async def stop(self) -> None:
        """Asks it to end, and sees to it that it does."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), 5)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


class Witness:
    """Sees which Services show an address, by a watch of its own."""

    def __init__(self, client: KubeClient) -> None:
        self.shown: dict[str, str] = {}
        self._client = client
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        async with self._client.watch(
            SERVICES,
            decoder=Decoder(Service),
            resource_version="",
            timeout_s=3600,
            namespace=BENCH,
            initial_events=True,
        ) as events:
            async for event in events:
                if isinstance(event, Changed) and event.object.status.load_balancer.ingress:
                    self.shown[event.object.metadata.name] = event.object.status.load_balancer.ingress[0].ip
                    self._changed.set()

    async def until(self, count: int, timeout_s: float) -> None:
        """Returns when so many have one."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.shown) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise SystemExit(
                f"only {len(self.shown)} of {count} Services have an address after {timeout_s:.0f} s"
            ) from None


class Bench:
    """One cluster, one controller's command."""

    def __init__(self, client: KubeClient, kubeconfig: Path, command: str, port: int) -> None:
        self._client = client
        self._kubeconfig = kubeconfig
        self._command = command
        self._port = port

    async def prepare(self) -> None:
        """What any controller of MetalLB's needs: CRDs, namespaces, a Pod that it may take for its own."""
        for path in sorted((ROOT / "manifests" / "crds").glob("*.yaml")):
            definition = yaml.safe_load(path.read_text())
            definition["spec"].pop("conversion", None)  # nobody answers here
            await self._create(CRDS, definition)
        for name in (NAMESPACE, BENCH):
            await self._create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await self._create(ACCOUNTS, account, NAMESPACE)
        container = {"name": "none", "image": "none"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": BENCH}}
        await self._create(PODS, pod | {"spec": {"schedulerName": "none", "containers": [container]}}, NAMESPACE)

    async def run(self, count: int, *, live: bool) -> Figures:
        """One size."""
        await self._clear()
        witness = Witness(self._client)
        watching = asyncio.create_task(witness.watch())
        names = [f"s{number}" for number in range(count)]
        controller: Controller | None = None
        try:
            await self._pool()
            if live:
                controller = await self._start()
                await controller.idle()
                before, began = controller.cpu_s, time.monotonic()
                await self._each(names, self._service)
            else:
                await self._each(names, self._service)
                controller = await self._start()
                before, began = 0.0, controller.started
            await witness.until(count, 30 + PER_SERVICE_S * count)
            took = time.monotonic() - began
            await controller.idle()
            cpu, peak = controller.cpu_s - before, controller.peak_mib
            await controller.stop()
            held = dict(witness.shown)
            controller = await self._start()
            await self._service("late")
            await witness.until(count + 1, 60 + PER_SERVICE_S * count)
            serves = time.monotonic() - controller.started
            idle = await controller.idle()
            moved = [name for name, address in held.items() if witness.shown[name] != address]
            if moved:
                raise SystemExit(f"the restart moved {len(moved)} addresses, that of {moved[0]} among them")
            return Figures(count, took, cpu, peak, serves, idle, controller.cpu_s, controller.peak_mib)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            if controller is not None:
                await controller.stop()
            await self._clear()

    async def _start(self) -> Controller:
        with contextlib.suppress(NotFoundError):  # as after its end: nobody is to wait for a Lease here
            await self._client.delete(LEASES, "metallb-controller", namespace=NAMESPACE)
        return await Controller.start(self._command, self._kubeconfig, self._port)

    async def _pool(self) -> None:
        pool = {
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": {"name": BENCH},
            "spec": {"addresses": ["198.18.0.0/15"]},
        }
        await self._until_served(lambda: self._create(IP_ADDRESS_POOLS, pool, NAMESPACE))

    async def _service(self, name: str) -> None:
        spec = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        await self._client.create(SERVICES, body, namespace=BENCH, decoder=BARE)

    async def _clear(self) -> None:
        found = (await self._client.list(SERVICES, namespace=BENCH, decoder=BARE)).items
        await self._each([each.metadata.name for each in found], self._delete)
        with contextlib.suppress(NotFoundError):
            await self._client.delete(IP_ADDRESS_POOLS, BENCH, namespace=NAMESPACE)

    async def _delete(self, name: str) -> None:
        with contextlib.suppress(NotFoundError):
            await self._client.delete(SERVICES, name, namespace=BENCH)

    async def _create(self, resource: Resource, body: dict[str, Any], namespace: str = "") -> None:
        with contextlib.suppress(AlreadyExistsError):
            await self._client.create(resource, body, namespace=namespace, decoder=BARE)

    @staticmethod
    async def _until_served(act: Callable[[], Awaitable[None]]) -> None:
        """CRDs take a moment."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await act()
                except ApiError:
                    await asyncio.sleep(0.2)

    @staticmethod
    async def _each(names: Iterable[str], act: Callable[[str], Awaitable[None]]) -> None:
        line = list(reversed(list(names)))

        async def work() -> None:
            while line:
                await act(line.pop())

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())


@contextlib.asynccontextmanager
async def api_server(given: str | None) -> AsyncIterator[tuple[Credentials, Path]]:
    """That of the kubeconfig, or one of the lab's that ends with the block."""
    if given:
        yield find({}, kubeconfig=Path(given)), Path(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, "-m", "kubelab.apiserver.standalone", "--dir", folder)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout is not None
            if (await process.stdout.readline()).strip() != b"ready":
                raise SystemExit("the API server ended before it was ready")
            kubeconfig = Path(folder, "kubeconfig")
            yield find({}, kubeconfig=kubeconfig), kubeconfig
        finally:
            process.terminate()
            await process.wait()


async def main(given: argparse.Namespace) -> None:
    print(HEADER, flush=True)
    for count in given.services:  # on a cluster of its own each, so that none inherits another's history
        async with (
            api_server(given.kubeconfig) as (credentials, kubeconfig),
            KubeClient(credentials, agent="bench", field_manager="bench") as client,
        ):
            bench = Bench(client, kubeconfig, given.command, given.health_port)
            await bench.prepare()
            figures = await bench.run(count, live=given.live)
            print(figures.row(), flush=True)
            if given.json:
                report("assign", live=given.live, command=given.command, **vars(figures))


def sizes(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=sizes, default=sizes(SIZES), help=f"how many, by commas ({SIZES})")
    parser.add_argument("--live", action="store_true", help="the Services come while the controller runs")
    parser.add_argument("--command", default=OURS, help="the controller's command line")
    parser.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG"), help="the cluster ($KUBECONFIG)")
    parser.add_argument("--health-port", type=int, default=17999, help="a free port for the controller's probes")
    parser.add_argument("--json", action="store_true", help="a line of JSON beside each row")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))

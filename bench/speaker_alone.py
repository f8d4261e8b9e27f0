"""What benchmarks of the speaker share: one without a cluster, its caches filled by hand, on a cable of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

from msgspec.json import Decoder

from metallb.advertisement.interfaces import Exclusion
from metallb.api import v1beta1
from metallb.api.core import ObjectMeta
from metallb.api.net import NodeName
from metallb.config.build import Snapshot
from metallb.config.state import Reading
from metallb.speaker import main as wiring
from metallb.speaker.announcer import Announcer
from metallb.speaker.lean import LeanService, LeanSlice
from metallb.speaker.reconciler import Outlets, ServiceSpeaker, Settings, Stores
from metallb.speaker.settings import SpeakerSettings
from metallb.telemetry import logs
from metallb.telemetry import metrics as m

CLONE_NEWNET = 0x40000000
PAGE = 500
NODE = NodeName("node-a")


def address(number: int) -> str:
    """The address of a Service by its number."""
    return f"198.19.{number >> 8}.{number & 255}"


def enter_namespace() -> None:
    """From now on this process and its children have a network of their own: `eth0`, and a cable to `peer`."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise SystemExit(f"needs root: {os.strerror(ctypes.get_errno())}")
    lines = "link add eth0 type veth peer name peer\nlink set peer up\nlink set eth0 up\n"
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)


def service(number: int) -> dict[str, object]:
    """A Service as an API server writes it, with what other controllers leave in it."""
    name = f"service-{number}"
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"00000000-0000-0000-0000-{number:012}",
            "resourceVersion": str(1000 + number),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": name, "team": "web"},
            "annotations": {"metallb.io/ip-allocated-from-pool": "bench"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:ports": {}, "f:type": {}}}}],
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": f"10.96.{number >> 8}.{number & 255}",
            "clusterIPs": [f"10.96.{number >> 8}.{number & 255}"],
            "ipFamilies": ["IPv4"],
            "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080, "nodePort": 30000}],
            "selector": {"app": name},
            "externalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {"ingress": [{"ip": address(number), "ipMode": "VIP"}]}},
    }


def endpoint_slice(number: int) -> dict[str, object]:
    """The EndpointSlice of a Service with three endpoints."""
    name = f"service-{number}"
    ready = {"ready": True, "serving": True, "terminating": False}
    return {
        "metadata": {
            "name": f"{name}-abcde",
            "namespace": "default",
            "uid": f"00000000-0000-0000-0001-{number:012}",
            "resourceVersion": str(1000 + number),
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": [{"addresses": [f"10.0.{n}.1"], "conditions": ready, "nodeName": f"node-{n}"} for n in range(3)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


class Alone:
    """A speaker whose caches are filled by hand and whose announcements go out on `eth0`."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        logs.configure("error")
        self.metrics = m.Metrics(m.SPEAKER)
        nothing: object = None
        settings = SpeakerSettings(namespace="metallb-system", node_name=NODE)
        self._process = wiring.Speaker(nothing, settings, self.metrics, Exclusion.parse(["^peer", "^lo$"]))  # type: ignore[arg-type]  # no cluster
        self.announcer: Announcer = self._process._announcer
        caches = self._process._caches
        self._services, self._slices = caches.services.store, caches.slices.store
        outlets = Outlets(
            announced=lambda service, _announce: self.metrics.set(
                m.ANNOUNCED, 1, str(service.key), "layer2", NODE, service.status.load_balancer.ingress[0].ip
            ),
            withdrawn=lambda *_: None,
            unannounced=lambda _service, _reason: None,
            config_loaded=lambda: None,
            config_judged=lambda _evaluation: None,
            observe=lambda _outcome: None,
        )
        stores = Stores(self._services, self._slices, caches.nodes.store, lambda: frozenset({NODE}))
        self.speaker = ServiceSpeaker(Settings(NODE), stores, self._read, self.announcer, outlets)

    def fill(self, count: int) -> None:
        """So many Services and EndpointSlices, read in pages as an informer does."""
        services, slices = Decoder(list[LeanService]), Decoder(list[LeanSlice])
        for start in range(0, count, PAGE):
            page = range(start, min(start + PAGE, count))
            for found in services.decode(json.dumps([service(number) for number in page])):
                self._services.put(found)
            for each in slices.decode(json.dumps([endpoint_slice(number) for number in page])):
                self._slices.put(each)
        gc.collect()
        gc.freeze()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Decides and announces as long as the block lasts."""
        self.speaker.reload()
        self._process._watch_interfaces(self.speaker)
        tasks = [asyncio.create_task(each.run()) for each in (self.speaker.config, self.speaker.services)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._process.close()

    async def review(self) -> float:
        """Decides about every Service anew; gives the seconds it took."""
        began = time.monotonic()
        self.speaker.review_all()
        await self.speaker.services.idle()
        return time.monotonic() - began

    def memory_mib(self) -> dict[str, float]:
        """Resident memory of the speaker's two processes in MiB; of both, each shared page counted once."""
        gc.collect()
        speaker, responder = _memory_mib("self"), _memory_mib(str(self.announcer._outpost.pid))
        figures = {"speaker": speaker[0], "responder": responder[0], "proportional": speaker[1] + responder[1]}
        return {name: round(figure, 1) for name, figure in figures.items()}

    async def idle_cpu_percent(self, seconds: float = 5.0) -> float:
        """Processor time of the speaker's two processes while nothing happens, in percent of one processor."""
        pids = ("self", str(self.announcer._outpost.pid))
        before = sum(map(_cpu_s, pids))
        await asyncio.sleep(seconds)
        return round(100 * (sum(map(_cpu_s, pids)) - before) / seconds, 2)

    def _read(self) -> Reading:
        pool = v1beta1.IPAddressPool(
            metadata=ObjectMeta(name="bench", namespace="metallb-system"),
            spec=v1beta1.IPAddressPoolSpec(addresses=("198.19.0.0/16",)),
        )
        everywhere = v1beta1.L2Advertisement(metadata=ObjectMeta(name="all", namespace="metallb-system"))
        return Reading(Snapshot([pool], [everywhere]), ())


def _cpu_s(pid: str) -> float:
    """From schedstat: nanoseconds, where `stat` counts ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _memory_mib(pid: str) -> tuple[float, float]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return found["Rss"], found["Pss"]

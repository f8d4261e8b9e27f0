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
from collections import Counter
from collections.abc import AsyncIterator, Iterable
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


def enter_empty_namespace() -> None:
    """From now on this process and its children have a network of their own, with nothing in it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise SystemExit(f"needs root: {os.strerror(ctypes.get_errno())}")


def enter_namespace() -> None:
    """From now on this process and its children have a network of their own: `eth0`, and a cable to `peer`."""
    enter_empty_namespace()
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
        """Of the speaker's two processes, as `footprint_mib` tells."""
        gc.collect()
        return footprint_mib(self._pids())

    async def idle_cpu_percent(self, seconds: float = 5.0) -> float:
        """Processor time of the speaker's two processes while nothing happens, in percent of one processor."""
        pids = self._pids()
        before = cpu_s(pids)
        await asyncio.sleep(seconds)
        return round(100 * (cpu_s(pids) - before) / seconds, 2)

    def _pids(self) -> list[int]:
        responder = self.announcer._outpost.pid
        return [os.getpid(), *([] if responder is None else [responder])]

    def _read(self) -> Reading:
        pool = v1beta1.IPAddressPool(
            metadata=ObjectMeta(name="bench", namespace="metallb-system"),
            spec=v1beta1.IPAddressPoolSpec(addresses=("198.19.0.0/16",)),
        )
        everywhere = v1beta1.L2Advertisement(metadata=ObjectMeta(name="all", namespace="metallb-system"))
        return Reading(Snapshot([pool], [everywhere]), ())


def cpu_s(pids: Iterable[int]) -> float:
    """Processor time of all threads of processes, from schedstat: nanoseconds, where `stat` counts ticks."""
    tasks = (task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def footprint_mib(pids: Iterable[int]) -> dict[str, float]:
    """Memory of a speaker and of the process that answers for it, in MiB.

    `speaker`, `responder`: resident, as the kernel counts it for each; `sum`: both, in which what both map counts
    twice; `proportional`: each page divided by those that map it, others on the machine among them; `charged`: what a
    container of both is charged when nobody else has the files in use: each page of both once.
    """
    found = [_mappings(pid) for pid in pids]
    rss = [sum(each.rss.values()) for each in found]
    files = {name for each in found for name in each.rss} - {""}
    charged = sum(each.anonymous for each in found) + sum(max(each.files[name] for each in found) for name in files)
    figures = {"speaker": rss[0], "responder": sum(rss[1:]), "sum": sum(rss)}
    figures |= {"proportional": sum(each.proportional for each in found), "charged": charged}
    return {name: round(kib / 1024, 1) for name, kib in figures.items()}


class _Mappings:
    """In KiB: resident pages by file, those of them that are the file's; what is no file's, shared out."""

    def __init__(self) -> None:
        self.rss: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self.proportional = 0
        self.anonymous = 0


def _mappings(pid: int) -> _Mappings:
    """From smaps (proc_pid_smaps(5)); the anonymous part from smaps_rollup."""
    found, name = _Mappings(), ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        match words[0]:
            case "Rss:":
                found.rss[name] += int(words[1])
                found.files[name] += int(words[1])
            case "Anonymous:":
                found.files[name] -= int(words[1])
            case "Pss:":
                found.proportional += int(words[1])
            case _ if not words[0].endswith(":"):
                name = words[5] if len(words) > 5 and words[5].startswith("/") else ""  # its columns
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found.anonymous = int(rollup.split("Pss_Anon:")[1].split()[0])
    return found

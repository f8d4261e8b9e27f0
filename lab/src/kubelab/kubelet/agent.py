"""The node agent: wires registration, pods, logs and the proxy of one node together.

On its own restart it adopts the pods that still run: their processes and their network never depended on it. What runs
without being wanted any more is ended once the API server has said so; files of pods that left no process and no wish
behind are removed. While the API server is away nothing is ended because of that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
from pathlib import Path

from kubelab.apiclient import ApiClient, Resource
from kubelab.informer import EventKind, Informer
from kubelab.kubelet import layouts, podnetwork
from kubelab.kubelet.addresses import PodAddresses
from kubelab.kubelet.config import AgentConfig
from kubelab.kubelet.containers import machine_tree
from kubelab.kubelet.cpulimits import CpuLimits, group_of, mounted
from kubelab.kubelet.events import EventRecorder
from kubelab.kubelet.images import ImageMap, installed
from kubelab.kubelet.layers import Layers
from kubelab.kubelet.lifecycle import Delays
from kubelab.kubelet.podparse import parse
from kubelab.kubelet.prober import Prober
from kubelab.kubelet.process import send
from kubelab.kubelet.records import PodFiles, PodRecord, existing
from kubelab.kubelet.references import References
from kubelab.kubelet.registration import Registration, machine_facts
from kubelab.kubelet.roots import Roots
from kubelab.kubelet.server import Server
from kubelab.kubelet.statuswriter import PODS
from kubelab.kubelet.tokens import Tokens
from kubelab.kubelet.worker import PodWorker, Tools
from kubelab.objects import Object
from kubelab.proxy.healthcheck import HealthChecks
from kubelab.proxy.rules import Node
from kubelab.proxy.shell import Proxy

SERVICES = Resource("", "v1", "services", True)
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", True)

_CGROUPS = Path("/run/cgroup")
_log = logging.getLogger(__name__)


class Agent:
    """One node's agent. `run` lives until cancelled; pods outlive it."""

    def __init__(self, config: AgentConfig, client: ApiClient) -> None:
        self._config = config
        facts = machine_facts()
        images = layouts.read(config.layouts, facts.architecture)
        self._tools = Tools(
            config=config,
            client=client,
            images=ImageMap([config.images, *installed()], images=images),
            tree=machine_tree(),
            roots=Roots(images, Layers(config.state_dir / "layers"), config.state_dir / "crun" / config.node),
            addresses=PodAddresses(config.pod_cidrs),
            references=References(client),
            tokens=Tokens(client),
            events=EventRecorder(client, config.node, lambda: secrets.token_hex(8)),
            prober=Prober(),
            delays=Delays(first_s=config.backoff_s, most_s=30 * config.backoff_s),
            cpu_limits=CpuLimits(mounted(_CGROUPS), group_of(config.state_dir)),
        )
        self.registration = Registration(config, client, facts)
        self._pods = Informer(client, PODS, field_selector=f"spec.nodeName={config.node}")
        self._services, self._slices = Informer(client, SERVICES), Informer(client, SLICES)
        self._health = HealthChecks()
        self.proxy = Proxy(proxy_node(config), self._services, self._slices, health=self._health)
        self._server = Server(config, self._find, lambda: [worker.machine.pod.raw for worker in self._workers.values()])
        self._workers: dict[str, PodWorker] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Do all of a node agent's work until cancelled.

        Raises:
            NetworkError: the pod bridge cannot be made.
            OSError: the log server's port is in use.
        """
        config = self._config
        config.pods_dir.mkdir(parents=True, exist_ok=True)
        if config.pod_cidrs:
            await podnetwork.make_bridge(config.pod_cidrs, config.service_cidrs, config.addresses)
        await self._server.start()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._adopt()
                self._pods.subscribe(self._pod_changed)
                work = [self.registration.run(), self._pods.run(), self._services.run(), self._slices.run()]
                work += [self.proxy.run(), self._tools.events.run(), self._drop_unwanted()]
                for part in work:
                    group.create_task(part)
        finally:
            await self._server.close()
            await self._health.close()
            await self._tools.references.close()
            await self._tools.prober.close()

    # --- pods ----------------------------------------------------------------------------------------------------

    def _find(self, namespace: str, name: str) -> PodWorker | None:
        for worker in self._workers.values():
            if (worker.machine.pod.namespace, worker.machine.pod.name) == (namespace, name):
                return worker
        return None

    def _pod_changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        if new is None:
            worker = self._workers.get(str((old or {})["metadata"]["uid"]))
            if worker is not None:
                worker.vanish()
            return
        worker = self._workers.get(str(new["metadata"]["uid"]))
        if worker is not None:
            worker.want(parse(new))
        elif _is_over(new):
            _log.debug("pod %s was over before this agent began", new["metadata"]["name"])
        else:
            self._begin(parse(new).raw)

    def _begin(self, raw: Object, record: PodRecord | None = None) -> None:
        pod = parse(raw)
        worker = self._workers[pod.uid] = PodWorker(pod, self._tools)
        assert self._group is not None, "pods come only while the agent runs"
        self._group.create_task(self._live(worker, record), name=f"pod {pod.namespace}/{pod.name}")

    async def _live(self, worker: PodWorker, record: PodRecord | None) -> None:
        await worker.run(record)
        self._workers.pop(worker.machine.pod.uid, None)

    # --- after a restart -----------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Go on with the pods of an earlier agent; what cannot be gone on with is ended."""
        for files in existing(self._config.pods_dir):
            record = files.read()
            if record is None:
                files.remove()
            elif self._can_go_on(files, record):
                self._begin(record.pod, record)
            else:
                _end_processes(record)
                self._begin(record.pod)

    def _can_go_on(self, files: PodFiles, record: PodRecord) -> bool:
        if not record.addresses:
            return False
        if (record.pod.get("spec") or {}).get("hostNetwork"):
            return True
        uid = str(record.pod["metadata"]["uid"])
        return os.path.ismount(files.namespace) and self._tools.addresses.keep(uid, record.addresses)

    async def _drop_unwanted(self) -> None:
        """Once the API server has told which pods there are, end those of an earlier agent that are not among them."""
        await self._pods.synced.wait()
        wanted = {str(pod["metadata"]["uid"]) for pod in self._pods.store.values()}
        for uid, worker in list(self._workers.items()):
            if uid not in wanted:
                worker.vanish()


def proxy_node(config: AgentConfig) -> Node:
    """This node as the proxy sees it."""
    return Node(
        name=config.node,
        addresses=config.addresses,
        pod_cidrs=config.pod_cidrs,
        cluster_cidrs=config.cluster_cidrs,
        service_cidrs=config.service_cidrs,
        pod_bridge=podnetwork.BRIDGE,
    )


def _is_over(raw: Object) -> bool:
    """Whether a pod ended before: it must not run again, but a deletion has to be carried out."""
    over = (raw.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return over and not raw["metadata"].get("deletionTimestamp")


def _end_processes(record: PodRecord) -> None:
    for handles in record.handles.values():
        send(handles.init, signal.SIGKILL)
        send(handles.monitor, signal.SIGKILL)

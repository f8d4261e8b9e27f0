"""Runs one pod: executes what its machine decides and tells the machine what came of it.

One task per pod owns the machine's timer, one its status, one its volumes; whatever takes long (network, starts,
probes) is a task of its own that ends with an input to the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubelab.apiclient import ApiClient, ApiFailure
from kubelab.kubelet import podnetwork, sandbox
from kubelab.kubelet.addresses import AddressesError, PodAddresses
from kubelab.kubelet.config import AgentConfig
from kubelab.kubelet.containers import Workplace
from kubelab.kubelet.cpulimits import CpuLimits
from kubelab.kubelet.environment import MissingError, Place, environment, expand, references, wrong_clock
from kubelab.kubelet.events import EventRecorder
from kubelab.kubelet.images import ImageMap
from kubelab.kubelet.layers import UnpackError
from kubelab.kubelet.lifecycle import (
    Delays,
    Desired,
    Effect,
    Exited,
    Forget,
    Input,
    PodMachine,
    Probed,
    RunProbe,
    SetUp,
    SetUpDone,
    Signal,
    Start,
    Started,
    StartFailed,
    TearDown,
    Tell,
    TornDown,
    Vanished,
)  # fmt: skip
from kubelab.kubelet.podspec import Container, Pod
from kubelab.kubelet.podvolumes import PodVolumes
from kubelab.kubelet.prober import Prober
from kubelab.kubelet.process import Build, Life, StartError
from kubelab.kubelet.records import PodFiles, PodRecord
from kubelab.kubelet.references import References
from kubelab.kubelet.roots import Roots
from kubelab.kubelet.state import Now, Run
from kubelab.kubelet.statuswriter import PODS, StatusWriter
from kubelab.kubelet.tokens import Tokens
from kubelab.kubelet.users import UserError
from kubelab.kubelet.volumes import references as volume_references
from kubelab.kubelet.volumes import tokens_of
from kubelab.objects import Object

_RETRY_S = 1.0
_LOST = 137

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all pods of a node share."""

    config: AgentConfig
    client: ApiClient
    images: ImageMap
    tree: sandbox.HostTree
    roots: Roots
    addresses: PodAddresses
    references: References
    tokens: Tokens
    events: EventRecorder
    prober: Prober
    delays: Delays
    cpu_limits: CpuLimits


def clock() -> Now:
    """The one place where the clocks are read."""
    return Now(time.monotonic(), time.time())


class PodWorker:
    """One pod from its first appearance until it is forgotten; `finished` is set then."""

    def __init__(self, pod: Pod, tools: Tools) -> None:
        self.finished = asyncio.Event()
        self.machine = PodMachine(pod, tools.images, tools.delays)
        self.files = PodFiles.of(tools.config.pods_dir, pod.namespace, pod.name, pod.uid)
        self._tools = tools
        self._lives: dict[str, Life] = {}
        self._attempts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._setting_up: asyncio.Task[None] | None = None
        self._wake, self._dirty = asyncio.Event(), asyncio.Event()
        self._volumes = PodVolumes(self._referenced(), self.files, tools.references, tools.tokens, self._warn)
        self._status = StatusWriter(tools.client, tuple(map(str, tools.config.addresses)))
        self._warned: dict[str, str] = {}
        self._recorded: PodRecord | None = None
        self._closing = False

    # --- from outside --------------------------------------------------------------------------------------------

    async def run(self, record: PodRecord | None = None) -> None:
        """Live until the pod is forgotten, or until cancelled: then the pod's processes go on without us.

        `record` is what an earlier node agent left of a pod whose containers were set up.
        """
        pod = self.machine.pod
        self.files.folder.mkdir(parents=True, exist_ok=True, mode=0o755)  # local files do not block for long
        self._tools.references.use(pod.uid, pod.namespace, self._referenced(), self._volumes.due.set)
        for token in tokens_of(pod.volumes.values()):
            self._spawn(self._tools.tokens.keep(pod, token, self._volumes.due.set))
        if record is not None:
            self._restore(record)
        self._volumes.due.set()
        self._do(self.machine.tick(clock()))
        keepers = [self._keep_time(), self._keep_status(), self._volumes.keep(lambda: (self.machine.pod, self._place))]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(keeper) for keeper in keepers]
                await self.finished.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._close()

    def want(self, pod: Pod) -> None:
        """The pod's object changed."""
        self._feed(Desired(pod))
        self._volumes.due.set()

    def vanish(self) -> None:
        """The pod's object is gone."""
        self._feed(Vanished())

    def log(self, container: str, *, previous: bool) -> tuple[Path, Life | None] | None:
        """Where a container's log is and, if it may still grow, the life that writes it; None if there is none."""
        attempt, life = self._attempts.get(container, -1), self._lives.get(container)
        if previous:
            attempt, life = attempt - 1, None
        path = self.files.life(container, attempt).with_suffix(".log")
        return (path, life) if attempt >= 0 and path.exists() else None

    # --- the machine ---------------------------------------------------------------------------------------------

    def _feed(self, event: Input) -> None:
        if not self._closing:
            self._do(self.machine.feed(event, clock()))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._execute(effect)
        if not self.finished.is_set():
            self._record()
        self._dirty.set()
        self._wake.set()

    def _execute(self, effect: Effect) -> None:
        match effect:
            case SetUp():
                self._setting_up = asyncio.create_task(self._set_up())
                self._tasks.add(self._setting_up)
                self._setting_up.add_done_callback(self._reap)
            case Start():
                self._spawn(self._start(effect))
            case Signal(name, kill):
                self._signal(name, kill=kill)
            case RunProbe():
                self._spawn(self._probe(effect))
            case Tell():
                self._tools.events.tell(self.machine.pod, effect, clock())
            case TearDown():
                self._spawn(self._tear_down())
            case Forget(delete):
                self._spawn(self._forget(delete=delete))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task that belongs to this pod. What it raises is a bug: it is logged, the pod goes on."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("pod %s: %r", self.machine.pod.label, error, exc_info=error)

    async def _close(self) -> None:
        self._closing = True
        self._tools.references.release(self.machine.pod.uid)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for life in self._lives.values():
            life.release()

    async def _keep_time(self) -> None:
        while True:
            self._wake.clear()
            deadline = self.machine.deadline()
            wait_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
                continue
            self._do(self.machine.tick(clock()))

    async def _keep_status(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not await self._status.write(self.machine, clock()):
                await asyncio.sleep(_RETRY_S)
                self._dirty.set()

    def _record(self) -> None:
        machine = self.machine
        handles = {name: life.handles for name, life in self._lives.items()}
        addresses = machine.addresses if machine.is_set_up else ()
        record = PodRecord(machine.pod.raw, addresses, machine.keep(), handles)
        if record == self._recorded:
            return
        try:
            self.files.write(record)
            self._recorded = record
        except OSError as error:
            _log.error("pod %s: its state cannot be kept: %s", machine.pod.label, error)

    def _restore(self, record: PodRecord) -> None:
        for name, handles in record.handles.items():
            kept = record.containers.get(name)
            if kept is None or kept.run is None:
                continue
            attempt = int(kept.run.container_id.rpartition("-")[2])
            self._attempts[name] = attempt
            with contextlib.suppress(OSError):
                self._lives[name] = Life.adopt(handles, self.files.life(name, attempt), self._tools.config.log_limit)
        alive = frozenset(name for name, life in self._lives.items() if not life.ended.done())
        self.machine.restore(record.containers, record.addresses, alive, clock())
        for name, life in self._lives.items():
            self._spawn(self._wait(name, life))
        for name, kept in record.containers.items():
            if kept.run is not None and name not in self._lives:
                self._feed(Exited(name, _LOST, "the node agent lost the container's processes", time.time()))

    # --- setting up and taking down ------------------------------------------------------------------------------

    @property
    def _place(self) -> Place:
        config = self._tools.config
        api = str(config.service_cidrs[0][1]) if config.service_cidrs else ""
        return Place(config.node, tuple(map(str, config.addresses)), self.machine.addresses, api)

    @property
    def _workplace(self) -> Workplace:
        return Workplace(self.machine.pod, self._place, self.files, self._tools.tree)

    def _lookup(self, kind: str, name: str) -> Object | None:
        return self._tools.references.get(kind, self.machine.pod.namespace, name)

    def _referenced(self) -> set[tuple[str, str]]:
        pod = self.machine.pod
        return references((*pod.init_containers, *pod.containers)) | volume_references(pod.volumes.values())

    async def _set_up(self) -> None:
        while True:
            if await self._make_network():
                break
            await asyncio.sleep(_RETRY_S)
        self._volumes.due.set()  # what tells a pod its own address is complete only now
        await self._volumes.ready.wait()
        self._feed(SetUpDone(self.machine.addresses))

    async def _make_network(self) -> bool:
        pod, addresses = self.machine.pod, self._tools.addresses
        if pod.host_network:
            self.machine.addresses = tuple(map(str, self._tools.config.addresses))
            return True
        try:
            own = addresses.take(pod.uid)
            await podnetwork.set_up(self.files.namespace, pod.uid, own, addresses.gateways)
        except (podnetwork.NetworkError, AddressesError, OSError) as error:
            self._warn("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return False
        self.machine.addresses = own
        return True

    async def _tear_down(self) -> None:
        if self._setting_up is not None:
            self._setting_up.cancel()
            await asyncio.gather(self._setting_up, return_exceptions=True)
        pod = self.machine.pod
        self._tools.cpu_limits.remove(pod.uid)
        if not pod.host_network:
            await podnetwork.tear_down(self.files.namespace, pod.uid)
            self._tools.addresses.give_back(pod.uid)
        self._feed(TornDown())

    async def _forget(self, *, delete: bool) -> None:
        """Say the last word about the pod, have its object deleted, remove its files."""
        while delete:
            if await self._status.write(self.machine, clock()) and await self._delete():
                break
            await asyncio.sleep(_RETRY_S)
        self.finished.set()
        self.files.remove()

    async def _delete(self) -> bool:
        pod = self.machine.pod
        try:
            await self._tools.client.delete(PODS, pod.name, pod.namespace, uid=pod.uid, grace_period_s=0)
        except ApiFailure as failure:
            if failure.not_found or failure.conflict:
                return True
            _log.log(logging.DEBUG if failure.unreachable else logging.WARNING, "pod %s: %s", pod.label, failure)
            return False
        return True

    def _warn(self, reason: str, message: str) -> None:
        if self._warned.get(reason) != message:
            self._warned[reason] = message
            self._tools.events.tell(self.machine.pod, Tell("Warning", reason, message), clock())

    # --- containers ----------------------------------------------------------------------------------------------

    async def _start(self, start: Start) -> None:
        pod, name = self.machine.pod, start.container
        container = pod.container(name)
        assert container is not None, "the machine starts only what the pod has"
        try:
            build = await self._build(container, start)
            life = await Life.start(build, self.files.life(name, start.attempt), self._tools.config.log_limit)
        except MissingError as error:
            self._feed(StartFailed(name, "CreateContainerConfigError", str(error)))
            return
        except (UnpackError, UserError) as error:
            self._feed(StartFailed(name, "CreateContainerError", str(error)))
            return
        except (StartError, OSError) as error:
            self._feed(StartFailed(name, "RunContainerError", str(error)))
            return
        if container.cpu_limit_millis is not None:
            handles = life.handles
            pids = {handles.init.pid, handles.program.pid} - {0}
            self._tools.cpu_limits.apply(pod.uid, name, container.cpu_limit_millis, pids)
        self._lives[name] = life
        self._attempts[name] = start.attempt
        pid = life.handles.program.pid or life.handles.monitor.pid
        self._feed(Started(name, Run(f"{pod.uid}-{name}-{start.attempt}", pid, clock())))
        self._spawn(self._wait(name, life))

    async def _build(self, container: Container, start: Start) -> Build:
        """What starts a container; its files are there then."""
        place = self._workplace
        root = await self._tools.roots.of(container)
        if root is not None:
            container = root.settled(container)
        image = {} if root is None else root.image.environment
        values = environment(self.machine.pod, container, self._place, self._lookup, image)
        place.prepare(container, start.attempt)
        argv = [expand(word, values) for word in start.argv]
        values |= wrong_clock(self.files.clock)
        if root is not None:
            return self._tools.roots.build(place, container, root, argv, values, start.attempt)
        return lambda channels: place.command(container, argv, values, channels)

    async def _wait(self, name: str, life: Life) -> None:
        code = await life.ended
        if self._lives.get(name) is life:
            del self._lives[name]
        container = self.machine.pod.container(name)
        message = "" if container is None else self._message(container.name, code)
        self._feed(Exited(name, code, message, time.time(), self._ran_out_of_memory(name, life)))

    def _ran_out_of_memory(self, name: str, life: Life) -> bool:
        """Whether who killed it said so; that is forgotten with the telling."""
        word = self.files.out_of_memory(name)
        try:
            pid = int(word.read_text(encoding="ascii"))
            word.unlink()
        except (OSError, ValueError):
            return False
        return pid == life.handles.program.pid

    def _message(self, name: str, code: int) -> str:
        container = self.machine.pod.container(name)
        assert container is not None, "its life just ended"
        return self._workplace.termination_message(container, self._attempts.get(name, 0), code)

    def _signal(self, name: str, *, kill: bool) -> None:
        life = self._lives.get(name)
        if life is not None and kill:
            life.kill()
        elif life is not None:
            life.terminate()

    async def _probe(self, effect: RunProbe) -> None:
        pod, life = self.machine.pod, self._lives.get(effect.container)
        container = pod.container(effect.container)
        if container is None or life is None:
            return
        try:
            values = environment(pod, container, self._place, self._lookup)
        except MissingError:
            values = {}  # what it was started with is gone by now; the probe's command goes without
        answer = await self._tools.prober.attempt(
            effect.probe,
            next(iter(self.machine.addresses), "127.0.0.1"),
            lambda words: self._enter(container, life, words),
            values,
        )
        self._feed(Probed(effect.container, effect.kind, effect.container_id, answer.ok, answer.message))

    def _enter(self, container: Container, life: Life, words: Sequence[str]) -> list[str]:
        """A command run in a container."""
        if container.image in self._tools.roots.images:
            attempt = self._attempts.get(container.name, 0)
            return self._tools.roots.enter(self._workplace, container, attempt, words)
        return sandbox.enter(life.handles.program.pid, container.security, words)

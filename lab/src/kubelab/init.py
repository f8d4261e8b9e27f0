"""The lab's init: makes the lab's namespaces, is process 1 in them, and runs the lab until it is told to stop.

`up` starts it as `python -m kubelab.init CONFIG.json` with three descriptors: the lab's lock, the API server's
listening socket on the host's loopback, and a pipe for progress. It moves into new namespaces, forks process 1, and
leaves. Whatever process 1 has made is in its namespaces, so its end, of whatever kind, is the lab's end.

Components that end stay ended, as in a cluster whose machines nobody tends; SIGUSR1 starts them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kubelab import real_engine, state
from kubelab.cluster import Cluster, Plan, parse, plan
from kubelab.engines import Commands, Component, Engine, Site
from kubelab.kubelet import cpulimits
from kubelab.network import build, kernel, namespaces
from kubelab.network.kernel import MountFlags, Namespaces
from kubelab.network.namespaces import Machine
from kubelab.objects import Object
from kubelab.state import Layout, ProcessRecord, Record
from kubelab.supervisor import ComponentError, Supervisor

GRACE_S = 3.0
"""How long components may take to end before they are killed (seconds)."""

ALL_NAMESPACES = Namespaces.MOUNT | Namespaces.NETWORK | Namespaces.PID | Namespaces.UTS | Namespaces.IPC

log = logging.getLogger("kubelab.init")


class InitConfig(msgspec.Struct, kw_only=True, frozen=True):
    """What `up` tells init."""

    root: str
    name: str
    cluster: Object
    server: str
    """The API server's URL on the host."""
    commands: dict[str, list[str]]
    """See `kubelab.engines.Commands`."""
    environment: dict[str, str]
    """For all components."""
    ready_timeout_s: float
    lock_fd: int
    listen_fd: int
    progress_fd: int
    assets: str = ""
    """Folder of the real engine's binaries; empty for the embedded engine."""
    lifeline_fd: int | None = None
    """A pipe: when its other end is closed the lab ends and takes its folder with it."""


class Progress(msgspec.Struct, kw_only=True):
    """One line of what init tells `up`."""

    kind: str
    """`step`, `ready` or `failed`."""
    message: str


def main() -> None:
    """Make the namespaces and process 1; see the module."""
    config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=InitConfig)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s.%(msecs)03d %(message)s", datefmt="%Y-%m-%d %H:%M:%S"
    )
    for descriptor in (config.lock_fd, config.listen_fd, config.progress_fd, config.lifeline_fd):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    progress = ProgressPipe(config.progress_fd)
    try:
        with kernel.on_one_processor():
            host_pid = become_process_one()
            init = Init(config, host_pid, progress)
            init.build()
        asyncio.run(init.run())
    except (OSError, build.NetworkError, ComponentError, ImportError) as error:
        log.exception("the lab ends")
        with contextlib.suppress(BrokenPipeError):
            progress.send("failed", str(error))
        sys.exit(1)


def become_process_one() -> int:
    """Fork process 1 of new namespaces and answer, there, its id on the host; the calling process ends.

    Raises:
        OSError: the kernel refuses.
    """
    kernel.unshare(ALL_NAMESPACES)
    ours, theirs = os.pipe()
    child = os.fork()
    if child != 0:
        os.write(theirs, str(child).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        host_pid = int(pipe.read())
    os.setsid()
    kernel.set_process_name("kubelab-init")
    return host_pid


class ProgressPipe:
    """The pipe to `up`, which may have gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._started = time.monotonic()

    def send(self, kind: str, message: str) -> None:
        """Tell one thing.

        Raises:
            BrokenPipeError: `up` has gone before the lab was ready.
        """
        log.info("%s: %s", kind, message)
        if self._descriptor is not None:
            os.write(self._descriptor, msgspec.json.encode(Progress(kind=kind, message=message)) + b"\n")

    def step(self, message: str) -> None:
        """Tell that a step is done, and how long after the start."""
        self.send("step", f"{message} ({time.monotonic() - self._started:.2f} s)")

    def when_nobody_listens(self, act: Callable[[], object]) -> None:
        """Act once `up` has gone: for the writing end of a pipe that is an error condition, which readers are told."""
        if self._descriptor is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._descriptor, _once(loop, self._descriptor, act))

    def close(self) -> None:
        """Nothing more will be told."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


class Init:
    """Process 1 of a lab."""

    def __init__(self, config: InitConfig, host_pid: int, progress: ProgressPipe) -> None:
        self._config = config
        self._progress = progress
        self._layout = Layout(Path(config.root), config.name)
        self._cluster: Cluster = parse(config.cluster, "cluster file")
        self._plan: Plan = plan(self._cluster)
        self._engine: Engine = real_engine.engine(config.assets, _commands(config.commands))
        self._machines: dict[str, Machine] = {}
        self._stages: Sequence[Sequence[Component]] = ()
        self._supervisor: Supervisor | None = None
        self._listener = socket.socket(fileno=config.listen_fd)
        self._record = Record(
            name=config.name,
            pid=host_pid,
            phase="starting",
            started_at=time.time(),
            server=config.server,
            cluster=config.cluster,
            addresses={host.name: [str(address) for address in host.addresses] for host in self._plan.hosts},
            engine="real" if config.assets else "embedded",
        )
        state.write_record(self._layout, self._record)

    def build(self) -> None:
        """Make mounts, the network and the engine's files.

        Raises:
            OSError: the kernel refuses, or a file cannot be written.
            NetworkError: a part of the network cannot be made.
        """
        keep = (self._layout.directory,) if self._layout.directory.is_relative_to("/run") else ()
        own_mounts(keep)
        self._machines = build.build(self._cluster, self._plan, self._layout.namespaces, keep)
        self._progress.step(f"network of {len(self._machines)} machines")
        site = Site(
            layout=self._layout,
            cluster=self._cluster,
            plan=self._plan,
            listen_fd=self._config.listen_fd,
            server=self._config.server,
            python=sys.executable,
            now=time.time(),
            draw=secrets.randbelow,
        )
        self._engine.prepare(site)
        self._stages = self._engine.stages(site)

    async def run(self) -> None:
        """Start everything, then live until told to stop.

        Raises:
            ComponentError: a component did not get ready.
        """
        stop = asyncio.Event()
        self._listen_for_the_end(stop)
        self._supervisor = supervisor = Supervisor(
            {name: machine.enter() for name, machine in self._machines.items()},
            self._config.environment,
            self._layout.log,
            self._components_changed,
        )
        supervisor.watch_children()
        try:
            if await _unless(stop, self._start(supervisor)):
                self._phase("running")
                self._progress.send("ready", "ready")
                self._progress.close()
                await stop.wait()
            self._progress.close()
        finally:
            self._phase("stopping")
            stages = [[component.name for component in stage] for stage in self._stages]
            await supervisor.stop(stages, GRACE_S)
        self._leave()

    async def _start(self, supervisor: Supervisor) -> None:
        """Start the stages one after the other."""
        for stage in self._stages:
            running = [supervisor.start(component) for component in stage]
            try:
                async with asyncio.timeout(self._config.ready_timeout_s):
                    for each in running:
                        await supervisor.until_ready(each)
            except TimeoutError:
                late = next(each for each in running if not each.ready.is_set())
                raise ComponentError(
                    f"{late.component.name} was not ready after {self._config.ready_timeout_s:g} s: {late.last_words()}"
                ) from None
            self._progress.step(", ".join(component.name for component in stage))

    def _listen_for_the_end(self, stop: asyncio.Event) -> None:
        """SIGTERM and the like stop the lab, and the end of `up` before it is ready, or of who holds the lifeline."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._start_again)
        self._progress.when_nobody_listens(stop.set)
        lifeline = self._config.lifeline_fd
        if lifeline is not None:
            loop.add_reader(lifeline, _once(loop, lifeline, stop.set))

    def _start_again(self) -> None:
        """Start every component that has ended."""
        if self._supervisor is None or self._record.phase != "running":
            return
        self._supervisor.reap()
        for running in list(self._supervisor.running.values()):
            if running.code is not None:
                self._supervisor.start(running.component)

    def _components_changed(self) -> None:
        """Write down what runs now; where no API server does, connections on the host are refused."""
        assert self._supervisor is not None
        for running in self._supervisor.running.values():
            if running.code is not None and self._listener.fileno() in running.component.pass_fds:
                with contextlib.suppress(OSError):  # it does not listen any more
                    self._listener.shutdown(socket.SHUT_RDWR)
        self._record.processes = {
            name: ProcessRecord(pid=running.pid, ready=running.ready.is_set(), code=running.code)
            for name, running in self._supervisor.running.items()
        }
        state.write_record(self._layout, self._record)

    def _phase(self, phase: str) -> None:
        self._record.phase = phase
        state.write_record(self._layout, self._record)

    def _leave(self) -> None:
        """Take control groups away; the folder, too, if nobody is there to do it: the lifeline's holder has gone."""
        cpulimits.sweep(self._layout.directory)
        if self._config.lifeline_fd is None:
            return
        kernel.unmount(self._layout.namespaces)
        kernel.unmount(Path("/run"))
        with contextlib.suppress(FileNotFoundError):
            state.remove_folder(self._layout)


def own_mounts(keep: tuple[Path, ...]) -> None:
    """Make this mount namespace the lab's: nothing done here is seen outside; its own /proc, /run and /dev/shm.

    Raises:
        OSError: the kernel refuses.
    """
    kernel.mount("none", Path("/"), flags=MountFlags.RECURSIVE | MountFlags.PRIVATE)
    safe = MountFlags.NOSUID | MountFlags.NODEV
    kernel.mount("proc", Path("/proc"), "proc", safe | MountFlags.NOEXEC)
    namespaces.own_run(keep)
    shared_memory = Path("/dev/shm")  # noqa: S108  # a mount, not a file in it
    if shared_memory.is_dir():
        kernel.mount("shm", shared_memory, "tmpfs", safe, "mode=1777")


async def _unless(stop: asyncio.Event, start: Coroutine[Any, Any, None]) -> bool:
    """Run `start` unless `stop` is set meanwhile; answers whether it came to its end."""
    starting = asyncio.create_task(start)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    if starting.done():
        await starting
        return True
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return False


def _once(loop: asyncio.AbstractEventLoop, descriptor: int, act: Callable[[], object]) -> Callable[[], None]:
    """A reader of `descriptor` that acts the first time and is not called again."""

    def end() -> None:
        loop.remove_reader(descriptor)
        act()

    return end


def _commands(given: dict[str, list[str]]) -> Commands:
    return Commands(**{kind: tuple(argv) for kind, argv in given.items()})


if __name__ == "__main__":
    main()

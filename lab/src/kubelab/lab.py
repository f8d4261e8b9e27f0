"""A running lab as an object: start it, use it, harm it, end it.

async with Lab.running() as lab:
    await lab.kubectl("apply", "-f", "-", stdin=manifest)
    page = await lab.run("client", ["curl", "-sf", "http://198.51.100.100/"])
    lab.cut("worker-1")
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kubelab import apifaults, faults, launch, places, podfaults, preflight, processes, state
from kubelab.apiserver.injected import Injected
from kubelab.cluster import Cluster, Plan, parse, plan
from kubelab.faults import Direction, Fault, Scene
from kubelab.launch import Options
from kubelab.processes import Process, ProcessTable
from kubelab.state import LabDeadError, Layout, Record

KUBECTL_VARIABLE = "KUBELAB_KUBECTL"
"""Names the kubectl to use instead of the one on PATH, or the one beside the Python interpreter where there is none."""
RUN_TIMEOUT_S = 60.0
_LOOK_S = 0.02
LONGEST_COMMAND = 300
"""Characters of a command that an error shows."""


class CommandError(Exception):
    """A command in the lab failed, or took too long; the message has its last words."""

    def __init__(self, result: Completed, problem: str) -> None:
        self.result = result
        words = (result.stderr.strip() or result.stdout.strip()).splitlines()
        command = textwrap.shorten(" ".join(result.argv), LONGEST_COMMAND, placeholder=" ...")
        super().__init__(f"{command}: {problem}: {words[-1] if words else 'it said nothing'}")


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command came to. `code` is negative for a signal, as in `subprocess`."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


class LabProcess:
    """A program that runs somewhere in the lab. Signals reach the program itself, not what brought it there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Its standard input, if it was started with a pipe."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """Its standard output, if it was started with a pipe."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        """Its standard error, if it was started with a pipe."""
        assert self._process.stderr is not None
        return self._process.stderr

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the program if it still runs."""
        if self._process.returncode is not None:
            return
        for pid in processes.children(self._process.pid) or [self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until it has ended; answers its code."""
        return await self._process.wait()

    async def communicate(self, stdin: bytes | None = None) -> tuple[bytes, bytes]:
        """Give it its input and wait for its end; answers what it printed on pipes."""
        out, err = await self._process.communicate(stdin)
        return out or b"", err or b""


class Lab:
    """A lab that runs. Made by `up`, `attach` or `running`; holds nothing of any event loop."""

    def __init__(self, layout: Layout, lifeline: int | None = None) -> None:
        self.layout = layout
        record = self.record
        self.cluster: Cluster = parse(record.cluster, str(layout.record))
        self.plan: Plan = plan(self.cluster)
        self._lifeline = lifeline

    @classmethod
    async def up(
        cls, cluster: Cluster | None = None, *, name: str = state.DEFAULT_NAME, options: Options | None = None
    ) -> Lab:
        """Start a lab and wait until its API answers and all its nodes are ready; it goes on without this process.

        Raises:
            PreflightError: this machine cannot run a lab.
            LabRunsError: a lab of that name runs.
            StartError: it did not get ready; nothing of it runs.
            ValueError: no lab can have that name.
            OSError: its folder cannot be written.
        """
        layout = state.layout(name)
        chosen = options or Options()
        preflight.check()
        try:
            lifeline = await launch.start(layout, cluster or Cluster.default(), chosen)
        except asyncio.CancelledError:
            await launch.stop(layout)
            raise
        return cls(layout, lifeline)

    @classmethod
    def attach(cls, name: str = state.DEFAULT_NAME) -> Lab:
        """The running lab of that name.

        Raises:
            LabNotFoundError: there is none.
            LabDeadError: its processes are gone.
            ValueError: no lab can have that name.
        """
        layout = state.layout(name)
        if not state.is_alive(layout):
            raise LabDeadError(name)
        return cls(layout)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, cluster: Cluster | None = None, *, name: str = state.DEFAULT_NAME, options: Options | None = None
    ) -> AsyncIterator[Lab]:
        """A lab for the length of a block; it ends with it, or with this process if that is killed.

        Raises:
            As `up`.
        """
        given = options or Options()
        with_lifeline = Options(given.api_port, given.ready_timeout_s, True, given.commands, given.told)
        lab = await cls.up(cluster, name=name, options=with_lifeline)
        try:
            yield lab
        finally:
            await lab.down()

    async def down(self) -> None:
        """End the lab and remove all that is left of it; also if it is dead already.

        Raises:
            LabRunsError: it could not be ended.
        """
        try:
            with contextlib.suppress(state.LabNotFoundError):
                await launch.stop(self.layout)
        finally:
            if self._lifeline is not None:
                os.close(self._lifeline)
                self._lifeline = None

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.layout.name

    @property
    def engine(self) -> Literal["embedded", "real"]:
        """Whose API server and controllers run: the lab's own, or those of `KUBEBUILDER_ASSETS`."""
        return self.record.engine

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for use on the host."""
        return self.layout.kubeconfig

    @property
    def record(self) -> Record:
        """What the lab's init last wrote down.

        Raises:
            LabNotFoundError: the lab is gone.
        """
        return state.read_record(self.layout)

    @property
    def processes(self) -> ProcessTable:
        """All processes of the lab, as the host sees them now."""
        return ProcessTable.read(self.record.pid)

    async def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout_s: float = RUN_TIMEOUT_S
    ) -> Completed:
        """Run kubectl on the host against the lab's API server, as its administrator.

        Raises:
            CommandError: it failed, if `check`; it took too long.
            FileNotFoundError: there is no kubectl.
        """
        process = await asyncio.create_subprocess_exec(
            *self.kubectl_command(*args),
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.kubectl_environment(),
        )
        return await _complete(LabProcess(process), ("kubectl", *args), stdin, check=check, timeout_s=timeout_s)

    def kubectl_command(self, *args: str) -> list[str]:
        """The command line of kubectl.

        Raises:
            FileNotFoundError: there is none.
        """
        beside = Path(sys.executable).with_name("kubectl")
        chosen = os.environ.get(KUBECTL_VARIABLE) or shutil.which("kubectl") or (beside.exists() and str(beside))
        if not chosen:
            raise FileNotFoundError(f"there is no kubectl on PATH; install it, or set {KUBECTL_VARIABLE}")
        return [chosen, *args]

    def kubectl_environment(self) -> dict[str, str]:
        """The environment for kubectl: the caller's, with the lab's kubeconfig, and its caches in the lab's folder."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.layout.temporary)}

    async def run(
        self,
        where: str,
        argv: Sequence[str],
        *,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        timeout_s: float = RUN_TIMEOUT_S,
    ) -> Completed:
        """Run a command at a place: `client`, `node/worker-1`, `pod/default/web[/CONTAINER]`.

        Raises:
            PlaceError: there is no such place.
            CommandError: it failed, if `check`; it took too long.
        """
        process = await self.popen(
            where,
            argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            environment=environment,
        )
        return await _complete(process, tuple(argv), stdin, check=check, timeout_s=timeout_s)

    async def popen(
        self,
        where: str,
        argv: Sequence[str],
        *,
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.PIPE,
        stderr: int = asyncio.subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
    ) -> LabProcess:
        """Start a command at a place; it ends when this process or the lab does.

        Raises:
            PlaceError: there is no such place.
        """
        command, found = self.command_at(where, argv)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=stdin, stdout=stdout, stderr=stderr, env={**found, **(environment or {})}, cwd="/"
        )
        return LabProcess(process)

    def command_at(self, where: str, argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """The host's command line, and environment, that runs a command at a place.

        Raises:
            PlaceError: there is no such place.
        """
        way = places.way_to(where, self.layout, self.cluster, self.record.pid)
        usual = launch.environment(self.layout, os.environ)
        return [*way.prefix, "setpriv", "--pdeathsig=KILL", "--", *argv], way.environment or usual

    def cut(self, machine: str, network: str | None = None) -> None:
        """See `kubelab.faults.cut`."""
        faults.cut(self.scene, machine, network)

    def restore(self, machine: str, network: str | None = None) -> None:
        """See `kubelab.faults.restore`."""
        faults.restore(self.scene, machine, network)

    def drop(
        self, machine: str, share: float, direction: Direction = Direction.BOTH, network: str | None = None
    ) -> None:
        """See `kubelab.faults.drop`."""
        faults.drop(self.scene, machine, share, direction, network)

    def kill(self, target: str) -> list[Process]:
        """See `kubelab.faults.kill`."""
        return faults.kill(self.scene, target)

    def pause(self, target: str) -> list[Process]:
        """See `kubelab.faults.pause`."""
        return faults.pause(self.scene, target)

    def resume(self, target: str) -> list[Process]:
        """See `kubelab.faults.resume`."""
        return faults.resume(self.scene, target)

    async def start(self, timeout_s: float = RUN_TIMEOUT_S) -> list[str]:
        """Start the lab's own processes that have ended, wait until they are ready, and answer which.

        Raises:
            TimeoutError: one is not, in that time.
        """
        ended = faults.start(self.scene)
        async with asyncio.timeout(timeout_s):
            while not all(self._is_back(*each) for each in ended.items()):  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(_LOOK_S)
        return list(ended)

    def _is_back(self, name: str, before: int) -> bool:
        now = self.record.processes[name]
        return now.pid != before and now.ready

    def reset(self, machine: str, port: int) -> int:
        """See `kubelab.faults.reset`."""
        return faults.reset(self.scene, machine, port)

    @contextlib.asynccontextmanager
    async def slowed(self, target: str, *, stands_s: float = 0.1, runs_s: float = 0.02) -> AsyncIterator[None]:
        """A process that stands still again and again, for the length of a block: whoever asks it waits."""
        slowing = asyncio.create_task(self._slow(target, stands_s, runs_s))
        try:
            yield
        finally:
            slowing.cancel()
            await asyncio.gather(slowing, return_exceptions=True)
            self.resume(target)

    async def _slow(self, target: str, stands_s: float, runs_s: float) -> None:
        while True:
            self.pause(target)
            await asyncio.sleep(stands_s)
            self.resume(target)
            await asyncio.sleep(runs_s)

    def out_of_memory(self, target: str) -> list[Process]:
        """See `kubelab.podfaults.out_of_memory`."""
        return podfaults.out_of_memory(self.scene, target)

    def skew_clock(self, target: str, offset_s: float) -> list[Process]:
        """See `kubelab.podfaults.skew_clock`."""
        return podfaults.skew_clock(self.scene, target, offset_s)

    def api_fault(self, injected: Injected | None) -> None:
        """See `kubelab.apifaults.put`."""
        apifaults.put(self.scene, injected)

    def end_watches(self, how: Literal["close", "compact"] = "close") -> None:
        """See `kubelab.apifaults.end_watches`."""
        apifaults.end_watches(self.scene, how)

    def faults(self) -> list[Fault]:
        """All faults that are in force: see `kubelab.faults`, `apifaults` and `podfaults`."""
        scene = self.scene
        return [*faults.in_force(scene), *podfaults.in_force(scene), *apifaults.in_force(scene)]

    @property
    def scene(self) -> Scene:
        """The lab as faults see it, now.

        Raises:
            LabNotFoundError: the lab is gone.
        """
        return Scene(self.layout, self.record, self.cluster, self.plan)


async def _complete(
    process: LabProcess, argv: tuple[str, ...], stdin: str | None, *, check: bool, timeout_s: float
) -> Completed:
    """Wait for a command's end, and end it if that takes too long or nobody waits any more."""
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
    except (TimeoutError, asyncio.CancelledError) as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise CommandError(Completed(argv, -signal.SIGKILL, "", ""), f"took longer than {timeout_s:g} s") from None
        raise
    result = Completed(argv, process.code or 0, out.decode(errors="replace"), err.decode(errors="replace"))
    if check and result.code != 0:
        raise CommandError(result, f"exit code {result.code}")
    return result

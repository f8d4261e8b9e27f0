"""Process 1 of the lab's pid namespace: starts components, reads what they say, reaps everything, ends everything.

As process 1 it inherits every orphan, so it reaps by itself whatever the kernel hands it (`waitpid(-1)`), and no
library's child watcher may be used beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from kubelab.engines import Component

READY = b"ready"
LINE_LIMIT = 1 << 20
"""Longest line on a component's standard output (bytes)."""

log = logging.getLogger("kubelab.init")


class ComponentError(Exception):
    """A component did not get ready; the message names it, what happened, its log and its last words."""


class Running:
    """A component that was started."""

    def __init__(self, component: Component, process: subprocess.Popen[bytes], log_file: Path) -> None:
        self.component = component
        self.pid = process.pid
        self.log_file = log_file
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self._process = process

    @property
    def code(self) -> int | None:
        """How it ended, as `Popen.returncode`; None while it runs."""
        return self._process.returncode

    @property
    def output(self) -> IO[bytes]:
        """Its standard output."""
        assert self._process.stdout is not None
        return self._process.stdout

    def end(self, status: int) -> None:
        """It has been reaped with this wait status."""
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.ended.set()

    def send(self, number: signal.Signals) -> None:
        """Signal it if it has not been reaped; its id cannot belong to another until then."""
        if self.code is None:
            os.kill(self.pid, number)

    def last_words(self) -> str:
        """The last line of its log that says something, and where the others are."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{said} (all of it: {self.log_file})"


class Supervisor:
    """The components that run. `changed` is called whenever one starts, gets ready or ends."""

    def __init__(
        self,
        enter: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        log_file: Callable[[str], Path],
        changed: Callable[[], None],
    ) -> None:
        self.running: dict[str, Running] = {}
        self._enter = enter
        self._environment = dict(environment)
        self._log_file = log_file
        self._changed = changed
        self._by_pid: dict[int, Running] = {}
        self._readers: set[asyncio.Task[None]] = set()

    def watch_children(self) -> None:
        """From now on children are reaped as they end."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.reap)
        self.reap()

    def start(self, component: Component) -> Running:
        """Start a component in its machine.

        Raises:
            OSError: its program or log cannot be opened.
        """
        path = self._log_file(component.name)
        with path.open("ab") as log_output:
            process = subprocess.Popen(
                [*self._enter[component.machine], *component.argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log_output,
                env=self._environment,
                cwd="/",
                pass_fds=component.pass_fds,
                start_new_session=True,
            )
        running = Running(component, process, path)
        self.running[component.name] = self._by_pid[process.pid] = running
        reader = asyncio.create_task(self._read(running), name=f"output of {component.name}")
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        log.info("%s started, process %d", component.name, process.pid)
        self._changed()
        return running

    async def until_ready(self, running: Running) -> None:
        """Wait until a component says that it is ready.

        Raises:
            ComponentError: it ended before.
        """
        ready = asyncio.create_task(running.ready.wait())
        ended = asyncio.create_task(running.ended.wait())
        try:
            await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
            ended.cancel()
        if not running.ready.is_set():
            how = how_it_ended(running.code)
            raise ComponentError(f"{running.component.name} {how} before it was ready: {running.last_words()}")

    def reap(self, *, block: bool = False) -> None:
        """Take leave of every child that has ended, component or orphan; or of all, once they end, if `block`."""
        while True:
            try:
                pid, status = os.waitpid(-1, 0 if block else os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            running = self._by_pid.pop(pid, None)
            if running is not None:
                running.end(status)
                log.info("%s %s", running.component.name, how_it_ended(running.code))
                self._changed()

    async def stop(self, stages: Sequence[Sequence[str]], grace_s: float) -> None:
        """Ask the components of each stage to end, the last stage first; whatever is left after `grace_s` is killed."""
        try:
            async with asyncio.timeout(grace_s):
                for names in reversed(stages):
                    await self._stop_together([self.running[name] for name in names if name in self.running])
        except TimeoutError:
            left = [running.component.name for running in self._by_pid.values()]
            log.warning("killed, because they did not end in time: %s", ", ".join(left))
        self.kill_everything()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _stop_together(self, members: Sequence[Running]) -> None:
        for member in members:
            member.send(signal.SIGTERM)
            member.send(signal.SIGCONT)
        for member in members:
            await member.ended.wait()

    def kill_everything(self) -> None:
        """Kill every process of the pid namespace but this one, and wait until they are gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        self.reap(block=True)

    async def _read(self, running: Running) -> None:
        """Copy a component's standard output to its log, and notice that it is ready."""
        reader = asyncio.StreamReader(limit=LINE_LIMIT)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, running.output)
        try:
            with running.log_file.open("ab", buffering=0) as file:
                while line := await reader.readline():
                    if line.strip() == READY and not running.ready.is_set():
                        running.ready.set()
                        self._changed()
                    else:
                        file.write(line)
        except ValueError:
            log.exception("%s: no more is read: a line longer than %d bytes", running.component.name, LINE_LIMIT)
        finally:
            transport.close()


def how_it_ended(code: int | None) -> str:
    """An exit code in words: `ended`, `failed with exit code 3`, `was killed by SIGKILL`."""
    if code is None:
        return "runs"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return "ended" if code == 0 else f"failed with exit code {code}"

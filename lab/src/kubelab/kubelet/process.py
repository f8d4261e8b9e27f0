"""Starts a container's processes, hears how they end, and finds them again after a restart of the node agent.

Nothing here needs the node agent to be the parent: output goes to a FIFO that the program itself also holds open for
reading (so it gets no SIGPIPE when the agent dies, it waits once 1 MiB is unread), the monitor writes the exit code to
a file, and ends are noticed by pidfd (pidfd_open(2)).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from kubelab.kubelet.logfile import LogWriter

_FIFO_SIZE = 1 << 20
_LOOK_S = 0.002
_KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Identity:
    """A process by its pid and when it began (ticks since boot): a pid alone may come again."""

    pid: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Handles:
    """The processes of one life of a container: bwrap outside, process 1 inside, the program."""

    monitor: Identity
    init: Identity
    program: Identity


class Channels(NamedTuple):
    """Descriptors that a new container's monitor inherits: it writes its status and reads its options there."""

    status: int
    options: int


Build: TypeAlias = Callable[[Channels], tuple[Sequence[str], bytes]]
"""Makes an argument vector and the options to be read, for given descriptors."""


class StartError(Exception):
    """The program could not be started at all."""


class Life:
    """One life of a container: its processes, output and end. `ended` holds the exit code once it is over."""

    def __init__(self, handles: Handles, log: LogWriter, fifo: int, status: Path) -> None:
        self.handles = handles
        self.log = log
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._fifo, self._status = fifo, status
        self._child: subprocess.Popen[bytes] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fifo, self._read_output)
        self._reading = True
        self._descriptors: list[int] = []

    @classmethod
    async def start(cls, build: Build, base: Path, log_limit: int) -> Life:
        """Run the command that `build` makes; files are `base` + suffix.

        Raises:
            StartError: no process came to be.
        """
        fifo_path, status = _fifo_path(base), base.with_suffix(".status")
        with contextlib.suppress(FileExistsError):
            os.mkfifo(fifo_path, 0o600)
        fifo = os.open(fifo_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            child = _spawn(build, fifo_path, status)
        except OSError as error:
            os.close(fifo)
            raise StartError(str(error)) from error
        handles = await _find(child, status, base.with_suffix(".pid"))
        life = cls(handles, LogWriter(base.with_suffix(".log"), log_limit), fifo, status)
        life._child = child
        life._watch()
        return life

    @classmethod
    def adopt(cls, handles: Handles, base: Path, log_limit: int) -> Life:
        """Take over a life that an earlier node agent started, whether or not it is over by now."""
        fifo = os.open(_fifo_path(base), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        life = cls(handles, LogWriter(base.with_suffix(".log"), log_limit), fifo, base.with_suffix(".status"))
        life._watch()
        return life

    def terminate(self) -> None:
        """SIGTERM to the program alone, as container runtimes do."""
        send(self.handles.program, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to all processes of the container: the kernel ends a process namespace with its process 1."""
        if not send(self.handles.init, signal.SIGKILL):
            send(self.handles.monitor, signal.SIGKILL)

    def release(self) -> None:
        """Stop looking, kill nothing: the node agent ends, the container goes on."""
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._descriptors.clear()
        self._stop_reading()
        if self._child is not None:
            self._child.returncode = 0  # not waited for on purpose
        if not self.ended.done():
            self.ended.cancel()

    # --- inside --------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """The end is when the monitor is gone and, killed for good measure, process 1 of the container too."""
        self._await(self.handles.monitor, self._monitor_ended)

    def _await(self, identity: Identity, then: Callable[[], None]) -> None:
        descriptor = open_pidfd(identity)
        if descriptor is None:
            then()
            return
        self._descriptors.append(descriptor)

        def ended() -> None:
            self._loop.remove_reader(descriptor)
            self._descriptors.remove(descriptor)
            os.close(descriptor)
            then()

        self._loop.add_reader(descriptor, ended)

    def _monitor_ended(self) -> None:
        send(self.handles.init, signal.SIGKILL)
        self._await(self.handles.init, self._all_ended)

    def _all_ended(self) -> None:
        self._read_output()
        self._stop_reading()
        code = exit_code(self._status)
        if self._child is not None:
            returned = self._child.wait()  # it is over: this only reaps it
            code = code if code is not None else returned if returned >= 0 else 128 - returned
        if not self.ended.done():
            self.ended.set_result(_KILLED if code is None else code)

    def _read_output(self) -> None:
        while self._reading:
            try:
                data = os.read(self._fifo, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._stop_reading()
                return
            self.log.write(data)
            if len(data) < 1 << 16:
                return

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fifo)
            os.close(self._fifo)
            self.log.close()


def identity_of(pid: int) -> Identity | None:
    """A process that exists, zombies excepted."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else Identity(pid, int(fields[19]))


def open_pidfd(identity: Identity) -> int | None:
    """A descriptor that gets readable when the process ends; None if it is gone already."""
    if not identity.pid:
        return None
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if identity_of(identity.pid) != identity:
        os.close(descriptor)
        return None
    return descriptor


def send(identity: Identity, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; whether it was there."""
    descriptor = open_pidfd(identity)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def exit_code(status: Path) -> int | None:
    """What the monitor wrote about the program's end, None if it did not come to that."""
    for line in _status_lines(status):
        if "exit-code" in line:
            return int(line["exit-code"])
    return None


def _fifo_path(base: Path) -> Path:
    return base.with_suffix(".out")


def _spawn(build: Build, fifo_path: Path, status: Path) -> subprocess.Popen[bytes]:
    output = os.open(fifo_path, os.O_RDWR | os.O_CLOEXEC)
    report = os.open(status, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    options = os.memfd_create("options", os.MFD_CLOEXEC)
    try:
        argv, read = build(Channels(report, options))
        os.write(options, read)
        os.lseek(options, 0, os.SEEK_SET)
        with contextlib.suppress(OSError):  # the system's limit may be lower: then what it allows
            fcntl.fcntl(output, fcntl.F_SETPIPE_SZ, _FIFO_SIZE)
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[report, options],
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(output)
        os.close(report)
        os.close(options)


async def _find(child: subprocess.Popen[bytes], status: Path, pid_file: Path) -> Handles:
    """Wait until the program is there or all is over. There is nothing to await for the fork of a grandchild.

    A runtime writes a pid file, and its program is process 1 of the container.
    """
    nobody = Identity(0, 0)
    monitor = identity_of(child.pid) or nobody
    init = nobody
    while identity_of(child.pid) is not None:
        own = _written(pid_file)
        if own is not None:
            return Handles(monitor, own, own)
        if init == nobody:
            told = (line["child-pid"] for line in _status_lines(status) if "child-pid" in line)
            init = next((identity_of(pid) or nobody for pid in told), nobody)
        program = _first_child(init.pid) if init.pid else None
        if program is not None:
            return Handles(monitor, init, program)
        await asyncio.sleep(_LOOK_S)
    return Handles(monitor, init, nobody)


def _written(pid_file: Path) -> Identity | None:
    try:
        return identity_of(int(pid_file.read_text(encoding="ascii")))
    except (OSError, ValueError):  # not yet, or half
        return None


def _first_child(pid: int) -> Identity | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return None
    return identity_of(int(children[0])) if children else None


def _status_lines(status: Path) -> list[dict[str, int]]:
    try:
        lines = status.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):  # a line that is being written
            found.append(msgspec.json.decode(line))
    return [line for line in found if isinstance(line, dict)]

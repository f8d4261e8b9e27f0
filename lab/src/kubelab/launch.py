"""Starts and ends labs from outside: claims the folder, starts init and follows it; ends it and tidies up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO

import msgspec

from kubelab import real_engine, state
from kubelab.cluster import Cluster
from kubelab.engines import Commands
from kubelab.init import InitConfig, Progress
from kubelab.kubelet import cpulimits
from kubelab.state import LabNotFoundError, LabRunsError, Layout

LOOPBACK = "127.0.0.1"
DOWN_GRACE_S = 8.0
"""How long init may take to end by itself (seconds): more than it gives its components."""
RECORD_TRIES = 40
RECORD_WAIT_S = 0.05
"""How often, and how long apart, to look for the record of a lab that has just been started: nothing tells of it."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = ("PYTHONPATH", "PYTHONTRACEMALLOC", "LANG", "LC_ALL", "TZ")


class StartError(Exception):
    """A lab did not get ready; nothing of it runs any more, its logs are still there."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a lab is started.

    `api_port` is the API server's port on the host's loopback, 0 for a free one. With `lifeline` the lab ends when this
    process does, and nobody needs to end it. `told` gets the steps of the start as they are done.
    """

    api_port: int = 0
    ready_timeout_s: float = 60.0
    lifeline: bool = False
    commands: Commands = field(default_factory=Commands)
    told: Callable[[str], None] = lambda _message: None


async def start(files: Layout, cluster: Cluster, options: Options) -> int | None:
    """Start a lab and wait until it is ready; answers the lifeline's descriptor if there is to be one.

    Raises:
        LabRunsError: a lab of that name runs.
        StartError: it did not get ready.
        AssetsError: the real engine is asked for, and its binaries are not there.
        OSError: the folder cannot be written.
    """
    assets = real_engine.chosen(os.environ)
    with contextlib.ExitStack() as kept, contextlib.ExitStack() as handed_over:
        lock = state.claim(files)
        handed_over.callback(os.close, lock)
        listener = handed_over.enter_context(_listener(files, options.api_port))
        progress, progress_end = os.pipe()
        told = kept.enter_context(os.fdopen(progress, "rb", buffering=0))
        handed_over.callback(os.close, progress_end)
        lifeline = _Lifeline(kept, handed_over) if options.lifeline else None
        config = InitConfig(
            root=str(files.root),
            name=files.name,
            cluster=cluster.document(),
            server=f"https://{LOOPBACK}:{listener.getsockname()[1]}",
            commands={kind: list(argv) for kind, argv in asdict(options.commands).items()},
            environment=environment(files, os.environ),
            ready_timeout_s=options.ready_timeout_s,
            lock_fd=lock,
            listen_fd=listener.fileno(),
            progress_fd=progress_end,
            assets=assets,
            lifeline_fd=lifeline.far_end if lifeline else None,
        )
        first = await _start_init(files, config)
        handed_over.close()
        failure = await _follow(told, options.told)
        await first.wait()
        if failure is not None:
            await _end_init(files)
            raise StartError(failure or f"the lab's init ended without a word; its log: {files.log('init')}")
        return lifeline.keep() if lifeline else None


async def stop(files: Layout) -> None:
    """End a lab, running or dead, and remove its folder.

    Raises:
        LabNotFoundError: there is no such lab.
        LabRunsError: it is just being started by somebody else, or a process of it cannot be ended.
    """
    if state.is_alive(files):
        await _end_init(files)
    cpulimits.sweep(files.directory)
    with contextlib.suppress(LabNotFoundError):
        state.remove(files)


def environment(files: Layout, ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of the lab's processes: nothing of the caller's that could leak in, such as proxies."""
    temporary = str(files.temporary)
    passed = {name: ours[name] for name in _PASSED_ON if name in ours}
    return {"LANG": "C.UTF-8", **passed, "PATH": _PATH, "HOME": temporary, "TMPDIR": temporary}


class _Lifeline:
    """A pipe whose far end init watches; the near end is closed with this process, or earlier."""

    def __init__(self, kept: contextlib.ExitStack, handed_over: contextlib.ExitStack) -> None:
        self.far_end, near_end = os.pipe()
        handed_over.callback(os.close, self.far_end)
        self._near_end = kept.enter_context(os.fdopen(near_end, "wb", buffering=0))

    def keep(self) -> int:
        """The near end as a descriptor that nobody else will close."""
        return os.dup(self._near_end.fileno())


def _listener(files: Layout, port: int) -> socket.socket:
    """The API server's socket on the host's loopback; the lab's folder goes again if it cannot be had.

    It is bound to a port by its number, also to one that the kernel has just chosen: only then does the kernel leave it
    the port while, between two API servers, it does not listen.
    """
    try:
        if not port:
            with _bound(0) as chosen:
                listener = _bound(chosen.getsockname()[1])
        else:
            listener = _bound(port)
        _listen(listener)
    except OSError as error:
        state.remove_folder(files)
        raise StartError(f"port {port} on {LOOPBACK}: {error.strerror}; give another --api-port, or none") from error
    return listener


def _listen(bound: socket.socket) -> None:
    try:
        bound.listen(1024)
    except OSError:
        bound.close()
        raise


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        raise
    return bound


async def _start_init(files: Layout, config: InitConfig) -> asyncio.subprocess.Process:
    """Start init; the process started here leaves as soon as process 1 of the lab has been made."""
    path = files.config / "init.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=1) + b"\n")
    descriptors = (config.lock_fd, config.listen_fd, config.progress_fd, config.lifeline_fd)
    with files.log("init").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "kubelab.init", str(path)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=config.environment,
            cwd="/",
            pass_fds=[descriptor for descriptor in descriptors if descriptor is not None],
            start_new_session=True,
        )


async def _follow(progress: IO[bytes], told: Callable[[str], None]) -> str | None:
    """Follow init's progress until it is ready (None) or gone (what it said last, or nothing)."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, progress)
    try:
        while line := await reader.readline():
            each = msgspec.json.decode(line, type=Progress)
            if each.kind == "step":
                told(each.message)
            else:
                return None if each.kind == "ready" else each.message
        return ""
    finally:
        transport.close()


async def _end_init(files: Layout) -> None:
    """Ask init to end, and make it end if it does not."""
    process = await _open_init(files)
    if process is None:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, number)
            if await _ended(process, DOWN_GRACE_S):
                return
    finally:
        os.close(process)
    raise LabRunsError(files.name)


async def _open_init(files: Layout) -> int | None:
    """A pidfd of the lab's init, None if it is dead.

    Raises:
        LabRunsError: the lab is being started and has no init yet.
    """
    for _ in range(RECORD_TRIES):
        with contextlib.suppress(LabNotFoundError, ProcessLookupError):
            process = os.pidfd_open(state.read_record(files).pid)
            # Only now is it certain whose the process id is: the lab that wrote it still holds its lock.
            if state.is_alive(files):
                return process
            os.close(process)
        with contextlib.suppress(LabNotFoundError):
            if state.is_alive(files):
                await asyncio.sleep(RECORD_WAIT_S)
                continue
        return None
    raise LabRunsError(files.name)


async def _ended(process: int, timeout_s: float) -> bool:
    """Whether the process behind a pidfd ends in time."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process, ended.set)
    try:
        async with asyncio.timeout(timeout_s):
            await ended.wait()
    except TimeoutError:
        return bool(select.select([process], [], [], 0)[0])
    finally:
        loop.remove_reader(process)
    return True

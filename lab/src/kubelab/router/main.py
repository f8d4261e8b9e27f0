"""A router's process: starts the daemons in the router's namespaces, says `ready` once they serve, ends with them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubelab import component
from kubelab.component import Ready
from kubelab.network import kernel
from kubelab.router import daemons
from kubelab.router.daemons import Config

_LOOK_S = 0.02
_READY_S = 20.0


class DaemonError(Exception):
    """A daemon is not there, or ended."""


async def run(config: Config, ready: Ready) -> None:
    """Serve until cancelled; `ready` is called once the daemons take sessions.

    Raises:
        DaemonError: a daemon is missing, does not get ready, or ends by itself.
    """
    file = _prepare(config)
    running: list[Process] = []
    try:
        for command, socket in zip(daemons.commands(config, str(file)), daemons.sockets(config), strict=True):
            running.append(await _start(command))
            await _serves(running[-1], command[0], Path(socket))
        ready()
        await _until_one_ends(running)
    finally:
        await _stop(running)


def _prepare(config: Config) -> Path:
    """Make the files that the daemons need; the configuration's."""
    for each in map(Path, daemons.sockets(config)):
        each.parent.mkdir(parents=True, exist_ok=True)
        each.unlink(missing_ok=True)
    _own_etc(daemons.etc(Path("/etc/group").read_text(encoding="utf-8")))
    file = Path(daemons.FILE)
    file.write_text(daemons.configuration(config), encoding="ascii")
    return file


def _own_etc(files: Mapping[str, str]) -> None:
    """Lay files over this machine's /etc, and an empty /var/tmp: what FRR asks for, only an installed package makes.

    Raises:
        OSError: the kernel refuses.
    """
    upper, work = Path("/run/etc/upper"), Path("/run/etc/work")
    for folder in (upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (upper / name).parent.mkdir(parents=True, exist_ok=True)
        (upper / name).write_text(text, encoding="utf-8")
    kernel.mount("tmp", Path("/var/tmp"), "tmpfs")  # noqa: S108  # FRR leaves files there
    kernel.mount("etc", Path("/etc"), "overlay", options=f"lowerdir=/etc,upperdir={upper},workdir={work}")


async def _start(command: Sequence[str]) -> Process:
    path = ":".join(daemons.search_path(os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    program = shutil.which(command[0], path=path)
    if program is None:
        raise DaemonError(f"{command[0]} is not on this machine: install the Debian packages frr and bird2")
    # What it prints goes where the lab's logs go; standard output is for the word `ready`.
    return await asyncio.create_subprocess_exec(
        program, *command[1:], stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr.fileno()
    )


async def _serves(process: Process, name: str, socket: Path) -> None:
    """Wait until a daemon's socket is there; nothing tells of it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READY_S):
            while process.returncode is None:
                if socket.exists():  # noqa: ASYNC240  # a look at a tmpfs
                    return
                await asyncio.sleep(_LOOK_S)
    raise DaemonError(f"{name} does not serve: see its words above")


async def _until_one_ends(running: Sequence[Process]) -> None:
    """A daemon that ends takes the others along.

    Raises:
        DaemonError: always.
    """
    ends = [asyncio.create_task(process.wait()) for process in running]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ends:
            task.cancel()
    raise DaemonError("a daemon has ended")


async def _stop(running: Sequence[Process]) -> None:
    for process in reversed(running):
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    for process in running:
        await process.wait()


def main(arguments: list[str] | None = None) -> int:
    """Run the process; its exit code."""
    return component.live("router", Config, run, arguments, expected=(DaemonError, OSError))

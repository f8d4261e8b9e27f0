"""Runs a process' main coroutine: uvloop, SIGTERM and SIGINT as cancellation, progress watched, one exit code.

def run(settings: Settings) -> int:
    logs.configure(settings.log_level)
    return daemon.run(main(settings))
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import uvloop

from metallb.kube.credentials import CredentialsError
from metallb.kube.progress import Progress
from metallb.kube.serving import ListenError
from metallb.telemetry import logs

_log = logs.logger(op="process")


class StartError(Exception):
    """The process can't do its work as it was started: one sentence that says what to change."""


def run(main: Coroutine[Any, Any, None]) -> int:
    """Runs `main` to its end and gives the exit code.

    SIGTERM and SIGINT cancel `main`: it gives back what it holds (`finally`, `async with`) and ends; a second signal
    ends the process at once. Codes: 0 after a signal or a regular end, 1 after any error, which is logged in one line
    where it is one that a person can mend, in full otherwise.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_supervise(main))


async def _supervise(main: Coroutine[Any, Any, None]) -> int:
    loop = asyncio.get_running_loop()
    progress = Progress()
    with progress.in_force():
        task = asyncio.create_task(main, name="main")
    beat = asyncio.create_task(progress.run(), name="progress")
    stopping = False

    def stop(name: str) -> None:
        nonlocal stopping
        _log.info("stopping", event="signal", signal=name)
        stopping = True
        task.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    await asyncio.wait({task})
    beat.cancel()
    if task.cancelled():
        return 0 if stopping else 1
    error = task.exception()
    if error is None:
        return 0
    for single in _leaves(error):
        expected = isinstance(single, (StartError, ListenError, CredentialsError))
        _log.error("the process ends", event="exit", error=single, traceback=not expected)
    return 1


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

"""How a component of the lab lives: its configuration file comes in, `ready` goes out, SIGTERM ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec
import uvloop

Ready: TypeAlias = Callable[[], None]
Config = TypeVar("Config")


def live(
    name: str,
    kind: type[Config],
    run: Callable[[Config, Ready], Awaitable[None]],
    arguments: Sequence[str] | None = None,
    expected: tuple[type[Exception], ...] = (),
) -> int:
    """Run a component, `python -m kubelab.NAME CONFIG.json`, until SIGTERM or SIGINT; the exit code.

    Args:
        name: the module's, for messages.
        kind: what the configuration file holds.
        run: works until it is cancelled, and calls its second argument once it serves.
        arguments: those of the command line if not given.
        expected: errors that people can do something about: each is told in a line, the exit code is then 1.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        sys.stderr.write(f"usage: python -m kubelab.{name} CONFIG.json\n")
        return 2
    try:
        config = msgspec.json.decode(Path(words[0]).read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"{name}: {words[0]}: {error}\n")
        return 2
    collect_rarely()
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format=form)
    try:
        uvloop.run(_until_stopped(run(config, _announce)))
    except expected as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    return 0


def collect_rarely() -> None:
    """Look for garbage in cycles less often: these processes hold many objects and make few cycles.

    It takes a sixth of the API server's time for a request otherwise.
    """
    gc.set_threshold(5000, 20, 20)


def _announce() -> None:
    """What whoever started this process waits for."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def _until_stopped(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task

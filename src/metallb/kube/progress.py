"""Whether a process still gets anywhere: the event loop turns, and no piece of work hangs.

    progress = Progress()
    with progress.in_force():                 # `daemon.run` does this for the whole process
        with under_way("service default/web"):    # each piece of work that a Reconciler or an Informer does
            with waiting(30.0):                   # each request: whoever waits for the API server does not hang,
                ...                               # unless the wait outlasts its own limit
    progress.stuck()                          # what `/healthz` asks

What counts as getting on: work that began, a wait that ended, an answer or a line of a watch that came. So an idle
informer is fine, as is a queue whose writes an API server leaves unanswered; a worker that awaits anything else for
`STUCK_S` is not, nor is a queue whose keys nobody takes up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NoReturn

STUCK_S: Final = 15.0
"""Work without progress for this long hangs."""

BEAT_S: Final = 1.0
"""How often the event loop shows that it turns."""

Since = Callable[[], float | None]
"""When something got on last, in monotonic seconds; None: it has nothing to do, or waits for others."""


class Progress:
    """All work of a process that is under way."""

    def __init__(self, *, limit_s: float = STUCK_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is under way.

        Args:
            limit_s: how long work may take without any progress.
            clock: monotonic seconds.
        """
        self.clock = clock
        self._limit_s = limit_s
        self._watched: dict[int, tuple[str, Since]] = {}
        self._count = 0

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Work that tasks begin from here on is watched: theirs, and that of all tasks that they start."""
        token = _PROGRESS.set(self)
        try:
            yield
        finally:
            _PROGRESS.reset(token)

    @contextmanager
    def watch(self, name: str, since: Since) -> Iterator[None]:
        """Watches something as long as the block lasts."""
        self._count += 1
        number = self._count
        self._watched[number] = name, since
        try:
            yield
        finally:
            del self._watched[number]

    def stuck(self) -> list[str]:
        """What hangs, with the seconds since it got on last; empty as long as all is well."""
        now = self.clock()
        found = ((name, since()) for name, since in self._watched.values())
        return [
            f"{name}: no progress for {now - last:.0f} s"
            for name, last in found
            if last is not None and now - last >= self._limit_s
        ]

    async def run(self) -> NoReturn:
        """Shows that the event loop turns, until cancelled."""
        last = self.clock()
        with self.watch("event loop", lambda: last):
            while True:
                await asyncio.sleep(BEAT_S)
                last = self.clock()


class _Work:
    """A piece of work; requests of several tasks may belong to it."""

    __slots__ = ("_clock", "_count", "_last", "_waits")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._waits: dict[int, float] = {}
        self._count = 0

    def since(self) -> float:
        """When it got on last; while it waits, when the wait of the longest limit should have been over."""
        return max(self._waits.values(), default=self._last)

    @contextmanager
    def waiting(self, limit_s: float) -> Iterator[None]:
        self._count += 1
        number = self._count
        self._waits[number] = self._clock() + limit_s
        try:
            yield
        finally:
            del self._waits[number]
            self._last = self._clock()


_PROGRESS: Final[ContextVar[Progress | None]] = ContextVar("progress", default=None)
_WORK: Final[ContextVar[_Work | None]] = ContextVar("work", default=None)


def in_force() -> Progress | None:
    """What watches the work of this task; None: nothing does, as in most tests."""
    return _PROGRESS.get()


@contextmanager
def under_way(name: str) -> Iterator[None]:
    """A piece of work of this task; `name` as people are to read it where it hangs."""
    progress = _PROGRESS.get()
    if progress is None:
        yield
        return
    work = _Work(progress.clock)
    token = _WORK.set(work)
    try:
        with progress.watch(name, work.since):
            yield
    finally:
        _WORK.reset(token)


@contextmanager
def watched(name: str, since: Since) -> Iterator[None]:
    """Something that tells by itself when it got on."""
    progress = _PROGRESS.get()
    if progress is None:
        yield
        return
    with progress.watch(name, since):
        yield


@contextmanager
def waiting(limit_s: float) -> Iterator[None]:
    """The work of this task waits for others, for `limit_s` seconds at most: that is no standstill."""
    work = _WORK.get()
    if work is None:
        yield
        return
    with work.waiting(limit_s):
        yield

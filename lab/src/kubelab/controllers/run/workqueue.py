"""A queue of keys: each at most once in it, never worked on twice at a time, retried with its own back-off."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from kubelab.apiclient import ApiFailure
from kubelab.controllers.run.hands import RefusedError

KeyT = TypeVar("KeyT")

_RETRY_FIRST_S = 0.01
_RETRY_MOST_S = 10.0

_log = logging.getLogger(__name__)


class WorkQueue(Generic[KeyT]):
    """Keys in the order in which they came, with delays. One event loop, no threads."""

    def __init__(self) -> None:
        self._waiting: deque[KeyT] = deque()
        self._queued: set[KeyT] = set()
        self._working: set[KeyT] = set()
        self._again: set[KeyT] = set()
        self._failures: dict[KeyT, int] = {}
        self._timers: dict[KeyT, asyncio.TimerHandle] = {}
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: KeyT) -> None:
        """Ask for work on a key: now, or once more when the work under way is done."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.append(key)
            self._some.set()

    def add_after(self, key: KeyT, delay_s: float) -> None:
        """Ask for work on a key later; of several such wishes the earliest holds."""
        if delay_s <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay_s
        old = self._timers.get(key)
        if old is not None:
            if old.when() <= due:
                return
            old.cancel()
        self._timers[key] = loop.call_at(due, self._ring, key)

    def retry(self, key: KeyT) -> None:
        """Ask for work on a key that failed: 10 ms later, doubling to 10 s."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(_RETRY_MOST_S, _RETRY_FIRST_S * 2.0 ** min(failures, 16)))

    def forget(self, key: KeyT) -> None:
        """Begin anew with the back-off of a key."""
        self._failures.pop(key, None)

    async def get(self) -> KeyT:
        """The next key; its work ends with `done`."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        key = self._waiting.popleft()
        self._queued.discard(key)
        self._working.add(key)
        return key

    def done(self, key: KeyT) -> None:
        """The work on a key has ended."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Forget all that was to come later."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _ring(self, key: KeyT) -> None:
        self._timers.pop(key, None)
        self.add(key)


Sync = Callable[[KeyT], Awaitable[float | None]]
"""Work on one key; the answer is when to look again though nothing changed, in seconds."""


async def work(name: str, queue: WorkQueue[KeyT], sync: Sync[KeyT], workers: int) -> None:
    """Work on a queue with some workers until cancelled. What fails is retried; nothing ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(_worker(name, queue, sync))
    finally:
        queue.close()


async def _worker(name: str, queue: WorkQueue[KeyT], sync: Sync[KeyT]) -> None:
    while True:
        key = await queue.get()
        try:
            again_s = await sync(key)
        except (ApiFailure, RefusedError) as failure:
            # Conflicts and outages are daily bread: decide again on newer facts.
            _log.debug("%s %s: %s", name, key, failure)
            queue.retry(key)
        except Exception:  # noqa: BLE001  # one object's trouble must not stop the work on all others
            _log.exception("%s %s failed", name, key)
            queue.retry(key)
        else:
            queue.forget(key)
            if again_s is not None:
                queue.add_after(key, again_s)
        finally:
            queue.done(key)

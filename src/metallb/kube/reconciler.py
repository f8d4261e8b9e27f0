"""Works on keys until the world is as wanted: N at a time, each key by one at once, failures again with back-off.

    async def reconcile(key: Key) -> Outcome:      # level-triggered: read the state as it is now, compare, write
        ...
        return Done()

    services = Reconciler("service", reconcile, workers=8)
    informer.subscribe(services.add)
    group.create_task(services.run())

| the function | what happens |
|---|---|
| returns `Done()` | finished until the key is added again |
| returns `Again(after_s)` | finished; worked on again in `after_s` seconds even if nothing changes |
| returns `Failed(error)` or raises an `ApiError` that can be retried | counted, logged, again after its back-off |
| returns `Failed(error, retry=False)` or raises `InvalidError` | counted, logged, left until the key is added again |
| raises anything else | a mistake of ours: as `Failed`, logged with its traceback |

`Failed` and `ConflictError` differ only in the log: a conflict is the normal way to learn of another's write.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeAlias

from metallb.kube.backoff import Backoff
from metallb.kube.credentials import CredentialsError
from metallb.kube.errors import ApiError, ConflictError, InvalidError
from metallb.kube.progress import under_way, watched
from metallb.kube.workqueue import BACKOFF, Add, AddAfter, Event, Finished, Q, WorkQueue
from metallb.telemetry import logs


@dataclass(frozen=True, slots=True)
class Done:
    """The world is as wanted."""


@dataclass(frozen=True, slots=True)
class Again:
    """As wanted so far; look again in `after_s` seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Not as wanted, and why. Without `retry` nothing but a change can help."""

    error: Exception | str
    retry: bool = True


Outcome: TypeAlias = Done | Again | Failed


@dataclass(slots=True)
class Counts:
    """How many runs ended how, since the start."""

    done: int = 0
    again: int = 0
    failed: int = 0
    conflicts: int = 0


class Reconciler(Generic[Q]):
    """A work queue and the workers on it. `add` and `add_after` may be called before `run` and from any callback.

    Attributes:
        name: for logs and metrics.
        counts: see `Counts`.
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[Q], Awaitable[Outcome]],
        *,
        workers: int = 1,
        backoff: Backoff = BACKOFF,
        observe: Callable[[Outcome], None] | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does nothing until `run`.

        Args:
            name: for logs and metrics.
            reconcile: the work on one key.
            workers: how many keys are worked on at once; a key never by two.
            backoff: of a key that fails.
            observe: called with each outcome, for metrics.
            draw: a number in [0, 1), for jitter.
            clock: monotonic seconds.
        """
        self.name = name
        self.counts = Counts()
        self._reconcile = reconcile
        self._observe = observe or (lambda _outcome: None)
        self._clock = clock
        self._queue: WorkQueue[Q] = WorkQueue(workers=workers, draw=draw, backoff=backoff)
        self._inbox: list[Event[Q]] = []
        self._unread_since: float | None = None
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = logs.logger(op="reconcile", reconciler=name)

    def add(self, key: Q) -> None:
        """The key is due now. Never blocks; a key that is in line already stays there once."""
        self._post(Add(key))

    def add_after(self, key: Q, delay_s: float) -> None:
        """The key is due in `delay_s` seconds; of several such calls the earliest counts."""
        self._post(AddAfter(key, delay_s))

    @property
    def depth(self) -> int:
        """How many keys are in line."""
        return self._queue.depth + len(self._inbox)

    async def idle(self) -> None:
        """Returns when nothing is due, under way or scheduled; for tests and for a first pass that must be complete."""
        await self._idle.wait()

    async def run(self) -> NoReturn:
        """Works until cancelled; work under way is cancelled with it."""
        with watched(f"work queue {self.name}", lambda: self._unread_since):
            async with asyncio.TaskGroup() as group:
                await self._serve(group)

    async def _serve(self, group: asyncio.TaskGroup) -> NoReturn:
        while True:
            events, self._inbox = dict.fromkeys(self._inbox), []  # twice in one batch is once: work starts after it
            self._unread_since = None
            self._woken.clear()
            now = self._clock()
            started = [key for event in events for key in self._queue.feed(event, now)]
            for key in (*started, *self._queue.tick(now)):
                group.create_task(self._work(key), name=f"{self.name} {key}")
            del events, started  # thousands, after the first list: not to be held while nothing happens
            if self._queue.idle and not self._inbox:
                self._idle.set()
            await self._wait(self._queue.deadline())

    def _post(self, event: Event[Q]) -> None:
        if not self._inbox:
            self._unread_since = self._clock()
        self._inbox.append(event)
        self._idle.clear()
        self._woken.set()

    async def _wait(self, deadline: float | None) -> None:
        try:
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - self._clock())):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _work(self, key: Q) -> None:
        with under_way(f"{self.name} {key}"):
            outcome = await self._outcome(key)
        self._observe(outcome)
        match outcome:
            case Done():
                self.counts.done += 1
                self._post(Finished(key))
            case Again(after_s):
                self.counts.again += 1
                self._post(Finished(key))
                self._post(AddAfter(key, after_s))
            case Failed(error, retry):
                self._count_failure(key, error, retry=retry)
                asked = error.retry_after_s if isinstance(error, ApiError) else 0.0
                self._post(Finished(key, retry=retry, not_before_s=asked))

    async def _outcome(self, key: Q) -> Outcome:
        try:
            return await self._reconcile(key)
        except InvalidError as error:
            return Failed(error, retry=False)
        except (ApiError, CredentialsError) as error:
            return Failed(error)
        except Exception as error:  # noqa: BLE001  # one key's mistake must not stop the others; logged in full
            self._log.error("unexpected", key=str(key), error=error, traceback=True)
            return Failed(error)

    def _count_failure(self, key: Q, error: Exception | str, *, retry: bool) -> None:
        if isinstance(error, ConflictError):
            self.counts.conflicts += 1
            self._log.debug("changed by another, again", key=str(key))
            return
        self.counts.failed += 1
        said = "failed, again with back-off" if retry else "failed, left until it changes"
        self._log.error(said, key=str(key), error=error, failures=self._queue.failures(key) + 1)

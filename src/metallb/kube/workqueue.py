"""Keys that are due for work: each at most once in line and once under way, failures wait longer and longer. Pure.

The machine decides who is worked on when, `metallb.kube.reconciler` does the work:

    feed(Add(key), now)                  the key changed: due now
    feed(AddAfter(key, delay_s), now)    due in `delay_s`, or earlier if something else makes it so
    feed(Finished(key), now)             worked on with success: its row of failures ends
    feed(Finished(key, retry=True), now) failed: due again after its back-off
    tick(now), deadline()                time passes

`feed` and `tick` give the keys to start now, at most `workers` under way at once. A key that changes while it is under
way is started once more when it is finished, however often it changed.
Source: client-go's workqueue and controller-runtime's default rate limiter (5 ms doubling to 1,000 s, per key).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from metallb.kube.backoff import Backoff

Q = TypeVar("Q", bound=Hashable)

BACKOFF: Final = Backoff(first_s=0.005, limit_s=1000.0)
"""The default back-off of a failing key."""


@dataclass(frozen=True, slots=True)
class Add(Generic[Q]):
    """The key is due now."""

    key: Q


@dataclass(frozen=True, slots=True)
class AddAfter(Generic[Q]):
    """The key is due in `delay_s` seconds; of several such the earliest counts."""

    key: Q
    delay_s: float


@dataclass(frozen=True, slots=True)
class Finished(Generic[Q]):
    """The work on a key has ended; `retry`: it failed and is to be tried again, not before `not_before_s` from now."""

    key: Q
    retry: bool = False
    not_before_s: float = 0.0


Event: TypeAlias = Add[Q] | AddAfter[Q] | Finished[Q]


class WorkQueue(Generic[Q]):
    """The machine. All times are monotonic seconds."""

    def __init__(self, *, workers: int, draw: Callable[[], float], backoff: Backoff = BACKOFF) -> None:
        """An empty queue.

        Args:
            workers: how many keys may be under way at once.
            draw: a number in [0, 1), for jitter.
            backoff: of a key that fails.
        """
        self._workers = workers
        self._draw = draw
        self._backoff = backoff
        self._line: deque[Q] = deque()
        self._waiting: dict[Q, None] = {}  # in line, or to get in line when no longer under way
        self._under_way: set[Q] = set()
        self._failures: dict[Q, int] = {}
        self._due: dict[Q, float] = {}
        self._timers: list[tuple[float, int, Q]] = []
        self._count = 0  # breaks ties: keys need no order

    def feed(self, event: Event[Q], now: float) -> list[Q]:
        """Takes an event; gives the keys whose work starts now."""
        match event:
            case Add(key):
                self._add(key)
            case AddAfter(key, delay_s):
                self._schedule(key, now + delay_s)
            case Finished(key, retry, not_before_s):
                self._finish(key, now, retry=retry, not_before_s=not_before_s)
        return self.tick(now)

    def tick(self, now: float) -> list[Q]:
        """Gives the keys whose work starts now, by what fell due."""
        while self._timers and self._timers[0][0] <= now:
            at, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == at:
                self._add(key)
        started: list[Q] = []
        while self._line and len(self._under_way) < self._workers:
            key = self._line.popleft()
            del self._waiting[key]
            if not self._waiting:
                self._waiting = {}  # a dict that has held thousands stays large
            self._under_way.add(key)
            started.append(key)
        return started

    def deadline(self) -> float | None:
        """When `tick` is wanted next; None: not before the next event."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)  # overtaken by an earlier time or an Add
        return self._timers[0][0] if self._timers else None

    def failures(self, key: Q) -> int:
        """How often in a row the work on the key has failed."""
        return self._failures.get(key, 0)

    @property
    def depth(self) -> int:
        """How many keys are due and not under way."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nothing is due, under way or scheduled."""
        return not (self._waiting or self._under_way or self._due)

    def _add(self, key: Q) -> None:
        self._due.pop(key, None)
        if key in self._waiting:
            return
        self._waiting[key] = None
        if key not in self._under_way:
            self._line.append(key)

    def _schedule(self, key: Q, at: float) -> None:
        if key in self._waiting or self._due.get(key, at + 1) <= at:
            return
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._timers, (at, self._count, key))

    def _finish(self, key: Q, now: float, *, retry: bool, not_before_s: float) -> None:
        self._under_way.discard(key)
        if not retry:
            self._failures.pop(key, None)
        if key in self._waiting:  # it changed meanwhile: that decides when
            self._line.append(key)
        if retry:
            failures = self._failures.get(key, 0) + 1
            self._failures[key] = failures
            self._schedule(key, now + max(self._backoff.delay_s(failures, self._draw), not_before_s))

"""One leader among several replicas by a Lease: pure. The shell around it is `metallb.kube.lease`.

Safe on any clocks whose rates differ by less than `duration_s / renew_deadline_s`: a leader stops `renew_deadline_s`
after it *sent* its last successful write; others take over no earlier than `duration_s` after they *saw* the record
change, which is later. Wall clocks decide nothing. A request whose answer is lost counts as not made.

| state | input | next |
|---|---|---|
| follower | the record is absent, released, ours, or unchanged for its duration | write it |
| follower | the record is another's and alive | look again after `retry_s` |
| follower | our write succeeded | `Lead` |
| leader | `retry_s` after a write | write it again |
| leader | no write succeeded for `renew_deadline_s`, or another holds it | `Follow` |
| leader | `Stop` | release it: others need not wait for its end |

Source: client-go's leaderelection (its parameters and record), coordination.k8s.io/v1 Lease.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; the defaults are client-go's. `duration_s` is what others are told.

    Raises:
        ValueError: two could lead at once.
    """

    duration_s: int = 15
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_s * _SPREAD < self.renew_deadline_s < self.duration_s:
            raise ValueError(f"want 0 < {_SPREAD} * retry < renew deadline < duration, got {self}")


_SPREAD: Final = 1.2
"""Retries are spread over [retry_s, 1.2 * retry_s), as client-go's are."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says. Times are text that is compared and shown, never calculated with."""

    holder: str
    duration_s: int
    transitions: int = 0
    acquired: str = ""
    renewed: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """The Lease as it is; None: there is none."""

    record: Record | None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """Our write succeeded; the Lease says this now, at this version."""

    record: Record
    version: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Another wrote first."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer, or one that says nothing about the Lease."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Release the Lease if we hold it, then be done. What the leader does has ended already."""


Input: TypeAlias = Read | Written | Refused | Failed | Stop


@dataclass(frozen=True, slots=True)
class Get:
    """Read the Lease."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write the record at once: create (empty version) or replace exactly this version; an empty time means now."""

    record: Record
    version: str


@dataclass(frozen=True, slots=True)
class Lead:
    """We lead from now on."""


@dataclass(frozen=True, slots=True)
class Follow:
    """We lead no more, as of now."""


@dataclass(frozen=True, slots=True)
class Ended:
    """After `Stop`: nothing more to do."""


Effect: TypeAlias = Get | Write | Lead | Follow | Ended


class Election:
    """The machine of one candidate. One request is under way at most; each gets exactly one answer as input."""

    def __init__(self, identity: str, timing: Timing, draw: Callable[[], float]) -> None:
        """A follower that has seen nothing.

        Args:
            identity: unique among all candidates that ever were.
            timing: the same for all candidates.
            draw: a number in [0, 1), for jitter.
        """
        self._identity = identity
        self._timing = timing
        self._draw = draw
        self._leading_until: float | None = None
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._version = ""
        self._outdated = False
        self._asked: Get | Write | None = None
        self._asked_at = 0.0
        self._next: float | None = float("-inf")
        self._stopping = False
        self._ended = False

    @property
    def leading(self) -> bool:
        """Whether we lead, as far as the last `feed` or `tick` knew."""
        return self._leading_until is not None

    @property
    def holder(self) -> str:
        """Who held the Lease when we last saw it; empty: nobody."""
        return "" if self._seen is None else self._seen.holder

    def feed(self, event: Input, now: float) -> list[Effect]:
        """Takes an answer or the wish to stop; `now` in monotonic seconds."""
        effects = self._expire(now)
        match event:
            case Stop():
                self._stopping = True
            case Read(record, version):
                self._asked = None
                effects += self._read(record, version, now)
            case Written(record, version):
                effects += self._written(record, version, now)
            case Refused():
                self._asked, self._next, self._outdated = None, now, True
            case Failed():
                self._asked = None
                self._retry(now)
        return effects + self._proceed(now)

    def tick(self, now: float) -> list[Effect]:
        """Whatever fell due."""
        return self._expire(now) + self._proceed(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted next; None: not before the next input."""
        if self._ended:
            return None
        times = [self._leading_until, self._next if self._asked is None else None]
        return min((time for time in times if time is not None), default=None)

    def _expire(self, now: float) -> list[Effect]:
        if self._leading_until is None or now < self._leading_until:
            return []
        self._leading_until = None
        return [Follow()]

    def _proceed(self, now: float) -> list[Effect]:
        if self._ended or self._asked is not None:
            return []
        if self._stopping:
            return self._release(now)
        if self._next is None or now < self._next:
            return []
        return self._ask(self._mine() if self.leading and not self._outdated else Get(), now)

    def _ask(self, request: Get | Write, now: float) -> list[Effect]:
        self._asked, self._asked_at, self._next = request, now, None
        return [request]

    def _retry(self, now: float) -> None:
        self._next = now + self._timing.retry_s * (1 + (_SPREAD - 1) * self._draw())

    def _mine(self) -> Write:
        """The record that makes us the holder, or renews it."""
        seen = self._seen
        if seen is None:
            return Write(Record(self._identity, self._timing.duration_s), "")
        ours = seen.holder == self._identity
        record = Record(
            holder=self._identity,
            duration_s=self._timing.duration_s,
            transitions=seen.transitions + (0 if ours else 1),
            acquired=seen.acquired if ours else "",
        )
        return Write(record, self._version)

    def _read(self, record: Record | None, version: str, now: float) -> list[Effect]:
        self._version, self._outdated = version, False
        if record != self._seen:
            self._seen, self._seen_at = record, now
        if self._stopping:
            return []
        if record is None or record.holder in {"", self._identity}:
            return self._ask(self._mine(), now)
        lost: list[Effect] = []
        if self.leading:
            self._leading_until = None
            lost = [Follow()]
        end = self._seen_at + record.duration_s
        if now >= end:
            return lost + self._ask(self._mine(), now)
        self._retry(now)
        self._next = min(end, self._next if self._next is not None else end)
        return lost

    def _written(self, record: Record, version: str, now: float) -> list[Effect]:
        self._asked = None
        self._version = version
        self._seen, self._seen_at = record, now
        if record.holder != self._identity:  # released
            self._leading_until = None
            return []
        until = self._asked_at + self._timing.renew_deadline_s
        self._retry(self._asked_at)
        if now >= until:  # the answer took too long to be worth anything
            return []
        began = not self.leading
        self._leading_until = until
        return [Lead()] if began else []

    def _release(self, now: float) -> list[Effect]:
        if not self.leading or self._seen is None:
            self._ended = True
            return [Ended()]
        self._leading_until = None
        record = Record("", 1, self._seen.transitions, self._seen.acquired)
        return [Follow(), *self._ask(Write(record, self._version), now)]

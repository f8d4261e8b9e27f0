"""Which events are worth a write: pure. The same event again counts up, similar ones are combined, floods are dropped.

| what | becomes |
|---|---|
| the first of its kind | `Create` |
| same object, type, reason and message within 10 minutes | `Count`: the existing event's count goes up |
| more than 10 different messages of one object, type and reason within 10 minutes | one combined event |
| more than 25 events of one object at once, or more than one in 5 minutes after that | dropped |

Source: client-go's event correlator (its figures, but for how many are remembered).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

A = TypeVar("A")
B = TypeVar("B")

WINDOW_S: Final = 600.0
SIMILAR_LIMIT: Final = 10
BURST: Final = 25.0
REFILL_S: Final = 300.0
REMEMBERED: Final = 1024
"""How many events and objects are remembered; the oldest are forgotten first.

client-go: 4096, which are 5 MiB on each node once thousands of Services were announced. One that is forgotten is a new
event when it happens again.
"""

Severity: TypeAlias = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Reference:
    """The object that an event is about (core/v1 ObjectReference)."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to an object, at `wall_s` (shown)."""

    about: Reference
    severity: Severity
    reason: str
    message: str
    wall_s: float


@dataclass(slots=True)
class Series:
    """An event as it stands in the API: its name is chosen at the first occurrence."""

    name: str
    first: Occurrence
    combined: bool = False
    count: int = 1
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Create:
    """A new event."""

    series: Series
    occurrence: Occurrence


@dataclass(frozen=True, slots=True)
class Count:
    """An existing event happened again; its count is `series.count`."""

    series: Series
    occurrence: Occurrence


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Correlator:
    """Remembers what was said lately. `now` is in monotonic seconds."""

    def __init__(self) -> None:
        self._series: OrderedDict[tuple[Reference, str, str, str], Series] = OrderedDict()
        self._groups: OrderedDict[tuple[Reference, str, str], dict[str, float]] = OrderedDict()
        self._buckets: OrderedDict[tuple[str, str, str], _Bucket] = OrderedDict()

    def observe(self, occurrence: Occurrence, now: float, name: str) -> Create | Count | None:
        """What to write for an occurrence; None: nothing, there were too many. `name` is for a new event."""
        about = _identity(occurrence.about)
        if not self._take_token((about.kind, about.namespace, about.name), now):
            return None
        group_key = (about, occurrence.severity, occurrence.reason)
        combined = self._is_combined(group_key, occurrence.message, now)
        message = "" if combined else occurrence.message
        key = (*group_key, message)
        series = self._series.get(key)
        if series is not None and now - series.seen_at <= WINDOW_S:
            series.count += 1
            series.seen_at = now
            self._series.move_to_end(key)
            return Count(series, occurrence)
        series = Series(name, occurrence, combined=combined, seen_at=now)
        self._series[key] = series
        self._series.move_to_end(key)
        _trim(self._series)
        return Create(series, occurrence)

    def forget(self, series: Series) -> None:
        """The event is gone from the API: the next occurrence makes a new one."""
        for key in [key for key, known in self._series.items() if known is series]:
            del self._series[key]

    def _is_combined(self, key: tuple[Reference, str, str], message: str, now: float) -> bool:
        messages = self._groups.setdefault(key, {})  # of a few, mostly of one: in order of time
        self._groups.move_to_end(key)
        _trim(self._groups)
        messages.pop(message, None)
        messages[message] = now
        for oldest in [each for each, at in messages.items() if now - at > WINDOW_S]:
            del messages[oldest]
        while len(messages) > SIMILAR_LIMIT + 1:
            del messages[next(iter(messages))]
        return len(messages) > SIMILAR_LIMIT

    def _take_token(self, key: tuple[str, str, str], now: float) -> bool:
        bucket = self._buckets.setdefault(key, _Bucket(BURST, now))
        self._buckets.move_to_end(key)
        _trim(self._buckets)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.at) / REFILL_S)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def _identity(about: Reference) -> Reference:
    """Without the version: the same object a moment later is still the same."""
    return Reference(about.api_version, about.kind, about.namespace, about.name, about.uid)


def _trim(remembered: OrderedDict[A, B]) -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)

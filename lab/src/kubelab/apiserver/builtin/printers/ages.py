"""Spans of time as `kubectl` shows them: `5s`, `2m3s`, `4h`, `3d` (apimachinery `HumanDuration`)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY

# Up to which span, in which unit, and with which smaller unit beside it.
_SCALE: Final = (
    (2 * _MINUTE, (1, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (1, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
    (float("inf"), (_YEAR, "y"), None),
)


def duration(seconds: float) -> str:
    """A span of time; one second of the future counts as now, clocks differing."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    _, (size, unit), small = next(row for row in _SCALE if whole < row[0])
    count, rest = divmod(whole, size)
    if small is None or rest < small[0]:
        return f"{count}{unit}"
    return f"{count}{unit}{rest // small[0]}{small[1]}"


def age(since: str | None, now: str) -> str:
    """How long ago a time of an object was; both RFC 3339."""
    if not since:
        return "<unknown>"
    return duration((datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds())

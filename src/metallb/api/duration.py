"""Durations as Go writes them (`90s`, `1m30s`, `1.5h`): read into whole nanoseconds, and written canonically.

Source: pkg.go.dev/time, ParseDuration and Duration.String; spec/crds.md 11.2.
"""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,  # Go reads both Unicode letters
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART: Final = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?(?P<unit>ns|us|µs|μs|ms|s|m|h)")
_LIMIT: Final = 1 << 63
_LONGEST: Final = 200
"""Characters of a text that is read at all: every duration that fits has a shorter one."""

SECOND: Final = _UNITS["s"]
"""Nanoseconds of a second."""


def parse(text: str) -> int:
    """Nanoseconds of a duration; parts of one are cut off.

    Raises:
        ValueError: it is none, or does not fit into 64 bits.
    """
    sign, unsigned = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if unsigned == "0":
        return 0
    if not unsigned or len(unsigned) > _LONGEST:
        raise ValueError(_rule())
    total, position = 0, 0
    while position < len(unsigned):
        part = _PART.match(unsigned, position)
        if part is None or not (part["whole"] or part["part"]):
            raise ValueError(_rule())
        unit, fraction = _UNITS[part["unit"]], part["part"] or ""
        total += int(part["whole"] or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        position = part.end()
    if total > (_LIMIT if sign < 0 else _LIMIT - 1):
        raise ValueError("is a longer time than 292 years")
    return sign * total


def render(nanoseconds: int) -> str:
    """A duration as Go prints it: `1m30s`, `1.5s`, `300ms`, `0s`."""
    if nanoseconds < 0:
        return f"-{render(-nanoseconds)}"
    if nanoseconds < SECOND:
        return _short(nanoseconds)
    minutes, rest = divmod(nanoseconds, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, SECOND)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _short(nanoseconds: int) -> str:
    if not nanoseconds:
        return "0s"
    unit = next(unit for unit in ("ms", "µs", "ns") if nanoseconds >= _UNITS[unit])
    return f"{_decimal(nanoseconds, _UNITS[unit])}{unit}"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0").rstrip(".")


def _rule() -> str:
    return "is no duration such as 90s, 1m30s or 500ms"

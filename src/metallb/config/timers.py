"""Hold and keepalive time of a BGP session: read, completed and checked (spec/crds.md 10.3, RFC 4271 4.2)."""

from __future__ import annotations

from metallb.api import duration
from metallb.config.parsing import Problems

_HOLD = "spec.holdTime"
_KEEPALIVE = "spec.keepaliveTime"
_CONNECT = "spec.connectTime"
_SHORTEST_HOLD_S = 3
_LONGEST_S = 65535
_HOLD_RULE = f"must be 0s, or from {_SHORTEST_HOLD_S}s to {_LONGEST_S}s"
_RATIO = 3
"""Keepalives in a hold time (RFC 4271 10)."""


def parse_timers(hold: str | None, keepalive: str | None, problems: Problems) -> tuple[int | None, int | None]:
    """Hold and keepalive time in nanoseconds; one follows from the other, without both it is the backend's choice."""
    hold_ns = _parse_duration(_HOLD, hold, problems)
    keepalive_ns = _parse_duration(_KEEPALIVE, keepalive, problems)
    if hold is not None and hold_ns is not None:
        if not _is_hold_time(hold_ns):
            problems.add(_HOLD, hold, _HOLD_RULE)
        if keepalive is None:
            return hold_ns, hold_ns // _RATIO
        if keepalive_ns is not None and keepalive_ns > hold_ns:
            problems.add(_KEEPALIVE, keepalive, f"is longer than the hold time {hold}", "use a third of the hold time")
    elif hold is None and keepalive is not None and keepalive_ns is not None:
        hold_ns = keepalive_ns * _RATIO
        if not _is_hold_time(hold_ns):
            rule = f"makes a hold time of {duration.render(hold_ns)}, which {_HOLD_RULE}"
            problems.add(_KEEPALIVE, keepalive, rule, "give both times")
    return hold_ns, keepalive_ns


def parse_connect_time(text: str | None, problems: Problems) -> int | None:
    """Time between attempts to connect in nanoseconds: whole seconds."""
    found = _parse_duration(_CONNECT, text, problems)
    if text is None or found is None:
        return None
    seconds, rest = divmod(found, duration.SECOND)
    if rest or not 1 <= seconds <= _LONGEST_S:
        problems.add(_CONNECT, text, f"must be whole seconds, from 1s to {_LONGEST_S}s")
    return found


def _parse_duration(path: str, text: str | None, problems: Problems) -> int | None:
    """Nanoseconds; None: there is none, or it can't be read, which is noted."""
    if text is None:
        return None
    try:
        found = duration.parse(text)
    except ValueError as error:
        problems.add(path, text, str(error), "write 90s or 1m30s, for example")
        return None
    if found < 0:
        problems.add(path, text, "is negative", "write 0s, or leave it out")
        return None
    return found


def _is_hold_time(nanoseconds: int) -> bool:
    """Whole seconds count: what is under one is 0, which means no hold timer."""
    seconds = nanoseconds // duration.SECOND
    return seconds == 0 or _SHORTEST_HOLD_S <= seconds <= _LONGEST_S

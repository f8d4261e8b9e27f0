"""Hold and keepalive time of a BGP session: read, completed and checked (spec/crds.md 10.3, RFC 4271 4.2)."""

from __future__ import annotations

from metallb.api import duration
from metallb.config.parsing import Problems

_HOLD = "spec.holdTime"
_KEEPALIVE = "spec.keepaliveTime"
_CONNECT = "spec.connectTime"
_SHORTEST_HOLD_S = 3
_LONGEST_S = 65535
_RATIO = 3
"""Keepalives in a hold time (RFC 4271 10)."""


def parse_timers(hold: str | None, keepalive: str | None, problems: Problems) -> tuple[int | None, int | None]:
    """Hold and keepalive time in nanoseconds; one follows from the other, without both it is the backend's choice."""
    hold_ns = _parse_duration(_HOLD, hold, problems)
    keepalive_ns = _parse_duration(_KEEPALIVE, keepalive, problems)
    if (hold_ns is None) != (hold is None) or (keepalive_ns is None) != (keepalive is None):
        return None, None
    if hold_ns is None and keepalive_ns is not None:
        hold_ns = keepalive_ns * _RATIO
        _check_hold(hold_ns, _KEEPALIVE, keepalive_ns, problems)
    elif hold_ns is not None:
        _check_hold(hold_ns, _HOLD, hold_ns, problems)
        if keepalive_ns is None:
            keepalive_ns = hold_ns // _RATIO
        elif keepalive_ns > hold_ns:
            rule = f"is longer than the hold time {duration.render(hold_ns)}"
            problems.add(_KEEPALIVE, duration.render(keepalive_ns), rule, "use a third of the hold time")
    return hold_ns, keepalive_ns


def parse_connect_time(text: str | None, problems: Problems) -> int | None:
    """Time between attempts to connect in nanoseconds: whole seconds."""
    found = _parse_duration(_CONNECT, text, problems)
    if found is None:
        return None
    seconds, rest = divmod(found, duration.SECOND)
    if rest or not 1 <= seconds <= _LONGEST_S:
        problems.add(_CONNECT, duration.render(found), f"must be whole seconds, from 1s to {_LONGEST_S}s")
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


def _check_hold(hold_ns: int, path: str, written_ns: int, problems: Problems) -> None:
    """Whole seconds count: what is under one is 0, which means no hold timer."""
    seconds = hold_ns // duration.SECOND
    if seconds and not _SHORTEST_HOLD_S <= seconds <= _LONGEST_S:
        what = "" if path == _HOLD else f"makes a hold time of {duration.render(hold_ns)}, which "
        rule = f"{what}must be 0s, or from {_SHORTEST_HOLD_S}s to {_LONGEST_S}s"
        problems.add(path, duration.render(written_ns), rule)

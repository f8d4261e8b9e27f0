"""Waits for changes of objects as a watch tells of them, and tells how soon: what somebody did, and what undid it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from kubelab.apiclient import WatchEvent
from kubelab.objects import Json, Object

_WRITES = frozenset({"create", "update", "patch", "delete"})
_BOOKS = frozenset({"leases", "events"})


def has(obj: Json, change: Json) -> bool:
    """Whether an object is as a merge patch would have it (RFC 7386); an empty list is as good as none. Pure."""
    if isinstance(change, dict):
        return isinstance(obj, dict) and all(has(obj.get(key), value) for key, value in change.items())
    return bool(obj == change) or (change == [] and not obj)


async def first(changes: AsyncIterator[WatchEvent], holds: Callable[[WatchEvent], bool]) -> float:
    """When the first change came of which that is so, in monotonic seconds.

    Raises:
        EOFError: the watch has ended before.
    """
    async for change in changes:
        if change.kind != "BOOKMARK" and holds(change):
            return time.monotonic()
    raise EOFError("the watch has ended")


def written(rights: Object, user: str) -> int:
    """How often somebody has written anything but Leases and events, by what `/debug/rights` shows. Pure."""
    return sum(
        each["count"]
        for each in rights["items"]
        if each["user"] == user and each["verb"] in _WRITES and each["resource"] not in _BOOKS
    )

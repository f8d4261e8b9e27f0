"""What this process has admitted and its cache does not show yet. Pure.

The API server asks about a second object before the first one reaches the cache: two pools of one range would both get
in. So what was admitted counts as if it were there, until the cache shows it or it has had time enough to appear.
Deletions are not assumed: they may be refused by others, and all that a late one can do is a second look.
"""

from __future__ import annotations

from typing import Final

from metallb.config.errors import ObjectName
from metallb.config.together import Resource

ASSUME_S: Final = 5.0
"""How long an object is assumed that the cache does not show: others may have refused it."""


class Assumed:
    """By name, the objects that were admitted lately."""

    def __init__(self) -> None:
        self._objects: dict[ObjectName, tuple[Resource, float]] = {}

    def put(self, name: ObjectName, resource: Resource, now: float) -> None:
        """It was admitted at the time `now`, in seconds."""
        self._objects[name] = resource, now + ASSUME_S

    def effective(self, name: ObjectName, present: Resource | None) -> Resource | None:
        """What to count on, given what the cache shows; an assumption that the cache shows is over."""
        known = self._objects.get(name)
        if known is None:
            return present
        if present is not None and (present.metadata.deletion_timestamp is not None or same(present, known[0])):
            del self._objects[name]
            return present
        return known[0]

    def expired(self, now: float) -> list[ObjectName]:
        """The names whose assumption is over by now: what the cache shows counts again."""
        over = [name for name, (_, until) in self._objects.items() if until <= now]
        for name in over:
            del self._objects[name]
        return over

    def pending(self) -> dict[ObjectName, Resource]:
        """All that is assumed."""
        return {name: resource for name, (resource, _) in self._objects.items()}


def same(first: Resource, second: Resource) -> bool:
    """Whether two states of an object mean the same: what others write into metadata and status does not count."""
    return first.spec == second.spec and first.metadata.labels == second.metadata.labels

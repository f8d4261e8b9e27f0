"""No two ranges hold one address, of one pool or of two (spec/crds.md 10.1, row P8)."""

from __future__ import annotations

from collections.abc import Iterator

from metallb.api.net import Range
from metallb.config.blame import MOST, conflict
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.lookup import Spans
from metallb.config.parsing import Seniority
from metallb.config.pools import Item, ParsedPool

_HINT = "an address may belong to one pool only"


class Overlaps:
    """The ranges of all pools."""

    def __init__(self) -> None:
        self._spans: Spans[ObjectName] = Spans()
        self._ages: dict[ObjectName, Seniority] = {}

    def put(self, pool: ParsedPool) -> None:
        """Takes in a pool that is not there yet."""
        self._spans.put(pool.object, pool.pool.ranges)
        self._ages[pool.object] = pool.seniority

    def remove(self, pool: ParsedPool) -> None:
        """Forgets a pool."""
        self._spans.remove(pool.object)
        del self._ages[pool.object]

    def check(self, pool: ParsedPool, before: Seniority | None) -> Iterator[ConfigError]:
        """Each item of a pool against the items before it, and against pools older than `before`."""
        yield from _check_within(pool)
        for item in pool.items:
            yield from self._check_item(pool, item, before)

    def _check_item(self, pool: ParsedPool, item: Item, before: Seniority | None) -> Iterator[ConfigError]:
        found: dict[tuple[Seniority, ObjectName], Range] = {}
        for other, owner in self._spans.overlapping(item.range):
            age = self._ages[owner]
            if owner != pool.object and (before is None or age < before):
                found.setdefault((age, owner), other)
        for (_, owner), other in sorted(found.items())[:MOST]:
            yield conflict(pool.object, item.path, item.text, f"overlaps {other} of {owner}", _HINT, owner)


def _check_within(pool: ParsedPool) -> Iterator[ConfigError]:
    """Blames the later of two items; one error each."""
    earlier: Spans[int] = Spans()
    for item in pool.items:
        other = next(earlier.overlapping(item.range), None)
        if other is not None:
            rule = f"overlaps {other[0]} of the same pool"
            yield conflict(pool.object, item.path, item.text, rule, "remove one")
        earlier.put(item.position, (item.range,))

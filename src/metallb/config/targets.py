"""Which advertisements reach which pools, as masks: by name, by label, or all (spec/crds.md 3)."""

from __future__ import annotations

from metallb.config.advertisements import Target
from metallb.config.lookup import Labelled, Selecting
from metallb.config.pools import ParsedPool
from metallb.config.selectors import Selector
from metallb.config.slots import Groups, Slots, mask_of


class Pools(Slots[ParsedPool]):
    """All pools, found by name and by label too."""

    def __init__(self) -> None:
        super().__init__()
        self._by_name: Groups[str] = Groups()
        self._labelled: Labelled[int] = Labelled()
        self._selected: dict[tuple[Selector, ...], int] = {}

    def put(self, item: ParsedPool) -> int:
        """Takes in a pool that is not there yet; gives its slot."""
        slot = super().put(item)
        self._by_name.put(item.pool.name, slot)
        self._labelled.put(slot, item.labels)
        self._selected.clear()
        return slot

    def remove(self, item: ParsedPool) -> int:
        """Forgets a pool; gives the slot that it had."""
        slot = super().remove(item)
        self._by_name.remove(item.pool.name, slot)
        self._labelled.remove(slot)
        self._selected.clear()
        return slot

    def reached(self, target: Target) -> int:
        """The mask of pools that an advertisement reaches."""
        if target.all_pools:
            return self.all
        mask = 0
        for name in target.names:
            mask |= self._by_name.get(name, 0)
        return mask | self._matching(target.selectors) if target.selectors else mask

    def _matching(self, selectors: tuple[Selector, ...]) -> int:
        mask = self._selected.get(selectors)
        if mask is None:
            mask = mask_of(self._labelled.matching(selectors))
            self._selected[selectors] = mask
        return mask


class Targets:
    """Advertisements of one kind by the pools that they reach."""

    def __init__(self) -> None:
        self._everywhere = 0
        self._by_name: Groups[str] = Groups()
        self._selecting: Selecting[int] = Selecting()

    def put(self, slot: int, target: Target) -> None:
        """Notes what the advertisement at a slot reaches."""
        if target.all_pools:
            self._everywhere |= 1 << slot
        for name in set(target.names):
            self._by_name.put(name, slot)
        if target.selectors:
            self._selecting.put(slot, target.selectors)

    def remove(self, slot: int, target: Target) -> None:
        """Takes back what `put` noted."""
        self._everywhere &= ~(1 << slot)
        for name in set(target.names):
            self._by_name.remove(name, slot)
        if target.selectors:
            self._selecting.remove(slot)

    def reaching(self, pool: ParsedPool) -> int:
        """The mask of advertisements that reach a pool."""
        by_label = mask_of(self._selecting.matching(pool.labels))
        return self._everywhere | self._by_name.get(pool.pool.name, 0) | by_label

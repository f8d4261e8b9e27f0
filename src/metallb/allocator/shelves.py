"""Which pools are tried for a Service that asks for none, and in which order, without looking at the full ones.

The order of all pools: those with a `serviceAllocation` by priority (0 last) and then by name; then the others by name.
A list of pools passes over those that were seen without room until they have some again, so thousands of full pools
cost what one costs. Pools with service selectors are tried one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge

from metallb.allocator.pool import Mark, PoolState
from metallb.allocator.positions import Positions
from metallb.api.net import Family


@dataclass(slots=True)
class Shelf:
    """Pools in their order, with those left out that have no room."""

    states: list[PoolState]
    _full: dict[tuple[Family, ...], Positions] = field(default_factory=dict)

    def with_room(self, families: tuple[Family, ...]) -> Iterator[PoolState]:
        """Those with a free address of every family."""
        full = self._full.get(families)
        if full is None:
            full = self._full[families] = Positions(len(self.states))
        for position in full.gaps():
            state = self.states[position]
            if all(state.has_room(family) for family in families):
                yield state
            else:
                full.add(position)
                state.marks.append(Mark(full, position))


@dataclass(slots=True)
class Shelves:
    """The pools that give without being asked by name, by whom they may be for."""

    reserved_for_all: Shelf
    """With a `serviceAllocation` that names no namespaces."""
    reserved: dict[str, Shelf]
    """With one that does, by namespace."""
    open: Shelf

    @classmethod
    def of(cls, states: Iterable[PoolState]) -> Shelves:
        """Sorts pools; what they were marked with is void."""
        for_all: list[PoolState] = []
        open_to_all: list[PoolState] = []
        by_namespace: dict[str, list[PoolState]] = {}
        for state in sorted(states, key=lambda state: state.place):
            state.marks.clear()
            allocation = state.pool.allocation
            if not serves_unasked(state):
                continue
            if allocation is None:
                open_to_all.append(state)
            elif allocation.namespaces is None:
                for_all.append(state)
            else:
                for namespace in allocation.namespaces:
                    by_namespace.setdefault(namespace, []).append(state)
        shelves = {namespace: Shelf(states) for namespace, states in by_namespace.items()}
        return cls(Shelf(for_all), shelves, Shelf(open_to_all))

    def reserved_with_room(self, namespace: str, families: tuple[Family, ...]) -> Iterator[PoolState]:
        """Pools with a `serviceAllocation` that may be for a Service of a namespace, whatever its labels."""
        shelf = self.reserved.get(namespace)
        pinned = shelf.with_room(families) if shelf else ()
        return merge(pinned, self.reserved_for_all.with_room(families), key=lambda state: state.place)

    def all_for(self, namespace: str) -> Iterator[PoolState]:
        """Every pool that may be for a Service of a namespace, full or not."""
        shelf = self.reserved.get(namespace)
        yield from merge(shelf.states if shelf else (), self.reserved_for_all.states, key=lambda state: state.place)
        yield from self.open.states


def serves_unasked(state: PoolState) -> bool:
    """Whether the pool gives to Services that ask for no pool."""
    return state.pool.auto_assign and not state.terms.draining

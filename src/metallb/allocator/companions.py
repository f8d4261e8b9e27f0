"""Finds the first address of a pool on which a Service has companions, and room for its ports.

For each sharing key and pool the addresses are known by position. Few are looked through one by one. Of many, those
that may have room for a set of ports stand in a heap: what turns out to have none is taken off, and comes back when
somebody there leaves. So each address is looked at once for each time that it changed, not once for each Service.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from metallb.allocator.pool import PoolState
from metallb.allocator.request import Port, Request, Sharing
from metallb.api.net import Address, Family

_FEW = 16
"""So many addresses are looked through one by one."""
_PORT_SETS = 32
"""Heaps for each sharing key, pool and family; a set of ports beyond that looks at all addresses once."""


@dataclass(slots=True)
class _Hopeful:
    """Addresses that may have room, by position."""

    heap: list[int]
    inside: set[int]

    def put(self, position: int) -> None:
        if position not in self.inside:
            self.inside.add(position)
            heappush(self.heap, position)

    def first(self, fits: Callable[[int], bool]) -> int | None:
        while self.heap and not fits(self.heap[0]):
            self.inside.remove(heappop(self.heap))
        return self.heap[0] if self.heap else None


@dataclass(slots=True)
class _Group:
    """Addresses of one pool and family with claims of one sharing key."""

    addresses: dict[int, Address] = field(default_factory=dict)
    claims: dict[int, int] = field(default_factory=dict)
    hopeful: OrderedDict[frozenset[Port], _Hopeful] = field(default_factory=OrderedDict)

    def add(self, position: int, address: Address) -> None:
        if position not in self.addresses:
            self.addresses[position] = address
            self.look_again(position)
        self.claims[position] = self.claims.get(position, 0) + 1

    def remove(self, position: int) -> None:
        self.claims[position] -= 1
        if not self.claims[position]:
            del self.claims[position], self.addresses[position]

    def look_again(self, position: int) -> None:
        for each in self.hopeful.values():
            each.put(position)

    def first(self, ports: frozenset[Port], fits: Callable[[Address], bool]) -> Address | None:
        if len(self.addresses) <= _FEW:
            self.hopeful.clear()
            return next((self.addresses[each] for each in sorted(self.addresses) if fits(self.addresses[each])), None)
        hopeful = self.hopeful.pop(ports, None)
        if hopeful is None:
            hopeful = _Hopeful(list(self.addresses), set(self.addresses))
            heapify(hopeful.heap)
        self.hopeful[ports] = hopeful
        if len(self.hopeful) > _PORT_SETS:
            self.hopeful.popitem(last=False)
        found = hopeful.first(lambda position: position in self.addresses and fits(self.addresses[position]))
        return None if found is None else self.addresses[found]


@dataclass(slots=True)
class Companions:
    """All of them. Claims are those of holders, and of those whose status shows an address still."""

    _groups: dict[Sharing, dict[PoolState, dict[Family, _Group]]] = field(default_factory=dict)

    def add(self, claim: Request, state: PoolState, address: Address) -> None:
        """Somebody who shares is there now."""
        if claim.sharing.key:
            families = self._groups.setdefault(claim.sharing, {}).setdefault(state, {})
            families.setdefault(address.family, _Group()).add(state.rank(address), address)

    def remove(self, claim: Request, state: PoolState, address: Address) -> None:
        """And is gone."""
        if not claim.sharing.key:
            return
        pools = self._groups[claim.sharing]
        families = pools[state]
        group = families[address.family]
        group.remove(state.rank(address))
        if not group.addresses:
            del families[address.family]
        if not families:
            del pools[state]
        if not pools:
            del self._groups[claim.sharing]

    def look_again(self, sharing: Sharing, state: PoolState, address: Address) -> None:
        """There may be more room on an address than before."""
        group = self._groups.get(sharing, {}).get(state, {}).get(address.family)
        if group is not None and state.rank(address) in group.addresses:
            group.look_again(state.rank(address))

    def pools(self, sharing: Sharing) -> list[PoolState]:
        """Pools in which some share so, in the order of all pools."""
        return sorted(self._groups.get(sharing, ()), key=lambda state: state.place)

    def first(
        self, request: Request, state: PoolState, family: Family, fits: Callable[[Address], bool]
    ) -> Address | None:
        """The first address of a pool with companions of a Service that `fits`.

        What does not fit now must not fit before `look_again` says so, whoever asks with these ports.
        """
        group = self._groups.get(request.sharing, {}).get(state, {}).get(family)
        return group.first(request.ports, fits) if group else None

    def example(self, sharing: Sharing, state: PoolState, family: Family) -> Address | None:
        """The first address of a pool with companions, whether there is room or not."""
        group = self._groups.get(sharing, {}).get(state, {}).get(family)
        return group.addresses[min(group.addresses)] if group else None

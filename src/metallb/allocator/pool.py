"""One pool's addresses: who is on which, which is the next free one, and how many are left."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from metallb.allocator.intervals import AddressSpace
from metallb.allocator.positions import Positions
from metallb.allocator.sharing import Tenancy
from metallb.api.net import Address, Family, ServiceKey
from metallb.config.model import Pool
from metallb.config.terms import Terms

FAMILIES: tuple[Family, ...] = (4, 6)
MAX_COUNT = (1 << 63) - 1
"""The largest count that the status can show (int64); larger pools stop there."""
_STALE = 64
"""Entries of a queue that may be out of date before it is swept."""

Place: TypeAlias = tuple[bool, bool, int, str]
"""Where a pool stands among all: those with a `serviceAllocation` first, by priority (0 last), then by name."""


class Usage(NamedTuple):
    """Addresses in use and in all, of one family."""

    in_use: int
    total: int

    @property
    def available(self) -> int:
        """Addresses left."""
        return self.total - self.in_use


class Mark(NamedTuple):
    """A place on a list of pools where this one was seen without room; it is taken back when there is room again."""

    where: Positions
    position: int


@dataclass(slots=True, eq=False)
class PoolState:
    """A pool and who is on its addresses.

    Attributes:
        pool: as configured.
        tenancies: the addresses in use or kept from others, and by whom.
        marks: lists that pass over this pool until it has room again.
    """

    pool: Pool
    tenancies: dict[Address, Tenancy] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    _spaces: dict[Family, AddressSpace] = field(init=False)
    _passed: dict[Family, Positions] = field(init=False)
    """Positions in use, and those set aside."""
    _in_use: dict[Family, int] = field(init=False)
    _aside: dict[Address, float] = field(default_factory=dict)
    _aside_by_end: dict[Family, list[tuple[float, int, Address]]] = field(init=False)
    _held: dict[str, dict[Address, int]] = field(default_factory=dict)
    """By namespace, with a quota only: its addresses, and how many of its Services are on each."""

    def __post_init__(self) -> None:
        """Numbers the pool's addresses."""
        skip = self.pool.avoid_buggy_ips
        self._spaces = {family: AddressSpace.of(family, self.pool.ranges, skip_buggy=skip) for family in FAMILIES}
        self._passed = {family: Positions(space.size) for family, space in self._spaces.items()}
        self._in_use = dict.fromkeys(FAMILIES, 0)
        self._aside_by_end = {family: [] for family in FAMILIES}

    @property
    def name(self) -> str:
        """Of the pool."""
        return self.pool.name

    @property
    def terms(self) -> Terms:
        """Limits on what it gives."""
        return self.pool.terms

    @property
    def place(self) -> Place:
        """Where it stands among all pools."""
        allocation = self.pool.allocation
        priority = allocation.priority if allocation else 0
        return allocation is None, priority <= 0, priority, self.pool.name

    def reconfigure(self, pool: Pool) -> bool:
        """Takes other settings of the same addresses into force; False, and nothing is done, where they are others."""
        mine = self.pool
        if (mine.ranges, mine.avoid_buggy_ips) != (pool.ranges, pool.avoid_buggy_ips):
            return False
        recount = pool.terms.quota is not None and mine.terms.quota is None
        self.pool, self.marks = pool, []
        if recount:
            self._held = {}
            for address, tenancy in self.tenancies.items():
                for service in tenancy.tenants:
                    self.count(service, address)
        return True

    def offers(self, address: Address) -> bool:
        """Whether a Service may hold this address from this pool."""
        return self._spaces[address.family].position(address) is not None

    def has(self, family: Family) -> bool:
        """Whether it has addresses of a family at all."""
        return self._spaces[family].size > 0

    def has_room(self, family: Family) -> bool:
        """Whether it has a free address of a family."""
        return self._in_use[family] < self._spaces[family].size

    def first_free(self, family: Family) -> Address | None:
        """The first free address in the pool's order; if all are set aside, the one whose time ends first."""
        position = self._passed[family].first_gap()
        if position is not None:
            return self._spaces[family].address(position)
        queue = self._aside_by_end[family]
        while queue and self._aside.get(queue[0][2]) != queue[0][0]:
            heappop(queue)
        return queue[0][2] if queue else None

    def rank(self, address: Address) -> int:
        """Where the address stands in the pool's order."""
        return self._position(address)

    def open(self, address: Address, tenancy: Tenancy) -> None:
        """Somebody is on a free address from now on."""
        if self._aside.pop(address, None) is None:
            self._passed[address.family].add(self._position(address))
        self._in_use[address.family] += 1
        self.tenancies[address] = tenancy

    def close(self, address: Address) -> None:
        """Nobody is on the address any more."""
        del self.tenancies[address]
        self._passed[address.family].remove(self._position(address))
        self._in_use[address.family] -= 1
        for mark in self.marks:
            mark.where.remove(mark.position)
        self.marks.clear()

    def is_aside(self, address: Address) -> bool:
        """Whether the address is given only after all others."""
        return address in self._aside

    def set_aside(self, address: Address, until: float) -> None:
        """A free address is given only after all others, until `until` at most (or until `put_back`)."""
        if address not in self._aside:
            self._passed[address.family].add(self._position(address))
        self._aside[address] = until
        queue = self._aside_by_end[address.family]
        heappush(queue, (until, self._position(address), address))
        if len(queue) > 2 * len(self._aside) + _STALE:
            queue[:] = [each for each in queue if self._aside.get(each[2]) == each[0]]
            heapify(queue)

    def put_back(self, address: Address) -> None:
        """The address is not set aside any more, if it was."""
        if self._aside.pop(address, None) is not None:
            self._passed[address.family].remove(self._position(address))

    def usage(self, family: Family) -> Usage:
        """How much of a family is in use; totals over int64 are shown as its maximum."""
        total = min(self._spaces[family].size, MAX_COUNT)
        return Usage(min(self._in_use[family], total), total)

    def count(self, service: ServiceKey, address: Address) -> None:
        """A Service holds an address: that counts for its namespace's quota."""
        if self.terms.quota is not None:
            held = self._held.setdefault(service.namespace, {})
            held[address] = held.get(address, 0) + 1

    def discount(self, service: ServiceKey, address: Address) -> bool:
        """And holds it no more; returns whether its namespace may have another one for it."""
        held = self._held.get(service.namespace)
        if held is None or address not in held:
            return False
        held[address] -= 1
        if held[address]:
            return False
        del held[address]
        if not held:
            del self._held[service.namespace]
        return True

    def quota_left(self, namespace: str) -> float:
        """How many addresses more a namespace may have; infinity without a quota, below 0 after one was lowered."""
        return inf if self.terms.quota is None else self.terms.quota - len(self._held.get(namespace, ()))

    def alone(self, service: ServiceKey, address: Address) -> bool:
        """With a quota: whether no other Service of the namespace is on an address that a Service holds."""
        return self._held.get(service.namespace, {}).get(address) == 1

    def held_by(self, namespace: str) -> Iterable[Address]:
        """With a quota: the addresses of a namespace; empty without one."""
        return self._held.get(namespace, ())

    def counted(self, namespace: str, address: Address) -> bool:
        """Whether a namespace has the address already, so that another of its Services there costs nothing."""
        return self.terms.quota is None or address in self._held.get(namespace, ())

    def _position(self, address: Address) -> int:
        position = self._spaces[address.family].position(address)
        if position is None:
            raise ValueError(f"{address} is not in pool {self.pool.name!r}")
        return position


class PoolIndex:
    """Finds the pool of an address by bisection. No two pools hold one address."""

    __slots__ = ("_firsts", "_states")

    def __init__(self, states: Iterable[PoolState] = ()) -> None:
        found = sorted(
            (
                ((each.family, each.first), number, state)
                for number, state in enumerate(states)
                for each in state.pool.ranges
            ),
            key=itemgetter(0, 1),
        )
        self._firsts = [first for first, _, _ in found]
        self._states = [state for _, _, state in found]

    def of(self, address: Address) -> PoolState | None:
        """The pool that offers an address."""
        position = bisect_right(self._firsts, (address.family, address.value)) - 1
        if position < 0 or not self._states[position].offers(address):
            return None
        return self._states[position]

    def of_all(self, addresses: tuple[Address, ...]) -> PoolState | None:
        """The pool that offers all of some addresses."""
        state = self.of(addresses[0]) if addresses else None
        return state if state is not None and all(state.offers(each) for each in addresses[1:]) else None

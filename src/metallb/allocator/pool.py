"""One pool's addresses: which are in use, which is the next free one, and how many are left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from metallb.allocator.intervals import AddressSpace, Runs
from metallb.api.net import Address, Family
from metallb.config.model import Pool

FAMILIES: tuple[Family, ...] = (4, 6)
MAX_COUNT = (1 << 63) - 1
"""The largest count that the status can show (int64); larger pools stop there."""


class Usage(NamedTuple):
    """Addresses in use and in all, of one family."""

    in_use: int
    total: int

    @property
    def available(self) -> int:
        """Addresses left."""
        return self.total - self.in_use


@dataclass(slots=True)
class PoolState:
    """A pool and what is in use of it."""

    pool: Pool
    spaces: dict[Family, AddressSpace] = field(init=False)
    used: dict[Family, Runs] = field(init=False)

    def __post_init__(self) -> None:
        """Numbers the pool's addresses."""
        skip = self.pool.avoid_buggy_ips
        self.spaces = {family: AddressSpace.of(family, self.pool.ranges, skip_buggy=skip) for family in FAMILIES}
        self.used = {family: Runs() for family in FAMILIES}

    def offers(self, address: Address) -> bool:
        """Whether a Service may hold this address from this pool."""
        return self.spaces[address.family].position(address) is not None

    def first_free(self, family: Family) -> Address | None:
        """The first address, in the pool's order, that nobody has."""
        space, position = self.spaces[family], self.used[family].first_gap()
        return space.address(position) if position < space.size else None

    def take(self, address: Address) -> None:
        """Notes that an address of the pool is in use from now on."""
        self.used[address.family].add(self._position(address))

    def give_back(self, address: Address) -> None:
        """Notes that nobody has the address any more."""
        self.used[address.family].remove(self._position(address))

    def rank(self, address: Address) -> int:
        """Where the address stands in the pool's order."""
        return self._position(address)

    def usage(self, family: Family) -> Usage:
        """How much of a family is in use; totals over int64 are shown as its maximum."""
        total = min(self.spaces[family].size, MAX_COUNT)
        return Usage(min(self.used[family].count, total), total)

    def _position(self, address: Address) -> int:
        position = self.spaces[address.family].position(address)
        if position is None:
            raise ValueError(f"{address} is not in pool {self.pool.name!r}")
        return position

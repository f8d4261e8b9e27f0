"""Services that wait for an address that others have, in line by age: who is woken when one goes free.

One free address is offered to one Service at a time, so that thousands in line cost nothing while one is served.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from metallb.allocator.reasons import AddressTaken, NothingLeft, PoolExhausted
from metallb.allocator.request import Sharing
from metallb.api.net import Address, Family, ServiceKey

Seniority: TypeAlias = tuple[str, ServiceKey]
"""When a Service was created, and its key."""

Scarcity: TypeAlias = AddressTaken | PoolExhausted | NothingLeft
"""What changes when another Service gives an address up."""


class Waiting(NamedTuple):
    """Why a Service lacks an address, and with whom it would share one."""

    reason: Scarcity
    sharing: Sharing


class Offered(NamedTuple):
    """Addresses that can be had, with their pools and families."""

    addresses: frozenset[Address]
    pools: frozenset[str]
    families: frozenset[Family]

    def helps(self, reason: Scarcity) -> bool:
        """Whether a Service that waits for this reason may be served by them."""
        match reason:
            case AddressTaken(address):
                return address in self.addresses
            case PoolExhausted(pool, wanted):
                return pool in self.pools and not self.families.isdisjoint(wanted)
            case NothingLeft(wanted, tried):
                return not self.pools.isdisjoint(tried) and not self.families.isdisjoint(wanted)


class Offer(NamedTuple):
    """Addresses that were offered to a Service and not decided on yet."""

    addresses: frozenset[Address]
    to: Seniority


@dataclass(slots=True)
class WaitingLine:
    """The line. `offers` are those that are out; whoever decides for the Service takes its offer off."""

    offers: dict[ServiceKey, Offer] = field(default_factory=dict)
    _waiting: dict[ServiceKey, Waiting] = field(default_factory=dict)
    _line: list[Seniority] = field(default_factory=list)
    _places: dict[ServiceKey, Seniority] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._line)

    def __contains__(self, service: object) -> bool:
        """Whether a Service waits."""
        return service in self._waiting

    def join(self, seniority: Seniority, waiting: Waiting) -> None:
        """A Service waits, or waits for another reason."""
        key = seniority[1]
        if self._places.get(key) != seniority:
            self.leave(key)
            insort(self._line, seniority)
            self._places[key] = seniority
        self._waiting[key] = waiting

    def leave(self, service: ServiceKey) -> None:
        """A Service waits no more."""
        self._waiting.pop(service, None)
        place = self._places.pop(service, None)
        if place is not None:
            del self._line[bisect_left(self._line, place)]

    def next_for(self, offered: Offered, *, but: ServiceKey, after: Seniority | None = None) -> ServiceKey | None:
        """Offers addresses to the first in line, or after that place, whom they may serve; `but` is left out."""
        if not offered.addresses:
            return None
        start = 0 if after is None else bisect_right(self._line, after)
        for position in range(start, len(self._line)):
            seniority = self._line[position]
            key = seniority[1]
            if key != but and offered.helps(self._waiting[key].reason):
                out = self.offers.get(key)
                self.offers[key] = Offer(offered.addresses | out.addresses if out else offered.addresses, seniority)
                return key
        return None

    def all_for(self, offered: Offered) -> list[ServiceKey]:
        """Everybody whom the addresses may serve, the oldest first."""
        if not offered.addresses:
            return []
        return [key for _, key in self._line if offered.helps(self._waiting[key].reason)]

    def sharing(self, sharings: AbstractSet[Sharing]) -> list[ServiceKey]:
        """Everybody who would share with one of these, the oldest first."""
        return [key for _, key in self._line if self._waiting[key].sharing in sharings] if sharings else []

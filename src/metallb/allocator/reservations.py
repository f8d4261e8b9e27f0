"""Addresses that are remembered for Services which are gone, and until when. Seconds on the caller's clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from metallb.allocator.pool import PoolIndex, PoolState
from metallb.api.net import Address, ServiceKey


class Reservation(NamedTuple):
    """What a Service had when it was deleted: it gets that again if it comes back until then and nobody else has it."""

    service: ServiceKey
    addresses: tuple[Address, ...]
    until: float


@dataclass(slots=True)
class Reservations:
    """All of them, one for each Service at most. A free address that is remembered is set aside in its pool."""

    _index: PoolIndex = field(default_factory=PoolIndex)
    _by_service: dict[ServiceKey, Reservation] = field(default_factory=dict)
    _by_address: dict[Address, dict[ServiceKey, float]] = field(default_factory=dict)
    _ends: list[tuple[float, ServiceKey]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Reservation]:
        """By namespace and name."""
        return iter(sorted(self._by_service.values()))

    def of(self, service: ServiceKey) -> Reservation | None:
        """What is remembered for a Service."""
        return self._by_service.get(service)

    def add(self, reservation: Reservation) -> None:
        """Remembers, instead of what was remembered for the Service before."""
        self.drop(reservation.service)
        self._by_service[reservation.service] = reservation
        for address in reservation.addresses:
            self._by_address.setdefault(address, {})[reservation.service] = reservation.until
        heappush(self._ends, (reservation.until, reservation.service))
        self._set_aside(reservation)

    def drop(self, service: ServiceKey) -> None:
        """Forgets what is remembered for a Service."""
        reservation = self._by_service.pop(service, None)
        for address in reservation.addresses if reservation else ():
            owners = self._by_address[address]
            del owners[service]
            state = self._index.of(address)
            if state is not None:
                state.put_back(address)
            if owners:
                self.closed(state, address)
            else:
                del self._by_address[address]

    def closed(self, state: PoolState | None, address: Address) -> None:
        """Nobody is on an address now: if it is remembered it is set aside."""
        owners = self._by_address.get(address)
        if owners and state is not None and address not in state.tenancies:
            state.set_aside(address, max(owners.values()))

    def expire(self, now: float) -> None:
        """Forgets those whose time is up."""
        while self._ends and self._ends[0][0] <= now:
            until, service = heappop(self._ends)
            found = self._by_service.get(service)
            if found is not None and found.until == until:
                self.drop(service)

    def review(self, index: PoolIndex) -> None:
        """Pools have changed: what their pools remember no more is forgotten, the rest is set aside there."""
        self._index = index
        for reservation in list(self):
            state = index.of_all(reservation.addresses)
            if state is not None and not state.terms.sticky_s:
                self.drop(reservation.service)
            else:
                self._set_aside(reservation)

    def _set_aside(self, reservation: Reservation) -> None:
        for address in reservation.addresses:
            self.closed(self._index.of(address), address)

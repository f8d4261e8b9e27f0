"""The addresses that pools remember for deleted Services, as their statuses show them, and read back from there. Pure.

So they outlive the controller. Where the API server keeps no such field (MetalLB's own CRD has none) they live as long
as the controller that leads.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from typing import Final

from metallb.allocator.allocator import Allocator
from metallb.allocator.reservations import Reservation
from metallb.api import v1beta1
from metallb.api.net import Address, ServiceKey

MOST_SHOWN: Final = 1000
"""How many of one pool its status shows, those that end last: an object has to stay small."""


def shown(allocator: Allocator) -> Mapping[str, tuple[v1beta1.PoolReservation, ...]]:
    """By pool, what its status has to say; those of the same end by namespace and name."""
    by_pool: dict[str, list[Reservation]] = {}
    for each in allocator.reservations:
        pool = _pool_of(allocator, each.addresses)
        if pool is not None and each.until < _LAST:
            by_pool.setdefault(pool, []).append(each)
    return {
        pool: tuple(_entry(each) for each in sorted(found, key=lambda each: -each.until)[:MOST_SHOWN])
        for pool, found in by_pool.items()
    }


def restore(allocator: Allocator, pools: Iterable[v1beta1.IPAddressPool], now: float) -> None:
    """Remembers what statuses show, once what Services have is noted: at the start, before anything is decided.

    People can edit a status, so what makes no sense is left out, and nothing is remembered for longer than the pool
    remembers from `now` on.
    """
    found = (each for pool in pools if pool.status for each in _read(allocator, pool.metadata.name, pool.status, now))
    for reservation in sorted(found, key=lambda each: each.until):
        if allocator.holder(reservation.service) is None:
            allocator.reservations.add(reservation)


def _read(allocator: Allocator, pool: str, status: v1beta1.IPAddressPoolStatus, now: float) -> Iterable[Reservation]:
    state = allocator.pools.get(pool)
    sticky_s = state.terms.sticky_s if state else 0
    for entry in status.reservations if sticky_s else ():
        namespace, _, name = entry.service.partition("/")
        addresses = _addresses(entry.addresses)
        until = min(_seconds(entry.until), now + sticky_s)
        if namespace and name and addresses and until > now and _pool_of(allocator, addresses) == pool:
            yield Reservation(ServiceKey(namespace, name), addresses, until)


def _pool_of(allocator: Allocator, addresses: Iterable[Address]) -> str | None:
    """The one pool that offers them."""
    states = [allocator.pool_of(each) for each in addresses]
    names = {state.name if state else None for state in states}
    return names.pop() if len(names) == 1 else None


def _entry(reservation: Reservation) -> v1beta1.PoolReservation:
    end = dt.datetime.fromtimestamp(math.ceil(reservation.until), dt.UTC)
    return v1beta1.PoolReservation(
        service=str(reservation.service),
        addresses=tuple(str(each) for each in reservation.addresses),
        until=end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    """At most one of each family; none where one can't be read."""
    try:
        found = tuple(Address.parse(text) for text in texts)
    except ValueError:
        return ()
    return found if len({each.family for each in found}) == len(found) else ()


def _seconds(text: str) -> float:
    """Seconds since 1970; 0 for what can't be read."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return moment.timestamp() if moment.tzinfo else 0.0


_LAST: Final = 253402300799.0
"""The end of the year 9999: clocks that are set later have no such text."""

"""Which Service holds which address. Deterministic; no call looks at more than it names, whatever the pools' sizes.

Contract:
- no address is held by two Services unless sharing allows it, and none is held outside its pool;
- an address that a Service gave up is nobody else's as long as the Service's status shows it (`shield`);
- nothing moves unless asked: every method changes the allocation of the one Service it names, `replace_pools` aside;
- among pools, those reserved for the Service come first, by priority (0 last) and then by name, then open ones by name;
- within a pool the first fitting address in the order of `spec.addresses` is given; addresses that are remembered for
  a deleted Service come after all others of the pool, but are no reason to wait;
- the outcome of a call depends on what is held, shielded and remembered, and on nothing else.

Costs, for n Services that hold addresses: O(log n) for each call about one Service, whatever the sizes of pools, how
many there are, and how many of them are full. What costs more does not grow with n: a pool with service selectors is
looked at for each Service that may use it; a sharing key in each pool where it is used; `replace_pools` costs as much
as the pools have ranges, and what is held in those whose addresses changed. `bench/allocator.py` measures it.

Source: spec/controller.md 9; docs/concepts/allocation.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from typing import NamedTuple

from metallb.allocator.candidates import Candidates, closed_to
from metallb.allocator.companions import Companions
from metallb.allocator.pool import FAMILIES, PoolIndex, PoolState, Usage
from metallb.allocator.reasons import (
    MOST_NAMED,
    NothingLeft,
    NotInOnePool,
    NotInPool,
    PoolDraining,
    PoolUnknown,
    QuotaReached,
    Reason,
    RuledOut,
)
from metallb.allocator.request import Port, Request, Sharing
from metallb.allocator.reservations import Reservation, Reservations
from metallb.allocator.sharing import Tenancy
from metallb.allocator.shelves import Shelves, serves_unasked
from metallb.api.net import Address, Family, ServiceKey
from metallb.config.model import Pool


@dataclass(frozen=True, slots=True)
class Allocation:
    """What a Service holds: addresses of one pool, at most one of each family."""

    pool: str
    addresses: tuple[Address, ...]
    sharing: Sharing


class Occupancy(NamedTuple):
    """What a Service keeps from others on one address."""

    address: Address
    sharing: Sharing
    ports: frozenset[Port]


@dataclass(slots=True)
class Allocator:
    """The state of all pools. One writer; not safe to share between threads."""

    pools: dict[str, PoolState] = field(default_factory=dict)
    allocations: dict[ServiceKey, Allocation] = field(default_factory=dict)
    reservations: Reservations = field(default_factory=Reservations)
    _shielded: dict[ServiceKey, dict[Address, PoolState]] = field(default_factory=dict)
    _index: PoolIndex = field(default_factory=PoolIndex)
    _shelves: Shelves = field(default_factory=lambda: Shelves.of(()))
    _candidates: Candidates = field(default_factory=Candidates)
    _less_used: dict[tuple[str, str], None] = field(default_factory=dict)
    """Pools with a quota, and namespaces that gave an address back."""

    @property
    def _companions(self) -> Companions:
        return self._candidates.companions

    def holder(self, service: ServiceKey) -> Allocation | None:
        """What the Service holds."""
        return self.allocations.get(service)

    def occupancy(self, service: ServiceKey) -> frozenset[Occupancy]:
        """All that the Service keeps from others: what it holds and what is shielded for it."""
        held = self.allocations.get(service)
        places = [(self.pools[held.pool], address) for address in held.addresses] if held else []
        places += [(state, address) for address, state in self._shielded.get(service, {}).items()]
        claims = ((address, state.tenancies[address].claim_of(service)) for state, address in places)
        return frozenset(Occupancy(address, claim.sharing, claim.ports) for address, claim in claims if claim)

    def holders_of(self, address: Address) -> frozenset[ServiceKey]:
        """The Services that hold an address, or for which it is shielded."""
        tenancy = self.tenancy(address)
        return frozenset((*tenancy.tenants, *tenancy.leaving)) if tenancy else frozenset()

    def tenancy(self, address: Address) -> Tenancy | None:
        """Who is on an address; None: nobody, or no pool offers it."""
        state = self._index.of(address)
        return state.tenancies.get(address) if state else None

    def pool_of(self, address: Address) -> PoolState | None:
        """The pool that offers an address."""
        return self._index.of(address)

    def usage(self, pool: str) -> dict[Family, Usage]:
        """Addresses in use and in all of a pool, by family; a shared address counts once."""
        return {family: self.pools[pool].usage(family) for family in FAMILIES}

    def replace_pools(self, pools: Iterable[Pool]) -> frozenset[ServiceKey]:
        """Takes new pools into force; returns the Services whose addresses none of them offers: they lose them.

        The others keep their addresses, under the name of the pool that offers them now. Pools whose addresses are as
        before are not gone through.
        """
        wanted = {pool.name: pool for pool in sorted(pools, key=lambda pool: pool.name)}
        kept, displaced = {}, []
        for name, state in self.pools.items():
            pool = wanted.get(name)
            if pool is not None and state.reconfigure(pool):
                kept[name] = state
            else:
                displaced.append(state)
        self.pools = {name: kept.get(name) or PoolState(pool) for name, pool in wanted.items()}
        self._index = PoolIndex(self.pools.values())
        self._shelves = Shelves.of(self.pools.values())
        lost = self._rehouse(displaced)
        self.reservations.review(self._index)
        return lost

    def shield(self, claim: Request, addresses: Iterable[Address]) -> None:
        """Keeps addresses from others that a Service does not hold and that its status shows still.

        Who holds one of them besides keeps it. Those that no pool offers stay as they are.
        """
        for address in addresses:
            state = self._index.of(address)
            if state is None:
                continue
            tenancy = state.tenancies.get(address)
            if tenancy and claim.key in tenancy.tenants:
                continue
            tenancy = tenancy or _open(claim, state, address)
            self._leave(claim.key, state, address)
            tenancy.leaving[claim.key] = claim
            self._companions.add(claim, state, address)
            self._shielded.setdefault(claim.key, {})[address] = state

    def unshield(self, service: ServiceKey) -> None:
        """Ends that for all addresses of a Service."""
        for address, state in self._shielded.pop(service, {}).items():
            self._move_out(service, state, address)

    def release(self, service: ServiceKey) -> frozenset[Address]:
        """Takes everything from a Service; returns the addresses that nobody holds any more."""
        allocation = self.allocations.pop(service, None)
        if allocation is None:
            return frozenset()
        state = self.pools[allocation.pool]
        return frozenset(address for address in allocation.addresses if self._move_out(service, state, address))

    def retire(self, service: ServiceKey, now: float) -> None:
        """Releases for a Service that was deleted; its pool may remember what it had, for when it comes back."""
        held = self.allocations.get(service)
        sticky_s = self.pools[held.pool].terms.sticky_s if held else 0
        if held and sticky_s:
            self.reservations.add(Reservation(service, held.addresses, now + sticky_s))
        self.release(service)

    def take_room_in_quotas(self) -> list[tuple[PoolState, str]]:
        """Pools and namespaces that may have more addresses of them than when this was asked before."""
        pairs = [(self.pools.get(pool), namespace) for pool, namespace in self._less_used]
        self._less_used.clear()
        return [(state, namespace) for state, namespace in pairs if state and state.quota_left(namespace) >= 1]

    def expire(self, now: float) -> None:
        """Forgets what pools remember until now."""
        self.reservations.expire(now)

    def assign(self, request: Request, addresses: tuple[Address, ...]) -> Allocation | Reason:
        """Gives a Service exactly these addresses instead of what it holds, or says why not and changes nothing.

        Assigning what it holds renews its ports and its sharing key. Draining and quotas don't matter: who calls this
        says that the Service has the addresses already.
        """
        refusal = self.refusal(request, addresses)
        if refusal is not None:
            return refusal
        state = self._index.of_all(addresses)
        if state is None:
            return NotInOnePool(addresses)
        held = self.allocations.get(request.key)
        if held is not None and held.addresses == addresses and _as_it_is(request, state, held):
            return held
        self.release(request.key)
        return self._hold(request, state, addresses)

    def refusal(self, request: Request, addresses: tuple[Address, ...]) -> Reason | None:
        """Why a Service may not hold exactly these addresses; None where it may."""
        state = self._index.of_all(addresses)
        if state is None:
            return NotInOnePool(addresses)
        closed = closed_to(state, request)
        if closed is not None:
            return closed
        for address in addresses:
            tenancy = state.tenancies.get(address)
            refusal = tenancy.refusal(request, address) if tenancy else None
            if refusal is not None:
                return refusal
        return None

    def allocate(self, request: Request) -> Allocation | Reason:
        """Gives a Service that holds nothing what it asks for, or says why not and changes nothing.

        A Service that asks for addresses may hold others, which it gives up for them.
        """
        if request.addresses:
            return self._allocate_requested(request)
        remembered = self._allocate_remembered(request)
        if remembered is not None:
            return remembered
        if request.pool:
            return self._allocate_from_named(request)
        return self._allocate_from_any(request)

    def extend(self, request: Request) -> Allocation | Reason:
        """Adds the family that a dual-stack Service lacks, from the pool it has its address of (spec 9.6)."""
        held = self.allocations[request.key]
        state = self.pools[held.pool]
        have = {address.family for address in held.addresses}
        missing = tuple(family for family in request.families if family not in have)
        if state.terms.draining:
            return PoolDraining(state.name)
        found = self._candidates.of(request, state, missing)
        if not missing or len(found) != len(missing):
            return self._candidates.ruled_out(request, state, missing, asked_for=True)
        self.release(request.key)
        return self._hold(request, state, (*held.addresses, *found))

    def _allocate_requested(self, request: Request) -> Allocation | Reason:
        if request.pool and request.pool not in self.pools:
            return PoolUnknown(request.pool)
        state = self._index.of_all(request.addresses)
        if request.pool and state is not self.pools[request.pool]:
            return NotInPool(request.addresses, request.pool)
        refusal = self.refusal(request, request.addresses)
        held_back = self._held_back(request, state, request.addresses) if state and not refusal else None
        return refusal or held_back or self.assign(request, request.addresses)

    def _held_back(self, request: Request, state: PoolState, addresses: tuple[Address, ...]) -> Reason | None:
        """Why a pool does not give addresses that could be had."""
        held = self.allocations.get(request.key)
        mine = held.addresses if held and held.pool == state.name else ()
        if state.terms.draining and not set(addresses) <= set(mine):
            return PoolDraining(state.name)
        namespace = request.key.namespace
        costs = sum(not state.counted(namespace, address) for address in addresses)
        given_up = sum(state.alone(request.key, address) for address in set(mine) - set(addresses))
        if costs and costs > state.quota_left(namespace) + given_up:
            return QuotaReached(state.name, namespace, state.terms.quota or 0)
        return None

    def _allocate_remembered(self, request: Request) -> Allocation | None:
        reservation = self.reservations.of(request.key)
        state = self._index.of_all(reservation.addresses) if reservation else None
        if reservation is None or state is None or not _remembers(state, request):
            return None
        wanted = (each for each in reservation.addresses if each.family in request.families)
        fitting = tuple(each for each in wanted if self.refusal(request, (each,)) is None)
        if not fitting or self._held_back(request, state, fitting):
            return None
        allocation = self._hold(request, state, fitting)
        if len(fitting) == len(request.families):
            return allocation
        extended = self.extend(request)
        if isinstance(extended, Allocation):
            return self._hold(request, state, tuple(sorted(extended.addresses)))
        if not request.both_required:
            return allocation
        self.release(request.key)
        self.reservations.add(reservation)
        return None

    def _allocate_from_named(self, request: Request) -> Allocation | Reason:
        state = self.pools.get(request.pool)
        if state is None:
            return PoolUnknown(request.pool)
        if closed_to(state, request) is None and not state.terms.draining:
            for families in _wanted(request):
                found = self._candidates.of(request, state, families)
                if len(found) == len(families):
                    return self._hold(request, state, found)
        return self._candidates.ruled_out(request, state, request.families, asked_for=True)

    def _allocate_from_any(self, request: Request) -> Allocation | Reason:
        """From the first pool with all wanted families; for PreferDualStack else one with the primary, then the other.

        Pools that are reserved for the Service are used up before open ones are tried (spec 9.4).
        """
        shared = [state for state in self._companions.pools(request.sharing) if serves_unasked(state)]
        for reserved in (True, False):
            companions = [state for state in shared if (state.pool.allocation is not None) is reserved]
            for families in _wanted(request):
                for state in merge(companions, self._with_room(request, families, reserved=reserved), key=_place):
                    found = self._candidates.of(request, state, families) if closed_to(state, request) is None else ()
                    if len(found) == len(families):
                        return self._hold(request, state, found)
        return self._nothing_left(request)

    def _with_room(self, request: Request, families: tuple[Family, ...], *, reserved: bool) -> Iterator[PoolState]:
        if reserved:
            return self._shelves.reserved_with_room(request.key.namespace, families)
        return self._shelves.open.with_room(families)

    def _nothing_left(self, request: Request) -> NothingLeft:
        ruled_out: dict[str, RuledOut] = {}
        for state in self._likeliest(request):
            if len(ruled_out) == MOST_NAMED:
                break
            if state.name not in ruled_out:
                ruled_out[state.name] = self._candidates.ruled_out(request, state, request.families, asked_for=False)
        return NothingLeft(request.families, tuple(ruled_out.values()), len(self.pools) - len(ruled_out))

    def _likeliest(self, request: Request) -> Iterator[PoolState]:
        """All pools, those first that might serve the Service."""
        yield from self._shelves.all_for(request.key.namespace)
        yield from self.pools.values()

    def _hold(self, request: Request, state: PoolState, addresses: tuple[Address, ...]) -> Allocation:
        shielded = self._shielded.get(request.key, {})
        for address in addresses:
            self._move_in(request, state, address)
            shielded.pop(address, None)
        allocation = Allocation(state.pool.name, addresses, request.sharing)
        self.allocations[request.key] = allocation
        self.reservations.drop(request.key)
        return allocation

    def _move_in(self, request: Request, state: PoolState, address: Address) -> None:
        tenancy = state.tenancies.get(address) or _open(request, state, address)
        self._leave(request.key, state, address)
        tenancy.move_in(request)
        state.count(request.key, address)
        self._companions.add(request, state, address)

    def _leave(self, service: ServiceKey, state: PoolState, address: Address) -> None:
        tenancy = state.tenancies[address]
        claim = tenancy.claim_of(service)
        if claim is None:
            return
        self._companions.remove(claim, state, address)
        if service in tenancy.tenants and state.discount(service, address):
            self._less_used.setdefault((state.name, service.namespace))
        tenancy.move_out(service)
        for sharing in tenancy.sharings():
            self._companions.look_again(sharing, state, address)

    def _move_out(self, service: ServiceKey, state: PoolState, address: Address) -> bool:
        """Returns whether nobody is left there."""
        self._leave(service, state, address)
        if not state.tenancies[address].empty:
            return False
        state.close(address)
        self.reservations.closed(state, address)
        return True

    def _rehouse(self, displaced: Iterable[PoolState]) -> frozenset[ServiceKey]:
        """Finds the pools that offer now what is held and shielded in pools that are gone or have other addresses."""
        holders: dict[ServiceKey, Request] = {}
        leaving: list[tuple[Request, Address]] = []
        for state in displaced:
            for address, tenancy in state.tenancies.items():
                for claim in tenancy.claims():
                    self._companions.remove(claim, state, address)
                    if claim.key in tenancy.tenants:
                        holders[claim.key] = claim
                    else:
                        del self._shielded[claim.key][address]
                        leaving.append((claim, address))
        lost = set()
        for service, claim in holders.items():
            allocation = self.allocations.pop(service)
            new = self._index.of_all(allocation.addresses)
            if new is None:
                lost.add(service)
            else:
                self._hold(claim, new, allocation.addresses)
        for claim, address in leaving:
            self.shield(claim, (address,))
        return frozenset(lost)


def _wanted(request: Request) -> list[tuple[Family, ...]]:
    """What a pool should have, the best first."""
    both = tuple(sorted(request.families))
    if len(both) > 1 and not request.both_required:
        return [both, *((family,) for family in request.families)]
    return [both]


def _remembers(state: PoolState, request: Request) -> bool:
    """Whether a pool gives a Service again what it remembers for it."""
    if state.terms.draining or not state.terms.sticky_s:
        return False
    return request.pool == state.name if request.pool else state.pool.auto_assign


def _open(request: Request, state: PoolState, address: Address) -> Tenancy:
    tenancy = Tenancy(request.sharing)
    state.open(address, tenancy)
    return tenancy


def _as_it_is(request: Request, state: PoolState, held: Allocation) -> bool:
    """Whether a Service asks for what it holds with the ports and the sharing key that it has."""
    ports = (state.tenancies[address].tenants[request.key] for address in held.addresses)
    return held.sharing == request.sharing and all(each == request.ports for each in ports)


def _place(state: PoolState) -> tuple[bool, bool, int, str]:
    return state.place

"""Which Service holds which address. Deterministic; O(log n) a call whatever the pools' sizes.

Contract:
- no address is held by two Services unless sharing allows it, and none is held outside its pool;
- an address that a Service gave up is nobody else's as long as the Service's status shows it (`shield`);
- nothing moves unless asked: every method changes the allocation of the one Service it names, `replace_pools` aside;
- among pools, those reserved for the Service come first, by priority (0 last) and then by name, then open ones by name;
- within a pool the first fitting address in the order of `spec.addresses` is given.

Source: spec/controller.md 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from metallb.allocator.pool import FAMILIES, PoolState, Usage
from metallb.allocator.reasons import (
    NothingLeft,
    NotInOnePool,
    NotInPool,
    PoolClosed,
    PoolExhausted,
    PoolUnknown,
    Reason,
)
from metallb.allocator.request import Port, Request, Sharing
from metallb.allocator.sharing import Companions, Tenancy
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
    _shielded: dict[ServiceKey, dict[Address, PoolState]] = field(default_factory=dict)
    _tenancies: dict[Address, Tenancy] = field(default_factory=dict)
    _companions: Companions = field(default_factory=Companions)

    def holder(self, service: ServiceKey) -> Allocation | None:
        """What the Service holds."""
        return self.allocations.get(service)

    def occupancy(self, service: ServiceKey) -> frozenset[Occupancy]:
        """All that the Service keeps from others: what it holds and what is shielded for it."""
        held = self.allocations.get(service)
        addresses = (*(held.addresses if held else ()), *self._shielded.get(service, ()))
        claims = ((address, self._tenancies[address].claim_of(service)) for address in addresses)
        return frozenset(Occupancy(address, claim.sharing, claim.ports) for address, claim in claims if claim)

    def holders_of(self, address: Address) -> frozenset[ServiceKey]:
        """The Services that hold an address, or for which it is shielded."""
        tenancy = self._tenancies.get(address)
        return frozenset((*tenancy.tenants, *tenancy.leaving)) if tenancy else frozenset()

    def usage(self, pool: str) -> dict[Family, Usage]:
        """Addresses in use and in all of a pool, by family; a shared address counts once."""
        return {family: self.pools[pool].usage(family) for family in FAMILIES}

    def replace_pools(self, pools: Iterable[Pool]) -> frozenset[ServiceKey]:
        """Takes new pools into force; returns the Services whose addresses none of them offers: they lose them.

        The others keep their addresses, under the name of the pool that offers them now.
        """
        before, shielded = self.allocations, self._shielded
        self.pools = {pool.name: PoolState(pool) for pool in sorted(pools, key=lambda pool: pool.name)}
        tenancies, self._tenancies, self._companions = self._tenancies, {}, Companions()
        self.allocations, self._shielded = {}, {}
        lost = set()
        for service, allocation in before.items():
            state = self._pool_of(allocation.addresses)
            if state is None:
                lost.add(service)
                continue
            claim = tenancies[allocation.addresses[0]].claim_of(service)
            if claim is not None:
                self._hold(claim, state, allocation.addresses)
        for service, addresses in shielded.items():
            for address in addresses:
                claim = tenancies[address].claim_of(service)
                if claim is not None:
                    self.shield(claim, (address,))
        return frozenset(lost)

    def shield(self, claim: Request, addresses: Iterable[Address]) -> None:
        """Keeps addresses from others that a Service does not hold and that its status shows still.

        Who holds one of them besides keeps it. Those that no pool offers stay as they are.
        """
        for address in addresses:
            state, tenancy = self._pool_of((address,)), self._tenancies.get(address)
            if state is None or (tenancy and claim.key in tenancy.tenants):
                continue
            tenancy = tenancy or self._open(claim, state, address)
            self._leave(claim.key, tenancy, address)
            tenancy.leaving[claim.key] = claim
            self._companions.add(claim, address)
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

    def assign(self, request: Request, addresses: tuple[Address, ...]) -> Allocation | Reason:
        """Gives a Service exactly these addresses instead of what it holds, or says why not and changes nothing.

        Assigning what it holds renews its ports and its sharing key.
        """
        refusal = self.refusal(request, addresses)
        if refusal is not None:
            return refusal
        state = self._pool_of(addresses)
        if state is None:
            return NotInOnePool(addresses)
        self.release(request.key)
        return self._hold(request, state, addresses)

    def refusal(self, request: Request, addresses: tuple[Address, ...]) -> Reason | None:
        """Why a Service may not hold exactly these addresses; None where it may."""
        state = self._pool_of(addresses)
        if state is None:
            return NotInOnePool(addresses)
        if not state.pool.admits(request.key.namespace, request.labels):
            return PoolClosed(state.pool.name, request.key)
        for address in addresses:
            tenancy = self._tenancies.get(address)
            refusal = tenancy.refusal(request, address) if tenancy else None
            if refusal is not None:
                return refusal
        return None

    def allocate(self, request: Request) -> Allocation | Reason:
        """Gives a Service that holds nothing what it asks for, or says why not and changes nothing."""
        if request.addresses:
            return self._allocate_requested(request)
        if request.pool:
            return self._allocate_from_named(request)
        tried: list[str] = []
        for group in self._groups(request):
            tried += [state.pool.name for state in group]
            chosen = self._choose(request, group)
            if chosen is not None:
                return self._hold(request, *chosen)
        return NothingLeft(request.families, tuple(tried))

    def extend(self, request: Request) -> Allocation | Reason:
        """Adds the family that a dual-stack Service lacks, from the pool it has its address of (spec 9.6)."""
        held = self.allocations[request.key]
        state = self.pools[held.pool]
        have = {address.family for address in held.addresses}
        missing = tuple(family for family in request.families if family not in have)
        found = self._candidates(request, state, missing)
        if not missing or len(found) != len(missing):
            return PoolExhausted(held.pool, missing)
        self.release(request.key)
        return self._hold(request, state, (*held.addresses, *found))

    def _allocate_requested(self, request: Request) -> Allocation | Reason:
        state = self._pool_of(request.addresses)
        if request.pool and request.pool not in self.pools:
            return PoolUnknown(request.pool)
        if request.pool and state is not self.pools[request.pool]:
            return NotInPool(request.addresses, request.pool)
        return self.assign(request, request.addresses)

    def _allocate_from_named(self, request: Request) -> Allocation | Reason:
        state = self.pools.get(request.pool)
        if state is None:
            return PoolUnknown(request.pool)
        if not state.pool.admits(request.key.namespace, request.labels):
            return PoolClosed(request.pool, request.key)
        chosen = self._choose(request, [state])
        if chosen is None:
            return PoolExhausted(request.pool, request.families)
        return self._hold(request, *chosen)

    def _groups(self, request: Request) -> Iterator[list[PoolState]]:
        """Pools to try, first those reserved for the Service, then those open to all (spec 9.4)."""
        usable = [
            state
            for state in self.pools.values()
            if state.pool.auto_assign and state.pool.admits(request.key.namespace, request.labels)
        ]
        yield sorted((state for state in usable if state.pool.allocation is not None), key=_priority)
        yield [state for state in usable if state.pool.allocation is None]

    def _choose(self, request: Request, states: list[PoolState]) -> tuple[PoolState, tuple[Address, ...]] | None:
        """The first pool with all wanted families; for PreferDualStack else one with the primary, then the other."""
        wanted: list[tuple[Family, ...]] = [tuple(sorted(request.families))]
        if len(request.families) > 1 and not request.both_required:
            wanted += [(family,) for family in request.families]
        for families in wanted:
            for state in states:
                found = self._candidates(request, state, families)
                if len(found) == len(families):
                    return state, found
        return None

    def _candidates(self, request: Request, state: PoolState, families: tuple[Family, ...]) -> tuple[Address, ...]:
        found = (self._candidate(request, state, family) for family in families)
        return tuple(address for address in found if address is not None)

    def _candidate(self, request: Request, state: PoolState, family: Family) -> Address | None:
        """The first address of the pool that the Service may have: a free one, or an earlier one it may share."""
        fitting = [
            address
            for address in self._companions.of(request)
            if address.family == family
            and state.offers(address)
            and self._tenancies[address].refusal(request, address) is None
        ]
        free = state.first_free(family)
        return min([*fitting, *([] if free is None else [free])], key=state.rank, default=None)

    def _pool_of(self, addresses: tuple[Address, ...]) -> PoolState | None:
        return next((s for s in self.pools.values() if addresses and all(s.offers(a) for a in addresses)), None)

    def _hold(self, request: Request, state: PoolState, addresses: tuple[Address, ...]) -> Allocation:
        shielded = self._shielded.get(request.key, {})
        for address in addresses:
            self._move_in(request, state, address)
            shielded.pop(address, None)
        allocation = Allocation(state.pool.name, addresses, request.sharing)
        self.allocations[request.key] = allocation
        return allocation

    def _move_in(self, request: Request, state: PoolState, address: Address) -> None:
        tenancy = self._tenancies.get(address) or self._open(request, state, address)
        self._leave(request.key, tenancy, address)
        tenancy.move_in(request)
        self._companions.add(request, address)

    def _open(self, request: Request, state: PoolState, address: Address) -> Tenancy:
        tenancy = self._tenancies[address] = Tenancy(request.sharing)
        state.take(address)
        return tenancy

    def _leave(self, service: ServiceKey, tenancy: Tenancy, address: Address) -> None:
        claim = tenancy.claim_of(service)
        if claim is not None:
            self._companions.remove(claim, address)
            tenancy.move_out(service)

    def _move_out(self, service: ServiceKey, state: PoolState, address: Address) -> bool:
        """Returns whether nobody is left there."""
        tenancy = self._tenancies[address]
        self._leave(service, tenancy, address)
        if not tenancy.empty:
            return False
        del self._tenancies[address]
        state.give_back(address)
        return True


def _priority(state: PoolState) -> tuple[bool, int, str]:
    priority = state.pool.allocation.priority if state.pool.allocation else 0
    return priority <= 0, priority, state.pool.name

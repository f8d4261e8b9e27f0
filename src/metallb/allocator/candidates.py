"""Which address of a pool a Service would get, and what speaks against the pool where it would get none."""

from __future__ import annotations

from dataclasses import dataclass, field

from metallb.allocator.companions import Companions
from metallb.allocator.pool import PoolState
from metallb.allocator.reasons import (
    AddressTaken,
    FamilyMissing,
    PoolClosed,
    PoolDraining,
    PoolExhausted,
    PoolNotAutomatic,
    QuotaReached,
    RuledOut,
)
from metallb.allocator.request import Request
from metallb.api.net import Address, Family


@dataclass(slots=True)
class Candidates:
    """Looks for addresses; gives none."""

    companions: Companions = field(default_factory=Companions)

    def of(self, request: Request, state: PoolState, families: tuple[Family, ...]) -> tuple[Address, ...]:
        """An address of each family as far as there is one and the namespace's quota reaches, IPv4 first."""
        found = []
        left = state.quota_left(request.key.namespace)
        for family in sorted(families):
            address = self._one(request, state, family, within_quota=left >= 1)
            if address is not None:
                found.append(address)
                left -= not state.counted(request.key.namespace, address)
        return tuple(found)

    def ruled_out(
        self, request: Request, state: PoolState, families: tuple[Family, ...], *, asked_for: bool
    ) -> RuledOut:
        """Why a pool that does not serve a Service does not; `families` are those that it must have, or one of them."""
        closed = closed_to(state, request)
        if closed is not None:
            return closed
        if state.terms.draining:
            return PoolDraining(state.name)
        if not asked_for and not state.pool.auto_assign:
            return PoolNotAutomatic(state.name)
        missing = tuple(family for family in families if not state.has(family))
        if missing and (request.both_required or missing == families):
            return FamilyMissing(state.name, missing)
        there = tuple(family for family in families if state.has(family))
        lacking = tuple(family for family in there if self._one(request, state, family, within_quota=True) is None)
        if not lacking or (lacking != there and not request.both_required):
            return QuotaReached(state.name, request.key.namespace, state.terms.quota or 0)
        return PoolExhausted(state.name, lacking, self._conflict(request, state, lacking[0]))

    def _one(self, request: Request, state: PoolState, family: Family, *, within_quota: bool) -> Address | None:
        """The first address that the Service may have: a free one, or an earlier one that it may share.

        Beyond its quota a namespace has only what it can share with itself.
        """
        if not within_quota:
            mine = (each for each in state.held_by(request.key.namespace) if each.family == family)
            shared = (each for each in mine if request.sharing.key and _fits(request, state, each))
            return min(shared, key=state.rank, default=None)
        shareable = self.companions.first(request, state, family, lambda address: _fits(request, state, address))
        free = state.first_free(family)
        if shareable is None or free is None:
            return free or shareable
        if state.is_aside(free):
            return shareable
        return min(shareable, free, key=state.rank)

    def _conflict(self, request: Request, state: PoolState, family: Family) -> AddressTaken | None:
        address = self.companions.example(request.sharing, state, family)
        return None if address is None else state.tenancies[address].refusal(request, address)


def closed_to(state: PoolState, request: Request) -> PoolClosed | None:
    """Why a pool is not open to a Service at all."""
    pool = state.pool
    if pool.admits(request.key.namespace, request.labels):
        return None
    namespaces = pool.allocation.namespaces if pool.allocation else None
    wrong_namespace = namespaces is not None and request.key.namespace not in namespaces
    return PoolClosed(pool.name, request.key, "namespace" if wrong_namespace else "labels")


def _fits(request: Request, state: PoolState, address: Address) -> bool:
    return state.tenancies[address].refusal(request, address) is None

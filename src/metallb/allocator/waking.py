"""Who is looked at again after a decision: those who wait for what one Service gave up, or can join it now.

The promise: nobody waits while what he lacks is free. It holds between decisions, for those who are not woken already.
"""

from __future__ import annotations

from metallb.allocator.allocator import Allocator, Occupancy
from metallb.allocator.converge import Assign, Decision, Keep, Pending
from metallb.allocator.pool import FAMILIES, PoolState
from metallb.allocator.reasons import AddressTaken, NothingLeft, PoolExhausted, QuotaReached, Reason
from metallb.allocator.waiting import Scarcity, WaitingLine
from metallb.api.net import Address, ServiceKey


def scarcity(decision: Decision | None) -> Scarcity | None:
    """What a Service waits for that others have; None: it lacks nothing, or nothing that they could give up."""
    match decision:
        case Pending(reason):
            wanted: Reason | None = reason
        case Keep() | Assign():
            wanted = decision.lacking
        case _:
            wanted = None
    return wanted if isinstance(wanted, AddressTaken | PoolExhausted | QuotaReached | NothingLeft) else None


def woken(
    allocator: Allocator, queue: WaitingLine, cause: ServiceKey, before: frozenset[Occupancy]
) -> tuple[ServiceKey, ...]:
    """Whom to look at again after `cause` was decided on; `before` is what it kept from others until then.

    To be called once for each decision, with the queue up to date: it also passes on what `cause` was offered and did
    not take.
    """
    now = allocator.occupancy(cause)
    changed = sorted({each.address for each in before ^ now})
    found: list[ServiceKey | None] = []
    for address in changed:
        found += _room(allocator, queue, cause, address)
    for address in changed:
        found.append(_free(allocator, queue, cause, address))
    for state, namespace in allocator.take_room_in_quotas():
        found += _quota(queue, cause, state, namespace)
    found += _declined(allocator, queue, cause)
    return tuple(dict.fromkeys(key for key in found if key is not None and key != cause))


def _room(allocator: Allocator, queue: WaitingLine, cause: ServiceKey, address: Address) -> list[ServiceKey]:
    state = allocator.pool_of(address)
    tenancy = state.tenancies.get(address) if state else None
    return queue.offer_room(address, state, tenancy, but=cause) if state and tenancy else []


def _free(allocator: Allocator, queue: WaitingLine, cause: ServiceKey, address: Address) -> ServiceKey | None:
    state = allocator.pool_of(address)
    return queue.offer(address, state, but=cause) if state and address not in state.tenancies else None


def _quota(queue: WaitingLine, cause: ServiceKey, state: PoolState, namespace: str) -> list[ServiceKey | None]:
    free = (state.first_free(family) for family in FAMILIES)
    served = [queue.offer(each, state, but=cause, only=namespace) for each in free if each is not None]
    return [*served, *queue.sharers_in(namespace)]


def _declined(allocator: Allocator, queue: WaitingLine, cause: ServiceKey) -> list[ServiceKey | None]:
    offer = queue.offers.pop(cause, None)
    found: list[ServiceKey | None] = []
    if offer is None:
        return found
    for address in sorted(offer.free | offer.rooms):
        state = allocator.pool_of(address)
        if state is None:
            continue
        tenancy = state.tenancies.get(address)
        if tenancy is None and address in offer.free:
            found.append(queue.offer(address, state, but=cause, after=offer.to))
        elif tenancy is not None and address in offer.rooms:
            found.append(queue.offer_room_on(address, state, tenancy, offer, but=cause))
    return found

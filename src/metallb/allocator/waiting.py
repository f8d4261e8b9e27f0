"""Services that wait for what others have, by what they lack: who is next when an address, or room on one, is free.

One free address is offered to one Service at a time, the oldest whom it may serve, so that thousands in line cost
nothing while one is served. Who does not take it is put in line for what it lacks now, and the next one is asked.
Nobody is asked who lacks something else: another address, pool or family, its quota.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from metallb.allocator.line import Line, Seniority
from metallb.allocator.pool import FAMILIES, PoolState
from metallb.allocator.reasons import AddressTaken, NothingLeft, PoolExhausted, QuotaReached
from metallb.allocator.request import Port, Request, Sharing
from metallb.allocator.sharing import Tenancy
from metallb.allocator.shelves import serves_unasked
from metallb.api.net import Address, Family, ServiceKey

Scarcity: TypeAlias = AddressTaken | PoolExhausted | QuotaReached | NothingLeft
"""What changes when another Service gives an address up."""

_NOBODY = ServiceKey("", "")


class Waiting(NamedTuple):
    """A Service that waits, and why."""

    reason: Scarcity
    request: Request


class ForAddress(NamedTuple):
    """Waits for this address."""

    address: Address


class ForPool(NamedTuple):
    """Waits for any address of a family of this pool."""

    pool: str
    family: Family


class ForQuota(NamedTuple):
    """Waits until its namespace holds fewer addresses of this pool."""

    pool: str
    namespace: str


class ForAny(NamedTuple):
    """Waits for an address of a family of any pool; empty namespace: the same line for all namespaces together.

    `both`: it takes one of the other family from the same pool, or none.
    """

    namespace: str
    family: Family
    both: bool


Topic: TypeAlias = ForAddress | ForPool | ForQuota | ForAny


class Offer(NamedTuple):
    """What was offered to a Service and not decided on yet: free addresses, and room on others."""

    to: Seniority
    request: Request
    free: frozenset[Address]
    rooms: frozenset[Address]


@dataclass(slots=True)
class WaitingLine:
    """All of them. `offers` are those that are out; whoever decides for the Service takes its offer off."""

    offers: dict[ServiceKey, Offer] = field(default_factory=dict)
    _waiting: dict[ServiceKey, Waiting] = field(default_factory=dict)
    _places: dict[ServiceKey, Seniority] = field(default_factory=dict)
    _lines: dict[Topic, Line] = field(default_factory=dict)
    _sharers: dict[Sharing, dict[frozenset[Port], Line]] = field(default_factory=dict)
    _sharers_in: dict[str, Line] = field(default_factory=dict)
    _namespaces: dict[str, int] = field(default_factory=dict)
    """How many wait for any pool, by namespace."""
    _under_quota: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many wait for a quota, by pool and namespace."""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __contains__(self, service: object) -> bool:
        """Whether a Service waits."""
        return service in self._waiting

    def join(self, seniority: Seniority, waiting: Waiting) -> None:
        """A Service waits, or waits for another reason."""
        key = seniority[1]
        known = self._waiting.get(key)
        if known == waiting and self._places[key] == seniority:
            return
        self.leave(key)
        self._waiting[key], self._places[key] = waiting, seniority
        for topic in _topics(waiting):
            self._lines.setdefault(topic, Line()).add(seniority)
        self._count(waiting, 1)
        sharing, ports = waiting.request.sharing, waiting.request.ports
        if sharing.key:
            self._sharers.setdefault(sharing, {}).setdefault(ports, Line()).add(seniority)
            self._sharers_in.setdefault(key.namespace, Line()).add(seniority)

    def leave(self, service: ServiceKey) -> None:
        """A Service waits no more."""
        waiting = self._waiting.pop(service, None)
        if waiting is None:
            return
        place = self._places.pop(service)
        for topic in _topics(waiting):
            _take_off(self._lines, topic, place)
        self._count(waiting, -1)
        sharing, ports = waiting.request.sharing, waiting.request.ports
        if sharing.key:
            _take_off(self._sharers_in, service.namespace, place)
            _take_off(self._sharers[sharing], ports, place)
            if not self._sharers[sharing]:
                del self._sharers[sharing]

    def sharers_in(self, namespace: str) -> list[ServiceKey]:
        """Those of a namespace who might share an address, the oldest first."""
        line = self._sharers_in.get(namespace)
        return [key for _, key in line.after()] if line else []

    def offer(
        self, address: Address, state: PoolState, *, but: ServiceKey, after: Seniority | None = None, only: str = ""
    ) -> ServiceKey | None:
        """Offers a free address to the oldest, or the next after a place, whom it may serve.

        `but` is left out. `only` is a namespace whose quota has room again: nobody else is asked then.
        """
        found = None
        for line in self._lines_for(address, state, only):
            first = next(
                (each for each in line.after(after) if each[1] != but and self._admitted(each[1], state)), None
            )
            found = first if found is None or (first is not None and first < found) else found
        if found is not None:
            self._note(found, free=address)
        return found[1] if found else None

    def offer_room(self, address: Address, state: PoolState, tenancy: Tenancy, *, but: ServiceKey) -> list[ServiceKey]:
        """Offers room on an address that is in use: to the oldest of each set of ports that is free there."""
        found = []
        for sharing in tenancy.sharings():
            for ports in self._sharers.get(sharing, ()):
                first = self._next_sharer(address, state, tenancy, _claim(sharing, ports), but=but)
                if first is not None:
                    found.append(first)
        for place in found:
            self._note(place, room=address)
        on_their_way_out = (self._places.get(key) for key in tenancy.leaving if key != but)
        return [key for _, key in sorted({*found, *(place for place in on_their_way_out if place is not None)})]

    def offer_room_on(
        self, address: Address, state: PoolState, tenancy: Tenancy, declined: Offer, *, but: ServiceKey
    ) -> ServiceKey | None:
        """Offers room that a Service did not take to the next one with these ports."""
        claim = _claim(declined.request.sharing, declined.request.ports)
        place = self._next_sharer(address, state, tenancy, claim, but=but, after=declined.to)
        if place is not None:
            self._note(place, room=address)
        return place[1] if place else None

    def _next_sharer(
        self,
        address: Address,
        state: PoolState,
        tenancy: Tenancy,
        claim: Request,
        *,
        but: ServiceKey,
        after: Seniority | None = None,
    ) -> Seniority | None:
        line = self._sharers.get(claim.sharing, {}).get(claim.ports)
        if line is None or tenancy.refusal(claim, address) is not None:
            return None
        return next(
            (each for each in line.after(after) if each[1] != but and self._helps(each[1], address, state)), None
        )

    def _helps(self, service: ServiceKey, address: Address, state: PoolState) -> bool:
        """Whether room on an address may serve one who waits and shares."""
        reason, request = self._waiting[service]
        match reason:
            case AddressTaken(wanted):
                return wanted == address
            case PoolExhausted(pool, families):
                return pool == state.name and address.family in families
            case QuotaReached(pool, namespace):
                within = state.counted(namespace, address) or state.quota_left(namespace) >= 1
                return pool == state.name and within
            case NothingLeft(families):
                return serves_unasked(state) and address.family in families and _admits(state, request)

    def _lines_for(self, address: Address, state: PoolState, only: str) -> Iterator[Line]:
        if state.terms.draining:
            return
        for topic in self._topics_for(address, state, only):
            line = self._lines.get(topic)
            if line is not None:
                yield line

    def _topics_for(self, address: Address, state: PoolState, only: str) -> Iterator[Topic]:
        family = address.family
        if not only:
            yield ForAddress(address)
            yield ForPool(state.name, family)
        under_quota = self._under_quota.get(state.name, {})
        for namespace in [only] if only else sorted(under_quota):
            if namespace in under_quota and state.quota_left(namespace) >= 1:
                yield ForQuota(state.name, namespace)
        if serves_unasked(state):
            other = all(state.has_room(each) for each in FAMILIES)
            for namespace in self._namespaces_for(state, only):
                yield ForAny(namespace, family, both=False)
                if other:
                    yield ForAny(namespace, family, both=True)

    def _namespaces_for(self, state: PoolState, only: str) -> Iterator[str]:
        """Namespaces whose Services may have another address of a pool; empty: all namespaces together."""
        allowed = state.pool.allocation.namespaces if state.pool.allocation else None
        if allowed is None and state.terms.quota is None:
            yield only
            return
        asked = [only] if only else sorted(self._namespaces if allowed is None else allowed)
        for namespace in asked:
            waits = namespace in self._namespaces and (allowed is None or namespace in allowed)
            if waits and state.quota_left(namespace) >= 1:
                yield namespace

    def _admitted(self, service: ServiceKey, state: PoolState) -> bool:
        """Only who waits for any pool may be one whom this pool is not for."""
        reason, request = self._waiting[service]
        return not isinstance(reason, NothingLeft) or _admits(state, request)

    def _note(self, place: Seniority, *, free: Address | None = None, room: Address | None = None) -> None:
        key = place[1]
        out = self.offers.get(key)
        free_now = frozenset(() if free is None else (free,)) | (out.free if out else frozenset())
        rooms_now = frozenset(() if room is None else (room,)) | (out.rooms if out else frozenset())
        self.offers[key] = Offer(place, self._waiting[key].request, free_now, rooms_now)

    def _count(self, waiting: Waiting, change: int) -> None:
        namespace = waiting.request.key.namespace
        match waiting.reason:
            case NothingLeft():
                _add(self._namespaces, namespace, change)
            case QuotaReached(pool):
                counts = self._under_quota.setdefault(pool, {})
                _add(counts, namespace, change)
                if not counts:
                    del self._under_quota[pool]
            case _:
                pass


def _topics(waiting: Waiting) -> list[Topic]:
    reason, request = waiting
    match reason:
        case AddressTaken(address):
            return [ForAddress(address)]
        case PoolExhausted(pool, families):
            return [ForPool(pool, family) for family in families]
        case QuotaReached(pool, namespace):
            return [ForQuota(pool, namespace)]
        case NothingLeft(families):
            both = request.both_required and not request.sharing.key
            return [ForAny(namespace, family, both) for family in families for namespace in (request.key.namespace, "")]


def _admits(state: PoolState, request: Request) -> bool:
    return state.pool.admits(request.key.namespace, request.labels)


def _claim(sharing: Sharing, ports: frozenset[Port]) -> Request:
    return Request(_NOBODY, {}, (), both_required=False, ports=ports, sharing=sharing)


def _take_off(lines: dict, key: object, place: Seniority) -> None:  # type: ignore[type-arg]  # of topics or of ports
    lines[key].remove(place)
    if not lines[key]:
        del lines[key]


def _add(counts: dict[str, int], key: str, change: int) -> None:
    counts[key] = counts.get(key, 0) + change
    if not counts[key]:
        del counts[key]

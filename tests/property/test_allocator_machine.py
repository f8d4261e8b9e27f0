"""Thousands of steps in the lives of an allocator: whatever happens in whatever order, its promises hold."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metallb.allocator.allocator import Allocation, Allocator
from metallb.allocator.request import Port, Request, Sharing
from metallb.api.net import Address, Family, Range, ServiceKey
from metallb.config.model import Pool, ServiceAllocation

ALL_NAMES = [ServiceKey("ns", f"s{n}") for n in range(8)]
NAMES = st.sampled_from(ALL_NAMES)
SOME = [Address.parse(text) for text in ("10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.1.255", "10.0.2.1", "2001:db8::1")]
FAMILIES = st.sampled_from([((4,), False), ((6,), False), ((4, 6), True), ((6, 4), True), ((4, 6), False)])
PORTS = st.frozensets(st.sampled_from([Port("TCP", 80), Port("TCP", 443), Port("UDP", 53)]), min_size=1, max_size=2)
SHARINGS = st.sampled_from([Sharing(), Sharing("k"), Sharing("k", (("app", "a"),)), Sharing("l")])
POOLS = [
    Pool("a", (Range.parse("10.0.0.0/30"),)),
    Pool("b", (Range.parse("10.0.1.254-10.0.2.1"), Range.parse("2001:db8::/126")), avoid_buggy_ips=True),
    Pool("c", (Range.parse("10.0.0.2/31"),)),
    Pool("d", (Range.parse("2001:db8::2/127"),), allocation=ServiceAllocation(3, None, ())),
    Pool("e", (Range.parse("10.3.0.0/31"),), auto_assign=False),
]
COMBINATIONS = [(0, 1), (1, 2), (0,), (2, 3, 4), (0, 1, 4), ()]


class Tenant(NamedTuple):
    """One of those on an address."""

    key: ServiceKey
    sharing: Sharing
    ports: frozenset[Port]


class Lives(RuleBasedStateMachine):
    """Services come, change and go under changing pools."""

    def __init__(self) -> None:
        super().__init__()
        self.allocator = Allocator()
        self.allocator.replace_pools([POOLS[n] for n in COMBINATIONS[0]])
        self.requests: dict[ServiceKey, Request] = {}

    @rule(key=NAMES, families=FAMILIES, ports=PORTS, sharing=SHARINGS, pool=st.sampled_from(["", "", "a", "e", "nope"]))
    def ask(
        self,
        key: ServiceKey,
        families: tuple[tuple[Family, ...], bool],
        ports: frozenset[Port],
        sharing: Sharing,
        pool: str,
    ) -> None:
        wanted, both = families
        request = Request(key, {}, wanted, both, ports, sharing, pool=pool)
        held = self.allocator.holder(key)
        before = dict(self.allocator.allocations)
        outcome = self.allocator.allocate(request) if held is None else self.allocator.assign(request, held.addresses)
        if isinstance(outcome, Allocation):
            self.requests[key] = request
            assert self.allocator.holder(key) == outcome
            if held is not None:
                assert outcome.addresses == held.addresses
            elif both:
                assert [address.family for address in outcome.addresses] == [4, 6]
        else:
            assert self.allocator.allocations == before
        others = {k: v for k, v in self.allocator.allocations.items() if k != key}
        assert others == {k: v for k, v in before.items() if k != key}

    @rule(key=NAMES)
    def extend(self, key: ServiceKey) -> None:
        held = self.allocator.holder(key)
        if held is None:
            return
        request = self.requests[key]
        outcome = self.allocator.extend(
            Request(key, {}, (4, 6), both_required=False, ports=request.ports, sharing=request.sharing)
        )
        if isinstance(outcome, Allocation):
            assert outcome.addresses[: len(held.addresses)] == held.addresses
            assert {address.family for address in outcome.addresses} == {4, 6}
        else:
            assert self.allocator.holder(key) == held

    @rule(key=NAMES)
    def release(self, key: ServiceKey) -> None:
        held = self.allocator.holder(key)
        freed = self.allocator.release(key)
        self.requests.pop(key, None)
        assert self.allocator.holder(key) is None
        assert freed <= (set(held.addresses) if held else set())
        assert all(not self.allocator.holders_of(address) for address in freed)

    @rule(key=NAMES, ports=PORTS, sharing=SHARINGS, addresses=st.sets(st.sampled_from(SOME), max_size=3))
    def shield(self, key: ServiceKey, ports: frozenset[Port], sharing: Sharing, addresses: set[Address]) -> None:
        """What a status shows; whoever holds it keeps it."""
        before = dict(self.allocator.allocations)
        self.allocator.unshield(key)
        self.allocator.shield(Request(key, {}, (), both_required=False, ports=ports, sharing=sharing), addresses)
        assert self.allocator.allocations == before
        for address in addresses:
            if any(address in state.pool for state in self.allocator.pools.values()):
                assert key in self.allocator.holders_of(address)

    @rule(key=NAMES, address=st.sampled_from(SOME))
    def take_what_is_shown(self, key: ServiceKey, address: Address) -> None:
        ports, sharing = frozenset({Port("TCP", 80)}), Sharing("k")
        request = Request(key, {}, (address.family,), both_required=False, ports=ports, sharing=sharing)
        others = [
            Tenant(each, found.sharing, found.ports)
            for each in ALL_NAMES
            for found in self.allocator.occupancy(each)
            if each != key and found.address == address and address not in self.held_by(each)
        ]
        was_there = address in self.held_by(key)
        outcome = self.allocator.assign(request, (address,))
        if isinstance(outcome, Allocation):
            self.requests[key] = request
            assert self.allocator.holder(key) == outcome
            assert was_there or all(each.sharing.key == "k" and not each.ports & ports for each in others)

    @rule(key=NAMES)
    def unshield(self, key: ServiceKey) -> None:
        before = dict(self.allocator.allocations)
        self.allocator.unshield(key)
        assert self.allocator.allocations == before
        held = self.allocator.holder(key)
        assert {each.address for each in self.allocator.occupancy(key)} == set(held.addresses if held else ())

    @rule(choice=st.sampled_from(COMBINATIONS))
    def replace_pools(self, choice: tuple[int, ...]) -> None:
        before = dict(self.allocator.allocations)
        lost = self.allocator.replace_pools([POOLS[n] for n in choice])
        kept = {key: value.addresses for key, value in self.allocator.allocations.items()}
        assert kept == {key: value.addresses for key, value in before.items() if key not in lost}

    @invariant()
    def every_address_is_in_its_pool(self) -> None:
        for allocation in self.allocator.allocations.values():
            assert all(address in self.allocator.pools[allocation.pool].pool for address in allocation.addresses)

    @invariant()
    def no_two_services_clash_on_an_address(self) -> None:
        for address, holders in self.holders().items():
            assert self.allocator.holders_of(address) == {each.key for each in holders}
            seen: set[Port] = set()
            held = [each for each in holders if address in self.held_by(each.key)]
            assert len({each.sharing for each in held}) <= 1
            assert len(held) < 2 or held[0].sharing.key
            for each in held:
                assert not seen & each.ports
                seen |= each.ports

    @invariant()
    def holders_occupy_what_they_hold(self) -> None:
        for key, allocation in self.allocator.allocations.items():
            occupied = {each.address: each for each in self.allocator.occupancy(key)}
            assert set(allocation.addresses) <= set(occupied)
            for address in allocation.addresses:
                assert occupied[address].ports == self.requests[key].ports

    @invariant()
    def counters_are_true(self) -> None:
        in_use = self.holders()
        for name, state in self.allocator.pools.items():
            for family in (4, 6):
                mine = [a for a in in_use if a.family == family and a in state.pool]
                assert self.allocator.usage(name)[family].in_use == len(mine)

    @invariant()
    def what_is_free_has_no_tenants(self) -> None:
        for state in self.allocator.pools.values():
            for family in (4, 6):
                free = state.first_free(family)
                assert free is None or not self.allocator.holders_of(free)

    @invariant()
    def replaying_what_is_shown_gives_the_same(self) -> None:
        fresh = Allocator()
        fresh.replace_pools(state.pool for state in self.allocator.pools.values())
        for key, allocation in self.allocator.allocations.items():
            assert isinstance(fresh.assign(self.requests[key], allocation.addresses), Allocation)
        assert fresh.allocations == self.allocator.allocations

    def held_by(self, key: ServiceKey) -> tuple[Address, ...]:
        held = self.allocator.holder(key)
        return held.addresses if held else ()

    def holders(self) -> dict[Address, list[Tenant]]:
        """Who occupies which address, as the allocator tells it Service by Service."""
        found: dict[Address, list[Tenant]] = {}
        for key in ALL_NAMES:
            for each in self.allocator.occupancy(key):
                found.setdefault(each.address, []).append(Tenant(key, each.sharing, each.ports))
        return found


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)

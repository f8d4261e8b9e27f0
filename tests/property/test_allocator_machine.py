"""Ten thousand lives of an allocator: whatever happens in whatever order, its promises hold."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from metallb.allocator.allocator import Allocation, Allocator
from metallb.allocator.request import Port, Request, Sharing
from metallb.api.net import Address, Family, Range, ServiceKey
from metallb.config.model import Pool, ServiceAllocation

NAMES = st.sampled_from([ServiceKey("ns", f"s{n}") for n in range(8)])
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
            seen: set[Port] = set()
            assert len({self.requests[key].sharing for key in holders}) == 1
            assert len(holders) == 1 or self.requests[holders[0]].sharing.key
            for key in holders:
                assert not seen & self.requests[key].ports
                seen |= self.requests[key].ports
            assert self.allocator.holders_of(address) == set(holders)

    @invariant()
    def counters_are_true(self) -> None:
        in_use = self.holders()
        for name, state in self.allocator.pools.items():
            for family in (4, 6):
                mine = [a for a in in_use if a.family == family and a in state.pool]
                assert self.allocator.usage(name)[family].in_use == len(mine)

    @invariant()
    def replaying_what_is_shown_gives_the_same(self) -> None:
        fresh = Allocator()
        fresh.replace_pools(state.pool for state in self.allocator.pools.values())
        for key, allocation in self.allocator.allocations.items():
            assert isinstance(fresh.assign(self.requests[key], allocation.addresses), Allocation)
        assert fresh.allocations == self.allocator.allocations

    def holders(self) -> dict[Address, list[ServiceKey]]:
        found: dict[Address, list[ServiceKey]] = {}
        for key, allocation in self.allocator.allocations.items():
            for address in allocation.addresses:
                found.setdefault(address, []).append(key)
        return found


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

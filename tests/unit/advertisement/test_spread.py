"""Addresses are spread evenly, the same on every node, and few move when nodes come and go."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.advertisement.election import elect
from metallb.advertisement.spread import Claim, Spread, share, shares
from metallb.api.net import Address, NodeName


def nodes(count: int, start: int = 0) -> frozenset[NodeName]:
    return frozenset(NodeName(f"node-{number}") for number in range(start, start + count))


def claims(count: int, candidates: frozenset[NodeName], start: int = 0x0A000000) -> list[Claim]:
    return [Claim(Address(4, start + number), candidates) for number in range(count)]


def loads(plan: Mapping[Claim, NodeName]) -> Counter[NodeName]:
    return Counter(plan.values())


def by_address(plan: Mapping[Claim, NodeName]) -> dict[Address, NodeName]:
    return {claim.address: node for claim, node in plan.items()}


def moved(before: Mapping[Claim, NodeName], after: Mapping[Claim, NodeName]) -> int:
    """How many addresses that are in both have another node."""
    old, new = by_address(before), by_address(after)
    return sum(old[address] != new[address] for address in old.keys() & new.keys())


@pytest.mark.parametrize(
    ("addresses", "count", "most"),
    [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (12, 3, 5), (4, 4, 1), (10, 5, 2), (50, 10, 6), (5000, 100, 62)],
)
def test_a_share_is_the_average_and_a_quarter(addresses: int, count: int, most: int) -> None:
    assert share(addresses, count) == most


def test_the_plan_is_this_one_in_every_version() -> None:
    """Speakers of two versions live side by side during an update: they have to agree."""
    everybody = frozenset(map(NodeName, ("kind-control-plane", "kind-worker", "kind-worker2")))
    found = by_address(Spread().plan(claims(9, everybody, 0xC0A8010A)))
    assert "".join(found[address][-1] for address in sorted(found)) == "22rr2eeer"


def test_an_address_with_room_at_the_elected_node_is_there() -> None:
    plan = Spread().plan(claims(40, nodes(8)))
    elected = Counter(elect(claim.candidates, claim.address, {}) for claim in plan)
    full = {node for node, count in elected.items() if count > share(40, 8)}
    for claim, node in plan.items():
        winner = elect(claim.candidates, claim.address, {})
        assert node == winner or winner in full or loads(plan)[winner] == share(40, 8)  # type: ignore[index]
    assert full, "an example without spreading is none"


def test_nothing_to_spread_is_fine() -> None:
    assert Spread().plan([]) == {}


def test_equal_claims_count_once() -> None:
    one = claims(1, nodes(3))
    assert len(Spread().plan(one * 5)) == 1


@given(st.integers(1, 60), st.integers(1, 12))
def test_with_equal_choice_no_node_has_more_than_its_share(addresses: int, count: int) -> None:
    assert max(loads(Spread().plan(claims(addresses, nodes(count)))).values()) <= share(addresses, count)


@given(st.integers(1, 12), st.integers(1, 4))
def test_few_addresses_are_level(count: int, each: int) -> None:
    """Where a quarter of the average is no whole address, nodes have the same number of them, or one less at most."""
    plan = loads(Spread().plan(claims(each * count, nodes(count))))
    if each < 4:
        assert set(plan.values()) == {each}
        assert len(plan) == count


CHOICES = st.lists(st.frozensets(st.sampled_from(sorted(nodes(6))), min_size=1), min_size=1, max_size=30)


@given(CHOICES, st.randoms(use_true_random=False))
def test_the_order_of_claims_does_not_matter(choices: list[frozenset[NodeName]], chance: random.Random) -> None:
    made = [Claim(Address(4, number // 2), each) for number, each in enumerate(choices)]
    plan = Spread().plan(made)
    chance.shuffle(made)
    assert Spread().plan(made) == plan


@given(CHOICES)
def test_an_address_goes_to_one_of_its_candidates_and_each_has_a_node(choices: list[frozenset[NodeName]]) -> None:
    made = [Claim(Address(6, number), each) for number, each in enumerate(choices)]
    plan = Spread().plan(made)
    assert plan.keys() == set(made)
    assert all(node in claim.candidates for claim, node in plan.items())


@given(CHOICES)
def test_there_is_room_for_all(choices: list[frozenset[NodeName]]) -> None:
    made = [Claim(Address(6, number), each) for number, each in enumerate(choices)]
    assert sum(shares(made).values()) >= len(made)


@given(st.lists(CHOICES, min_size=2, max_size=5))
def test_what_was_before_does_not_matter(history: list[list[frozenset[NodeName]]]) -> None:
    """A speaker that has just started comes to the same plan as one that has seen it all."""
    old = Spread()
    for choices in history:
        made = [Claim(Address(4, number), each) for number, each in enumerate(choices)]
        assert old.plan(made) == Spread().plan(made)


def test_many_nodes_that_come_and_go_are_forgotten() -> None:
    old = Spread()
    for start in range(0, 600, 7):
        made = claims(5, nodes(20, start))
        assert old.plan(made) == Spread().plan(made)
    assert len(old._known) < 150


WORLDS = [(3, 12), (4, 10), (5, 20), (10, 50), (20, 200), (100, 500)]


def moves_when_one_goes(count: int, addresses: int) -> Iterable[tuple[int, int]]:
    """How many addresses the node had, and how many move: for some nodes, in five worlds."""
    for start in range(0, 5000, 1000):
        everybody = nodes(count, start)
        before = Spread().plan(claims(addresses, everybody))
        for gone in sorted(everybody)[:6]:
            after = Spread().plan(claims(addresses, everybody - {gone}))
            yield loads(before)[gone], moved(before, after)


@pytest.mark.parametrize(("count", "addresses"), WORLDS)
def test_when_a_node_goes_or_returns_what_it_had_moves_and_little_more(count: int, addresses: int) -> None:
    """As nothing is remembered, a return moves exactly what the departure did."""
    had, moves = (sum(each) for each in zip(*moves_when_one_goes(count, addresses), strict=True))
    assert had <= moves <= 1.8 * had


@pytest.mark.parametrize(("count", "addresses"), WORLDS)
def test_a_new_address_moves_few_others(count: int, addresses: int) -> None:
    everybody, total = nodes(count), 0
    for number in range(20):
        before = Spread().plan(claims(addresses + number, everybody))
        total += moved(before, Spread().plan(claims(addresses + number + 1, everybody)))
    assert total / 20 < 3


def test_who_has_little_choice_goes_first() -> None:
    """Local traffic: addresses whose pods are on one node only leave less room there for those that can go anywhere."""
    everybody = nodes(4)
    pinned = claims(5, frozenset({NodeName("node-0")}))
    free = claims(11, everybody, 0x0B000000)
    plan = Spread().plan([*free, *pinned])
    assert all(plan[claim] == "node-0" for claim in pinned)
    assert loads({claim: plan[claim] for claim in free})[NodeName("node-0")] <= share(5 * 4 + 11, 4) - 5


def test_mixed_choice_stays_within_the_shares() -> None:
    chance = random.Random(3)
    everybody = sorted(nodes(20))
    made = [
        Claim(Address(4, number), frozenset(chance.sample(everybody, chance.choice([1, 2, 10, 20]))))
        for number in range(200)
    ]
    most, plan = shares(made), loads(Spread().plan(made))
    assert all(plan[node] <= most[node] for node in plan)

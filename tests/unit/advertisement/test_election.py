"""The election must come out on every node, and on upstream's speakers, as recorded (spec/speaker.md 2.6, 11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.advertisement.election import draws, elect, order
from metallb.api.net import Address, NodeName

NODES = tuple(map(NodeName, ("kind-control-plane", "kind-worker", "kind-worker2", "node-a", "node-b", "node-c")))


@pytest.mark.parametrize(
    ("ip", "recorded", "digest"),
    [
        (
            "192.168.1.10",
            ["kind-worker", "kind-worker2", "kind-control-plane", "node-b", "node-a", "node-c"],
            "1a211bb35d9e8b10",
        ),
        (
            "10.0.0.1",
            ["kind-worker2", "kind-worker", "node-b", "kind-control-plane", "node-a", "node-c"],
            "1e72aec38dacf77e",
        ),
        (
            "fc00:f853:ccd:e799::1",
            ["node-b", "kind-worker2", "kind-control-plane", "node-a", "kind-worker", "node-c"],
            "288f78939edf77a6",
        ),
    ],
)
def test_order_is_upstreams(ip: str, recorded: list[str], digest: str) -> None:
    address = Address.parse(ip)
    left, found = set(NODES), []
    while left:
        winner = elect(left, address, {})
        assert winner is not None
        found.append(winner)
        left.discard(winner)
    assert found == recorded
    assert draws(address)(NodeName(found[0]))[:8].hex() == digest
    assert order(reversed(NODES), address) == found


@pytest.mark.parametrize("text", ["FC00:F853:0CCD:E799:0:0:0:1", "fc00:f853:ccd:e799::1"])
def test_the_way_an_address_is_written_does_not_matter(text: str) -> None:
    assert draws(Address.parse(text))(NODES[0]) == draws(Address.parse("fc00:f853:ccd:e799::1"))(NODES[0])


def test_a_mapped_address_is_its_ipv4_address() -> None:
    assert str(Address.parse("::ffff:10.0.0.1")) == "10.0.0.1"


def test_preferences_outweigh_the_draw_and_add_up() -> None:
    address = Address.parse("10.0.0.1")
    assert elect(NODES, address, {NODES[5]: 3}) == NODES[5]
    assert elect(NODES, address, {NODES[5]: 3, NODES[4]: 4}) == NODES[4]


def test_nobody_is_elected_of_nobody() -> None:
    assert elect([], Address.parse("10.0.0.1"), {}) is None


@given(st.sets(st.text("abcdef-", min_size=1, max_size=5), min_size=2), st.integers(0, 2**32 - 1))
def test_a_loser_that_goes_changes_nothing(names: set[str], value: int) -> None:
    nodes = [NodeName(name) for name in sorted(names)]
    winner = elect(nodes, Address(4, value), {})
    for gone in nodes:
        if gone != winner:
            assert elect([node for node in nodes if node != gone], Address(4, value), {}) == winner

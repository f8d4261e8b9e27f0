"""Two nodes that can't hear each other announce the same address: what they see on the wire decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from metallb.advertisement.election import elect
from metallb.api.net import Address, InterfaceName, NodeName
from metallb.protocols.ethernet import Mac, parse_mac
from metallb.speaker.disputes import DEFEND_S, FRESH_S, SEEN_S, Disputes, Outside

A, B, C = map(NodeName, ("node-a", "node-b", "node-c"))
MACS = {A: parse_mac("02:00:00:00:00:0a"), B: parse_mac("02:00:00:00:00:0b"), C: parse_mac("02:00:00:00:00:0c")}
STRANGER = parse_mac("02:00:00:00:00:99")
ETH0 = InterfaceName("eth0")
FIRST, SECOND = Address.parse("10.0.0.1"), Address.parse("10.0.0.2")


@dataclass
class World:
    """What a node knows, and what its disputes told it."""

    me: NodeName = A
    now: float = 1000.0
    heard: set[NodeName] = field(default_factory=lambda: {A})
    ready: set[NodeName] = field(default_factory=lambda: {A, B, C})
    changes: int = 0
    asked: int = 0
    defended: list[Address] = field(default_factory=list)
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    disputes: Disputes = field(init=False)

    def __post_init__(self) -> None:
        self.disputes = Disputes(
            Outside(
                node_of=self.node_of,
                heard=lambda: self.heard,
                ready=lambda: self.ready,
                changed=self.changed,
                defend=self.defended.append,
                later=lambda seconds, callback: self.timers.append((self.now + seconds, callback)),
            ),
            clock=lambda: self.now,
        )

    def changed(self) -> None:
        self.changes += 1

    def node_of(self, mac: Mac) -> NodeName | None:
        self.asked += 1
        return {known: node for node, known in MACS.items()}.get(mac)

    def claim(self, by: Mac, address: Address = FIRST) -> None:
        self.disputes.disputed(ETH0, address, by)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        due, self.timers = (
            [each for each in self.timers if each[0] <= self.now],
            [each for each in self.timers if each[0] > self.now],
        )
        for _, callback in due:
            callback()


def test_a_node_that_is_seen_counts_as_living_at_once() -> None:
    world = World()
    world.claim(MACS[B])
    assert world.disputes.alive == {B}
    assert world.changes == 1
    for _ in range(5):
        world.wait(0.2)
        world.claim(MACS[B])
    assert world.changes == 1, "told once"


@pytest.mark.parametrize("address", [Address.parse(f"10.0.0.{n}") for n in range(1, 9)])
def test_of_two_nodes_in_dispute_the_one_that_the_election_prefers_goes_on(address: Address) -> None:
    one, other = World(A, heard={A}), World(B, heard={B})
    one.claim(MACS[B], address)
    other.claim(MACS[A], address)
    winners = [elect(world.heard | world.disputes.alive, address, {}) for world in (one, other)]
    assert winners[0] == winners[1]
    assert address in one.defended
    assert address in other.defended


def test_a_node_that_gossip_hears_is_no_news() -> None:
    world = World(heard={A, B})
    world.claim(MACS[B])
    assert world.disputes.alive == frozenset()
    assert world.changes == 0


def test_gossips_word_counts_when_it_hears_the_node_again() -> None:
    world = World()
    world.claim(MACS[B])
    world.heard |= {B}
    assert world.disputes.alive == frozenset()


def test_a_node_whose_speaker_is_not_ready_any_more_does_not_count() -> None:
    world = World()
    world.claim(MACS[B])
    world.ready -= {B}
    world.disputes.look()
    assert world.disputes.alive == frozenset()
    assert world.changes == 2, "somebody has to take its addresses over"
    world.disputes.look()
    assert world.changes == 2


def test_a_node_that_is_not_seen_again_counts_for_a_while() -> None:
    world = World()
    world.claim(MACS[B])
    world.wait(SEEN_S - 1)
    assert world.disputes.alive == {B}
    world.wait(1)
    assert world.disputes.alive == frozenset()
    assert world.changes == 2


def test_a_stranger_is_no_node_and_our_addresses_are_defended_from_it_now_and_then() -> None:
    world = World()
    for _ in range(round(DEFEND_S / 0.2) + 1):
        world.claim(STRANGER)
        world.wait(0.2)
    assert world.disputes.alive == frozenset()
    assert world.changes == 0
    assert world.defended == [FIRST, FIRST]


def test_each_address_is_defended() -> None:
    world = World()
    world.claim(MACS[B], FIRST)
    world.claim(MACS[B], SECOND)
    assert world.defended == [FIRST, SECOND]


def test_thousands_of_disputes_ask_once_who_that_is() -> None:
    world = World()
    for number in range(3000):
        world.claim(MACS[B], Address(4, FIRST.value + number))
    assert world.asked == 1
    world.wait(FRESH_S)
    world.claim(MACS[B])
    assert world.asked == 2

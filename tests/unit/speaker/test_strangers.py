"""People are told of hosts outside the cluster that use addresses of Services: once, and by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from metallb.api.core import ObjectMeta, Service
from metallb.api.net import Address, InterfaceName, NodeName
from metallb.protocols.ethernet import Mac, parse_mac
from metallb.speaker.strangers import MOST_HOSTS, SEEN_S, Case, Outlets, Strangers

ONE, TWO = Address.parse("198.51.100.1"), Address.parse("2001:db8::1")
ETH0, ETH1 = InterfaceName("eth0"), InterfaceName("eth1")
STRANGER, ANOTHER, PEER = map(parse_mac, ("02:00:00:00:00:66", "02:00:00:00:00:67", "02:00:00:00:00:02"))


@dataclass
class Told:
    now: float = 0.0
    events: list[tuple[str, str, str]] = field(default_factory=list)
    shown: set[Case] = field(default_factory=set)
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    services: list[Service] = field(
        default_factory=lambda: [Service(metadata=ObjectMeta(name="web", namespace="default"))]
    )
    strangers: Strangers = field(init=False)

    def __post_init__(self) -> None:
        self.strangers = Strangers(
            NodeName("a"),
            Outlets(
                node_of=lambda mac: NodeName("b") if mac == PEER else None,
                services=lambda _address: self.services,
                event=lambda _service, kind, reason, message: self.events.append((kind, reason, message)),
                show=lambda case, there: self.shown.add(case) if there else self.shown.remove(case),
                later=lambda seconds, callback: self.timers.append((self.now + seconds, callback)),
            ),
            lambda: self.now,
        )

    def wait(self, seconds: float) -> None:
        self.now += seconds
        due, self.timers = (
            [each for each in self.timers if each[0] <= self.now],
            [each for each in self.timers if each[0] > self.now],
        )
        for _, callback in due:
            callback()


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_node_of_the_cluster_is_no_stranger(told: Told) -> None:
    assert not told.strangers.held(ETH0, ONE, PEER)
    assert (told.events, told.shown) == ([], set())


def test_a_stranger_that_keeps_an_address_is_named_until_it_is_gone(told: Told) -> None:
    assert told.strangers.held(ETH0, ONE, STRANGER)
    told.strangers.seen(ETH0, ONE, STRANGER)
    (event,) = told.events
    assert event[:2] == ("Warning", "addressConflict")
    assert event[2] == (
        "198.51.100.1 is not announced by node 'a' on eth0: "
        "the host 02:00:00:00:00:66 on eth0, which is no node of this cluster, has it"
    )
    assert told.shown == {Case(ETH0, ONE, STRANGER, announced=False)}
    told.wait(10 * SEEN_S)
    assert told.shown
    told.strangers.free(ETH1, ONE)
    assert told.shown
    told.strangers.free(ETH0, ONE)
    assert not told.shown
    assert told.events[-1][:2] == ("Normal", "addressFree")


def test_one_stranger_after_another(told: Told) -> None:
    told.strangers.held(ETH0, ONE, STRANGER)
    told.strangers.held(ETH0, ONE, ANOTHER)
    assert told.shown == {Case(ETH0, ONE, ANOTHER, announced=False)}
    assert "02:00:00:00:00:67" in told.events[-1][2]


def test_what_was_free_from_the_start_is_nothing_to_tell(told: Told) -> None:
    told.strangers.free(ETH0, ONE)
    assert not told.events


def test_a_stranger_that_comes_later_is_told_once_a_minute_and_forgotten_when_it_is_gone(told: Told) -> None:
    for _ in range(30):
        told.strangers.seen(ETH0, TWO, STRANGER)
        told.wait(1)
    assert [each[:2] for each in told.events] == [("Warning", "addressConflict")]
    assert told.shown == {Case(ETH0, TWO, STRANGER, announced=True)}
    told.wait(SEEN_S)
    told.wait(SEEN_S)
    assert not told.shown
    assert not told.timers


def test_what_is_announced_elsewhere_or_nowhere_is_no_conflict_any_more(told: Told) -> None:
    told.strangers.held(ETH0, ONE, STRANGER)
    told.strangers.seen(ETH1, ONE, ANOTHER)
    told.strangers.limit(ONE, {ETH1}.__contains__)
    assert told.shown == {Case(ETH1, ONE, ANOTHER, announced=True)}
    assert ONE in told.strangers
    told.strangers.limit(ONE, frozenset[InterfaceName]().__contains__)
    assert not told.shown
    assert ONE not in told.strangers
    assert told.strangers.addresses == frozenset()


def test_a_host_that_turns_out_to_be_a_node_of_ours_keeps_nothing(told: Told) -> None:
    told.strangers.held(ETH0, ONE, STRANGER)
    assert not told.strangers.held(ETH0, ONE, PEER)
    assert not told.shown


def test_one_is_named_for_each_interface_who_has_it_before_who_was_seen_first(told: Told) -> None:
    told.strangers.seen(ETH1, ONE, STRANGER)
    told.strangers.seen(ETH1, ONE, ANOTHER)
    told.strangers.seen(ETH1, ONE, STRANGER)
    told.strangers.seen(ETH0, ONE, STRANGER)
    told.strangers.held(ETH0, ONE, ANOTHER)
    assert told.strangers.of(ONE) == [
        Case(ETH0, ONE, ANOTHER, announced=False),
        Case(ETH1, ONE, STRANGER, announced=True),
    ]
    assert told.strangers.of(TWO) == []


def test_a_host_of_ever_new_ethernet_addresses_is_told_of_a_few_times(told: Told) -> None:
    for number in range(1000):
        told.strangers.seen(ETH0, ONE, Mac(b"\x02\x00\x00\x00" + number.to_bytes(2)))
    assert len(told.shown) == len(told.events) == MOST_HOSTS
    told.wait(SEEN_S)
    assert not told.shown
    told.strangers.seen(ETH0, ONE, STRANGER)
    assert told.shown == {Case(ETH0, ONE, STRANGER, announced=True)}


def test_what_no_service_wants_any_more_is_not_kept(told: Told) -> None:
    told.services.clear()
    told.strangers.held(ETH0, ONE, STRANGER)
    told.strangers.seen(ETH0, TWO, STRANGER)
    assert not told.shown

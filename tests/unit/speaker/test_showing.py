"""What is shown of announcements is what is true: no sample, event or status for an address that another host has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from metallb.advertisement.conflicts import Report, condition_of
from metallb.advertisement.interfaces import Interface
from metallb.advertisement.layer2 import Announce
from metallb.advertisement.reasons import NotLoadBalancer
from metallb.api.core import ObjectMeta, Service, ServiceStatus
from metallb.api.net import Address, InterfaceName, NodeName, ServiceKey
from metallb.api.v1beta1_states import AddressConflict
from metallb.protocols.ethernet import Mac, format_mac, parse_mac
from metallb.speaker import strangers
from metallb.speaker.announcer import Announcer
from metallb.speaker.orders import Probed
from metallb.speaker.showing import Outlets, Showing, Shown
from metallb.speaker.strangers import Strangers
from metallb.speaker.wire import Wire
from metallb.telemetry import metrics as m

FOUR, SIX = Address.parse("198.51.100.1"), Address.parse("2001:db8::1")
ETH0, ETH1 = InterfaceName("eth0"), InterfaceName("eth1")
STRANGER, ANOTHER, PEER, OURS = map(parse_mac, (f"02:00:00:00:00:{each}" for each in ("66", "67", "02", "01")))
WEB, MAIL = ServiceKey("default", "web"), ServiceKey("default", "mail")
EVERYWHERE: frozenset[InterfaceName] = frozenset()


class Outpost:
    """Takes orders."""

    def start(self) -> None:
        pass

    def send(self, order: object) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Node:
    """A speaker without its process that answers: tests say what that found out."""

    events: list[str] = field(default_factory=list)
    samples: set[tuple[str, str]] = field(default_factory=set)
    reviewed: set[ServiceKey] = field(default_factory=set)
    services: dict[ServiceKey, Service] = field(default_factory=dict)
    announcer: Announcer = field(init=False)
    strangers: Strangers = field(init=False)
    showing: Showing = field(init=False)

    def __post_init__(self) -> None:
        wire = Wire(m.Metrics(m.SPEAKER, process=False))
        outpost: Any = Outpost()
        self.announcer = Announcer(wire)
        self.announcer._outpost = outpost
        outlets = strangers.Outlets(
            node_of=lambda mac: NodeName("b") if mac == PEER else None,
            services=self.services_of,
            event=self.event,
            show=lambda case, _there: self.reviewed.update(each.key for each in self.services_of(case.address)),
            later=lambda _seconds, _callback: None,
        )
        self.strangers = Strangers(NodeName("a"), outlets, lambda: 0.0)
        self.showing = Showing(
            NodeName("a"),
            self.announcer,
            self.strangers,
            Outlets(self.services.get, self.services_of, self.event, self.sample, self.reviewed.add),
        )
        wire.holds, wire.freed, wire.learns = self.strangers.held, self.strangers.free, self.showing.look
        self.use(ETH0)

    def use(self, *names: InterfaceName) -> None:
        self.announcer.use([Interface(number, name, OURS, link_local=1) for number, name in enumerate(names, 2)])
        self.showing.relook()

    def services_of(self, address: Address) -> list[Service]:
        announced = self.announcer.announced
        return [self.services[key] for key in sorted(announced) if address in announced[key].addresses]

    def event(self, service: Service, _kind: str, reason: str, _message: str) -> None:
        self.events.append(f"{service.metadata.name} {reason}")

    def sample(self, labels: tuple[str, str, str, str], there: bool) -> None:  # noqa: FBT001  # an outlet
        name, protocol, node, address = labels
        assert (protocol, node) == ("layer2", "a")
        if there:
            self.samples.add((name, address))
        else:
            self.samples.remove((name, address))

    def announce(
        self,
        *addresses: Address,
        key: ServiceKey = WEB,
        interfaces: frozenset[InterfaceName] = EVERYWHERE,
        unproven: tuple[Address, ...] = (),
    ) -> None:
        self.services.setdefault(key, Service(metadata=ObjectMeta(name=key.name, namespace=key.namespace)))
        wanted = Announce(addresses, interfaces)
        if self.announcer.announce(key, wanted, unproven):
            self.showing.decided(self.services[key], wanted)

    def withdraw(self, key: ServiceKey = WEB, *, deleted: bool = False) -> None:
        service = self.services.pop(key) if deleted else self.services[key]
        if self.announcer.announce(key, None):
            self.showing.ended(key, None if deleted else service, NotLoadBalancer())

    def found(self, address: Address, mac: Mac | bytes = b"", interface: InterfaceName = ETH0) -> None:
        self.announcer._hear(Probed(interface, address.family, address.value, mac))


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    yield made
    made.announcer.close()


def conflict(address: Address, interface: InterfaceName = ETH0, mac: Mac = STRANGER) -> AddressConflict:
    return AddressConflict(str(address), interface, format_mac(mac))


async def test_what_was_announced_before_is_shown_at_once(node: Node) -> None:
    node.announce(FOUR)
    assert node.samples == {("default/web", str(FOUR))}
    assert node.events == ["web nodeAssigned"]
    assert node.showing.of(WEB) == Shown(Announce((FOUR,), EVERYWHERE))
    node.withdraw()
    assert (node.samples, node.events[1:], node.showing.of(WEB)) == (set(), ["web nodeWithdrawn"], None)


async def test_a_new_address_is_shown_once_nobody_has_it(node: Node) -> None:
    node.announce(FOUR, unproven=(FOUR,))
    assert (node.samples, node.events, node.showing.of(WEB)) == (set(), [], None)
    node.found(FOUR)
    assert (node.samples, node.events) == ({("default/web", str(FOUR))}, ["web nodeAssigned"])


async def test_one_that_another_host_has_is_shown_as_held_and_once_it_is_free(node: Node) -> None:
    node.announce(FOUR, unproven=(FOUR,))
    node.reviewed.clear()
    node.found(FOUR, STRANGER)
    assert (node.samples, node.events) == (set(), ["web addressConflict"])
    assert node.showing.of(WEB) == Shown(None, (conflict(FOUR),), flagged=True)
    assert node.reviewed == {WEB}
    node.reviewed.clear()
    node.found(FOUR)
    assert node.samples == {("default/web", str(FOUR))}
    assert node.events[1:] == ["web addressFree", "web nodeAssigned"]
    assert node.showing.of(WEB) == Shown(Announce((FOUR,), EVERYWHERE))
    assert node.reviewed == {WEB}


async def test_one_that_was_never_announced_is_not_said_to_be_withdrawn(node: Node) -> None:
    node.announce(FOUR, unproven=(FOUR,))
    node.found(FOUR, STRANGER)
    node.withdraw()
    assert node.events == ["web addressConflict"]
    assert FOUR not in node.strangers


async def test_of_two_addresses_one_is_held(node: Node) -> None:
    node.announce(FOUR, SIX, unproven=(FOUR, SIX))
    node.found(SIX, STRANGER)
    assert node.showing.of(WEB) == Shown(None, (conflict(SIX),), flagged=True)
    node.found(FOUR)
    assert node.samples == {("default/web", str(FOUR))}
    assert node.showing.of(WEB) == Shown(Announce((FOUR,), EVERYWHERE), (conflict(SIX),), flagged=True)
    node.found(SIX)
    assert node.samples == {("default/web", str(FOUR)), ("default/web", str(SIX))}
    assert node.events == ["web addressConflict", "web nodeAssigned", "web addressFree"]
    node.withdraw(deleted=True)
    assert (node.samples, node.events[3:]) == (set(), [])


async def test_on_one_of_two_interfaces_it_is_held(node: Node) -> None:
    node.use(ETH0, ETH1)
    node.announce(FOUR, unproven=(FOUR,))
    node.found(FOUR)
    node.found(FOUR, STRANGER, ETH1)
    shown = Shown(Announce((FOUR,), frozenset({ETH0})), (conflict(FOUR, ETH1),), flagged=True)
    assert node.showing.of(WEB) == shown
    node.use(ETH0)
    assert node.showing.of(WEB) == Shown(Announce((FOUR,), EVERYWHERE)), "that network is not ours any more"


async def test_the_interface_on_which_it_is_held_is_not_meant_any_more(node: Node) -> None:
    node.use(ETH0, ETH1)
    node.announce(FOUR, unproven=(FOUR,))
    node.found(FOUR, STRANGER)
    node.announce(FOUR, interfaces=frozenset({ETH1}))
    assert node.showing.of(WEB) is None
    node.found(FOUR, interface=ETH1)
    assert node.showing.of(WEB) == Shown(Announce((FOUR,), frozenset({ETH1})))


async def test_a_second_address_takes_nothing_from_what_is_known_of_the_first(node: Node) -> None:
    node.announce(FOUR, unproven=(FOUR,))
    node.found(FOUR, STRANGER)
    node.announce(FOUR, SIX, unproven=(SIX,))
    assert node.showing.of(WEB) == Shown(None, (conflict(FOUR),), flagged=True)
    node.found(SIX)
    assert node.showing.of(WEB) == Shown(Announce((SIX,), EVERYWHERE), (conflict(FOUR),), flagged=True)


async def test_of_two_that_share_an_address_one_ends(node: Node) -> None:
    node.announce(FOUR, unproven=(FOUR,))
    node.announce(FOUR, key=MAIL)
    node.found(FOUR, STRANGER)
    node.withdraw(deleted=True)
    assert node.showing.of(MAIL) == Shown(None, (conflict(FOUR),), flagged=True)
    node.found(FOUR)
    assert node.samples == {("default/mail", str(FOUR))}


async def test_the_address_changes_to_one_that_is_held(node: Node) -> None:
    node.announce(FOUR)
    node.announce(SIX, unproven=(SIX,))
    node.found(SIX, STRANGER)
    assert node.samples == set()
    assert node.showing.of(WEB) == Shown(None, (conflict(SIX),), flagged=True)


async def test_a_service_that_says_so_is_answered(node: Node) -> None:
    node.announce(FOUR)
    found = condition_of(None, {str(FOUR)}, [Report("b", False, (conflict(FOUR),))], lambda: "2026-01-01T00:00:00Z")
    assert found is not None
    node.services[WEB] = replace(node.services[WEB], status=ServiceStatus(conditions=(found,)))
    assert node.showing.of(WEB) == Shown(Announce((FOUR,), EVERYWHERE), flagged=True)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("announce"),
            st.sampled_from([WEB, MAIL]),
            st.sampled_from([(FOUR,), (SIX,), (FOUR, SIX)]),
            st.sampled_from([EVERYWHERE, frozenset({ETH0}), frozenset({ETH1})]),
            st.booleans(),
        ),
        st.tuples(st.just("withdraw"), st.sampled_from([WEB, MAIL]), st.booleans()),
        st.tuples(
            st.just("found"),
            st.sampled_from([FOUR, SIX]),
            st.sampled_from([b"", STRANGER, ANOTHER, PEER]),
            st.sampled_from([ETH0, ETH1]),
        ),
        st.tuples(st.just("use"), st.sampled_from([(ETH0,), (ETH1,), (ETH0, ETH1), ()])),
    ),
    max_size=25,
)


def take(node: Node, step: Any) -> None:
    match step:
        case "announce", key, addresses, interfaces, new:
            fresh = tuple(each for each in addresses if new and not node.services_of(each))
            node.announce(*addresses, key=key, interfaces=interfaces, unproven=fresh)
        case "withdraw", key, deleted if key in node.services:
            node.withdraw(key, deleted=deleted)
        case "found", address, mac, interface if interface in node.announcer.interface_names:
            node.found(address, mac, interface)
        case "use", names:
            node.use(*names)


@given(STEPS)
async def test_samples_and_events_follow_what_is_true_whatever_happens(steps: list[Any]) -> None:
    node = Node()
    for step in steps:
        take(node, step)
        true = {key: node.announcer.real(key) for key in node.announcer.announced}
        samples = {(str(key), str(one)) for key, real in true.items() if real is not None for one in real.addresses}
        assert node.samples == samples
        for key in (WEB, MAIL):
            began, ended = (node.events.count(f"{key.name} {what}") for what in ("nodeAssigned", "nodeWithdrawn"))
            assert began >= ended
            shown = node.showing.of(key)
            if shown is not None:
                assert shown.announced is not None or shown.conflicts
                assert shown.flagged is bool(shown.conflicts)
        wanted = {each for real in node.announcer.announced.values() for each in real.addresses}
        assert node.strangers.addresses <= wanted
    for key in list(node.services):
        node.withdraw(key, deleted=True)
    assert (node.samples, node.strangers.addresses) == (set(), frozenset())
    node.announcer.close()

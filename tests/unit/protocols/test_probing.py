"""Addresses are asked for before they are announced: both protocols, on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from metallb.protocols.announcing import (
    BATCH,
    Conflict,
    Effect,
    FrameReceived,
    Held,
    InterfaceChanged,
    JoinGroup,
    LeaveGroup,
    Proven,
    Send,
    TableChanged,
)
from metallb.protocols.arp import packet as arp
from metallb.protocols.arp.responder import ArpResponder
from metallb.protocols.ethernet import BROADCAST, Mac, parse_mac
from metallb.protocols.ndp import packet as ndp
from metallb.protocols.ndp.responder import NdpResponder
from metallb.protocols.probing import AGAIN_FIRST_S, AGAIN_LAST_S, PROBES, PROOF_S

MINE, STRANGER, CLIENT = map(parse_mac, ("02:00:00:00:00:01", "02:00:00:00:00:66", "02:00:00:00:00:c8"))
FOUR, OTHER_FOUR = 0xC6336464, 0xC6336465
SIX, OTHER_SIX = 0x20010DB8_01000000_00000000_00000064, 0x20010DB8_01000000_00000000_00000065
ME, THEM = 0xFE80 << 112 | 1, 0xFE80 << 112 | 0x66


@dataclass
class Host:
    """One responder, its clock, and all that it wants done."""

    made: ArpResponder | NdpResponder
    ours: int
    other: int
    claim: Callable[[int], bytes]
    ask: Callable[[int], bytes]
    now: float = 100.0

    def put(self, *addresses: int, unproven: tuple[int, ...] = ()) -> list[Effect]:
        event = TableChanged(frozenset(addresses), unproven=frozenset(unproven))
        return self.made.feed(event, self.now)

    def hear(self, frame: bytes) -> list[Effect]:
        return self.made.feed(FrameReceived(frame), self.now)

    def run(self, seconds: float) -> list[Effect]:
        end, effects = self.now + seconds, list[Effect]()
        while (due := self.made.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            effects += self.made.tick(self.now)
        self.now = end
        return effects

    def answers(self, address: int) -> bool:
        return any(isinstance(each, Send) for each in self.hear(self.ask(address)))


def arp_claim(address: int) -> bytes:
    return arp.ArpPacket(MINE, STRANGER, arp.REPLY, STRANGER, address, MINE, 0).encode()


def arp_ask(address: int) -> bytes:
    return arp.ArpPacket(BROADCAST, CLIENT, arp.REQUEST, CLIENT, 0xC63364C8, Mac(bytes(6)), address).encode()


def ndp_claim(address: int) -> bytes:
    to = ndp.ALL_NODES
    return ndp.NdpPacket(
        ndp.multicast_mac(to), STRANGER, to, THEM, ndp.ADVERTISEMENT, address, ndp.OVERRIDE, STRANGER
    ).encode()


def ndp_ask(address: int) -> bytes:
    to = ndp.solicited_node(address)
    return ndp.NdpPacket(ndp.multicast_mac(to), CLIENT, to, THEM, ndp.SOLICITATION, address, link_layer=CLIENT).encode()


@pytest.fixture(params=["arp", "ndp"])
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "arp":
        return Host(ArpResponder(MINE), FOUR, OTHER_FOUR, arp_claim, arp_ask)
    return Host(NdpResponder(MINE, ME), SIX, OTHER_SIX, ndp_claim, ndp_ask)


def counters(effects: list[Effect]) -> list[str]:
    return [each.counter for each in effects if isinstance(each, Send)]


def test_a_new_address_is_announced_once_three_probes_went_unanswered(host: Host) -> None:
    effects = [*host.put(host.ours, unproven=(host.ours,)), *host.run(PROOF_S - 0.01)]
    assert counters(effects) == ["probes_sent"] * PROBES
    assert not host.answers(host.ours)
    effects = host.run(0.02)
    assert Proven(host.ours) in effects
    assert "gratuitous_sent" in counters(effects)
    assert host.answers(host.ours)
    assert PROOF_S < 0.5


def test_one_that_is_proven_is_announced_at_once(host: Host) -> None:
    assert counters(host.put(host.ours))[0] == "gratuitous_sent"
    assert host.answers(host.ours)


def test_probes_change_no_cache() -> None:
    (sent,) = ArpResponder(MINE).feed(TableChanged(frozenset({FOUR}), unproven=frozenset({FOUR})), 0.0)
    assert isinstance(sent, Send)
    assert arp.decode(sent.frame) == arp.ArpPacket(BROADCAST, MINE, arp.REQUEST, MINE, 0, Mac(bytes(6)), FOUR)
    joined, sent = NdpResponder(MINE, ME).feed(TableChanged(frozenset({SIX}), unproven=frozenset({SIX})), 0.0)
    group = ndp.solicited_node(SIX)
    assert joined == JoinGroup(group)
    assert isinstance(sent, Send)
    assert ndp.decode(sent.frame) == ndp.NdpPacket(ndp.multicast_mac(group), MINE, group, 0, ndp.SOLICITATION, SIX)


def test_one_that_a_stranger_has_is_not_announced_until_the_stranger_is_gone(host: Host) -> None:
    host.put(host.ours, unproven=(host.ours,))
    assert host.hear(host.claim(host.ours)) == [Conflict(host.ours, STRANGER), Held(host.ours, STRANGER)]
    probes = 0
    for _ in range(6):  # each time it is asked, it answers, and is told of no more
        probed = host.run(0.0)
        while not probed:
            probed = host.run(0.5)
        assert set(counters(probed)) == {"probes_sent"}
        probes += len(probed)
        assert host.hear(host.claim(host.ours)) == [Conflict(host.ours, STRANGER)]
        assert not host.answers(host.ours)
    gone = host.now
    effects: list[Effect] = []
    while Proven(host.ours) not in effects:
        effects += host.run(0.05)
    assert host.now - gone < AGAIN_LAST_S + PROOF_S + 0.1
    assert host.answers(host.ours)


def test_a_held_address_is_asked_for_ever_more_seldom(host: Host) -> None:
    host.put(host.ours, unproven=(host.ours,))
    pauses, began = [], host.now
    for _ in range(7):
        host.hear(host.claim(host.ours))
        while not host.run(0.05):
            pass
        pauses.append(host.now - began)
        began = host.now
    wanted = [min(AGAIN_FIRST_S * 2**round_, AGAIN_LAST_S) for round_ in range(7)]
    assert pauses == pytest.approx(wanted, abs=0.11)


def test_another_holder_is_told_of(host: Host) -> None:
    host.put(host.ours, unproven=(host.ours,))
    host.hear(host.claim(host.ours))
    frame = host.claim(host.ours).replace(STRANGER, CLIENT)
    if isinstance(host.made, ArpResponder):
        assert Held(host.ours, CLIENT) in host.hear(frame)


def test_what_is_allowed_all_the_same_is_announced_at_once(host: Host) -> None:
    host.put(host.ours, host.other, unproven=(host.ours, host.other))
    host.hear(host.claim(host.ours))
    assert "gratuitous_sent" in counters(host.put(host.ours, host.other, unproven=(host.other,)))
    assert host.answers(host.ours)
    assert not host.answers(host.other)


def test_what_is_given_up_is_asked_for_no_more(host: Host) -> None:
    host.put(host.ours, unproven=(host.ours,))
    effects = host.put()
    assert counters(effects) == []
    assert host.run(60) == []
    assert host.made.deadline() is None
    if isinstance(host.made, NdpResponder):
        assert effects == [LeaveGroup(ndp.solicited_node(SIX))]


def test_what_is_answered_for_stays_so_while_others_are_asked_for(host: Host) -> None:
    host.put(host.ours)
    host.put(host.ours, host.other, unproven=(host.ours, host.other))
    assert host.answers(host.ours)
    assert not host.answers(host.other)
    host.run(PROOF_S)
    assert host.answers(host.other)


def test_another_ethernet_address_asks_anew(host: Host) -> None:
    host.put(host.ours, unproven=(host.ours,))
    host.run(PROOF_S - 0.05)
    effects = host.made.feed(InterfaceChanged(CLIENT), host.now)
    assert counters(effects) == ["probes_sent"]
    assert not any(isinstance(each, Proven) for each in host.run(PROOF_S - 0.05))
    assert any(isinstance(each, Proven) for each in host.run(0.1))


def test_thousands_are_asked_for_in_batches(host: Host) -> None:
    many = tuple(range(host.ours, host.ours + 5000))
    assert len(counters(host.put(*many, unproven=many))) == BATCH
    effects = host.run(1.5)
    assert sum(isinstance(each, Proven) for each in effects) == len(many)
    assert all(host.answers(each) for each in (many[0], many[-1]))


def test_one_that_has_an_announced_address_silently_is_found_by_the_probe_after(host: Host) -> None:
    host.put(host.ours)
    assert counters(host.run(10))[-1] == "probes_sent"
    assert host.hear(host.claim(host.ours)) == [Conflict(host.ours, STRANGER)]

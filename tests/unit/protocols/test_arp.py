"""ARP: frames byte by byte, and what a responder does with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.protocols.announcing import (
    ROUND_INTERVAL_S,
    ROUNDS,
    Conflict,
    Count,
    Drop,
    FrameReceived,
    InterfaceChanged,
    Send,
    TableChanged,
)
from metallb.protocols.arp.errors import DecodeError
from metallb.protocols.arp.packet import REPLY, REQUEST, ArpPacket, decode
from metallb.protocols.arp.responder import ArpResponder
from metallb.protocols.ethernet import BROADCAST, Mac, format_mac, parse_mac

MINE, THEIRS = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")
OURS, ASKER = 0xC6336464, 0xC63364C8  # 198.51.100.100 and .200

# A request and its answer as in RFC 826, written out by hand: who-has 198.51.100.100 tell 198.51.100.200
ASKED = bytes.fromhex("ffffffffffff 020000000002 0806 0001 0800 06 04 0001 020000000002 c63364c8 000000000000 c6336464")
ANSWERED = bytes.fromhex(
    "020000000002 020000000001 0806 0001 0800 06 04 0002 020000000001 c6336464 020000000002 c63364c8"
)

macs = st.binary(min_size=6, max_size=6).map(Mac)
packets = st.builds(
    ArpPacket,
    destination=macs,
    source=macs,
    operation=st.integers(0, 0xFFFF),
    sender_mac=macs,
    sender_ip=st.integers(0, 2**32 - 1),
    target_mac=macs,
    target_ip=st.integers(0, 2**32 - 1),
)


def responder(*table: int) -> ArpResponder:
    made = ArpResponder(MINE)
    made.feed(TableChanged(frozenset(table)), 0.0)
    while (deadline := made.deadline()) is not None:
        made.tick(deadline)
    return made


@given(packets, st.binary(max_size=20))
def test_what_is_encoded_is_decoded_with_any_padding(packet: ArpPacket, padding: bytes) -> None:
    assert decode(packet.encode() + padding) == packet


@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_decode_error(frame: bytes) -> None:
    try:
        decode(frame)
    except DecodeError as error:
        assert error.code


@pytest.mark.parametrize("length", range(len(ASKED)))
def test_a_cut_off_frame_is_short(length: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(ASKED[:length])
    assert caught.value.code == "short"


@pytest.mark.parametrize(
    ("offset", "value", "code"),
    [(12, b"\x08\x00", "ethertype"), (14, b"\x00\x06", "type"), (16, b"\x86\xdd", "type"), (18, b"\x08", "type")],
)
def test_other_protocols_are_told_apart(offset: int, value: bytes, code: str) -> None:
    frame = ASKED[:offset] + value + ASKED[offset + len(value) :]
    with pytest.raises(DecodeError) as caught:
        decode(frame)
    assert caught.value.code == code


def test_a_request_for_our_address_is_answered() -> None:
    effects = responder(OURS).feed(FrameReceived(ASKED), 1.0)
    assert effects == [Count(OURS, "requests_received"), Send(ANSWERED, OURS, "responses_sent")]


def test_a_unicast_request_is_answered_too() -> None:
    assert responder(OURS).feed(FrameReceived(MINE + ASKED[6:]), 1.0)[1] == Send(ANSWERED, OURS, "responses_sent")


def test_a_probe_is_defended() -> None:
    """RFC 5227: sender address 0 asks whether anybody has the address."""
    probe = ArpPacket(BROADCAST, THEIRS, REQUEST, THEIRS, 0, Mac(bytes(6)), OURS)
    _, sent = responder(OURS).feed(FrameReceived(probe.encode()), 1.0)
    assert isinstance(sent, Send)
    reply = decode(sent.frame)
    assert (reply.operation, reply.sender_ip, reply.sender_mac, reply.target_ip) == (REPLY, OURS, MINE, 0)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param(ASKED[:-1] + b"\x65", "not-ours", id="another address"),
        pytest.param(ArpPacket(MINE, THEIRS, REPLY, THEIRS, ASKER, MINE, OURS).encode(), "not-a-request", id="a reply"),
        pytest.param(ANSWERED, "own", id="our own reply, come back"),
        pytest.param(ArpPacket(BROADCAST, MINE, REQUEST, MINE, ASKER, MINE, OURS).encode(), "own", id="our own host"),
        pytest.param(THEIRS + ASKED[6:], "other-destination", id="for another host"),
        pytest.param(ASKED[:20], "malformed-short", id="cut off"),
    ],
)
def test_other_frames_are_dropped_with_a_reason(frame: bytes, reason: str) -> None:
    assert responder(OURS).feed(FrameReceived(frame), 1.0) == [Drop(reason)]


def test_a_withdrawn_address_is_not_answered_any_more() -> None:
    made = responder(OURS)
    made.feed(TableChanged(frozenset()), 1.0)
    assert made.feed(FrameReceived(ASKED), 1.0) == [Drop("not-ours")]


def frames(effects: list[object]) -> list[ArpPacket]:
    return [decode(effect.frame) for effect in effects if isinstance(effect, Send)]


def test_a_new_address_is_announced_in_five_rounds_of_request_and_reply() -> None:
    made, now, rounds = ArpResponder(MINE), 10.0, []
    effects = made.feed(TableChanged(frozenset({OURS})), now)
    while True:
        rounds.append((now, [packet.operation for packet in frames(list(effects))]))
        deadline = made.deadline()
        if deadline is None:
            break
        now = deadline
        effects = made.tick(now)
    *before, last = [operations for _, operations in rounds]
    assert before == [[REQUEST, REPLY]] * (ROUNDS - 1)
    assert last == [REQUEST, REPLY, REQUEST]  # with the last round goes a probe
    assert [round(at - 10.0, 3) for at, _ in rounds] == [round(n * ROUND_INTERVAL_S, 3) for n in range(ROUNDS)]


def test_announcements_are_broadcast_with_the_address_on_both_sides() -> None:
    for packet in frames(list(ArpResponder(MINE).feed(TableChanged(frozenset({OURS})), 0.0))):
        assert (packet.destination, packet.source, packet.sender_mac) == (BROADCAST, MINE, MINE)
        assert (packet.sender_ip, packet.target_ip, packet.target_mac) == (OURS, OURS, BROADCAST)


def test_nothing_is_sent_for_an_address_that_was_withdrawn_during_its_burst() -> None:
    made = ArpResponder(MINE)
    made.feed(TableChanged(frozenset({OURS})), 0.0)
    assert made.feed(TableChanged(frozenset()), 0.5) == []
    assert made.deadline() is None
    assert made.tick(5.0) == []


def test_an_unchanged_table_announces_nothing() -> None:
    assert responder(OURS).feed(TableChanged(frozenset({OURS})), 200.0) == []


def test_a_new_hardware_address_is_announced_and_used() -> None:
    made = responder(OURS)
    effects = made.feed(InterfaceChanged(THEIRS), 200.0)
    assert {format_mac(packet.sender_mac) for packet in frames(list(effects))} == {"02:00:00:00:00:02"}


@pytest.mark.parametrize(
    ("operation", "target", "answered"),
    [
        pytest.param(REPLY, OURS, False, id="announced by a reply"),
        pytest.param(REQUEST, OURS, False, id="announced by a request"),
        pytest.param(REPLY, ASKER, False, id="answered to somebody"),
        pytest.param(REQUEST, ASKER, False, id="used to ask for another"),
        pytest.param(REQUEST, OURS + 1, True, id="used to ask for another of ours"),
    ],
)
def test_who_names_our_address_as_its_own_is_told_of(operation: int, target: int, *, answered: bool) -> None:
    heard = ArpPacket(BROADCAST, THEIRS, operation, THEIRS, OURS, Mac(bytes(6)), target)
    first, *others = responder(OURS, OURS + 1).feed(FrameReceived(heard.encode()), 1.0)
    assert first == Conflict(OURS, THEIRS)
    assert any(isinstance(each, Send) for each in others) is answered


@given(st.one_of(packets.map(ArpPacket.encode), st.binary(max_size=80)))
def test_no_frame_is_too_odd_for_a_responder(frame: bytes) -> None:
    effects = responder(OURS).feed(FrameReceived(frame), 1.0)
    assert effects
    for effect in effects:
        assert isinstance(effect, Drop) or effect.address == OURS  # type: ignore[union-attr]  # ARP has no groups

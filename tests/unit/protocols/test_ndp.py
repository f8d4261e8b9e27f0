"""Neighbour Discovery: frames byte by byte, and what a responder does with them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.protocols.announcing import (
    ROUNDS,
    Conflict,
    Count,
    Drop,
    FrameReceived,
    JoinGroup,
    LeaveGroup,
    Send,
    TableChanged,
)
from metallb.protocols.ethernet import Mac, parse_mac
from metallb.protocols.ndp.errors import DecodeError
from metallb.protocols.ndp.packet import (
    ADVERTISEMENT,
    ALL_NODES,
    OVERRIDE,
    SOLICITATION,
    SOLICITED,
    NdpPacket,
    decode,
    multicast_mac,
    solicited_node,
)
from metallb.protocols.ndp.responder import NdpResponder

MINE, THEIRS = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")


def ip(text: str) -> int:
    return int(IPv6Address(text))


OURS, ASKER, ME = ip("2001:db8:100::64"), ip("2001:db8:100::c8"), ip("fe80::1")
GROUP = ip("ff02::1:ff00:64")
SOLICIT = NdpPacket(multicast_mac(GROUP), THEIRS, GROUP, ASKER, SOLICITATION, OURS, link_layer=THEIRS)

# Neighbour Solicitation for 2001:db8:100::64, written out by hand from RFC 4861 4.3; the checksum by RFC 1071.
ASKED = bytes.fromhex(
    "3333ff000064 020000000002 86dd60000000 0020 3a ff 20010db8010000000000000000000 0c8".replace(" ", "")
    + "ff0200000000000000000001ff000064"
    + "8700"
    + "189b"
    + "00000000"
    + "20010db8010000000000000000000064"
    + "0101020000000002"
)

macs = st.binary(min_size=6, max_size=6).map(Mac)
unicast = st.integers(1, (0xFF << 120) - 1)
packets = st.builds(
    NdpPacket,
    destination_mac=macs,
    source_mac=macs,
    destination=st.integers(1, 2**128 - 1),
    source=unicast,
    kind=st.just(ADVERTISEMENT),
    target=unicast,
    flags=st.integers(0, 7).map(lambda bits: bits << 29),
    link_layer=st.none() | macs,
)


def responder(*table: int) -> NdpResponder:
    made = NdpResponder(MINE, ME)
    made.feed(TableChanged(frozenset(table)), 0.0)
    while (deadline := made.deadline()) is not None:
        made.tick(deadline)
    return made


@given(packets, st.binary(max_size=20))
def test_what_is_encoded_is_decoded_with_any_padding(packet: NdpPacket, padding: bytes) -> None:
    assert decode(packet.encode() + padding) == packet


@given(st.binary(max_size=120) | st.binary(max_size=60).map(lambda tail: ASKED[:54] + tail))
def test_no_bytes_raise_anything_but_a_decode_error(frame: bytes) -> None:
    try:
        decode(frame)
    except DecodeError as error:
        assert error.code


def test_a_solicitation_is_read_field_by_field() -> None:
    assert decode(ASKED) == SOLICIT


def test_a_solicitation_is_written_as_the_rfc_draws_it() -> None:
    assert SOLICIT.encode().hex() == ASKED.hex()


@pytest.mark.parametrize("length", range(len(ASKED)))
def test_a_cut_off_frame_is_refused(length: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(ASKED[:length])
    assert caught.value.code in {"short", "length"}


@pytest.mark.parametrize("position", range(14 + 40, len(ASKED)))
def test_every_flipped_bit_of_the_message_is_noticed(position: int) -> None:
    damaged = bytearray(ASKED)
    damaged[position] ^= 0x10
    with pytest.raises(DecodeError):
        decode(bytes(damaged))


@pytest.mark.parametrize(
    ("offset", "value", "code"),
    [
        pytest.param(12, b"\x08\x00", "ethertype", id="not IPv6"),
        pytest.param(20, b"\x06", "header", id="not ICMPv6"),
        pytest.param(21, b"\xfe", "hop-limit", id="came through a router"),
        pytest.param(18, b"\x00\x08", "length", id="too short for its kind"),
        pytest.param(54, b"\x80", "kind", id="an echo request"),
    ],
)
def test_invalid_messages_are_told_apart(offset: int, value: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(ASKED[:offset] + value + ASKED[offset + len(value) :])
    assert caught.value.code == code


def test_a_solicitation_for_our_address_is_answered() -> None:
    counted, sent = responder(OURS).feed(FrameReceived(SOLICIT.encode()), 1.0)
    assert counted == Count(OURS, "requests_received")
    assert isinstance(sent, Send)
    answer = decode(sent.frame)
    assert answer == NdpPacket(THEIRS, MINE, ASKER, ME, ADVERTISEMENT, OURS, SOLICITED | OVERRIDE, MINE)


def test_a_solicitation_without_link_layer_option_is_answered_to_its_sender() -> None:
    _, sent = responder(OURS).feed(FrameReceived(replace(SOLICIT, link_layer=None).encode()), 1.0)
    assert isinstance(sent, Send)
    assert decode(sent.frame).destination_mac == THEIRS


def test_a_probe_for_duplicates_is_defended_to_all_nodes() -> None:
    probe = replace(SOLICIT, source=0, link_layer=None)
    _, sent = responder(OURS).feed(FrameReceived(probe.encode()), 1.0)
    assert isinstance(sent, Send)
    answer = decode(sent.frame)
    assert (answer.destination, answer.destination_mac) == (ALL_NODES, multicast_mac(ALL_NODES))
    assert answer.flags == OVERRIDE


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        pytest.param(replace(SOLICIT, target=OURS + 1), "not-ours", id="another address"),
        pytest.param(replace(SOLICIT, kind=ADVERTISEMENT, target=OURS + 1), "not-ours", id="an advertisement"),
        pytest.param(replace(SOLICIT, source=ME), "own", id="our own"),
        pytest.param(replace(SOLICIT, source_mac=MINE), "own", id="our own host's"),
        pytest.param(replace(SOLICIT, source=0), "malformed-unspecified-source", id="from nowhere, with an option"),
        pytest.param(replace(SOLICIT, target=ip("ff02::1")), "malformed-target", id="for a group"),
    ],
)
def test_other_frames_are_dropped_with_a_reason(packet: NdpPacket, reason: str) -> None:
    assert responder(OURS).feed(FrameReceived(packet.encode()), 1.0) == [Drop(reason)]


def test_groups_are_joined_with_the_first_address_and_left_with_the_last() -> None:
    made, twin = NdpResponder(MINE, ME), ip("2001:db8:200::64")
    assert JoinGroup(GROUP) in made.feed(TableChanged(frozenset({OURS})), 0.0)
    again = made.feed(TableChanged(frozenset({OURS, twin})), 1.0)
    assert not any(isinstance(effect, JoinGroup) for effect in again)
    one_left = made.feed(TableChanged(frozenset({twin})), 2.0)
    assert not any(isinstance(effect, LeaveGroup) for effect in one_left)
    assert made.feed(TableChanged(frozenset()), 3.0) == [LeaveGroup(GROUP)]


def test_a_new_address_is_announced_to_all_nodes_in_five_rounds() -> None:
    made = NdpResponder(MINE, ME)
    sent = [e for e in made.feed(TableChanged(frozenset({OURS})), 0.0) if isinstance(e, Send)]
    while (deadline := made.deadline()) is not None:
        sent += [e for e in made.tick(deadline) if isinstance(e, Send)]
    expected = NdpPacket(multicast_mac(ALL_NODES), MINE, ALL_NODES, ME, ADVERTISEMENT, OURS, OVERRIDE, MINE)
    *announcements, probe = [decode(effect.frame) for effect in sent]
    assert announcements == [expected] * ROUNDS
    group = solicited_node(OURS)
    assert probe == NdpPacket(multicast_mac(group), MINE, group, 0, SOLICITATION, OURS)


def test_solicited_node_groups() -> None:
    assert solicited_node(OURS) == GROUP
    assert multicast_mac(GROUP) == parse_mac("33:33:ff:00:00:64")


@pytest.mark.parametrize("option", [THEIRS, None])
def test_who_advertises_our_address_is_told_of(option: Mac | None) -> None:
    heard = NdpPacket(
        multicast_mac(ALL_NODES), THEIRS, ALL_NODES, ASKER, ADVERTISEMENT, OURS, flags=OVERRIDE, link_layer=option
    )
    assert responder(OURS).feed(FrameReceived(heard.encode()), 1.0) == [Conflict(OURS, THEIRS)]
    assert responder(OURS + 1).feed(FrameReceived(heard.encode()), 1.0) == [Drop("not-ours")]


tables = st.lists(st.frozensets(st.integers(0, 5).map(lambda n: OURS + (n % 3) + (n // 3 << 24))), max_size=8)


@given(tables)
def test_groups_are_joined_exactly_while_an_address_needs_them(changes: list[frozenset[int]]) -> None:
    made, joined = NdpResponder(MINE, ME), set()
    for table in changes:
        for effect in made.feed(TableChanged(table), 0.0):
            if isinstance(effect, JoinGroup):
                assert effect.group not in joined
                joined.add(effect.group)
            elif isinstance(effect, LeaveGroup):
                joined.remove(effect.group)
        assert joined == {solicited_node(address) for address in table}


@given(st.one_of(packets.map(NdpPacket.encode), st.binary(max_size=120)), st.data())
def test_no_frame_is_too_odd_for_a_responder(frame: bytes, data: st.DataObject) -> None:
    damaged = bytearray(frame)
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert responder(OURS).feed(FrameReceived(bytes(damaged)), 1.0)

"""Who answered when: frames that are answers, and what follows from a row of them."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict

import pytest

from kubelab.witness import Answer, Record, answer_in, arp_question, ndp_question

FOUR, SIX = ipaddress.ip_address("198.51.100.100"), ipaddress.ip_address("2001:db8:100::64")
CLIENT_FOUR, CLIENT_SIX = ipaddress.ip_address("198.51.100.200"), ipaddress.ip_address("2001:db8:100::200")
CLIENT, NODE = bytes.fromhex("0200000000c8"), bytes.fromhex("020000000001")
BROADCAST, ALL_NODES = b"\xff" * 6, bytes.fromhex("333300000001")


def arp(operation: int, destination: bytes, sender: bytes, asked_for: bytes) -> bytes:
    ethernet = destination + NODE + b"\x08\x06"
    return ethernet + bytes.fromhex("000108000604") + operation.to_bytes(2) + NODE + sender + bytes(6) + asked_for


def advertisement(
    destination: bytes, target: bytes = SIX.packed, kind: int = 136, option: bytes = b"\x02\x01"
) -> bytes:
    header = bytes.fromhex("60000000") + (32).to_bytes(2) + bytes([58, 255]) + bytes(32)
    return destination + NODE + b"\x86\xdd" + header + bytes([kind]) + bytes(7) + target + option + NODE


@pytest.mark.parametrize(
    ("frame", "target", "found"),
    [
        pytest.param(arp(2, CLIENT, FOUR.packed, CLIENT_FOUR.packed), FOUR, (NODE.hex(":"), True), id="ARP reply"),
        pytest.param(arp(2, BROADCAST, FOUR.packed, FOUR.packed), FOUR, (NODE.hex(":"), False), id="ARP to everybody"),
        pytest.param(
            arp(1, BROADCAST, FOUR.packed, FOUR.packed), FOUR, (NODE.hex(":"), False), id="ARP request of itself"
        ),
        pytest.param(arp(1, BROADCAST, CLIENT_FOUR.packed, FOUR.packed), FOUR, None, id="ARP request"),
        pytest.param(arp(2, CLIENT, CLIENT_FOUR.packed, FOUR.packed), FOUR, None, id="ARP reply about another"),
        pytest.param(advertisement(CLIENT), SIX, (NODE.hex(":"), True), id="NDP answer"),
        pytest.param(advertisement(ALL_NODES), SIX, (NODE.hex(":"), False), id="NDP to everybody"),
        pytest.param(advertisement(CLIENT, target=CLIENT_SIX.packed), SIX, None, id="NDP about another"),
        pytest.param(advertisement(CLIENT, kind=135), SIX, None, id="NDP question"),
        pytest.param(advertisement(CLIENT, option=b"\x01\x01"), SIX, None, id="NDP without an Ethernet address"),
        pytest.param(advertisement(CLIENT)[:-1], SIX, None, id="too short"),
        pytest.param(b"\x00" * 13, SIX, None, id="no frame"),
    ],
)
def test_frames_that_are_answers(frame: bytes, target: ipaddress.IPv4Address, found: tuple[str, bool] | None) -> None:
    assert answer_in(frame, target) == found


def test_questions_are_well_formed() -> None:
    frame = arp_question(CLIENT, CLIENT_FOUR, FOUR)
    assert (frame[:6], frame[12:14], frame[20:22], frame[38:42]) == (BROADCAST, b"\x08\x06", b"\x00\x01", FOUR.packed)
    frame = ndp_question(CLIENT, CLIENT_SIX, SIX)
    assert (frame[:6].hex(), frame[54], frame[62:78], frame[80:]) == ("3333ff000064", 135, SIX.packed, CLIENT)
    words = frame[22:38] + frame[38:54] + (32).to_bytes(4) + (58).to_bytes(4) + frame[54:]
    total = sum(int.from_bytes(words[at : at + 2]) for at in range(0, len(words), 2))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF, "the checksum of RFC 1071"


def record(row: str, step_s: float = 0.01) -> Record:
    """A letter for each answer, `step_s` apart; a small one is to everybody, a dot none."""
    answers = [Answer(number * step_s, each.upper(), each.isupper()) for number, each in enumerate(row) if each != "."]
    return Record(0.0, len(row) * step_s, len(row), answers)


@pytest.mark.parametrize(
    ("row", "double_s"),
    [
        pytest.param("AAAA", 0.0, id="one"),
        pytest.param("AAAABBBB", 0.0, id="a change"),
        pytest.param("AAAA........BBBB", 0.0, id="a change with a gap"),
        pytest.param("AABBAA", 0.03, id="back and forth"),
        pytest.param("AAABABABBB", 0.05, id="both for a while"),
        pytest.param("AAABBBBBBBBBBBBABB", 0.02, id="a late one"),
        pytest.param("AAAbAAA", 0.0, id="an announcement is no answer"),
        pytest.param("ABABABAB" + "A" * 30 + "BABA", 0.08, id="twice: the longer"),
        pytest.param("", 0.0, id="nobody"),
    ],
)
def test_how_long_two_answered(row: str, double_s: float) -> None:
    assert record(row).longest_double_s() == pytest.approx(double_s)


@pytest.mark.parametrize(("row", "gap_s"), [("AAAA", 0.01), ("AA..bA", 0.04), ("....AA", 0.04), ("AA...", 0.04)])
def test_how_long_nobody_answered(row: str, gap_s: float) -> None:
    assert record(row).longest_gap_s() == pytest.approx(gap_s)


def test_who_answered_first_and_when() -> None:
    seen = record("A..BbAC")
    assert seen.by() == ["A", "B", "C"]
    assert seen.first("A") == 0.0
    assert seen.first("A", after_s=0.01) == 0.05
    assert seen.first_other("A") == 0.03
    assert seen.first_other("A", after_s=0.04) == pytest.approx(0.06)
    assert seen.first("D") is None
    assert [each.mac for each in seen.between(0.025, 0.05).answers] == ["B", "B"]


def test_what_is_printed_is_read_again() -> None:
    seen = record("A..BbAC")
    assert Record.parse(json.dumps(asdict(seen))) == seen

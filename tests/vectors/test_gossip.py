"""Recorded gossip: every packet is understood, and written again as the same bytes (spec/speaker.md 3.6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metallb.protocols.swim import packet
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring
from metallb.protocols.swim.packet import Type

FOLDER = Path(__file__).parent / "gossip"
FRAMING = Framing(Keyring((bytes(range(32)),)))


def lines(kind: str) -> list[dict[str, Any]]:
    texts = [(FOLDER / f"{name}.jsonl").read_text() for name in ("death", "graceful")]
    found = [json.loads(line) for text in texts for line in text.splitlines()]
    return [line for line in found if kind in line]


def encoded(message: bytes) -> bytes:
    """The message, read and written again."""
    parts = [packet.encode(each) for each in packet.decode(message)]
    return packet.compound(parts) if message[0] == Type.COMPOUND else parts[0]


def test_datagrams_are_read_and_written_as_recorded() -> None:
    recorded = lines("udp")
    assert len(recorded) == 383
    for line in recorded:
        wire, clear = bytes.fromhex(line["udp"]), bytes.fromhex(line["clear"])
        message = FRAMING.read_datagram(wire)
        again = FRAMING.datagram(encoded(message), wire[1:13], checksum=clear[0] == Type.CRC)
        assert again == wire, line["decoded"]


def test_streams_are_read_and_written_as_recorded() -> None:
    recorded = lines("tcp")
    assert len(recorded) == 30
    for line in recorded:
        wire = bytes.fromhex(line["tcp"])
        size = FRAMING.stream_size(wire[:5])
        assert size == len(wire) - 5
        assert FRAMING.stream(encoded(FRAMING.read_stream(wire)), wire[6:18]) == wire, line["decoded"]


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_messages_mean_what_the_recorder_saw(kind: str) -> None:
    for line in lines(kind):
        wire = bytes.fromhex(line[kind])
        message = FRAMING.read_datagram(wire) if kind == "udp" else FRAMING.read_stream(wire)
        assert [shown(each) for each in packet.decode(message)] == list(recorded_bodies(line["decoded"]))


def recorded_bodies(decoded: dict[str, Any]) -> list[dict[str, Any]]:
    if "inner" in decoded:
        return recorded_bodies(decoded["inner"])
    if "parts" in decoded:
        return [body for part in decoded["parts"] for body in recorded_bodies(part)]
    if decoded["type"] == "pushPull":
        header, *rows = decoded["body"]
        return [
            {"join": header["Join"], "members": [[r["Name"], r["Addr"], r["Incarnation"], r["State"]] for r in rows]}
        ]
    (body,) = decoded["body"]
    return [{name: body[name] for name in ("Node", "SeqNo", "Incarnation", "From", "Addr", "Target") if name in body}]


def shown(message: packet.Message) -> dict[str, Any]:
    if isinstance(message, packet.PushPull):
        rows = [[m.node, f"0x{m.address.hex()}", m.incarnation, int(m.state)] for m in message.members]
        return {"join": message.join, "members": rows}
    names = {
        "node": "Node",
        "sequence": "SeqNo",
        "incarnation": "Incarnation",
        "sender": "From",
        "address": "Addr",
        "target": "Target",
    }
    found = {name: getattr(message, attribute) for attribute, name in names.items() if hasattr(message, attribute)}
    return {name: f"0x{value.hex()}" if isinstance(value, bytes) else value for name, value in found.items()}

"""Bytes of strangers for every codec and what stands behind it: at worst a decode error, never anything else."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.soak.result import Result, say

from metallb.api.net import Address
from metallb.protocols.announcing import FrameReceived, TableChanged
from metallb.protocols.arp.packet import ArpPacket
from metallb.protocols.arp.responder import ArpResponder
from metallb.protocols.ethernet import parse_mac
from metallb.protocols.heartbeat import errors as heartbeat_errors
from metallb.protocols.heartbeat import packet as heartbeat
from metallb.protocols.ndp.packet import SOLICITATION, NdpPacket, multicast_mac, solicited_node
from metallb.protocols.ndp.responder import NdpResponder
from metallb.protocols.swim import membership as m
from metallb.protocols.swim import packet
from metallb.protocols.swim.errors import DecodeError
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring
from metallb.protocols.swim.membership import Membership
from metallb.protocols.swim.roster import Endpoint
from metallb.protocols.swim.settings import LAN

RECORDED: Final = Path(__file__).resolve().parent.parent / "vectors" / "gossip"
MINE, THEIRS = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:02")
OURS = {family: Address.parse(text).value for family, text in ((4, "198.51.100.100"), (6, "2001:db8:100::64"))}
ASKER = {family: Address.parse(text).value for family, text in ((4, "198.51.100.200"), (6, "2001:db8:100::c8"))}
KEYS: Final = Keyring((bytes(range(32)),))
BATCH: Final = 2000
Target = Callable[[bytes], None]


class Fuzzer:
    """Bytes made of good ones, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def spoil(self, data: bytes, others: list[bytes]) -> bytes:
        made = bytearray(data)
        for _ in range(self.chance.choice([0, 1, 1, 2, 4, 16])):
            self.chance.choice([self.flip, self.number, self.cut, self.insert, self.splice])(made, others)
        return bytes(made)

    def flip(self, made: bytearray, _others: list[bytes]) -> None:
        if made:
            made[self.chance.randrange(len(made))] ^= 1 << self.chance.randrange(8)

    def number(self, made: bytearray, _others: list[bytes]) -> None:
        """Lengths and counts at their bounds."""
        at = self.chance.randrange(len(made) + 1)
        bound = self.chance.choice(
            [b"\x00", b"\xff", b"\x7f", b"\xff\xff", b"\x80\x00", b"\xff\xff\xff\xff", b"\x00\x00"]
        )
        made[at : at + len(bound)] = bound

    def cut(self, made: bytearray, _others: list[bytes]) -> None:
        del made[self.chance.randrange(len(made) + 1) :]

    def insert(self, made: bytearray, _others: list[bytes]) -> None:
        at = self.chance.randrange(len(made) + 1)
        made[at:at] = self.chance.randbytes(self.chance.randrange(1, 40))

    def splice(self, made: bytearray, others: list[bytes]) -> None:
        other = self.chance.choice(others)
        at = self.chance.randrange(len(made) + 1)
        made[at:] = other[self.chance.randrange(len(other) + 1) :]


def run(minutes: float) -> Result:
    """Each target in turn, in batches, until the time is over."""
    seed = random.SystemRandom().getrandbits(32)
    result = Result({"seed": seed, "inputs": Counter()})
    fuzzer, end = Fuzzer(seed), time.monotonic() + 60 * minutes
    targets = dict(every_target(fuzzer.chance))
    rounds = 0
    while time.monotonic() < end and not result.problems:
        for name, (target, corpus) in targets.items():
            for _ in range(BATCH):
                data = fuzzer.spoil(fuzzer.chance.choice(corpus), corpus)
                try:
                    target(data)
                except Exception as error:  # noqa: BLE001  # that is what is looked for
                    result.want(False, f"{name}, seed {seed}: {error!r} for {data.hex()}")
                    break
            result.figures["inputs"][name] += BATCH
        rounds += 1
        if rounds % 20 == 0:
            say(f"fuzz: seed {seed}: {sum(result.figures['inputs'].values())} inputs")
    return result


def every_target(chance: random.Random) -> Iterator[tuple[str, tuple[Target, list[bytes]]]]:
    """By name: what takes bytes, and good ones to begin with."""
    arp, ndp = ArpResponder(MINE), NdpResponder(MINE, Address.parse("fe80::1").value)
    arp.feed(TableChanged(frozenset({OURS[4]})), 0.0)
    ndp.feed(TableChanged(frozenset({OURS[6]})), 0.0)
    asked = ArpPacket(b"\xff" * 6, THEIRS, 1, THEIRS, ASKER[4], b"\x00" * 6, OURS[4])  # type: ignore[arg-type]  # plain bytes do
    group = solicited_node(OURS[6])
    solicited = NdpPacket(multicast_mac(group), THEIRS, group, ASKER[6], SOLICITATION, OURS[6], link_layer=THEIRS)
    yield "arp", (lambda data: ignore(arp.feed(FrameReceived(data), 1.0)), [asked.encode()])
    yield "ndp", (lambda data: ignore(ndp.feed(FrameReceived(data), 1.0)), [solicited.encode()])
    beats = [heartbeat.Beat("node-a", 7, 9, frozenset({"node-b", "x" * 50}), call=True).encode()]
    yield "heartbeat", (beat, beats)
    wires = list(recorded())
    framings = [Framing(KEYS), Framing(None)]
    for number, framing in enumerate(framings):
        corpus = [wire for wire, _ in wires] if number == 0 else [clear for _, clear in wires]
        yield f"datagram{number}", (guarded(framing.read_datagram), corpus)
        yield f"stream{number}", (guarded(framing.read_stream), corpus)
    yield "member", (member(chance), [clear for _, clear in wires])


def ignore(_outputs: object) -> None:
    """Whatever a machine answers is fine."""


def beat(data: bytes) -> None:
    try:
        heartbeat.decode(data)
    except heartbeat_errors.DecodeError:
        return


def guarded(read: Callable[[bytes], object]) -> Target:
    def target(data: bytes) -> None:
        try:
            read(data)
        except DecodeError:
            return

    return target


def member(chance: random.Random) -> Target:
    """A member that hears it all, on streams, too, and lives on."""
    sender = Endpoint(bytes([198, 51, 100, 12]), 7946)
    machine = Membership("bn1", Endpoint(bytes([198, 51, 100, 11]), 7946), LAN, chance.randrange, overhead=29)
    now = [0.0]
    machine.start(0.0)

    def target(data: bytes) -> None:
        now[0] += 0.01
        try:
            messages = packet.decode(data)
        except DecodeError:
            return
        for message in messages:
            machine.feed(chance.choice([m.Heard(sender, message), m.Asked(1, message), m.Answered(2, message)]), now[0])
        machine.tick(now[0])
        assert "bn1" in machine.present
        if len(machine.roster.members) > 500:
            machine.roster.members = {"bn1": machine.roster.members["bn1"]}
            machine.roster.suspicions.clear()

    return target


def recorded() -> Iterator[tuple[bytes, bytes]]:
    """What upstream's speakers sent: as it was on the wire, and in clear."""
    for name in ("death", "graceful"):
        for line in (RECORDED / f"{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            if "udp" in row:
                wire = bytes.fromhex(row["udp"])
                yield wire, Framing(KEYS).read_datagram(wire)
            elif "tcp" in row:
                wire = bytes.fromhex(row["tcp"])
                yield wire, Framing(KEYS).read_stream(wire)

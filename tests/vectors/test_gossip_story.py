"""Recorded gossip, replayed to a member: what upstream's speakers told each other leads it to the same story.

In both recordings node bn0 goes (`death`: its link is cut and it is killed, `graceful`: SIGTERM) and comes back. A member
in the place of a survivor is fed all that this one received, at the recorded times; its own probes are answered by
whoever lived then.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from metallb.advertisement.election import elect
from metallb.api.net import Address, NodeName
from metallb.protocols.arp.packet import decode as decode_arp
from metallb.protocols.swim import membership as m
from metallb.protocols.swim import packet
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring
from metallb.protocols.swim.membership import Membership
from metallb.protocols.swim.roster import Endpoint, Gone, Joined
from metallb.protocols.swim.settings import LAN

FOLDER = Path(__file__).parent / "gossip"
FRAMING = Framing(Keyring((bytes(range(32)),)))
PORT = 9122
NODES = {"bn0": "198.51.100.10", "bn1": "198.51.100.11", "bn2": "198.51.100.12"}


def endpoint(node: str) -> Endpoint:
    return Endpoint(Address.parse(NODES[node]).pack(), PORT)


def host(place: str) -> str:
    return place.partition(":")[0]


class Replay:
    """A member in the place of a node, on the recording's time."""

    def __init__(self, recording: str, node: str) -> None:
        text = (FOLDER / f"{recording}.jsonl").read_text()
        self.rows = [row for row in map(json.loads, text.splitlines()) if "udp" in row or "tcp" in row]
        self.node = node
        self.machine = Membership(node, endpoint(node), LAN, random.Random(1).randrange)
        self.story: list[tuple[float, Joined | Gone]] = []
        self._count = itertools.count()
        self._due: list[tuple[float, int, m.Input]] = []
        spoke = [row["t"] for row in self.rows if host(row["src"]) == NODES["bn0"]]
        good_byes = [row["t"] for row in self.rows if '"From": "bn0"' in json.dumps(row["decoded"])]
        if recording == "graceful":
            self.went = good_byes[0]
            self.came = next(moment for moment in spoke if moment > self.went + 1)
        else:
            self.went, self.came = max(itertools.pairwise(spoke), key=lambda pair: pair[1] - pair[0])

    def run(self) -> None:
        now = self.rows[0]["t"]
        self._take(self.machine.start(now), now)
        for row in self.rows:
            if host(row["dst"]) == NODES[self.node]:
                self._at(row["t"], self._input(row))
        end = self.rows[-1]["t"]
        while True:
            tick = self.machine.deadline() or end
            due = self._due[0][0] if self._due else end
            now = max(now, min(tick, due))
            if now >= end:
                return
            if due <= tick:
                _, _, event = heapq.heappop(self._due)
                self._take(self.machine.feed(event, now), now)
            else:
                self._take(self.machine.tick(now), now)

    def _input(self, row: dict[str, Any]) -> list[m.Input]:
        if "udp" in row:
            sender = Endpoint(Address.parse(host(row["src"])).pack(), PORT)
            messages = packet.decode(FRAMING.read_datagram(bytes.fromhex(row["udp"])))
            return [m.Heard(sender, message) for message in messages]
        (message,) = packet.decode(FRAMING.read_stream(bytes.fromhex(row["tcp"])))
        asked = row["dst"].endswith(f":{PORT}")
        return [m.Asked(0, message) if asked else m.Answered(0, message)]

    def _at(self, moment: float, events: Iterable[m.Input]) -> None:
        for event in events:
            heapq.heappush(self._due, (moment, next(self._count), event))

    def _take(self, outputs: Iterable[m.Output], now: float) -> None:
        for output in outputs:
            match output:
                case Joined() | Gone():
                    self.story.append((now, output))
                case m.Exchange(stream):
                    self._at(now + 0.001, [m.Answered(stream, None)])
                case m.Send(to, message):
                    self._answer(to, packet.decode(message), now)
                case _:
                    pass

    def _answer(self, to: Endpoint, messages: Iterable[packet.Message], now: float) -> None:
        if to == endpoint("bn0") and self.went <= now < self.came:
            return
        acks = [packet.Ack(each.sequence) for each in messages if isinstance(each, packet.Ping)]
        self._at(now + 0.001, [m.Heard(to, ack) for ack in acks])

    @property
    def told(self) -> list[str]:
        """The story in words, without the member's own start."""
        return [
            f"{event.name} joined" if isinstance(event, Joined) else f"{event.name} {'left' if event.left else 'died'}"
            for _, event in self.story
            if event.name != self.node
        ]


@pytest.mark.parametrize("node", ["bn1", "bn2"])
@pytest.mark.parametrize(("recording", "end"), [("death", "died"), ("graceful", "left")])
def test_a_survivor_comes_to_the_same_story(recording: str, end: str, node: str) -> None:
    replay = Replay(recording, node)
    replay.run()
    assert sorted(replay.told[:2]) == sorted(f"{each} joined" for each in NODES if each != node)
    assert replay.told[2:] == [f"bn0 {end}", "bn0 joined"]
    assert replay.machine.present == set(NODES)


@pytest.mark.parametrize("node", ["bn1", "bn2"])
def test_a_death_is_dated_as_upstream_did(node: str) -> None:
    replay = Replay("death", node)
    replay.run()
    (at,) = [moment for moment, event in replay.story if isinstance(event, Gone)]
    assert 4 < at - replay.went < 7.5


@pytest.mark.parametrize("node", ["bn1", "bn2"])
def test_a_good_bye_is_heard_at_once(node: str) -> None:
    replay = Replay("graceful", node)
    replay.run()
    (at,) = [moment for moment, event in replay.story if isinstance(event, Gone)]
    assert at - replay.went < 1


VIP = Address.parse("198.51.100.200")


def recorded_owners(recording: str) -> list[tuple[float, str]]:
    """Who announced the address from when on, by the frames of upstream's speakers, once all three knew each other."""
    rows = [json.loads(line) for line in (FOLDER / "announcements.jsonl").read_text().splitlines()]
    frames = [(row["t"], decode_arp(bytes.fromhex(row["arp"]))) for row in rows if row["recording"] == recording]
    numbers = {Address.parse(text).value: node for node, text in NODES.items()}
    nodes = {frame.sender_mac: numbers[frame.sender_ip] for _, frame in frames if frame.sender_ip in numbers}
    told = [(moment, nodes[frame.sender_mac]) for moment, frame in frames if frame.sender_ip == VIP.value]
    owners = [each for before, each in itertools.pairwise([(0.0, ""), *told]) if before[1] != each[1]]
    return owners[owners.index(next(each for each in owners if each[1] == "bn0")) :]


def elected_owners(replay: Replay) -> list[tuple[float, str]]:
    """Who is elected from when on, by what the member in the place of a survivor hears."""
    present: set[str] = set()
    owners: list[tuple[float, str]] = []
    met = False
    for moment, event in replay.story:
        present = present | {event.name} if isinstance(event, Joined) else present - {event.name}
        met = met or present == set(NODES)
        owner = elect(map(NodeName, present), VIP, {})
        if met and owner is not None and (not owners or owners[-1][1] != owner):
            owners.append((moment, owner))
    return owners


@pytest.mark.parametrize("node", ["bn1", "bn2"])
@pytest.mark.parametrize("recording", ["death", "graceful"])
def test_speakers_of_both_kinds_take_the_same_node_for_the_owner(recording: str, node: str) -> None:
    """A mixed cluster: two of upstream's speakers announce what they do, and ours among them elects the same."""
    replay = Replay(recording, node)
    replay.run()
    recorded, elected = recorded_owners(recording), elected_owners(replay)
    assert [owner for _, owner in elected] == [owner for _, owner in recorded] == ["bn0", "bn1", "bn0"]
    for (ours, _), (theirs, _) in zip(elected, recorded, strict=True):
        assert abs(ours - theirs) < 2.5, "chance decides when a death is noticed"

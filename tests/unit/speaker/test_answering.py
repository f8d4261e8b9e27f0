"""The process that answers, on a clock of its own: whose word it takes, how long, and when it falls silent."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from metallb.protocols.arp.packet import REPLY, REQUEST, ArpPacket, decode
from metallb.protocols.ethernet import BROADCAST, Mac, parse_mac
from metallb.speaker.answering import DOUBT_S, LEASE_S, RETRY_S, STANDSTILL_S, Answering
from metallb.speaker.orders import (
    Again,
    Alive,
    Closed,
    Failed,
    Heard,
    Hush,
    Inbox,
    Message,
    Opened,
    Place,
    Places,
    Probed,
    Renew,
    Table,
    Yield,
    encode,
)
from metallb.transports.filters import arp_filters, ndp_filters

OURS, OTHER, ASKER = 0xC6336464, 0xC6336465, 0xC63364C8
MAC, THEIRS = parse_mac("02:00:00:00:00:01"), parse_mac("02:00:00:00:00:c8")
STEP_S = 0.05
Run = Callable[[Callable[["Wired"], None]], None]


class Wired:
    """The process' work in our hands: its clock, its speaker, and a neighbour on a cable."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.speaker, theirs = socket.socketpair()
        self.answering = Answering(theirs, lambda: self.now)
        self.inbox = Inbox()
        self.reports: list[Message] = []
        self.neighbour = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.neighbour.bind(("peer", 0x0806))
        # Of several sockets the kernel serves the eldest last: what has reached this one has reached the process' own.
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.tap.bind(("eth0", 0x0806))
        self.marks = 0
        self.speaker.setblocking(False)

    def close(self) -> None:
        for sock in (self.speaker, self.neighbour, self.tap):
            sock.close()
        self.answering.close()

    def tell(self, *orders: Message) -> None:
        for order in orders:
            self.speaker.send(encode(order))
        self.turn()

    def turn(self) -> None:
        """One turn, without waiting: something is there to do, or nothing."""
        patience = self.answering._patience_ms
        self.answering._patience_ms = lambda: 0  # type: ignore[method-assign]  # time is ours
        assert self.answering.turn()
        self.answering._patience_ms = patience  # type: ignore[method-assign]  # as before
        try:
            self.reports += self.inbox.feed(self.speaker.recv(1 << 16))
        except BlockingIOError:
            return

    def live(self, seconds: float, *, word: bool) -> None:
        """Time goes by; the speaker says that it lives, or not."""
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.tell(*([Alive(self.now)] if word else []))

    def take_part(self, *addresses: int) -> None:
        number = socket.if_nametoindex("eth0")
        self.tell(Places((Place(number, "eth0", MAC, None, running=True, arp=True, ndp=False),)), table(*addresses))
        self.tell(Alive(self.now))
        self.frames()

    def frames(self) -> list[ArpPacket]:
        """What the neighbour has got meanwhile, all of it: a mark that is sent now comes last."""
        self.marks += 1
        mark = THEIRS + MAC + b"\x08\x06" + self.marks.to_bytes(46)
        self.tap.send(mark)
        return [decode(frame) for frame in until(self.neighbour, mark)]

    def send(self, frame: bytes) -> None:
        """Sends it, and waits until it has arrived, however busy the kernel is."""
        self.neighbour.send(frame)
        until(self.tap, frame)

    def ask(self, address: int = OURS) -> None:
        self.send(ArpPacket(BROADCAST, THEIRS, REQUEST, THEIRS, ASKER, Mac(bytes(6)), address).encode())

    def claim(self, address: int = OURS) -> None:
        self.send(ArpPacket(BROADCAST, THEIRS, REPLY, THEIRS, address, BROADCAST, address).encode())

    def answers(self, address: int = OURS) -> bool:
        self.frames()
        self.ask(address)
        self.turn()
        return any(each.destination == THEIRS and each.sender_ip == address for each in self.frames())

    def announced(self) -> set[int]:
        found = {each.sender_ip for each in self.frames() if each.destination == BROADCAST}
        return found - {0}  # probes name no sender

    def heard(self) -> Heard:
        """All that was counted since."""
        self.tell(Alive(self.now))
        found = self.reports[-1]
        assert isinstance(found, Heard)
        return found


def until(sock: socket.socket, last: bytes) -> list[bytes]:
    """What came before this frame."""
    sock.settimeout(60)
    found: list[bytes] = []
    while True:
        frame, (_, _, kind, *_) = sock.recvfrom(2048)
        if kind == socket.PACKET_OUTGOING:
            continue
        if frame == last:
            return found
        found.append(frame)


def table(*addresses: int) -> Table:
    four = frozenset(addresses)
    return Table(socket.if_nametoindex("eth0"), four, frozenset(), arp_filters(four), ndp_filters(()))


def lay_cable() -> None:
    for line in (
        "link add eth0 address 02:00:00:00:00:01 type veth peer name peer",
        "link set peer up",
        "link set eth0 up",
    ):
        subprocess.run(["ip", *line.split()], check=True, timeout=60)


@contextmanager
def wired() -> Iterator[Wired]:
    made = Wired()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def run(in_namespace: Callable[[Callable[[], Coroutine[Any, Any, None]]], None]) -> Run:
    """Runs a test at the two ends of a cable."""

    def inside(body: Callable[[Wired], None]) -> None:
        async def enter() -> None:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # frames of one processor keep their order
            lay_cable()
            with wired() as made:
                body(made)

        in_namespace(enter)

    return inside


class TestTheWordOfTheSpeaker:
    def test_nothing_is_answered_before_it_came(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.tell(
                Places((Place(socket.if_nametoindex("eth0"), "eth0", MAC, None, True, True, False),)), table(OURS)
            )
            assert not wire.answers()
            assert not wire.announced()
            wire.tell(Alive(wire.now))
            assert wire.announced() == {OURS}
            assert wire.answers()

        run(body)

    def test_counts_for_a_while_only(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.live(10, word=True)
            assert wire.answers()
            wire.live(LEASE_S - 2 * STEP_S, word=False)
            assert wire.answers()
            wire.live(3 * STEP_S, word=False)
            wire.frames()
            assert not wire.answers()
            wire.live(10, word=False)
            assert not wire.frames(), "and nothing is announced"

        run(body)

    def test_counts_from_when_it_was_given(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.live(LEASE_S + 1, word=False)
            wire.tell(Alive(wire.now - LEASE_S))
            assert not wire.answers(), "it waited in the socket"
            wire.tell(Alive(wire.now))
            assert wire.announced() == {OURS}
            assert wire.answers()

        run(body)

    def test_its_end_is_the_end(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.speaker.close()
            assert not wire.answering.turn()

        run(body)

    def test_is_answered_with_what_was_counted(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.heard()
            assert wire.answers()
            wire.claim()
            wire.send(ArpPacket(THEIRS, THEIRS, REQUEST, THEIRS, ASKER, MAC, OURS).encode())
            wire.turn()
            found = wire.heard()
            assert found.at == wire.now
            assert set(found.counts) == {("requests_received", 4, OURS, 1), ("responses_sent", 4, OURS, 1)}
            assert found.passed == (("eth0", "arp", 3),)
            assert found.dropped == (("eth0", "arp", "other-destination", 1),)
            assert found.conflicts == (("eth0", 4, OURS, THEIRS, 1),)
            assert wire.heard() == Heard(wire.now), "each is told once"

        run(body)


class TestDoubt:
    def test_while_the_speaker_lives_others_are_not_believed(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.claim()
            assert wire.answers()

        run(body)

    def test_without_its_word_whoever_takes_an_address_over_is_right(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS, OTHER)
            wire.live(DOUBT_S + STEP_S, word=False)
            assert wire.answers()
            wire.claim()
            assert not wire.answers()
            assert wire.answers(OTHER), "only that one"
            wire.tell(Alive(wire.now))
            assert wire.announced() == {OURS}
            assert wire.answers(), "the speaker says what holds"

        run(body)


class TestTheEnd:
    def test_hands_each_address_over_to_whoever_announces_it(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS, OTHER)
            wire.live(1, word=True)
            wire.tell(Yield())
            assert wire.answers(), "nobody has it yet"
            wire.claim()
            assert not wire.answers()
            assert wire.answers(OTHER), "only that one"
            wire.tell(Renew(4, OURS), Alive(wire.now))
            wire.live(0.5, word=True)
            assert not wire.answers(), "for good"
            assert OURS not in wire.announced()

        run(body)


class TestSilence:
    def test_is_kept_until_told_otherwise_and_forgets_what_was_asked(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.ask()
            wire.tell(Hush(silent=True))
            assert not wire.frames()
            assert not wire.answers()
            wire.live(2, word=True)
            assert not wire.answers()
            wire.tell(table(OURS, OTHER))
            assert not wire.frames()
            wire.ask()
            wire.tell(Hush(silent=False))
            found = wire.frames()
            assert {each.destination for each in found} == {BROADCAST}, "announced anew, what was asked is forgotten"
            assert {each.sender_ip for each in found} == {OURS, OTHER}
            assert wire.answers()

        run(body)

    def test_follows_a_standstill_until_the_speaker_lives_after_it(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.speaker.send(encode(Alive(wire.now)))
            wire.ask()
            wire.now += STANDSTILL_S + 0.1
            wire.turn()
            assert not wire.frames(), "an old question, and an old word"
            assert not wire.answers()
            wire.tell(Alive(wire.now))
            assert wire.announced() == {OURS}
            assert wire.answers()
            dropped = [drop for each in wire.reports if isinstance(each, Heard) for drop in each.dropped]
            assert dropped == [("eth0", "arp", "silent", 1), ("eth0", "arp", "not-ours", 1)]

        run(body)

    def test_is_told_from_a_speaker_that_is_slow(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.live(STANDSTILL_S + 0.5, word=False)
            assert wire.answers(), "we were awake all the time"

        run(body)


class TestInterfaces:
    def test_that_can_not_be_used_are_tried_again(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.tell(Places((Place(99, "nosuch", MAC, None, True, True, False),)))
            wire.live(RETRY_S * 3.5, word=True)
            failed = [each for each in wire.reports if isinstance(each, Failed)]
            assert [each.interface for each in failed] == ["nosuch"], "told once"
            subprocess.run(["ip", "link", "set", "eth0", "down"], check=True, timeout=60)
            subprocess.run(["ip", "link", "set", "eth0", "name", "nosuch", "up"], check=True, timeout=60)
            wire.live(RETRY_S + STEP_S, word=True)
            assert Opened("nosuch", arp=True, ndp=False) in wire.reports
            wire.tell(Places(()))
            assert Closed("nosuch") in wire.reports
            assert wire.answering._files == {}

        run(body)

    def test_are_announced_on_again_when_told(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS)
            wire.live(6, word=True)
            wire.frames()
            wire.tell(Again())
            assert wire.announced() == {OURS}

        run(body)

    def test_announce_one_address_again_when_another_claims_it(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            wire.take_part(OURS, OTHER)
            wire.live(6, word=True)
            wire.frames()
            wire.tell(Renew(4, OURS), Renew(4, ASKER), Renew(6, OURS))
            assert wire.announced() == {OURS}
            wire.live(6, word=True)
            assert wire.announced() == {OURS}

        run(body)


def test_reports_wait_for_a_speaker_that_is_busy_and_answers_do_not(run: Run) -> None:
    def body(wire: Wired) -> None:
        wire.take_part(*range(OURS, OURS + 3000))
        wire.speaker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sent = 0
        while not wire.answering._outgoing:
            wire.speaker.send(encode(Alive(wire.now)))
            assert wire.answering.turn()
            sent += 1
            if sent % 20 == 0:
                wire.ask()
        wire.frames()
        wire.ask()
        assert wire.answering.turn()
        assert any(each.destination == THEIRS for each in wire.frames())
        for _ in range(sent + 5):
            wire.turn()
        assert not wire.answering._outgoing
        assert sum(isinstance(each, Heard) for each in wire.reports) >= sent

    run(body)


class TestUnprovenAddresses:
    def new(self, *addresses: int) -> Table:
        return table(*addresses)._replace(unproven_four=frozenset(addresses))

    def begin(self, wire: Wired) -> None:
        wire.take_part()
        wire.tell(self.new(OURS))

    def probed(self, wire: Wired) -> list[tuple[int, bytes]]:
        return [(each.address, each.mac) for each in wire.reports if isinstance(each, Probed)]

    def test_are_announced_once_nobody_answers(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            self.begin(wire)
            assert not wire.answers()
            wire.live(0.6, word=True)
            assert self.probed(wire) == [(OURS, b"")]
            assert wire.answers()
            wire.tell(Hush(silent=True))
            assert not wire.answers()
            wire.tell(Hush(silent=False))
            assert wire.answers(), "what is proven stays so"

        run(body)

    def test_that_a_host_has_are_told_of_and_announced_when_it_is_gone_or_when_told(self, run: Run) -> None:
        def body(wire: Wired) -> None:
            self.begin(wire)
            wire.claim()
            wire.live(0.9, word=True)
            assert self.probed(wire) == [(OURS, THEIRS)]
            assert not wire.answers()
            wire.tell(Renew(4, OURS), Again())
            assert not wire.answers()
            wire.live(1.5, word=True)
            assert self.probed(wire)[-1] == (OURS, b"")
            assert wire.answers()
            wire.tell(self.new(OURS, OTHER))
            wire.claim(OTHER)
            wire.live(0.2, word=True)
            assert not wire.answers(OTHER)
            wire.tell(table(OURS, OTHER))
            assert wire.answers(OTHER)

        run(body)


def test_without_a_carrier_nothing_is_announced_nor_when_it_returns_before_the_others_are_heard(run: Run) -> None:
    def body(wire: Wired) -> None:
        def place(*, running: bool) -> Places:
            number = socket.if_nametoindex("eth0")
            return Places((Place(number, "eth0", MAC, None, running=running, arp=True, ndp=False),))

        wire.take_part(OURS)
        wire.tell(place(running=False))
        wire.live(6, word=True)
        assert not wire.announced()
        wire.tell(Hush(silent=True), place(running=True))
        wire.live(6, word=True)
        assert not wire.announced()
        wire.tell(Hush(silent=False))
        assert wire.announced() == {OURS}

    run(body)


def test_a_carrier_that_returns_is_told_all_anew(run: Run) -> None:
    def body(wire: Wired) -> None:
        number = socket.if_nametoindex("eth0")
        wire.take_part(OURS)
        wire.live(6, word=True)
        wire.frames()
        for running in (False, True):
            wire.tell(Places((Place(number, "eth0", MAC, None, running=running, arp=True, ndp=False),)))
        assert wire.announced() == {OURS}

    run(body)

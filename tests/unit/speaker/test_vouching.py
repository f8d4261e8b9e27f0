"""Signs of life that were made in advance: when they are sent, by whom, and when no more."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from metallb.api.net import Address
from metallb.protocols.heartbeat.watch import DOUBT_AFTER_S
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring
from metallb.protocols.swim.roster import Endpoint
from metallb.protocols.swim.settings import LAN
from metallb.speaker import outpost as module
from metallb.speaker.gossip import Gossip, Outlets
from metallb.speaker.orders import Heard, Message, Vouch
from metallb.speaker.outpost import Outpost
from metallb.speaker.vouching import Vouching

NET = f"127.{os.getpid() >> 8 & 0x3F | 0x40}.{os.getpid() & 0xFF}"
PORT = 17947
KEYED = Framing(Keyring((bytes(32),)))


@pytest.fixture
def neighbour() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((f"{NET}.9", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def vouching() -> Iterator[Vouching]:
    made = Vouching()
    yield made
    made.close()


def came(neighbour: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(neighbour.recv(100))
        except BlockingIOError:
            return found


def with_socket(vouching: Vouching) -> None:
    vouching.use(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach())


def order(neighbour: socket.socket, first: bytes = b"0") -> Vouch:
    host, port = neighbour.getsockname()
    return Vouch(host, port, first, ((0.1, b"1"), (0.2, b"2")))


def test_one_is_sent_at_once_and_the_others_when_they_are_due(vouching: Vouching, neighbour: socket.socket) -> None:
    with_socket(vouching)
    vouching.begin(order(neighbour), 10.0)
    assert came(neighbour) == [b"0"]
    vouching.tick(10.05)
    assert came(neighbour) == []
    assert vouching.deadline() == pytest.approx(10.1)
    vouching.tick(10.11)
    assert came(neighbour) == [b"1"]
    vouching.tick(10.21)
    vouching.tick(10.5)
    assert came(neighbour) == [b"2"]
    assert vouching.deadline() == float("inf")


def test_what_the_speaker_says_now_takes_the_place_of_what_is_left(
    vouching: Vouching, neighbour: socket.socket
) -> None:
    with_socket(vouching)
    vouching.begin(order(neighbour), 10.0)
    vouching.begin(order(neighbour, b"an answer")._replace(later=()), 10.05)
    vouching.tick(10.15)
    assert came(neighbour) == [b"0", b"an answer", b"1"], "an answer is one more"
    vouching.begin(order(neighbour, b"3"), 10.16)
    vouching.tick(10.25)
    assert came(neighbour) == [b"3"]


def test_after_a_standstill_nothing_old_is_sent(vouching: Vouching, neighbour: socket.socket) -> None:
    with_socket(vouching)
    vouching.begin(order(neighbour), 10.0)
    vouching.forget()
    vouching.tick(11.0)
    assert came(neighbour) == [b"0"]
    assert vouching.deadline() == float("inf")


def test_without_a_socket_and_without_a_way_nothing_breaks(vouching: Vouching, neighbour: socket.socket) -> None:
    vouching.begin(order(neighbour), 10.0)
    vouching.tick(10.5)
    assert came(neighbour) == []
    with_socket(vouching)
    vouching.begin(Vouch("2001:db8::1", 1, b"0"), 11.0)


class Side:
    """A speaker's outpost and member of gossip, and a member that watches it."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self.changed = asyncio.Event()
        self.outpost = Outpost(self._hear, lambda: (), lambda: None)
        outlets = Outlets(self.changed.set, lend=self.outpost.lend, vouch=self.outpost.send)
        self.speaker = self._member(1, outlets)
        self.watcher = self._member(2, Outlets(self.changed.set))

    def _hear(self, report: Message) -> None:
        if isinstance(report, Heard):
            self.heard.set()

    def _member(self, number: int, outlets: Outlets) -> Gossip:
        listen = Endpoint(Address.parse(f"{NET}.{number}").pack(), PORT)
        return Gossip(f"n{number}", listen, KEYED, LAN, outlets)

    async def until_live(self, *names: str) -> None:
        async with asyncio.timeout(60):
            while self.watcher.live != set(names):
                self.changed.clear()
                await self.changed.wait()

    async def watched(self) -> None:
        """Returns when signs of life come from the process."""
        self.speaker.expect({"n2": Address.parse(f"{NET}.2")})
        await self.until_live("n1", "n2")
        async with asyncio.timeout(60):
            await self.heard.wait()
            while self.watcher._watch._peers["n1"].heard is None:  # noqa: ASYNC110  # has no event
                await asyncio.sleep(0.01)


async def test_the_process_sends_them_from_the_speakers_socket() -> None:
    side = Side()
    side.outpost.start()
    try:
        async with side.speaker, side.watcher:
            await side.watched()
            assert side.watcher.dropped == {}
    finally:
        side.outpost.close()


async def test_without_the_process_a_living_speaker_looks_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers for its addresses: others are to."""
    side = Side()
    side.outpost.start()
    try:
        async with side.speaker, side.watcher:
            monkeypatch.setattr(module, "HANGS_S", 1000.0)  # or it would be replaced
            await side.watched()
            pid = side.outpost.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            await side.until_live("n2")
            os.kill(pid, signal.SIGCONT)
            await side.until_live("n1", "n2")
    finally:
        side.outpost.close()


def all_of(neighbour: socket.socket) -> list[tuple[bytes, object]]:
    """What comes until nothing came for as long as makes others doubt."""
    neighbour.settimeout(2 * DOUBT_AFTER_S)
    found: list[tuple[bytes, object]] = []
    while True:
        try:
            found.append(neighbour.recvfrom(10))
        except TimeoutError:
            return found


async def test_the_process_vouches_for_a_speaker_that_is_busy_and_not_for_long() -> None:
    """What one neighbour gets while this event loop does nothing else; a process that stood still itself forgets it."""
    signs = [b"%d" % number for number in range(5)]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as n,
    ):
        n.bind((f"{NET}.9", 0))
        ours.bind((f"{NET}.1", 0))
        heard = asyncio.Event()
        outpost = Outpost(lambda _report: heard.set(), lambda: (), lambda: None)
        outpost.start()
        try:
            async with asyncio.timeout(60):
                await heard.wait()
            outpost.lend(ours)
            host, port = n.getsockname()
            for _ in range(20):
                began = time.monotonic()
                outpost.send(Vouch(host, port, b"0", tuple((number / 10, signs[number]) for number in range(1, 5))))
                await asyncio.sleep(0)  # those for several neighbours go out together
                got = all_of(n)  # the loop stands still meanwhile
                took_s = time.monotonic() - began
                assert {sender for _, sender in got} <= {ours.getsockname()}
                assert [data for data, _ in got] == signs[: len(got)]
                if len(got) == len(signs):
                    break
            assert len(got) == len(signs)
            assert took_s >= 0.39
        finally:
            outpost.close()

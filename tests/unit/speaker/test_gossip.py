"""Members on real sockets of the loopback: datagrams, streams, keys, good-byes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from metallb.api.net import Address
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring
from metallb.protocols.swim.roster import Endpoint
from metallb.protocols.swim.settings import LAN, Settings
from metallb.speaker import gossip as module
from metallb.speaker.gossip import Gossip, Outlets

PORT = 17946
NET = f"127.{os.getpid() >> 8 & 0x7F | 0x80}.{os.getpid() & 0xFF}"
FAST = dataclasses.replace(LAN, probe_interval_s=0.1, probe_timeout_s=0.05, gossip_interval_s=0.02, suspicion_mult=4)
KEYED = Framing(Keyring((bytes(32),)))
PATIENT = dataclasses.replace(LAN, probe_interval_s=1000.0, probe_timeout_s=500.0)
"""Nobody is ever found dead."""
CLEAR = Framing(None)


class Net:
    """Members at addresses of the loopback that no other process of a test run uses; whoever waits is woken by every change."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.reunited: list[int] = []
        self.cut_off: list[int] = []
        self.stands_still = False
        self.stack = contextlib.AsyncExitStack()

    async def member(self, number: int, framing: Framing = KEYED, settings: Settings = FAST) -> Gossip:
        listen = Endpoint(Address.parse(f"{NET}.{number}").pack(), PORT)
        outlets = Outlets(
            self.changed.set,
            reunited=lambda: self.reunite(number),
            cut_off=lambda: self.tell_cut_off(number),
            look=lambda: self.stands_still,
        )
        return await self.stack.enter_async_context(Gossip(f"n{number}", listen, framing, settings, outlets))

    def tell_cut_off(self, number: int) -> None:
        if number not in self.cut_off:
            self.cut_off.append(number)
        self.changed.set()

    def reunite(self, number: int) -> None:
        self.reunited.append(number)
        self.changed.set()

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not met():
                self.changed.clear()
                await self.changed.wait()

    async def watch_each_other(self, members: list[Gossip]) -> None:
        """All are live, and a sign of life came each way, before which nobody is watched."""
        names = {f"n{number}" for number in range(1, len(members) + 1)}
        async with asyncio.timeout(60):
            while not all(  # noqa: ASYNC110  # a first sign of life has no event
                member.live == names and all(peer.heard is not None for peer in member._watch._peers.values())
                for member in members
            ):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def net() -> AsyncIterator[Net]:
    world = Net()
    async with world.stack:
        yield world


def speakers(*numbers: int) -> dict[str, Address]:
    return {f"n{number}": Address.parse(f"{NET}.{number}") for number in numbers}


@pytest.mark.parametrize("framing", [KEYED, CLEAR], ids=["encrypted", "clear"])
async def test_members_find_each_other_and_miss_one_that_dies(framing: Framing) -> None:
    async with net() as world:
        members = [await world.member(number, framing) for number in (1, 2, 3)]
        for member in members:
            member.expect(speakers(1, 2, 3))
        await world.until(lambda: all(member.present == {"n1", "n2", "n3"} for member in members))
        members[0].close()
        await world.until(lambda: all(member.present == {"n2", "n3"} for member in members[1:]))


async def test_a_member_that_falls_silent_is_not_live_long_before_gossip_knows() -> None:
    async with net() as world:
        members = [await world.member(number, settings=PATIENT) for number in (1, 2, 3)]
        for member in members:
            member.expect(speakers(1, 2, 3))
        await world.watch_each_other(members)
        members[0].close()
        await world.until(lambda: all(member.live == {"n2", "n3"} for member in members[1:]))


async def test_a_good_bye_is_heard_at_once() -> None:
    async with net() as world:
        one, two = await world.member(1, settings=PATIENT), await world.member(2, settings=PATIENT)
        one.expect(speakers(2))
        await world.until(lambda: one.present == two.present == {"n1", "n2"})
        await two.leave()
        await world.until(lambda: one.present == {"n1"})


class TestStandstill:
    async def test_it_ends_when_all_others_were_heard(self) -> None:
        async with net() as world:
            members = [await world.member(number, settings=LAN) for number in (1, 2, 3)]
            for member in members:
                member.expect(speakers(1, 2, 3))
            await world.until(lambda: all(member.live == {"n1", "n2", "n3"} for member in members))
            members[0].stood_still()
            assert world.reunited == []
            await world.until(lambda: world.reunited == [1])

    async def test_those_that_died_meanwhile_are_not_waited_for_longer_than_a_death_takes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PATIENCE_S", 1000.0)
        async with net() as world:
            members = [await world.member(number, settings=LAN) for number in (1, 2, 3)]
            for member in members:
                member.expect(speakers(1, 2, 3))
            await world.watch_each_other(members)
            members[1].close()
            members[0].stood_still()
            await world.until(lambda: world.reunited == [1])
            await world.until(lambda: members[0].live == {"n1", "n3"})

    async def test_what_came_meanwhile_is_not_taken_for_a_sign_of_life(self) -> None:
        async with net() as world:
            one, two = await world.member(1), await world.member(2)
            one.expect(speakers(2))
            await world.until(lambda: one.present == two.present == {"n1", "n2"})
            one.stood_still()
            world.stands_still = True
            one.datagram_received(b"\xff" * 50, (f"{NET}.2", PORT))
            world.stands_still = False
            assert (world.reunited, one.dropped) == ([], {})

    async def test_who_is_alone_goes_on_at_once(self) -> None:
        async with net() as world:
            one = await world.member(1)
            one.stood_still()
            assert world.reunited == [1]

    async def test_who_comes_back_to_more_than_it_has_is_told_and_waits_for_them(self) -> None:
        async with net() as world:
            one, two, three = [await world.member(number, settings=LAN) for number in (1, 2, 3)]
            for member in (two, three):
                member.expect(speakers(1, 2, 3))
            await world.until(lambda: two.live == three.live == {"n1", "n2", "n3"})
            world.cut_off.clear()
            lonely = await world.member(4, settings=LAN)
            lonely._expected = speakers(1, 2, 3, 4)
            lonely._members_changed()
            for member in (one, two, three):
                member._expected = speakers(1, 2, 3, 4)
                member._members_changed()
            await world.until(lambda: 4 in world.cut_off)
            lonely.rejoin()
            assert 4 not in world.reunited
            await world.until(lambda: 4 in world.reunited and lonely.live == {"n1", "n2", "n3", "n4"})

    async def test_those_that_are_not_there_are_waited_for_no_longer_than_patience(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with net() as world:
            monkeypatch.setattr(module, "PATIENCE_S", 0.3)
            one = await world.member(1)
            one.expect(speakers(1, 2))
            started = asyncio.get_running_loop().time()
            one.rejoin()
            await world.until(lambda: world.reunited == [1])
            assert asyncio.get_running_loop().time() - started > 0.25

    async def test_before_its_start_there_is_nobody_to_wait_for(self) -> None:
        told: list[str] = []
        listen = Endpoint(Address.parse(f"{NET}.1").pack(), PORT)
        Gossip("n1", listen, CLEAR, FAST, Outlets(lambda: None, reunited=lambda: told.append("reunited"))).stood_still()
        assert told == ["reunited"]


async def test_who_has_another_key_is_not_answered() -> None:
    async with net() as world:
        one = await world.member(1)
        other = Framing(Keyring((bytes(31) + b"\x01",)))
        one.datagram_received(other.datagram(b"\x08", bytes(12), checksum=True), (f"{NET}.9", 1))
        reader, writer = await asyncio.open_connection(f"{NET}.1", PORT)
        writer.write(other.stream(b"\x08", bytes(12)))
        assert await reader.read() == b""
        writer.close()
        assert one.dropped == {"crypto": 2}
        assert one.present == {"n1"}
        one.expect({"n1": Address.parse(f"{NET}.1"), "n9": Address.parse(f"{NET}.9")})
        assert one.states == {"live": 1, "silent": 0, "missing": 1}


async def test_what_strangers_send_does_no_harm() -> None:
    async with net() as world:
        one = await world.member(1, CLEAR)
        reader, writer = await asyncio.open_connection(f"{NET}.1", PORT)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        one.datagram_received(b"\xff" * 50, (f"{NET}.9", 1))
        assert one.dropped == {"type": 2}
        two = await world.member(2, CLEAR)
        two.expect(speakers(1))
        await world.until(lambda: one.present == {"n1", "n2"})


async def test_a_taken_port_is_an_error() -> None:
    async with net() as world:
        await world.member(1)
        with pytest.raises(OSError, match="in use"):
            await world.member(1)

"""Announcements on real links: a neighbour at the other end of a cable asks, and listens."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections import Counter as Count
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from metallb.advertisement.interfaces import Exclusion
from metallb.advertisement.layer2 import Announce
from metallb.api.net import Address, InterfaceName, NodeName, ServiceKey
from metallb.protocols.announcing import ROUND_INTERVAL_S, Counter
from metallb.protocols.arp import packet as arp
from metallb.protocols.arp.errors import DecodeError as ArpError
from metallb.protocols.ethernet import BROADCAST, ETHERTYPE_ARP, ETHERTYPE_IPV6, Mac, parse_mac
from metallb.protocols.ndp import packet as ndp
from metallb.protocols.ndp.errors import DecodeError as NdpError
from metallb.speaker.announcer import Announcer, Observer
from metallb.speaker.main import Speaker
from metallb.speaker.orders import Alive, Closed, Heard, Message, Opened, Table, clock
from metallb.speaker.settings import SpeakerSettings
from metallb.telemetry import metrics as m

OURS, OTHER, SIX = (Address.parse(text) for text in ("198.51.100.100", "198.51.100.101", "2001:db8:100::64"))
ASKER, ASKER_SIX = Address.parse("198.51.100.200"), Address.parse("fe80::c8")
MAC, NEW_MAC, THEIRS = map(parse_mac, ("02:00:00:00:00:01", "02:00:00:00:00:09", "02:00:00:00:00:c8"))
WEB, MAIL = ServiceKey("default", "web"), ServiceKey("default", "mail")
GROUP = ndp.solicited_node(SIX.value)
ETH_P_ALL = 3
Run = Callable[[Callable[["Node"], Coroutine[Any, Any, None]]], None]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=60)


class Neighbour:
    """Sees every frame at the other end of a cable, and sends what it likes."""

    def __init__(self, interface: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setblocking(False)
        self._socket.bind((interface, ETH_P_ALL))
        self.seen: list[arp.ArpPacket | ndp.NdpPacket] = []

    def close(self) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def ask(self, address: Address, destination: Mac | None = None) -> None:
        if address.family == 4:
            request = arp.ArpPacket(
                destination or BROADCAST, THEIRS, arp.REQUEST, THEIRS, ASKER.value, Mac(bytes(6)), address.value
            )
            self.send(request.encode())
            return
        group = ndp.solicited_node(address.value)
        self.send(
            ndp.NdpPacket(
                ndp.multicast_mac(group),
                THEIRS,
                group,
                ASKER_SIX.value,
                ndp.SOLICITATION,
                address.value,
                link_layer=THEIRS,
            ).encode()
        )

    def claim(self, address: Address, mac: Mac) -> None:
        """Says that the address is ours, in the name of some host."""
        if address.family == 4:
            frame = arp.ArpPacket(BROADCAST, mac, arp.REPLY, mac, address.value, BROADCAST, address.value).encode()
        else:
            nodes = ndp.ALL_NODES
            frame = ndp.NdpPacket(
                ndp.multicast_mac(nodes), mac, nodes, ASKER_SIX.value, ndp.ADVERTISEMENT, address.value, link_layer=mac
            ).encode()
        self.send(frame)

    async def wait_for(self, wanted: Callable[[Any], bool], timeout_s: float = 60) -> Any:
        """The next message that is wanted; those before it are in `seen`."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame, (_, _, kind, *_) = await self._receive()
                if kind == socket.PACKET_OUTGOING:
                    continue
                found = parse(frame)
                if found is None:
                    continue
                self.seen.append(found)
                if wanted(found):
                    return found

    async def _receive(self) -> tuple[bytes, Any]:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return self._socket.recvfrom(2048)
            except BlockingIOError:
                readable = asyncio.Event()
                loop.add_reader(self._socket, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._socket)

    async def answer(self, address: Address) -> Mac:
        """Asks until there is an answer, as hosts do, and gives the Ethernet address in it."""
        async with asyncio.timeout(60):
            while True:
                self.ask(address)
                try:
                    found = await self.wait_for(lambda each: is_answer(each, address), timeout_s=0.25)
                except TimeoutError:
                    continue
                break
        return Mac(found.sender_mac if isinstance(found, arp.ArpPacket) else found.link_layer)

    async def announcement(self, address: Address) -> Mac:
        """Waits until the address is announced to everybody, and gives the Ethernet address."""
        found = await self.wait_for(lambda each: is_announcement(each, address))
        return Mac(found.sender_mac if isinstance(found, arp.ArpPacket) else found.link_layer)


def parse(frame: bytes) -> arp.ArpPacket | ndp.NdpPacket | None:
    try:
        if int.from_bytes(frame[12:14]) == ETHERTYPE_ARP:
            return arp.decode(frame)
        return ndp.decode(frame) if int.from_bytes(frame[12:14]) == ETHERTYPE_IPV6 else None
    except (ArpError, NdpError):
        return None  # the kernel's own chatter


def is_answer(found: Any, address: Address) -> bool:
    if isinstance(found, arp.ArpPacket):
        return (found.operation, found.sender_ip, found.destination) == (arp.REPLY, address.value, THEIRS)
    return (found.kind, found.target, found.destination) == (ndp.ADVERTISEMENT, address.value, ASKER_SIX.value)


def is_announcement(found: Any, address: Address) -> bool:
    if isinstance(found, arp.ArpPacket):
        return bool(found.sender_ip == found.target_ip == address.value and found.destination == BROADCAST)
    return (found.kind, found.target, found.destination) == (ndp.ADVERTISEMENT, address.value, ndp.ALL_NODES)


@dataclass
class Counted:
    """An observer that only counts."""

    counts: Count[tuple[Counter, str]] = field(default_factory=Count)
    frames: Count[str] = field(default_factory=Count)
    drops: Count[str] = field(default_factory=Count)
    conflicts: Count[tuple[str, str, Mac]] = field(default_factory=Count)
    probed: list[tuple[InterfaceName, Address, Mac | None]] = field(default_factory=list)
    peers: set[Mac] = field(default_factory=set)
    learnt: list[Address] = field(default_factory=list)

    def count(self, counter: Counter, address: Address, amount: int) -> None:
        self.counts[counter, str(address)] += amount

    def passed(self, interface: str, protocol: str, amount: int) -> None:
        self.frames[f"{interface} {protocol}"] += amount

    def drop(self, interface: str, protocol: str, reason: str, amount: int) -> None:
        self.drops[f"{interface} {protocol} {reason}"] += amount

    def lost(self) -> list[str]:
        """What was dropped, but for questions from a time in which the process stood still."""
        return [each for each in self.drops if not each.endswith(" silent")]

    def conflict(self, interface: InterfaceName, address: Address, mac: Mac, amount: int) -> None:
        self.conflicts[interface, str(address), mac] += amount

    def held(self, interface: InterfaceName, address: Address, mac: Mac) -> bool:
        self.probed.append((interface, address, mac))
        return mac not in self.peers

    def free(self, interface: InterfaceName, address: Address) -> None:
        self.probed.append((interface, address, None))

    def learned(self, address: Address) -> None:
        self.learnt.append(address)


class Nobody:
    """Stands for the queue that is told of new interfaces."""

    reviews = 0

    def review_all(self) -> None:
        self.reviews += 1


@dataclass
class Node:
    """A node with a speaker that follows its interfaces, and cables to neighbours."""

    speaker: Speaker
    counted: Counted
    stack: AsyncExitStack
    queue: Nobody = field(default_factory=Nobody)
    links: set[str] = field(default_factory=set)
    heard: float = 0.0

    def follow(self) -> None:
        """Listens to what the process reports, too."""
        told = self.announcer._outpost._hear

        def hear(report: Message) -> None:
            told(report)
            match report:
                case Opened(name):
                    self.links.add(name)
                case Closed(name):
                    self.links.discard(name)
                case Heard(at):
                    self.heard = at

        self.announcer._outpost._hear = hear

    async def caught_up(self) -> None:
        """Returns when the process has done all that it was told, and what it counted until then is known."""
        self.announcer.flush()
        now = clock()
        self.announcer._outpost.send(Alive(now))
        await self.until(lambda: self.heard >= now)

    async def counts_of(self, address: Address) -> tuple[int, int]:
        """How many were asked and how many were answered by now, for this address."""
        await self.caught_up()
        received, sent = (self.counted.counts[name, str(address)] for name in ("requests_received", "responses_sent"))
        return received, sent

    @property
    def announcer(self) -> Announcer:
        return self.speaker._announcer

    async def cable(self, name: str = "eth0", mac: str = "02:00:00:00:00:01") -> Neighbour:
        """A link that takes part, and a neighbour at its other end."""
        made = self.lay_cable(name, mac)
        await self.until(lambda: name in self.links)
        return made

    def lay_cable(self, name: str = "eth0", mac: str = "02:00:00:00:00:01") -> Neighbour:
        peer = f"peer-{name}"
        ip("link", "add", name, "address", mac, "type", "veth", "peer", "name", peer)
        ip("link", "set", peer, "up")
        ip("link", "set", name, "up")
        made = Neighbour(peer)
        self.stack.callback(made.close)
        return made

    def announce(self, service: ServiceKey, *addresses: Address, interfaces: tuple[str, ...] = ()) -> None:
        self.announcer.announce(service, Announce(addresses, frozenset(map(InterfaceName, interfaces))))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # the kernel's notices reach the loop, not this test
                await asyncio.sleep(0.005)


@pytest.fixture
def on_node(in_namespace: Callable[..., None]) -> Run:
    """Runs a test on a node of its own."""

    def run(body: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
        async def inside() -> None:
            settings = SpeakerSettings(namespace="metallb-system", node_name=NodeName("node-a"))
            nothing: Any = None
            speaker = Speaker(nothing, settings, m.Metrics(m.SPEAKER), Exclusion.parse(["^peer", "^lo$"]))
            counted = Counted()
            observer: Observer = counted
            speaker._announcer = Announcer(observer)
            async with AsyncExitStack() as stack:
                node = Node(speaker, counted, stack)
                queue: Any = node.queue
                node.follow()
                speaker._watch_interfaces(queue)
                stack.callback(speaker.close)
                await body(node)

        in_namespace(inside)

    return run


class TestAnswers:
    def test_requests_are_answered_with_the_links_own_address(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS, SIX)
            await neighbour.announcement(OURS)
            assert await neighbour.answer(OURS) == MAC
            before = await node.counts_of(OURS)
            neighbour.ask(OURS, MAC)
            await neighbour.wait_for(lambda each: is_answer(each, OURS))
            received, sent = await node.counts_of(OURS)
            assert received > before[0]
            assert sent == received > before[1]
            await node.until(lambda: joined("eth0"))
            assert await neighbour.answer(SIX) == MAC
            assert min(await node.counts_of(SIX)) >= 1
            for protocol, address in (("arp", OURS), ("ndp", SIX)):
                answered = node.counted.counts["responses_sent", str(address)]
                silent = node.counted.drops[f"eth0 {protocol} silent"]
                assert node.counted.frames[f"eth0 {protocol}"] == answered + silent

        on_node(body)

    def test_nobody_answers_for_other_addresses(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS)
            node.announce(MAIL, OTHER)
            assert await neighbour.answer(OTHER) == MAC
            answered = sum(is_answer(each, OTHER) for each in neighbour.seen)
            node.announcer.announce(MAIL, None)
            await node.caught_up()
            neighbour.ask(OTHER)
            assert await neighbour.answer(OURS) == MAC, "asked later, so the first was not answered"
            assert sum(is_answer(each, OTHER) for each in neighbour.seen) == answered

        on_node(body)

    def test_only_what_concerns_our_addresses_leaves_the_kernel(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS, SIX)
            await neighbour.answer(OURS)
            reply = arp.ArpPacket(BROADCAST, THEIRS, arp.REPLY, THEIRS, OTHER.value, MAC, OURS.value)
            for _ in range(50):
                neighbour.send(reply.encode())
                neighbour.send(BROADCAST + THEIRS + b"\x86\xdd" + bytes(60))
            await neighbour.answer(OURS)
            await node.caught_up()
            assert not node.counted.lost()

        on_node(body)

    def test_a_flood_of_other_peoples_requests_does_not_keep_ours_waiting(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS)
            await neighbour.announcement(OURS)
            for number in range(300):
                neighbour.ask(Address(4, OTHER.value + 1 + number % 50))
            assert await neighbour.answer(OURS) == MAC
            await node.caught_up()
            assert not node.counted.lost(), "none of them left the kernel"

        on_node(body)

    def test_frames_of_any_kind_hurt_nobody(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS, SIX)
            await neighbour.answer(OURS)
            await node.until(lambda: joined("eth0"))
            whole = arp.ArpPacket(BROADCAST, THEIRS, arp.REQUEST, THEIRS, 1, MAC, OURS.value).encode()
            for length in range(15, len(whole)):
                neighbour.send(whole[:length])
            solicitation = bytearray(
                ndp.NdpPacket(ndp.multicast_mac(GROUP), THEIRS, GROUP, 1, ndp.SOLICITATION, SIX.value).encode()
            )
            for position in range(54, len(solicitation)):
                damaged = bytearray(solicitation)
                damaged[position] ^= 0xFF
                neighbour.send(bytes(damaged))
            assert await neighbour.answer(OURS) == MAC
            assert await neighbour.answer(SIX) == MAC

        on_node(body)

    @pytest.mark.parametrize("address", [OURS, SIX])
    def test_who_names_our_address_as_its_own_is_told_of(self, on_node: Run, address: Address) -> None:
        async def body(node: Node) -> None:
            neighbour, _ = await node.cable(), await node.cable("eth1", "02:00:00:00:00:02")
            node.announce(WEB, OURS, SIX)
            await neighbour.announcement(address)
            neighbour.claim(address, parse_mac("02:00:00:00:00:02"))
            neighbour.claim(address, THEIRS)
            await node.until(lambda: bool(node.counted.conflicts))
            assert node.counted.conflicts == {("eth0", str(address), THEIRS): 1}, "our other link is no stranger"

        on_node(body)

    def test_a_hushed_node_answers_nothing_until_it_goes_on(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS)
            await neighbour.answer(OURS)
            node.announcer.hush()
            await node.caught_up()
            neighbour.ask(OURS)
            with pytest.raises(TimeoutError):
                await neighbour.wait_for(lambda each: is_answer(each, OURS), timeout_s=0.2)
            node.announce(MAIL, OTHER)
            node.announcer.resume()
            assert await neighbour.announcement(OURS) == MAC
            assert await neighbour.answer(OTHER) == MAC

        on_node(body)

    def test_a_new_process_knows_what_the_one_before_knew(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS)
            await neighbour.answer(OURS)
            pid = node.announcer._outpost.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await node.until(lambda: node.announcer._outpost.pid not in {None, pid})
            assert await neighbour.announcement(OURS) == MAC
            assert await neighbour.answer(OURS) == MAC

        on_node(body)


class TestAnnouncements:
    def test_are_seen_at_once_and_again(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            began = asyncio.get_running_loop().time()
            node.announce(WEB, OURS, SIX)
            first = [await neighbour.wait_for(lambda each: is_announcement(each, OURS)) for _ in range(2)]
            assert [each.operation for each in first] == [arp.REQUEST, arp.REPLY]
            again = await neighbour.wait_for(lambda each: is_announcement(each, OURS))
            assert again.sender_mac == MAC
            assert asyncio.get_running_loop().time() - began >= ROUND_INTERVAL_S * 0.9
            six = [each for each in neighbour.seen if is_announcement(each, SIX)]
            assert six or await neighbour.announcement(SIX) == MAC

        on_node(body)

    def test_of_a_thousand_addresses_all_arrive(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            addresses = [Address(4, OURS.value + n) for n in range(1000)]
            for number, address in enumerate(addresses):
                node.announce(ServiceKey("default", f"s{number}"), address)
            missing = {address.value for address in addresses}

            def last(each: Any) -> bool:
                if isinstance(each, arp.ArpPacket):
                    missing.discard(each.sender_ip)
                return not missing

            await neighbour.wait_for(last)
            await node.caught_up()
            assert not node.counted.lost(), "none was lost on the way out"

        on_node(body)

    def test_are_made_on_every_link_by_its_own_address(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            one, other = await node.cable(), await node.cable("eth1", "02:00:00:00:00:02")
            node.announce(WEB, OURS)
            assert await one.announcement(OURS) == MAC
            assert await other.announcement(OURS) == parse_mac("02:00:00:00:00:02")
            node.announce(MAIL, OTHER, interfaces=("eth1",))
            assert await other.answer(OTHER) == parse_mac("02:00:00:00:00:02")
            one.ask(OTHER)
            await one.answer(OURS)
            assert not any(is_answer(each, OTHER) for each in one.seen)

        on_node(body)


class TestInterfaces:
    def test_that_are_added_later_take_part_at_once(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            node.announce(WEB, OURS, SIX)
            neighbour = node.lay_cable()
            assert await neighbour.announcement(OURS) == MAC
            assert await neighbour.answer(OURS) == MAC
            await node.until(lambda: joined("eth0"))
            assert await neighbour.answer(SIX) == MAC
            assert node.queue.reviews > 0, "who waits for an interface of this name is looked at again"
            assert node.announcer.interface_names == {"eth0"}

        on_node(body)

    def test_whose_ethernet_address_changes_announce_the_new_one(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS)
            await neighbour.announcement(OURS)
            ip("link", "set", "eth0", "address", "02:00:00:00:00:09")
            await neighbour.wait_for(lambda each: is_announcement(each, OURS) and each.sender_mac == NEW_MAC)
            assert await neighbour.answer(OURS) == NEW_MAC

        on_node(body)

    @pytest.mark.parametrize("end", ["eth0", "peer-eth0"])
    def test_whose_link_comes_back_announce_again(self, on_node: Run, end: str) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, OURS)
            await neighbour.answer(OURS)
            ip("link", "set", end, "down")
            await node.until(lambda: not node.announcer._interfaces[index("eth0")].running)
            before = node.counted.counts["gratuitous_sent", str(OURS)]
            neighbour.close()
            ip("link", "set", end, "up")
            again = Neighbour("peer-eth0")
            node.stack.callback(again.close)
            await node.until(lambda: node.counted.counts["gratuitous_sent", str(OURS)] > before)
            await again.announcement(OURS)
            assert await again.answer(OURS) == MAC

        on_node(body)

    def test_that_vanish_are_forgotten_and_may_come_back(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            node.announce(WEB, OURS, SIX)
            neighbour = await node.cable()
            await neighbour.answer(OURS)
            ip("link", "del", "eth0")
            await node.until(lambda: node.announcer.interface_names == frozenset())
            await node.until(lambda: not node.links)
            again = await node.cable()
            assert await again.answer(OURS) == MAC

        on_node(body)

    def test_that_become_part_of_a_bridge_leave_it_to_the_bridge(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            node.announce(WEB, OURS)
            neighbour = await node.cable()
            await neighbour.answer(OURS)
            ip("link", "add", "br0", "address", "02:00:00:00:00:09", "type", "bridge")
            ip("link", "set", "eth0", "master", "br0")
            ip("link", "set", "br0", "up")
            await neighbour.wait_for(lambda each: is_announcement(each, OURS) and each.sender_mac == NEW_MAC)
            assert await neighbour.answer(OURS) == NEW_MAC

        on_node(body)

    def test_that_are_renamed_go_on(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            node.announce(WEB, OURS, interfaces=("lan0",))
            neighbour = await node.cable()
            await node.until(lambda: node.announcer.interface_names == {"eth0"})
            ip("link", "set", "eth0", "name", "lan0")
            assert await neighbour.announcement(OURS) == MAC
            assert await neighbour.answer(OURS) == MAC

        on_node(body)

    def test_are_counted_for_nothing_where_they_are_excluded(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            await node.cable()
            await node.until(lambda: node.announcer.interface_names == {"eth0"})

        on_node(body)


class TestGroups:
    def test_are_joined_while_an_address_needs_them(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            await node.cable()
            node.announce(WEB, SIX)
            await node.until(lambda: joined("eth0"))
            node.announcer.announce(WEB, None)
            await node.until(lambda: not joined("eth0"))

        on_node(body)

    def test_of_thousands_of_addresses_are_all_joined(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            await node.cable()
            addresses = [Address(6, SIX.value + n) for n in range(3000)]
            node.announce(WEB, *addresses)
            await node.until(lambda: len(groups("eth0")) >= 3000)
            assert not any(each.endswith("join-failed") for each in node.counted.drops)

        on_node(body)

    def test_come_back_with_the_link(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.announce(WEB, SIX)
            await node.until(lambda: joined("eth0"))
            ip("link", "set", "eth0", "down")
            ip("link", "set", "eth0", "up")
            await node.until(lambda: joined("eth0"))
            neighbour.close()
            again = Neighbour("peer-eth0")
            node.stack.callback(again.close)
            assert await again.answer(SIX) == MAC

        on_node(body)


def test_after_closing_nobody_answers_and_nothing_is_left(on_node: Run) -> None:
    async def body(node: Node) -> None:
        neighbour = await node.cable()
        node.announce(WEB, OURS, SIX)
        await neighbour.answer(OURS)
        node.speaker.close()
        neighbour.ask(OURS)
        ip("link", "set", "eth0", "address", "02:00:00:00:00:09")
        with pytest.raises(TimeoutError):
            await neighbour.wait_for(lambda each: is_answer(each, OURS), timeout_s=0.2)
        assert not joined("eth0")
        assert packet_sockets() == 1, "the neighbour's own"

    on_node(body)


def groups(interface: str) -> set[int]:
    lines = Path("/proc/thread-self/net/igmp6").read_text().splitlines()
    return {int(line.split()[2], 16) for line in lines if line.split()[1] == interface}


def joined(interface: str) -> bool:
    return GROUP in groups(interface)


def packet_sockets() -> int:
    return len(Path("/proc/thread-self/net/packet").read_text().splitlines()) - 1


def index(interface: str) -> int:
    return socket.if_nametoindex(interface)


class TestUnprovenAddresses:
    def announce(self, node: Node, *addresses: Address) -> None:
        node.announcer.announce(WEB, Announce(addresses, frozenset()), addresses)

    def settle(self, interface: str, address: Address) -> None:
        """A host at the other end of a cable has the address: the kernel answers for it, in time however busy we are."""
        Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("1")
        ip("link", "set", interface, "address", THEIRS.hex(":"))
        ip("address", "add", f"{address}/24", "dev", interface)

    @pytest.mark.parametrize("address", [OURS, SIX])
    def test_are_announced_when_nobody_has_them_and_proven_for_the_next_process(
        self, on_node: Run, address: Address
    ) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            self.announce(node, address)
            assert node.announcer.real(WEB) is None
            await neighbour.wait_for(lambda found: is_announcement(found, address))
            assert not any(is_announcement(each, address) for each in neighbour.seen[:2])
            await node.until(lambda: node.counted.probed == [(InterfaceName("eth0"), address, None)])
            assert node.announcer.real(WEB) == Announce((address,), frozenset())
            assert node.counted.learnt == [address]
            (again,) = [each for each in node.announcer._orders() if isinstance(each, Table)]
            assert (again.unproven_four, again.unproven_six) == (frozenset(), frozenset())

        on_node(body)

    def test_are_announced_where_no_stranger_has_them_and_everywhere_once_they_may(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            first, second = await node.cable(), await node.cable("eth1", "02:00:00:00:00:02")
            self.settle("peer-eth1", OURS)
            self.announce(node, OURS)
            await first.wait_for(lambda found: is_announcement(found, OURS))
            await node.until(lambda: (InterfaceName("eth1"), OURS, THEIRS) in node.counted.probed)
            node.announce(MAIL, OTHER)  # another table does not let it slip
            await second.wait_for(lambda found: is_announcement(found, OTHER))
            assert not any(is_announcement(each, OURS) for each in second.seen)
            await node.caught_up()
            (there,) = [each for each in node.announcer._orders() if isinstance(each, Table) and each.unproven_four]
            assert there.unproven_four == {OURS.value}

        on_node(body)

    def test_that_a_node_of_ours_has_are_announced_at_once(self, on_node: Run) -> None:
        async def body(node: Node) -> None:
            neighbour = await node.cable()
            node.counted.peers.add(THEIRS)
            self.settle("peer-eth0", OURS)
            self.announce(node, OURS)
            await neighbour.wait_for(lambda found: is_announcement(found, OURS))
            await node.until(lambda: bool(node.counted.probed))
            assert node.counted.probed[0] == (InterfaceName("eth0"), OURS, THEIRS)

        on_node(body)

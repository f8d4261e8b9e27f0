"""Interfaces as the kernel tells them: messages byte by byte, and a real kernel."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.advertisement.interfaces import Interface
from metallb.api.net import Address, InterfaceName
from metallb.protocols.ethernet import Mac, parse_mac
from metallb.transports import rtnetlink
from metallb.transports.rtnetlink import (
    InterruptedDumpError,
    Netlink,
    decode_link,
    decode_link_local,
    decode_neighbour,
    split,
)

MAC = parse_mac("02:00:00:00:00:01")
UP, BROADCAST, RUNNING, NOARP = 0x1, 0x2, 0x40, 0x80
InNamespace = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


def attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def link(flags: int = UP | BROADCAST | RUNNING, *attributes: bytes, index: int = 2) -> bytes:
    return struct.pack("=BxHiII", 0, 1, index, flags, 0) + b"".join(attributes)


def address(text: str, *, flags: int = 0x80, scope: int = 253, index: int = 2, family: int = socket.AF_INET6) -> bytes:
    return struct.pack("=BBBBI", family, 64, flags, scope, index) + attribute(1, Address.parse(text).pack())


NAME, ETHERNET = attribute(3, b"eth0\0"), attribute(1, MAC)


@pytest.mark.parametrize(
    ("body", "interface"),
    [
        pytest.param(
            link(UP | BROADCAST | RUNNING, NAME, ETHERNET), Interface(2, InterfaceName("eth0"), MAC), id="usual"
        ),
        pytest.param(
            link(BROADCAST, ETHERNET, NAME),
            Interface(2, InterfaceName("eth0"), MAC, up=False, running=False),
            id="down",
        ),
        pytest.param(
            link(UP | RUNNING | NOARP, NAME, attribute(1, bytes(4))),
            Interface(2, InterfaceName("eth0"), None, broadcast=False, noarp=True),
            id="a tunnel",
        ),
        pytest.param(
            link(UP | BROADCAST | RUNNING, NAME, ETHERNET, attribute(10, struct.pack("=I", 7))),
            Interface(2, InterfaceName("eth0"), MAC, master=True),
            id="in a bridge",
        ),
        pytest.param(
            link(
                UP | BROADCAST | RUNNING, NAME, ETHERNET, attribute(10, bytes(4)), attribute(18, attribute(4, b"vrf\0"))
            ),
            Interface(2, InterfaceName("eth0"), MAC),
            id="in a VRF",
        ),
        pytest.param(
            link(
                UP | BROADCAST | RUNNING,
                NAME,
                ETHERNET,
                attribute(10, bytes(4)),
                attribute(18, attribute(4, b"bond\0")),
            ),
            Interface(2, InterfaceName("eth0"), MAC, master=True),
            id="in a bond",
        ),
        pytest.param(
            link(UP | BROADCAST | RUNNING, attribute(0x8000 | 26, b"\x04\0\x01\0"), NAME, ETHERNET),
            Interface(2, InterfaceName("eth0"), MAC),
            id="with nested attributes",
        ),
        pytest.param(link(UP | BROADCAST | RUNNING), Interface(2, InterfaceName(""), None), id="nothing said"),
    ],
)
def test_links(body: bytes, interface: Interface) -> None:
    assert decode_link(body) == interface


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(address("fe80::1"), "fe80::1", id="link-local"),
        pytest.param(address("fe80::1", flags=0x40), None, id="tentative"),
        pytest.param(address("2001:db8::1", scope=0), None, id="global"),
        pytest.param(address("169.254.0.1", family=socket.AF_INET), None, id="IPv4"),
        pytest.param(struct.pack("=BBBBI", socket.AF_INET6, 64, 0, 253, 2), None, id="without an address"),
    ],
)
def test_link_local_addresses(body: bytes, found: str | None) -> None:
    assert decode_link_local(body) == (None if found is None else (2, Address.parse(found).value))


def neighbour(text: str, *attributes: bytes) -> bytes:
    packed = Address.parse(text).pack()
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return struct.pack("=BxHiHBB", family, 0, 2, 2, 0, 0) + attribute(1, packed) + b"".join(attributes)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(neighbour("198.51.100.1", attribute(2, MAC)), "198.51.100.1", id="IPv4"),
        pytest.param(neighbour("2001:db8::1", attribute(2, MAC)), "2001:db8::1", id="IPv6"),
        pytest.param(neighbour("198.51.100.1"), None, id="not found out yet"),
        pytest.param(neighbour("198.51.100.1", attribute(2, bytes(4))), None, id="behind a tunnel"),
        pytest.param(struct.pack("=BxHiHBB", 7, 0, 2, 2, 0, 0) + attribute(2, MAC), None, id="of a bridge"),
    ],
)
def test_neighbours(body: bytes, found: str | None) -> None:
    assert decode_neighbour(body) == (None if found is None else (MAC, Address.parse(found)))


@given(st.binary(max_size=200))
def test_no_datagram_is_too_odd(data: bytes) -> None:
    """A kernel newer than this code must not end the speaker."""
    for message in split(data):
        assert len(message.body) <= len(data)
    list(rtnetlink._attributes(data, 0))


@given(st.lists(st.binary(max_size=9), max_size=4), st.integers(0, 12))
def test_messages_are_taken_apart_as_they_were_put_together(bodies: list[bytes], cut: int) -> None:
    whole = [
        struct.pack("=IHHII", 16 + len(body), 16, 0, n, 0) + body + bytes(-len(body) % 4)
        for n, body in enumerate(bodies)
    ]
    data = b"".join(whole)
    assert [(m.sequence, m.body) for m in split(data)] == list(enumerate(bodies))
    if whole and cut:
        assert [m.body for m in split(data[: -min(cut, len(whole[-1]))])][: len(bodies) - 1] == bodies[:-1]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=60)


def add_pairs(count: int) -> None:
    lines = "\n".join(f"link add v{n} type veth peer name w{n}" for n in range(count))
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True, timeout=60)


async def changed(netlink: Netlink) -> None:
    """Waits for a notice of the kernel."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(netlink.fileno(), arrived.set)
    async with asyncio.timeout(60):
        await arrived.wait()
    loop.remove_reader(netlink.fileno())
    netlink.drain()


async def until(netlink: Netlink, wanted: Callable[[dict[str, Interface]], bool]) -> dict[str, Interface]:
    while True:
        try:
            found = {str(each.name): each for each in netlink.interfaces()}
        except InterruptedDumpError:
            continue
        if wanted(found):
            return found
        await changed(netlink)


def test_a_real_kernel_tells_of_every_change(in_namespace: InNamespace) -> None:
    async def body() -> None:
        netlink = Netlink()
        found = {str(each.name): each for each in netlink.interfaces()}
        assert set(found) == {"lo"}
        assert not found["lo"].answers_arp
        ip("link", "add", "eth0", "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", "peer")
        found = await until(netlink, lambda found: "eth0" in found)
        assert (found["eth0"].mac, found["eth0"].up, found["eth0"].broadcast) == (MAC, False, True)
        ip("link", "set", "eth0", "up")
        ip("link", "set", "peer", "up")
        found = await until(netlink, lambda found: found["eth0"].running and found["eth0"].link_local is not None)
        assert found["eth0"].answers_arp
        assert found["eth0"].answers_ndp
        assert found["eth0"].link_local == Address.parse("fe80::ff:fe00:1").value
        ip("link", "set", "eth0", "address", "02:00:00:00:00:09")
        await until(netlink, lambda found: found["eth0"].mac == parse_mac("02:00:00:00:00:09"))
        ip("link", "set", "peer", "down")
        await until(netlink, lambda found: not found["eth0"].running)
        ip("link", "set", "peer", "up")
        await until(netlink, lambda found: found["eth0"].running)
        ip("link", "add", "br0", "type", "bridge")
        ip("link", "set", "eth0", "master", "br0")
        await until(netlink, lambda found: found["eth0"].master)
        ip("link", "set", "eth0", "name", "eth1", "nomaster")
        await until(netlink, lambda found: "eth1" in found)
        ip("link", "del", "peer")
        await until(netlink, lambda found: set(found) == {"lo", "br0"})
        netlink.close()

    in_namespace(body)


def test_a_real_kernel_tells_who_its_neighbours_are(in_namespace: InNamespace) -> None:
    async def body() -> None:
        netlink = Netlink()
        ip("link", "add", "eth0", "type", "veth", "peer", "name", "peer")
        ip("link", "set", "eth0", "up")
        other = parse_mac("02:00:00:00:00:02")
        for address, mac in (("198.51.100.1", "01"), ("2001:db8::1", "01"), ("198.51.100.2", "02")):
            ip("neigh", "add", address, "lladdr", f"02:00:00:00:00:{mac}", "dev", "eth0")
        assert netlink.neighbours(MAC) == {Address.parse("198.51.100.1"), Address.parse("2001:db8::1")}
        assert netlink.neighbours(other) == {Address.parse("198.51.100.2")}
        assert netlink.neighbours(Mac(bytes(6))) == frozenset()
        netlink.close()

    in_namespace(body)


def test_hundreds_of_interfaces_are_all_listed(in_namespace: InNamespace) -> None:
    async def body() -> None:
        add_pairs(150)
        netlink = Netlink()
        assert len(netlink.interfaces()) == 301
        assert [each.index for each in netlink.interfaces()] == sorted(each.index for each in netlink.interfaces())
        netlink.close()

    in_namespace(body)


def test_an_overrun_of_notices_is_a_notice(in_namespace: InNamespace) -> None:
    async def body() -> None:
        netlink = Netlink()
        netlink._notices.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        add_pairs(20)
        await changed(netlink)
        netlink.drain()
        assert len(netlink.interfaces()) == 41
        netlink.close()

    in_namespace(body)


def test_a_closed_socket_is_an_error_and_no_endless_loop(in_namespace: InNamespace) -> None:
    async def body() -> None:
        netlink = Netlink()
        netlink.close()
        netlink.drain()
        with pytest.raises(OSError, match="Bad file descriptor"):
            netlink.interfaces()

    in_namespace(body)


def test_what_is_left_of_a_broken_off_answer_is_not_taken_for_the_next(in_namespace: InNamespace) -> None:
    async def body() -> None:
        netlink = Netlink()
        next(netlink._dump(rtnetlink._RTM_GETLINK, rtnetlink._RTM_NEWLINK))  # read in part only
        assert [each.name for each in netlink.interfaces()] == ["lo"]
        netlink.close()

    in_namespace(body)


def test_a_mac_is_six_bytes() -> None:
    assert decode_link(link(UP, attribute(1, bytes(20)))).mac is None
    assert decode_link(link(UP, attribute(1, MAC))).mac == Mac(MAC)

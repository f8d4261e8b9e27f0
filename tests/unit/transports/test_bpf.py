"""The kernel runs our filters on frames: it executes them on any socket, here on a pair of Unix ones."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.protocols.arp.packet import REPLY, REQUEST, ArpPacket
from metallb.protocols.ethernet import BROADCAST, Mac
from metallb.protocols.ndp.packet import (
    ADVERTISEMENT,
    SOLICITATION,
    NdpPacket,
    multicast_mac,
    solicited_node,
)
from metallb.transports.bpf import (
    ARP_REQUESTS,
    NEIGHBOUR_SOLICITATIONS,
    Instruction,
    Match,
    all_equal,
    attach,
)

MAC = Mac(b"\x02\x00\x00\x00\x00\x01")
ASKED = ArpPacket(BROADCAST, MAC, REQUEST, MAC, 0xC6336401, Mac(bytes(6)), 0xC6336402)
TARGET = 0x20010DB8 << 96 | 1
SOLICITED = NdpPacket(
    multicast_mac(solicited_node(TARGET)), MAC, solicited_node(TARGET), TARGET + 1, SOLICITATION, TARGET, link_layer=MAC
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.setblocking(False)
    with one, other:
        yield one, other


def passes(pair: tuple[socket.socket, socket.socket], frame: bytes) -> bool:
    """Whether the kernel lets the frame through, whole."""
    one, other = pair
    one.send(frame)
    try:
        received = other.recv(4096)
    except BlockingIOError:
        return False
    assert received == frame
    return True


@pytest.mark.parametrize(
    ("frame", "passed"),
    [
        pytest.param(ASKED.encode(), True, id="a request"),
        pytest.param(ASKED.encode() + bytes(18), True, id="a padded request"),
        pytest.param(replace(ASKED, destination=MAC).encode(), True, id="a unicast request"),
        pytest.param(replace(ASKED, operation=REPLY).encode(), False, id="a reply"),
        pytest.param(SOLICITED.encode(), False, id="IPv6"),
        pytest.param(ASKED.encode()[:21], False, id="cut off"),
        pytest.param(ASKED.encode()[:12] + b"\x08\x00" + ASKED.encode()[14:], False, id="IPv4 that looks alike"),
    ],
)
def test_of_arp_only_requests_pass(
    pair: tuple[socket.socket, socket.socket],
    frame: bytes,
    passed: bool,  # noqa: FBT001  # a column
) -> None:
    attach(pair[1], ARP_REQUESTS)
    assert passes(pair, frame) is passed


@pytest.mark.parametrize(
    ("frame", "passed"),
    [
        pytest.param(SOLICITED.encode(), True, id="a solicitation"),
        pytest.param(replace(SOLICITED, kind=ADVERTISEMENT).encode(), False, id="an advertisement"),
        pytest.param(SOLICITED.encode()[:20] + b"\x11" + SOLICITED.encode()[21:], False, id="UDP that looks alike"),
        pytest.param(SOLICITED.encode()[:54] + b"\x80" + SOLICITED.encode()[55:], False, id="an echo request"),
        pytest.param(ASKED.encode(), False, id="ARP"),
        pytest.param(SOLICITED.encode()[:54], False, id="cut off"),
    ],
)
def test_of_ipv6_only_solicitations_pass(
    pair: tuple[socket.socket, socket.socket],
    frame: bytes,
    passed: bool,  # noqa: FBT001  # a column
) -> None:
    attach(pair[1], NEIGHBOUR_SOLICITATIONS)
    assert passes(pair, frame) is passed


matches = st.lists(
    st.one_of(
        st.builds(Match, st.integers(0, 5), st.just(1), st.integers(0, 1)),
        st.builds(Match, st.integers(0, 4), st.just(2), st.integers(0, 0x0101)),
    ),
    min_size=1,
    max_size=4,
)


@given(matches, st.binary(min_size=1, max_size=8).map(lambda raw: bytes(each & 1 for each in raw)))
def test_the_kernel_agrees_with_what_the_program_says(wanted: list[Match], frame: bytes) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        other.setblocking(False)
        attach(other, all_equal(wanted))
        expected = all(
            test.offset + test.size <= len(frame)
            and int.from_bytes(frame[test.offset : test.offset + test.size]) == test.value
            for test in wanted
        )
        assert passes((one, other), frame) is expected


def test_a_filter_replaces_the_one_before(pair: tuple[socket.socket, socket.socket]) -> None:
    attach(pair[1], ARP_REQUESTS)
    attach(pair[1], NEIGHBOUR_SOLICITATIONS)
    assert not passes(pair, ASKED.encode())
    assert passes(pair, SOLICITED.encode())


def test_a_program_that_is_none_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        attach(pair[1], [Instruction(0x28, 0, 0, 12)])

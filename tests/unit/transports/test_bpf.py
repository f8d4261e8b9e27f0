"""The kernel runs our filters on frames: it executes them on any socket, here on a pair of Unix ones."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

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
    JUMP,
    JUMP_IF_AT_LEAST,
    JUMP_IF_EQUAL,
    JUMP_IF_GREATER,
    LOAD_BYTE,
    LOAD_HALF,
    LOAD_WORD,
    MOST_INSTRUCTIONS,
    RETURN,
    Assembly,
    Field,
    Target,
    Verdict,
    attach,
    attach_best,
    search,
)
from metallb.transports.filters import arp_filters, intervals, ndp_filters, widened

MAC = Mac(b"\x02\x00\x00\x00\x00\x01")
OURS, NOT_OURS = 0xC6336402, 0xC6336401
ASKED = ArpPacket(BROADCAST, MAC, REQUEST, MAC, NOT_OURS, Mac(bytes(6)), OURS)
TARGET = 0x20010DB8 << 96 | 1
SOLICITED = NdpPacket(
    multicast_mac(solicited_node(TARGET)), MAC, solicited_node(TARGET), TARGET + 1, SOLICITATION, TARGET, link_layer=MAC
)
Programs = Callable[..., tuple[bytes, ...]]
Pair = tuple[socket.socket, socket.socket]
_INSTRUCTION = struct.Struct("=HBBI")


def arp_filter(addresses: Iterable[int]) -> bytes:
    return arp_filters(addresses)[0]


def ndp_filter(addresses: Iterable[int]) -> bytes:
    return ndp_filters(addresses)[0]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    other.setblocking(False)
    with one, other:
        yield one, other


def passes(pair: Pair, frame: bytes) -> bool:
    """Whether the kernel lets the frame through, whole."""
    one, other = pair
    one.send(frame)
    try:
        received = other.recv(4096)
    except BlockingIOError:
        return False
    assert received == frame
    return True


def interpreted(packed: bytes, frame: bytes) -> bool:
    """What the program does, by the book: linux/Documentation/networking/filter.rst."""
    program = list(_INSTRUCTION.iter_unpack(packed))
    loaded, place = 0, 0
    while True:
        code, if_true, if_false, operand = program[place]
        place += 1
        if code == RETURN:
            return bool(operand)
        if code == JUMP:
            place += operand
        elif code in (LOAD_BYTE, LOAD_HALF, LOAD_WORD):
            size = {LOAD_BYTE: 1, LOAD_HALF: 2, LOAD_WORD: 4}[code]
            if operand + size > len(frame):
                return False
            loaded = int.from_bytes(frame[operand : operand + size])
        else:
            holds = {
                JUMP_IF_EQUAL: loaded == operand,
                JUMP_IF_GREATER: loaded > operand,
                JUMP_IF_AT_LEAST: loaded >= operand,
            }[code]
            place += if_true if holds else if_false


def length(packed: bytes) -> int:
    return len(packed) // _INSTRUCTION.size


@pytest.mark.parametrize(
    ("frame", "passed"),
    [
        pytest.param(ASKED.encode(), True, id="a request"),
        pytest.param(ASKED.encode() + bytes(18), True, id="a padded request"),
        pytest.param(replace(ASKED, destination=MAC).encode(), True, id="a unicast request"),
        pytest.param(replace(ASKED, sender_ip=0).encode(), True, id="a probe"),
        pytest.param(replace(ASKED, target_ip=NOT_OURS).encode(), False, id="a request for another address"),
        pytest.param(replace(ASKED, operation=REPLY).encode(), False, id="a reply to us"),
        pytest.param(
            replace(ASKED, operation=REPLY, sender_ip=OURS, target_ip=1).encode(), True, id="a reply in our name"
        ),
        pytest.param(replace(ASKED, sender_ip=OURS, target_ip=NOT_OURS).encode(), True, id="a request in our name"),
        pytest.param(replace(ASKED, sender_ip=OURS).encode(), True, id="an announcement in our name"),
        pytest.param(SOLICITED.encode(), False, id="IPv6"),
        pytest.param(ASKED.encode()[:21], False, id="cut off"),
        pytest.param(ASKED.encode()[:41], False, id="cut off in the target"),
        pytest.param(ASKED.encode()[:12] + b"\x08\x00" + ASKED.encode()[14:], False, id="IPv4 that looks alike"),
    ],
)
def test_of_arp_what_concerns_our_addresses_passes(
    pair: Pair,
    frame: bytes,
    passed: bool,  # noqa: FBT001  # a column
) -> None:
    attach(pair[1], arp_filter([OURS]))
    assert passes(pair, frame) is passed


@pytest.mark.parametrize(
    ("frame", "passed"),
    [
        pytest.param(SOLICITED.encode(), True, id="a solicitation"),
        pytest.param(replace(SOLICITED, source=0, link_layer=None).encode(), True, id="a probe"),
        pytest.param(replace(SOLICITED, kind=ADVERTISEMENT).encode(), True, id="an advertisement in our name"),
        pytest.param(replace(SOLICITED, target=TARGET + 1).encode(), False, id="a solicitation of another address"),
        pytest.param(replace(SOLICITED, target=TARGET + (1 << 96)).encode(), False, id="one that begins otherwise"),
        pytest.param(SOLICITED.encode()[:20] + b"\x11" + SOLICITED.encode()[21:], False, id="UDP that looks alike"),
        pytest.param(SOLICITED.encode()[:54] + b"\x80" + SOLICITED.encode()[55:], False, id="an echo request"),
        pytest.param(ASKED.encode(), False, id="ARP"),
        pytest.param(SOLICITED.encode()[:54], False, id="cut off"),
    ],
)
def test_of_ipv6_neighbour_discovery_about_our_addresses_passes(
    pair: Pair,
    frame: bytes,
    passed: bool,  # noqa: FBT001  # a column
) -> None:
    attach(pair[1], ndp_filter([TARGET]))
    assert passes(pair, frame) is passed


def test_without_addresses_nothing_passes(pair: Pair) -> None:
    for packed in (arp_filter([]), ndp_filter([])):
        attach(pair[1], packed)
        assert not passes(pair, ASKED.encode())
        assert not passes(pair, SOLICITED.encode())


sets_of_4 = st.one_of(
    st.frozensets(st.integers(0, 40), max_size=30),
    st.frozensets(st.integers(0, 0xFFFFFFFF), max_size=60),
    st.sets(st.sampled_from([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])).map(frozenset),
)
words = st.sampled_from([0, 1, 2, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
of_words = st.tuples(words, words, words, words).map(lambda each: sum(word << 32 * n for n, word in enumerate(each)))
sets_of_6 = st.one_of(
    st.frozensets(st.integers(0, 40), max_size=30),
    st.frozensets(of_words, max_size=40),
    st.frozensets(st.integers(0, (1 << 128) - 1), max_size=40),
    st.tuples(of_words, st.integers(1, 60)).map(
        lambda each: frozenset(value & ((1 << 128) - 1) for value in range(each[0] - each[1], each[0] + each[1]))
    ),
)


def near(addresses: frozenset[int], bits: int) -> list[int]:
    found = {address + step for address in addresses for step in (-1, 0, 1)} | {0, (1 << bits) - 1}
    return [address for address in sorted(found) if 0 <= address < 1 << bits][:150]


@given(sets_of_4)
def test_kernel_and_book_agree_with_the_set_of_arp(addresses: frozenset[int]) -> None:
    packed = arp_filter(addresses)
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        other.setblocking(False)
        attach(other, packed)
        for address in near(addresses, 32):
            for frame, about in (
                (replace(ASKED, sender_ip=address ^ 0x55, target_ip=address), {address, address ^ 0x55}),
                (replace(ASKED, operation=REPLY, sender_ip=address, target_ip=0), {address}),
            ):
                expected = bool(about & addresses)
                assert interpreted(packed, frame.encode()) is expected
                assert passes((one, other), frame.encode()) is expected


@given(sets_of_6)
def test_kernel_and_book_agree_with_the_set_of_ndp(addresses: frozenset[int]) -> None:
    packed = ndp_filter(addresses)
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        other.setblocking(False)
        attach(other, packed)
        for address in near(addresses, 128):
            frame = SOLICITED.encode()[:62] + address.to_bytes(16) + SOLICITED.encode()[78:]
            assert interpreted(packed, frame) is (address in addresses)
            assert passes((one, other), frame) is (address in addresses)


@given(st.one_of(sets_of_4, sets_of_6), st.integers(1, 20))
def test_intervals_hold_the_set_and_wider_ones_no_less(addresses: frozenset[int], most: int) -> None:
    exact = intervals(addresses)
    assert sum(last - first + 1 for first, last in exact) == len(addresses)
    assert all(any(first <= each <= last for first, last in exact) for each in addresses)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(exact))
    wider = widened(exact, most)
    assert len(wider) == min(most, len(exact))
    assert all(any(w[0] <= each[0] and each[1] <= w[1] for w in wider) for each in exact)
    closed = {n for n in range(1, len(exact)) if not any(w[0] == exact[n][0] for w in wider)}
    gaps = [exact[n][0] - exact[n - 1][1] for n in range(1, len(exact))]
    assert sorted(gaps[n - 1] for n in closed) == sorted(gaps)[: len(closed)], "the narrowest"


FOUR = [OURS + 2 * n + n * n for n in range(5000)]
SIX = [TARGET + (n << 95) + (n * n << 20) for n in range(3000)]


@pytest.mark.parametrize("most", [2048, 256, 60])
def test_a_program_that_would_be_too_long_passes_more_and_never_less(pair: Pair, most: int) -> None:
    (packed_four,), (packed_six,) = arp_filters(FOUR, [most]), ndp_filters(SIX, [most])
    assert most * 0.7 < length(packed_four) <= most
    assert most * 0.5 < length(packed_six) <= most
    attach(pair[1], packed_four)
    assert all(passes(pair, replace(ASKED, target_ip=each).encode()) for each in FOUR)
    assert not passes(pair, replace(ASKED, target_ip=OURS - 1).encode())
    attach(pair[1], packed_six)
    solicited = SOLICITED.encode()
    assert all(passes(pair, solicited[:62] + each.to_bytes(16) + solicited[78:]) for each in SIX)
    assert not passes(pair, replace(SOLICITED, target=TARGET - 1).encode())


@pytest.mark.parametrize(("make", "addresses"), [(arp_filters, FOUR), (ndp_filters, SIX)])
def test_programs_of_all_lengths_are_there_where_there_is_need(make: Programs, addresses: list[int]) -> None:
    assert [length(each) for each in make(addresses)] == sorted(
        {min(most, length(each)) for most, each in zip((4096, 1024, 128), make(addresses), strict=True)}, reverse=True
    )
    assert length(make(addresses)[0]) > 4096 * 0.9
    assert len(make(addresses[:1])) == 1


def test_the_best_program_that_the_kernel_has_room_for_is_put_on(pair: Pair) -> None:
    programs = arp_filters(FOUR)
    for _ in range(3):  # at a change the one before takes room, too
        assert attach_best(pair[1], programs)
        assert passes(pair, replace(ASKED, target_ip=FOUR[-1]).encode())
    too_long = programs[0] * 8
    with pytest.raises(OSError, match="Invalid argument"):
        attach_best(pair[1], (too_long, programs[-1]))
    loads = b"".join(_INSTRUCTION.pack(LOAD_WORD, 0, 0, 0) for _ in range(MOST_INSTRUCTIONS - 1))
    greedy = loads + programs[-1][-_INSTRUCTION.size :]  # in the kernel's own code, each takes a dozen
    assert not attach_best(pair[1], (greedy, *programs))
    assert passes(pair, replace(ASKED, target_ip=FOUR[-1]).encode())
    assert not passes(pair, replace(ASKED, target_ip=OURS - 1).encode())


def test_a_thousand_scattered_addresses_are_kept_apart_exactly(pair: Pair) -> None:
    addresses = frozenset(OURS + 2 * n for n in range(1000))
    packed = arp_filter(addresses)
    attach(pair[1], packed)
    for target in range(OURS - 1, OURS + 2001):
        assert passes(pair, replace(ASKED, target_ip=target).encode()) is (target in addresses)
        assert interpreted(packed, replace(ASKED, target_ip=target).encode()) is (target in addresses)


def test_a_range_of_any_size_takes_a_dozen_instructions() -> None:
    assert length(arp_filter(range(OURS, OURS + 5000))) < 16
    assert length(ndp_filter(range(TARGET, TARGET + 5000))) < 24


@given(st.lists(st.integers(0, 255), unique=True, min_size=1), st.integers(0, 255), st.integers(0, 300))
def test_searches_find_their_way_however_far(limits: list[int], value: int, apart: int) -> None:
    limits.sort()
    assembly = Assembly()
    ends: list[Target] = []
    for number in range(len(limits) + 1):  # each target is a program of its own, some of them far away
        place: Target = Verdict.PASS if number % 2 else Verdict.DROP
        for _ in range(apart if number == 0 else 1):
            place = assembly.branch(JUMP_IF_EQUAL, 0, place, place)
        ends.append(place)
    program = assembly.program(assembly.load(Field(0, 1), search(assembly, limits, ends)))
    expected = sum(limit <= value for limit in limits) % 2 == 1
    assert interpreted(b"".join(program), bytes([value])) is expected


def test_a_filter_replaces_the_one_before(pair: Pair) -> None:
    attach(pair[1], arp_filter([OURS]))
    attach(pair[1], ndp_filter([TARGET]))
    assert not passes(pair, ASKED.encode())
    assert passes(pair, SOLICITED.encode())


def test_a_program_that_is_none_is_refused(pair: Pair) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        attach(pair[1], _INSTRUCTION.pack(LOAD_HALF, 0, 0, 12))

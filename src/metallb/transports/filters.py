"""Socket filters for the frames that concern a set of addresses: who else asks or talks costs this process nothing.

Of ARP, requests for our addresses pass, and whatever another host says in the name of one of them (RFC 5227 2.4: its
sender address is ours). Of IPv6, Neighbour Solicitations and Advertisements whose target is ours.

The sets become intervals, searched by halves; where that takes more instructions than allowed, intervals that lie close
together are joined, so that too much passes, never too little. For IPv4, 1,900 intervals fit, as many for IPv6 where
they share their first 96 bits. Budget: 20 ms for as many, 1 ms for 5,000 addresses in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from metallb.protocols.arp.packet import REQUEST
from metallb.protocols.ethernet import ETHERTYPE_ARP, ETHERTYPE_IPV6
from metallb.protocols.ndp.packet import ADVERTISEMENT, SOLICITATION
from metallb.transports.bpf import (
    JUMP_IF_EQUAL,
    MOST_INSTRUCTIONS,
    Assembly,
    Field,
    Target,
    Verdict,
    search,
)

STEPS: Final = (MOST_INSTRUCTIONS, 1024, 128)
"""Lengths of programs to try: how much memory a socket's options may take differs (net.core.optmem_max)."""

Interval: TypeAlias = tuple[int, int]
"""First and last address."""

_Assemble: TypeAlias = Callable[[Sequence[Interval]], list[bytes]]

_ETHERTYPE = Field(12, 2)
_ARP_OPERATION = Field(20, 2)
_ARP_SENDER = (Field(28, 4),)
_ARP_TARGET = (Field(38, 4),)
_IPV6_NEXT_HEADER = Field(20, 1)
_ICMP_TYPE = Field(54, 1)
_NDP_TARGET = (Field(62, 4), Field(66, 4), Field(70, 4), Field(74, 4))
_NEXT_HEADER_ICMPV6 = 58
_WORD_BITS = 32
_WORD = 0xFFFFFFFF
_SENDERS = 64
"""Intervals that are told apart among senders: hosts don't live in the gaps between addresses of Services."""
_LEAST = 2
"""Instructions that an interval takes, or more."""
_ENDS = 0.98
"""What is left for intervals: a few in a hundred instructions repeat an end, or jump far."""


def arp_filters(addresses: Iterable[int], steps: Sequence[int] = STEPS) -> tuple[bytes, ...]:
    """Programs for an ARP socket, packed, the best first; `addresses` have 32 bits.

    Each has as many instructions as its step allows, or fewer; with the first that needs no more than the next step
    allows, the rest is left out.
    """
    return _programs(addresses, steps, _arp)


def ndp_filters(addresses: Iterable[int], steps: Sequence[int] = STEPS) -> tuple[bytes, ...]:
    """The same for an IPv6 socket; `addresses` have 128 bits."""
    return _programs(addresses, steps, _ndp)


def intervals(addresses: Iterable[int]) -> list[Interval]:
    """The fewest intervals that hold these addresses and no others, in order."""
    found: list[Interval] = []
    first = last = -2
    for address in sorted(addresses):
        if address <= last + 1:
            last = address
            continue
        if last >= 0:
            found.append((first, last))
        first = last = address
    return [*found, (first, last)] if last >= 0 else found


def widened(exact: Sequence[Interval], most: int) -> list[Interval]:
    """At most so many intervals that hold all of these: the narrowest gaps are closed."""
    if len(exact) <= most:
        return list(exact)
    gaps = sorted(range(1, len(exact)), key=lambda number: exact[number][0] - exact[number - 1][1])
    bounds = [0, *sorted(gaps[len(exact) - most :]), len(exact)]
    return [(exact[start][0], exact[end - 1][1]) for start, end in pairwise(bounds)]


def _programs(addresses: Iterable[int], steps: Sequence[int], assemble: _Assemble) -> tuple[bytes, ...]:
    exact = intervals(addresses)
    programs: list[list[bytes]] = []
    for most in steps:
        if not programs or len(programs[-1]) > most:
            programs.append(_fitting(exact, most, assemble))
    return tuple(b"".join(each) for each in programs)


def _fitting(exact: Sequence[Interval], most: int, assemble: _Assemble) -> list[bytes]:
    """The program of about the most intervals that fits."""
    count = min(len(exact), most // _LEAST)
    while True:
        program = assemble(widened(exact, count))
        if len(program) <= most or count <= 1:
            return program
        count = max(1, int(count * _ENDS * most / len(program)))


def _arp(found: Sequence[Interval]) -> list[bytes]:
    assembly = Assembly()
    of_sender = _member(assembly, _ARP_SENDER, widened(found, _SENDERS), Verdict.DROP)
    of_target = _member(assembly, _ARP_TARGET, found, of_sender)
    by_operation = assembly.branch(JUMP_IF_EQUAL, REQUEST, of_target, of_sender)
    operation = assembly.load(_ARP_OPERATION, by_operation)
    return _of_type(assembly, ETHERTYPE_ARP, operation)


def _ndp(found: Sequence[Interval]) -> list[bytes]:
    assembly = Assembly()
    of_target = _member(assembly, _NDP_TARGET, found, Verdict.DROP)
    advertised = assembly.branch(JUMP_IF_EQUAL, ADVERTISEMENT, of_target, Verdict.DROP)
    kind = assembly.load(_ICMP_TYPE, assembly.branch(JUMP_IF_EQUAL, SOLICITATION, of_target, advertised))
    header = assembly.load(_IPV6_NEXT_HEADER, assembly.branch(JUMP_IF_EQUAL, _NEXT_HEADER_ICMPV6, kind, Verdict.DROP))
    return _of_type(assembly, ETHERTYPE_IPV6, header)


def _of_type(assembly: Assembly, ethertype: int, then: Target) -> list[bytes]:
    return assembly.program(assembly.load(_ETHERTYPE, assembly.branch(JUMP_IF_EQUAL, ethertype, then, Verdict.DROP)))


def _member(assembly: Assembly, fields: Sequence[Field], found: Sequence[Interval], otherwise: Target) -> Target:
    """Whether the number in these words of the frame lies in one of the intervals; if not, on to `otherwise`."""
    if not found:
        return otherwise
    below = _WORD_BITS * (len(fields) - 1)
    limits: list[int] = []
    targets: list[Target] = [otherwise]

    def region(start: int, target: Target) -> None:
        """From `start` on, words of this place lead to the target."""
        if limits and limits[-1] == start:
            targets[-1] = target
        elif start == 0 and not limits:
            targets[0] = target
        else:
            limits.append(start)
            targets.append(target)

    for word, inside in _by_first_word(found, below):
        whole = inside == [(0, (1 << below) - 1)]
        region(word[0], Verdict.PASS if whole else _member(assembly, fields[1:], inside, otherwise))
        if word[1] < _WORD:
            region(word[1] + 1, otherwise)
    return assembly.load(fields[0], search(assembly, limits, targets))


def _by_first_word(found: Sequence[Interval], below: int) -> list[tuple[Interval, list[Interval]]]:
    """The intervals by their first word: runs of words, and what of the bits below lies in the intervals there."""
    low = (1 << below) - 1
    runs: list[tuple[Interval, list[Interval]]] = []

    def add(first: int, last: int, inside: Interval) -> None:
        if runs and runs[-1][0] == (first, last):
            runs[-1][1].append(inside)
        else:
            runs.append(((first, last), [inside]))

    for first, last in found:
        start, end = first >> below, last >> below
        if start == end:
            add(start, start, (first & low, last & low))
            continue
        if first & low:
            add(start, start, (first & low, low))
            start += 1
        if last & low != low:
            if start < end:
                add(start, end - 1, (0, low))
            add(end, end, (0, last & low))
        else:
            add(start, end, (0, low))
    return runs

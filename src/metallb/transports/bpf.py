"""Classic BPF programs: what a packet socket lets through is decided in the kernel, not here.

Source: linux/filter.h; Documentation/networking/filter.rst.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from metallb.protocols.arp.packet import REQUEST
from metallb.protocols.ethernet import ETHERTYPE_ARP, ETHERTYPE_IPV6
from metallb.protocols.ndp.packet import SOLICITATION

SO_ATTACH_FILTER: Final = 26

_LOAD_HALF = 0x28
_LOAD_BYTE = 0x30
_JUMP_IF_EQUAL = 0x15
_RETURN = 0x06
_WHOLE_FRAME = 0x40000
_NEXT_HEADER_ICMPV6 = 58


_INSTRUCTION = struct.Struct("=HBBI")


class Instruction(NamedTuple):
    """One instruction: operation, jump distances if true and if false, operand."""

    code: int
    if_true: int
    if_false: int
    operand: int


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class Match(NamedTuple):
    """A field of the frame that must have a value; `size` is 1 or 2 bytes."""

    offset: int
    size: int
    value: int


def all_equal(matches: Sequence[Match]) -> list[Instruction]:
    """A program that passes frames in which every field has its value, and drops all others."""
    program: list[Instruction] = []
    for position, match in enumerate(matches):
        to_drop = 2 * (len(matches) - position - 1) + 1
        program.append(Instruction(_LOAD_HALF if match.size == 2 else _LOAD_BYTE, 0, 0, match.offset))  # noqa: PLR2004  # bytes
        program.append(Instruction(_JUMP_IF_EQUAL, 0, to_drop, match.value))
    return [*program, Instruction(_RETURN, 0, 0, _WHOLE_FRAME), Instruction(_RETURN, 0, 0, 0)]


ARP_REQUESTS: Final = all_equal([Match(12, 2, ETHERTYPE_ARP), Match(20, 2, REQUEST)])
"""ARP requests: the only ARP messages that are answered."""

NEIGHBOUR_SOLICITATIONS: Final = all_equal(
    [Match(12, 2, ETHERTYPE_IPV6), Match(20, 1, _NEXT_HEADER_ICMPV6), Match(54, 1, SOLICITATION)]
)
"""Neighbour Solicitations without extension headers, which RFC 4861 messages don't have."""


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Puts a filter on a socket; it replaces the one before at once.

    Raises:
        OSError: the kernel refuses the program.
    """
    packed = b"".join(_INSTRUCTION.pack(*each) for each in program)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = _Program(len(program), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(header))

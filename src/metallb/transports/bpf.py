"""Classic BPF programs: what a packet socket lets through is decided in the kernel, not here.

Source: linux/filter.h; Documentation/networking/filter.rst.
"""

from __future__ import annotations

import errno
import socket
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

SO_ATTACH_FILTER: Final = 26
MOST_INSTRUCTIONS: Final = 4096
"""BPF_MAXINSNS: the kernel takes no longer program."""

LOAD_WORD: Final = 0x20
LOAD_HALF: Final = 0x28
LOAD_BYTE: Final = 0x30
JUMP: Final = 0x05
JUMP_IF_EQUAL: Final = 0x15
JUMP_IF_GREATER: Final = 0x25
JUMP_IF_AT_LEAST: Final = 0x35
RETURN: Final = 0x06
WHOLE_FRAME: Final = 0x40000

_LOADS: Final = {1: LOAD_BYTE, 2: LOAD_HALF, 4: LOAD_WORD}
_FARTHEST: Final = 255
"""A conditional jump passes over so many instructions at most."""

_INSTRUCTION = struct.Struct("=HBBI")
"""struct sock_filter: operation, jump distances if true and if false, operand."""
_PROGRAM = struct.Struct("HP")


NOTHING: Final = _INSTRUCTION.pack(RETURN, 0, 0, 0)
"""The program that lets nothing through."""


class Field(NamedTuple):
    """A field of the frame: its offset, and its size of 1, 2 or 4 bytes."""

    offset: int
    size: int


class Verdict(Enum):
    """The end of a program: the frame passes whole, or not at all."""

    PASS = WHOLE_FRAME
    DROP = 0


Target: TypeAlias = Verdict | int
"""Where a jump leads: an end, or a place in the program that `Assembly` gave."""


@dataclass(slots=True)
class Assembly:
    """A program in the making, from its end to its beginning: jumps lead forward, so their targets are there already.

    A place is the number of instructions from the end. Ends, and jumps to what is far, are shared where conditional
    jumps reach them, else repeated.
    """

    _reversed: list[bytes] = field(default_factory=list)
    _nearest: dict[Target, int] = field(default_factory=dict)

    def branch(self, code: int, operand: int, if_true: Target, if_false: Target) -> int:
        """A comparison of what was loaded last; gives its place."""
        near_false = self._near(if_false, to_come=1)  # the way to the other target may take one more instruction
        near_true = self._near(if_true, to_come=0)
        here = len(self._reversed)
        return self._put(code, here - near_true - 1, here - near_false - 1, operand)

    def load(self, field_: Field, then: Target) -> int:
        """Loads a field, for what follows at `then`; gives its place. A frame that is too short is dropped."""
        self._fall_into(then)
        return self._put(_LOADS[field_.size], 0, 0, field_.offset)

    def program(self, start: Target) -> list[bytes]:
        """The instructions of the program that begins at `start`, which must be the place put last or an end."""
        self._fall_into(start)
        return self._reversed[::-1]

    def _put(self, code: int, if_true: int, if_false: int, operand: int) -> int:
        self._reversed.append(_INSTRUCTION.pack(code, if_true, if_false, operand))
        return len(self._reversed) - 1

    def _fall_into(self, target: Target) -> None:
        """Whatever is put next goes on at the target."""
        if self._nearest.get(target, target) != len(self._reversed) - 1:
            self._lead_to(target)

    def _near(self, target: Target, *, to_come: int) -> int:
        """A place that leads to the target and can be reached from one that is `to_come` instructions further on."""
        place = self._nearest.get(target, target)
        if isinstance(place, int) and len(self._reversed) + to_come - place - 1 <= _FARTHEST:
            return place
        return self._lead_to(target)

    def _lead_to(self, target: Target) -> int:
        if isinstance(target, Verdict):
            place = self._put(RETURN, 0, 0, target.value)
        else:
            place = self._put(JUMP, 0, 0, len(self._reversed) - target - 1)
        self._nearest[target] = place
        return place


def search(assembly: Assembly, limits: Sequence[int], targets: Sequence[Target]) -> Target:
    """A binary search for the word loaded last among ascending limits.

    A word below `limits[0]` leads to `targets[0]`, one from `limits[i]` on, up to the next limit, to `targets[i + 1]`.
    Gives where the search begins; without limits that is the only target.
    """

    def between(first: int, end: int) -> Target:
        if first == end:
            return targets[first]
        middle = (first + end) // 2
        above = between(middle + 1, end)
        below = between(first, middle)
        return assembly.branch(JUMP_IF_AT_LEAST, limits[middle], above, below)

    return between(0, len(limits))


def attach(sock: socket.socket, packed: bytes) -> None:
    """Puts a filter on a socket; it replaces the one before at once.

    Raises:
        OSError: the kernel refuses the program, or (ENOMEM) has no room for it: net.core.optmem_max.
    """
    memory = array("B", packed)
    address, _ = memory.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, _PROGRAM.pack(len(packed) // _INSTRUCTION.size, address))


def attach_best(sock: socket.socket, programs: Sequence[bytes]) -> bool:
    """Puts the first program on the socket that the kernel has room for; says whether that is the very first.

    Long programs take what the kernel grants a socket for its options, and at a change the one before counts as well:
    so the last and shortest one clears the way for the others.

    Raises:
        OSError: the kernel refuses all.
    """
    if _attached(sock, programs[0]):
        return True
    attach(sock, programs[-1])
    fits = next((each for each in programs[:-1] if _attached(sock, each)), None)
    return fits is programs[0]


def _attached(sock: socket.socket, packed: bytes) -> bool:
    try:
        attach(sock, packed)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        return False
    return True

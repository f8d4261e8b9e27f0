"""A sign of life, as it travels in a user message of gossip."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from metallb.protocols.heartbeat.errors import DecodeError

CAPABILITY: Final = b"metallb-py beat/1"
"""In the `Meta` of the gossip of those who speak this."""

_MAGIC: Final = b"MLB\x01"
_FIXED = struct.Struct("!4sBQIB")
_CALL: Final = 1
_LEAVING: Final = 2
_NAMES_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Beat:
    """One sign of life.

    Attributes:
        name: who lives.
        session: of this run of its process.
        sequence: counts up within a session; older ones are not looked at.
        doubts: whom it does not hear though it should.
        call: whether it wants to be answered at once.
        leaving: it ends: whoever would take over does so now.
    """

    name: str
    session: int
    sequence: int
    doubts: frozenset[str] = frozenset()
    call: bool = False
    leaving: bool = False

    def encode(self) -> bytes:
        """18 bytes and the names. More than 255 doubts are not told: then the sender itself is the one cut off."""
        doubts = sorted(self.doubts)[:_NAMES_MAX]
        flags = (_CALL if self.call else 0) | (_LEAVING if self.leaving else 0)
        head = _FIXED.pack(_MAGIC, flags, self.session, self.sequence, len(doubts))
        return head + b"".join(map(_named, [self.name, *doubts]))


def decode(data: bytes) -> Beat:
    """Reads a sign of life; bytes after it are ignored.

    Raises:
        DecodeError: it is none, or too short.
    """
    if len(data) < _FIXED.size:
        raise DecodeError("short", len(data))
    magic, flags, session, sequence, count = _FIXED.unpack_from(data)
    if magic != _MAGIC:
        raise DecodeError("type", 0)
    names = []
    offset = _FIXED.size
    for _ in range(1 + count):
        name, offset = _read_name(data, offset)
        names.append(name)
    return Beat(names[0], session, sequence, frozenset(names[1:]), bool(flags & _CALL), bool(flags & _LEAVING))


def _named(name: str) -> bytes:
    data = name.encode("utf-8", "surrogateescape")[:_NAMES_MAX]
    return bytes([len(data)]) + data


def _read_name(data: bytes, offset: int) -> tuple[str, int]:
    if offset >= len(data):
        raise DecodeError("short", offset)
    end = offset + 1 + data[offset]
    if end > len(data):
        raise DecodeError("short", offset)
    return data[offset + 1 : end].decode("utf-8", "surrogateescape"), end

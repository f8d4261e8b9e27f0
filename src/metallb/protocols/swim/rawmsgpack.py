"""MessagePack as memberlist writes it: the old specification, where text and bytes are one type, `raw`.

Written: maps with sorted keys, fixstr / str16 / str32 for text and bytes, and the shortest integers, counts signed.
Read: all of the present specification that has a meaning here (spec/speaker.md 3.6).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from metallb.protocols.swim.errors import DecodeError


class Signed(int):
    """An integer that is written as a signed one."""


Value = bytes | int | bool | None | list["Value"] | dict[bytes, "Value"]
"""What is read: text and bytes come as bytes."""
Writable = bytes | str | int | bool | Signed | None

_NIL: Final = 0xC0
_FALSE: Final = 0xC2
_TRUE: Final = 0xC3
_POSITIVE_FIXINT: Final = 0x80
_FIXMAP: Final = 0x80
_FIXARRAY: Final = 0x90
_FIXSTR: Final = 0xA0
_NEGATIVE_FIXINT: Final = 0xE0
_FIXSTR_MAX: Final = 31
_FIXMAP_MAX: Final = 15
_MAX_DEPTH: Final = 8
"""Deeper than any message is; bounds what a stranger's bytes can make us do."""


def encode(fields: Mapping[str, Writable]) -> bytes:
    """A map of fields; keys are written in sorted order.

    Raises:
        ValueError: more than 15 fields, or an integer that 32 bits don't hold.
    """
    if len(fields) > _FIXMAP_MAX:
        raise ValueError(f"{len(fields)} fields are more than a message has")
    parts = [bytes([_FIXMAP | len(fields)])]
    for name in sorted(fields):
        parts.append(_raw(name.encode()))
        parts.append(_encode(fields[name]))
    return b"".join(parts)


def _encode(value: Writable) -> bytes:
    match value:
        case None:
            return bytes([_NIL])
        case bool():
            return bytes([_TRUE if value else _FALSE])
        case Signed():
            return _signed(value)
        case int():
            return _unsigned(value)
        case str():
            return _raw(value.encode("utf-8", "surrogateescape"))
        case bytes():
            return _raw(value)


def _raw(data: bytes) -> bytes:
    size = len(data)
    if size <= _FIXSTR_MAX:
        return bytes([_FIXSTR | size]) + data
    return (struct.pack("!BH", 0xDA, size) if size < 1 << 16 else struct.pack("!BI", 0xDB, size)) + data


def _unsigned(value: int) -> bytes:
    if not 0 <= value < 1 << 32:
        raise ValueError(f"{value} does not fit 32 bits without a sign")
    if value < _POSITIVE_FIXINT:
        return bytes([value])
    if value < 1 << 8:
        return struct.pack("!BB", 0xCC, value)
    return struct.pack("!BH", 0xCD, value) if value < 1 << 16 else struct.pack("!BI", 0xCE, value)


def _signed(value: int) -> bytes:
    if not 0 <= value < 1 << 31:
        raise ValueError(f"{value} is no count")
    if value < _POSITIVE_FIXINT:
        return bytes([value])
    return struct.pack("!Bh", 0xD1, value) if value < 1 << 15 else struct.pack("!Bi", 0xD2, value)


class Read(NamedTuple):
    """A value, and where the bytes after it begin."""

    value: Value
    end: int


def decode(data: bytes, offset: int = 0, *, depth: int = _MAX_DEPTH) -> Read:
    """Reads one value.

    Raises:
        DecodeError: the bytes end early, are no MessagePack, or nest deeper than any message.
    """
    if depth == 0:
        raise DecodeError("value", offset)
    if offset >= len(data):
        raise DecodeError("short", offset)
    first = data[offset]
    if first < _POSITIVE_FIXINT:
        return Read(first, offset + 1)
    if first >= _NEGATIVE_FIXINT:
        return Read(first - 256, offset + 1)
    if first < _FIXARRAY:
        return _map(data, offset + 1, first & 0x0F, depth)
    if first < _FIXSTR:
        return _array(data, offset + 1, first & 0x0F, depth)
    if first < _NIL:
        return _bytes(data, offset + 1, first & 0x1F)
    return _long(data, offset, depth)


_CONSTANTS: Final[Mapping[int, bool | None]] = {_NIL: None, _FALSE: False, _TRUE: True}
_INTEGERS: Final = {
    first: struct.Struct(form)
    for first, form in {
        0xCC: "!B",
        0xCD: "!H",
        0xCE: "!I",
        0xCF: "!Q",
        0xD0: "!b",
        0xD1: "!h",
        0xD2: "!i",
        0xD3: "!q",
    }.items()
}
_SIZED: Final = {
    first: struct.Struct(form)
    for first, form in {
        0xC4: "!B",
        0xC5: "!H",
        0xC6: "!I",
        0xD9: "!B",
        0xDA: "!H",
        0xDB: "!I",
        0xDC: "!H",
        0xDD: "!I",
        0xDE: "!H",
        0xDF: "!I",
    }.items()
}
_ARRAYS: Final = frozenset({0xDC, 0xDD})
_MAPS: Final = frozenset({0xDE, 0xDF})


def _long(data: bytes, offset: int, depth: int) -> Read:
    first = data[offset]
    if first in _CONSTANTS:
        return Read(_CONSTANTS[first], offset + 1)
    form = _INTEGERS.get(first) or _SIZED.get(first)
    if form is None:
        raise DecodeError("value", offset)
    start = offset + 1 + form.size
    if start > len(data):
        raise DecodeError("short", offset)
    (number,) = form.unpack_from(data, offset + 1)
    if first in _INTEGERS:
        return Read(number, start)
    if first in _ARRAYS:
        return _array(data, start, number, depth)
    if first in _MAPS:
        return _map(data, start, number, depth)
    return _bytes(data, start, number)


def _bytes(data: bytes, start: int, size: int) -> Read:
    end = start + size
    if end > len(data):
        raise DecodeError("short", start)
    return Read(data[start:end], end)


def _array(data: bytes, start: int, size: int, depth: int) -> Read:
    items: list[Value] = []
    for _ in range(size):
        value, start = decode(data, start, depth=depth - 1)
        items.append(value)
    return Read(items, start)


def _map(data: bytes, start: int, size: int, depth: int) -> Read:
    fields: dict[bytes, Value] = {}
    for _ in range(size):
        key_at = start
        key, start = decode(data, start, depth=depth - 1)
        if not isinstance(key, bytes):
            raise DecodeError("value", key_at)
        fields[key], start = decode(data, start, depth=depth - 1)
    return Read(fields, start)

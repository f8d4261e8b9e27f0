"""LZW as in GIF: 8-bit literals, codes of 9 to 12 bits, least significant bit first (Go's `compress/lzw`, order LSB).

Equal input gives equal bytes as memberlist's, so that recorded traffic can be compared (spec/speaker.md 3.6).
"""

from __future__ import annotations

from typing import Final

from metallb.protocols.swim.errors import DecodeError

_CLEAR: Final = 256
_END: Final = 257
_FIRST_WIDTH: Final = 9
_LAST_WIDTH: Final = 12
_CODES: Final = 1 << _LAST_WIDTH


class _Bits:
    """Codes of changing width become bytes."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._pending = 0
        self._count = 0

    def put(self, code: int, width: int) -> None:
        self._pending |= code << self._count
        self._count += width
        while self._count >= 8:  # noqa: PLR2004  # bits of a byte
            self.out.append(self._pending & 0xFF)
            self._pending >>= 8
            self._count -= 8

    def finish(self) -> bytes:
        if self._count:
            self.out.append(self._pending & 0xFF)
        return bytes(self.out)


def compress(data: bytes) -> bytes:
    """The compressed bytes, with a clear code at the start and an end code at the end."""
    bits = _Bits()
    bits.put(_CLEAR, _FIRST_WIDTH)
    table: dict[tuple[int, int], int] = {}
    newest, width = _END, _FIRST_WIDTH
    code: int | None = None
    for literal in [*data, None]:
        if code is None:
            code = literal
            continue
        known = None if literal is None else table.get((code, literal))
        if known is not None:
            code = known
            continue
        bits.put(code, width)
        newest += 1
        if newest == 1 << width:
            width += 1
        if newest == _CODES - 1:  # the last code stays free: the table starts anew
            bits.put(_CLEAR, _LAST_WIDTH)
            table.clear()
            newest, width = _END, _FIRST_WIDTH
        elif literal is not None:
            table[code, literal] = newest
        code = literal
    bits.put(_END, width)
    return bits.finish()


def decompress(data: bytes, *, limit: int) -> bytes:
    """What was compressed; bytes after the end code are ignored.

    Args:
        data: the compressed bytes.
        limit: how many bytes may come out.

    Raises:
        DecodeError: a code that can't be, no end code, or more than `limit` bytes.
    """
    reader = _Codes(data)
    out = bytearray()
    table: list[bytes] = []
    last = b""
    while (code := reader.next(len(table) + bool(last))) != _END:
        if code == _CLEAR:
            table.clear()
            last = b""
            continue
        entry = _entry(table, code, last, reader.offset)
        if last and len(table) < _CODES - _END - 1:
            table.append(last + entry[:1])
        out += entry
        last = entry
        if len(out) > limit:
            raise DecodeError("length", reader.offset)
    return bytes(out)


def _entry(table: list[bytes], code: int, last: bytes, offset: int) -> bytes:
    """What a code stands for; the one that is just being defined repeats the start of the last."""
    if code < _CLEAR:
        return bytes([code])
    index = code - _END - 1
    if index < len(table):
        return table[index]
    if index == len(table) and last:
        return last + last[:1]
    raise DecodeError("compression", offset)


class _Codes:
    """Bytes become codes; their width follows from how many are defined."""

    def __init__(self, data: bytes) -> None:
        self.offset = 0
        self._data = data
        self._pending = 0
        self._count = 0

    def next(self, defined: int) -> int:
        width = min(max((_END + defined).bit_length(), _FIRST_WIDTH), _LAST_WIDTH)
        while self._count < width:
            if self.offset >= len(self._data):
                raise DecodeError("compression", self.offset)
            self._pending |= self._data[self.offset] << self._count
            self._count += 8
            self.offset += 1
        code = self._pending & ((1 << width) - 1)
        self._pending >>= width
        self._count -= width
        return code

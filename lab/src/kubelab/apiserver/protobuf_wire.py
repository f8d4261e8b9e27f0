"""The protobuf wire format: tags, numbers and lengths, read and refused as the decoders of Kubernetes' own types do.

Source: protobuf.dev "Encoding"; the words of refusals are those that clients see from kube-apiserver.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from kubelab.objects import GroupVersionKind

VARINT: Final = 0
BYTES: Final = 2
_FIXED64, _GROUP, _END_GROUP, _FIXED32 = 1, 3, 4, 5
_FIXED_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_WORD_BITS: Final = 64
_MORE: Final = 0x80
_END: Final = "unexpected EOF"


class Parts(NamedTuple):
    """Fields by number: numbers are unsigned, texts are bytes."""

    numbers: dict[int, int]
    texts: dict[int, bytes]


class DecodeError(Exception):
    """Bytes that are no object of a known kind; the text says why.

    Attributes:
        claimed: the kind that the bytes say they are; None if they don't come as far.
    """

    def __init__(self, why: str, claimed: GroupVersionKind | None = None) -> None:
        super().__init__(why)
        self.claimed = claimed


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The unsigned number at an offset, and the offset behind it.

    Raises:
        DecodeError: it does not end, or is longer than 64 bits.
    """
    if at < len(data) and data[at] < _MORE:  # most numbers
        return data[at], at + 1
    value = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise DecodeError("proto: integer overflow" if shift >= _WORD_BITS else _END)


def chunk(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes behind the length at an offset, and the offset behind them.

    Raises:
        DecodeError: there are fewer.
    """
    size, at = varint(data, at)
    if size >> (_WORD_BITS - 1):
        raise DecodeError("proto: negative length found during unmarshaling")
    end = at + size
    if end > len(data):
        raise DecodeError(_END)
    return data[at:end], end


def skip(data: bytes, at: int) -> int:
    """The offset behind the field at an offset, whatever it is; groups are skipped whole.

    Raises:
        DecodeError: it is no field.
    """
    depth = 0
    while True:
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == VARINT:
            _, at = varint(data, at)
        elif wire == BYTES:
            _, at = chunk(data, at)
        elif wire in _FIXED_SIZES:
            at += _FIXED_SIZES[wire]
        elif wire in {_GROUP, _END_GROUP}:
            depth += 1 if wire == _GROUP else -1
        else:
            raise DecodeError(f"proto: illegal wireType {wire}")
        if at > len(data):
            raise DecodeError(_END)
        if depth < 0:
            raise DecodeError("proto: unexpected end of group")
        if depth == 0:
            return at


def check_tag(tag: int, message: str) -> None:
    """Refuse tags that no field can have.

    Raises:
        DecodeError: it is one; `message` is the name of the message that has it.
    """
    if tag & 7 == _END_GROUP:
        raise DecodeError(f"proto: {message}: wiretype end group for non-group")
    number = signed(tag >> 3, 32)
    if number <= 0:
        raise DecodeError(f"proto: {message}: illegal tag {number} (wire type {tag})")


def signed(value: int, bits: int) -> int:
    """The lower bits of a number as a signed number of so many bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def packed(data: bytes) -> list[int]:
    """The numbers of a packed list, unsigned.

    Raises:
        DecodeError: the last one does not end.
    """
    numbers = []
    at = 0
    while at < len(data):
        number, at = varint(data, at)
        numbers.append(number)
    return numbers


def parts(data: bytes, message: str, *, numbers: Collection[int] = (), texts: Collection[int] = ()) -> Parts:
    """The fields of a message that has few: those that are numbers, and those that are bytes; the last of each counts.

    Raises:
        DecodeError: it is none.
    """
    found = Parts({}, {})
    at = 0
    while at < len(data):
        start = at
        tag, at = varint(data, at)
        check_tag(tag, message)
        number = tag >> 3
        if number in numbers and tag & 7 == VARINT:
            found.numbers[number], at = varint(data, at)
        elif number in texts and tag & 7 == BYTES:
            found.texts[number], at = chunk(data, at)
        elif number in numbers or number in texts:
            raise wrong_wire_type(tag, f"{number} of {message}")
        else:
            at = skip(data, start)
    return found


def wrong_wire_type(tag: int, field: str) -> DecodeError:
    """A known field is there in another form than its type has."""
    return DecodeError(f"proto: wrong wireType = {tag & 7} for field {field}")

"""Values in protobuf that have a JSON form of their own: text, numbers, times, quantities, raw JSON.

Source: apimachinery `metav1.Time`, `metav1.MicroTime`, `resource.Quantity`, `intstr.IntOrString`,
`runtime.RawExtension`: their protobuf messages, and how they are written in JSON.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from kubelab.apiserver.protobuf_wire import DecodeError, parts, signed, skip
from kubelab.objects import Json

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # all times here are UTC; none leaves as a datetime
_NO_TEXT: Final = re.compile("[\\udc80-\\udcff]")
_NS_PER_US: Final = 1000
_IS_TEXT: Final = 1


def _int32(value: int) -> Json:
    return signed(value, 32)


def _int64(value: int) -> Json:
    return signed(value, 64)


def string(data: bytes) -> str:
    """Text; each byte that is none is replaced, as in the JSON that Go makes of it."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", data.decode(errors="surrogateescape"))


def _base64(data: bytes) -> Json:
    return base64.b64encode(data).decode()


def _time(data: bytes) -> Json:
    return _timestamp(data, "seconds")


def _micro_time(data: bytes) -> Json:
    return _timestamp(data, "microseconds")


def _timestamp(data: bytes, precision: str) -> Json:
    """RFC 3339; no bytes at all are the time that was not set."""
    if not data:
        return None
    numbers = parts(data, "Timestamp", numbers={1, 2}).numbers
    seconds, nanoseconds = signed(numbers.get(1, 0), 64), signed(numbers.get(2, 0), 32)
    fraction = nanoseconds // _NS_PER_US if precision == "microseconds" else 0
    try:
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=fraction)
    except OverflowError as error:
        raise DecodeError(f"{seconds} seconds are no time between the years 1 and 9999") from error
    return moment.isoformat(timespec=precision) + "Z"


def _quantity(data: bytes) -> Json:
    text = parts(data, "Quantity", texts={1}).texts.get(1)
    return "0" if text is None else string(text)


def _int_or_string(data: bytes) -> Json:
    numbers, texts = parts(data, "IntOrString", numbers={1, 2}, texts={3})
    kind = numbers.get(1, 0)
    if kind > _IS_TEXT:
        raise DecodeError("impossible IntOrString.Type")
    return string(texts.get(3, b"")) if kind == _IS_TEXT else _int32(numbers.get(2, 0))


def _raw_json(data: bytes) -> Json:
    raw = parts(data, "RawExtension", texts={1}).texts.get(1)
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"raw JSON in it can't be read: {error}") from error


def _strings(data: bytes) -> Json:
    """A list that is a message of its own, as in maps of lists."""
    items: list[Json] = []
    at = 0
    while at < len(data):
        end = skip(data, at)
        items += map(string, parts(data[at:end], "ExtraValue", texts={1}).texts.values())
        at = end
    return items


NUMBERS: Final[Mapping[str, Callable[[int], Json]]] = {"bool": bool, "int32": _int32, "int64": _int64}
"""From a number on the wire to JSON, by type."""

TEXTS: Final[Mapping[str, Callable[[bytes], Json]]] = {
    "bytes": _base64,
    "int-or-string": _int_or_string,
    "microtime": _micro_time,
    "quantity": _quantity,
    "raw": _raw_json,
    "string": string,
    "strings": _strings,
    "time": _time,
}
"""From bytes on the wire to JSON, by type. None is a value that was not set."""

ZEROS: Final[Mapping[str, Json]] = {
    "bool": False,
    "int-or-string": 0,
    "int32": 0,
    "int64": 0,
    "quantity": "0",
    "string": "",
}
"""What Go writes in JSON for a value that was not set, of the types where it writes something but null."""

"""Bodies in protobuf, as clients written in Go send built-in kinds: wire format in, JSON object out.

`protobuf_fields.jsonl` has, for each OpenAPI definition, the names of its fields by number, structures that Go embeds
(`inline`: their fields are the definition's own in JSON) and the numbers of scalars that Go holds by pointer: such a
field is sent only if it was set, every other scalar always, so that zero there means "not set".
Wire format: protobuf.dev "Encoding"; envelope: apimachinery `runtime.Unknown` behind the bytes `k8s` and zero.
"""

from __future__ import annotations

import base64
import functools
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources as package_files
from typing import Any, Final

from kubelab.apiserver.errors import bad_request
from kubelab.apiserver.schema.builtin import INT_OR_STRING, META, QUANTITY, Types
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import GroupVersionKind, Json, Object

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_DEPTH: Final = 64
_WORD: Final = 1 << 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ANY: Final = Schema()
_STRING: Final = Schema(type="string")


class _MalformedError(Exception):
    """The bytes are no message, or not one of the type."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What is known of a definition's wire format."""

    fields: Mapping[int, str]
    inline: Mapping[int, str]
    pointers: frozenset[int]


@functools.cache
def _messages() -> dict[str, _Message]:
    text = package_files.files("kubelab.apiserver").joinpath("protobuf_fields.jsonl").read_text(encoding="utf-8")
    found = {}
    for line in map(json.loads, text.splitlines()):
        fields = {int(number): name for number, name in line["fields"].items()}
        inline = {int(number): name for number, name in line.get("inline", {}).items()}
        found[line["type"]] = _Message(fields, inline, frozenset(line.get("pointers", ())))
    return found


def decode(body: bytes, types: Types) -> Object:
    """The object in a body.

    Raises:
        ApiError: 400, the bytes are no message of a kind that is known.
    """
    try:
        return _decode(body, types)
    except (_MalformedError, RecursionError, OverflowError, UnicodeDecodeError) as error:
        raise bad_request(f"the object provided is unrecognized: not a protobuf message: {error}") from error


def _decode(body: bytes, types: Types) -> Object:
    if not body.startswith(_MAGIC):
        raise _MalformedError("it does not start with k8s")
    envelope = dict(_pairs(body[len(_MAGIC) :]))
    kind_part = dict(_pairs(_bytes(envelope.get(1, b""))))
    api_version, kind = (_bytes(kind_part.get(number, b"")).decode() for number in (1, 2))
    gvk = GroupVersionKind.of({"apiVersion": api_version, "kind": kind})
    name = types.definition_name(gvk)
    if name is None or name not in _messages():
        raise _MalformedError(f"kind {kind!r} of {api_version!r} is not known in protobuf")
    reader = _Reader(types)
    found = reader.message(name, types.definition(name), _bytes(envelope.get(2, b"")), 0)
    return {"kind": kind, "apiVersion": api_version} | found


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _MalformedError("a number stands where bytes are expected")
    return value


def _pairs(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: numbers, and values as they stand on the wire."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(data, at)
            yield number, _taken(data, at, size)
            at += size
        elif wire in {_FIXED64, _FIXED32}:
            size = 8 if wire == _FIXED64 else 4
            yield number, _taken(data, at, size)
            at += size
        else:
            raise _MalformedError(f"wire type {wire} at byte {at}")


def _taken(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise _MalformedError("it ends too early")
    return data[at : at + size]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:  # noqa: PLR2004  # bits of the longest number
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the last byte has no continuation bit
            return value % _WORD, at
        shift += 7
    raise _MalformedError("a number does not end")


def _signed(value: int) -> int:
    return value - _WORD if value >= _WORD >> 1 else value


@dataclass(slots=True)
class _Reader:
    """Reads messages by their definitions."""

    types: Types

    def message(self, name: str, schema: Schema, data: bytes, depth: int) -> Object:
        """A message as a JSON object; fields whose number nobody knows are dropped."""
        if depth > _MAX_DEPTH:
            raise _MalformedError("it is nested too deeply")
        known = _messages().get(name, _Message({}, {}, frozenset()))
        found: Object = {}
        for number, value in _pairs(data):
            if number in known.inline:
                found |= self.message(known.inline[number], schema, _bytes(value), depth + 1)
            elif number in known.fields:
                part = schema.properties.get(known.fields[number], _ANY)
                pointer = number in known.pointers
                self._set(found, known.fields[number], part, value, pointer=pointer, depth=depth)
        return found

    def _set(self, found: Object, name: str, schema: Schema, value: int | bytes, *, pointer: bool, depth: int) -> None:
        if schema.type == "array" and schema.items is not None and schema.format != "byte":
            found.setdefault(name, []).extend(self._items(schema.items, value, depth))
        elif schema.additional is not None:
            key, part = self._entry(schema.additional, _bytes(value), depth)
            found.setdefault(name, {})[key] = part
        else:
            read = self.value(schema, value, depth)
            if read is not None and (pointer or isinstance(read, dict | list) or read not in ("", 0, False)):
                found[name] = read

    def _items(self, schema: Schema, value: int | bytes, depth: int) -> list[Json]:
        if isinstance(value, bytes) and schema.type == "integer":  # packed
            numbers = []
            at = 0
            while at < len(value):
                number, at = _varint(value, at)
                numbers.append(_signed(number))
            return numbers
        return [self.value(schema, value, depth)]

    def _entry(self, schema: Schema, data: bytes, depth: int) -> tuple[str, Json]:
        pair = dict(_pairs(data))
        key = _bytes(pair.get(1, b"")).decode()
        if 2 not in pair:  # noqa: PLR2004  # the number of an entry's value
            return key, "" if schema.type == "string" else self.value(schema, b"", depth)
        if schema.type == "array":  # a list in a map is a message of its own
            items = [
                item
                for _, value in _pairs(_bytes(pair[2]))
                for item in self._items(schema.items or _STRING, value, depth)
            ]
            return key, items
        return key, self.value(schema, pair[2], depth)

    def value(self, schema: Schema, value: int | bytes, depth: int) -> Json:
        """One value by its type; None for a time that was not set."""
        special = _SPECIAL.get(schema.definition)
        if special is not None:
            return special(_bytes(value))
        scalar = _SCALARS.get(schema.type)
        if scalar is not None:
            return scalar(value)
        if schema.format == "byte":
            return base64.b64encode(_bytes(value)).decode()
        if schema.type == "object" or schema.definition:
            return self._object(schema, _bytes(value), depth)
        return value.decode() if isinstance(value, bytes) else _signed(value)

    def _object(self, schema: Schema, data: bytes, depth: int) -> Json:
        if schema.definition in _messages():
            return self.message(schema.definition, schema, data, depth + 1)
        return _raw_json(data)


def _boolean(value: int | bytes) -> Json:
    return bool(value) if isinstance(value, int) else False


def _integer(value: int | bytes) -> Json:
    if not isinstance(value, int):
        raise _MalformedError("bytes stand where a number is expected")
    return _signed(value)


def _double(value: int | bytes) -> Json:
    raw = _bytes(value)
    return struct.unpack("<d", raw)[0] if len(raw) == struct.calcsize("<d") else 0.0


_SCALARS: Final[Mapping[str, Callable[[int | bytes], Json]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _double,
}


def _raw_json(data: bytes) -> Json:
    """JSON text in the first field: RawExtension, FieldsV1 and their like."""
    raw = dict(_pairs(data)).get(1, b"")
    try:
        return json.loads(_bytes(raw)) if raw else None
    except ValueError as error:
        raise _MalformedError("raw JSON in it is none") from error


def _time(data: bytes) -> Json:
    return _timestamp(data, "seconds")


def _micro_time(data: bytes) -> Json:
    return _timestamp(data, "microseconds")


def _timestamp(data: bytes, precision: str) -> Json:
    pairs: dict[int, Any] = dict(_pairs(data))
    if not pairs:
        return None
    numbers = [value if isinstance(value, int) else 0 for value in (pairs.get(1, 0), pairs.get(2, 0))]
    moment = _EPOCH + timedelta(seconds=_signed(numbers[0]), microseconds=numbers[1] // 1000)
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _quantity(data: bytes) -> Json:
    return _bytes(dict(_pairs(data)).get(1, b"")).decode()


def _int_or_string(data: bytes) -> Json:
    pairs = dict(_pairs(data))
    if pairs.get(1, 0):
        return _bytes(pairs.get(3, b"")).decode()
    number = pairs.get(2, 0)
    return _signed(number) if isinstance(number, int) else 0


_SPECIAL: Final[dict[str, Callable[[bytes], Json]]] = {
    META + "Time": _time,
    META + "MicroTime": _micro_time,
    META + "FieldsV1": _raw_json,
    QUANTITY: _quantity,
    INT_OR_STRING: _int_or_string,
}

"""The OpenAPI v2 document in protobuf, the only form in which old clients read it.

Field numbers are those of gnostic's `OpenAPIv2.proto` (package openapi.v2). Values of any type are JSON text, which is
YAML. Nothing but what Kubernetes' documents use is in the tables; other keywords are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from kubelab.objects import Json, Object

MEDIA_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""The media type of the answer. Go refuses the older name, with `@`, when it reads it in a header."""

ACCEPTED: Final = (MEDIA_TYPE, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
"""The media types by which clients ask for it."""

_VARINT, _FIXED64, _BYTES = 0, 1, 2

Writer = Callable[[int, Any], bytes]
"""Writes a value as the field of a number."""
Table = Mapping[str, tuple[int, Writer]]
"""A message: number and writer of each keyword."""


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _delimited(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(payload)) + payload


def _string(number: int, value: Any) -> bytes:
    return _delimited(number, str(value).encode())


def _boolean(number: int, value: Any) -> bytes:
    return _varint(number << 3 | _VARINT) + (b"\x01" if value else b"\x00")


def _integer(number: int, value: Any) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(int(value))


def _double(number: int, value: Any) -> bytes:
    return _varint(number << 3 | _FIXED64) + struct.pack("<d", value)


def _any(number: int, value: Json) -> bytes:
    """`Any`, whose second field is YAML."""
    return _delimited(number, _delimited(2, msgspec.json.encode(value) + b"\n"))


def _each(writer: Writer) -> Writer:
    return lambda number, values: b"".join(writer(number, value) for value in values)


def _message(table: Callable[[], Table], extensions: int = 0) -> Writer:
    """A message by its table; `x-` keywords go into the field `extensions`, as pairs of name and value."""
    return lambda number, value: _delimited(number, _fields(value, table(), extensions))


def _fields(value: Object, table: Table, extensions: int) -> bytes:
    out: list[bytes] = []
    for keyword, part in value.items():
        known = table.get(keyword)
        if known is not None:
            out.append(known[1](known[0], part))
        elif extensions and keyword.startswith("x-"):
            out.append(_pair(extensions, keyword, _any, part))
    return b"".join(out)


def _pair(number: int, name: str, writer: Writer, value: Any) -> bytes:
    """A `Named...` message: name in field 1, value in field 2."""
    return _delimited(number, _string(1, name) + writer(2, value))


def _named(writer: Writer, number_inside: int = 1) -> Writer:
    """A message of nothing but named values, such as `Properties`."""

    def write(number: int, values: Mapping[str, Any]) -> bytes:
        pairs = (_pair(number_inside, name, writer, value) for name, value in values.items())
        return _delimited(number, b"".join(pairs))

    return write


def _wrapped(writer: Writer, number_inside: int = 1) -> Writer:
    """A message around one value."""
    return lambda number, value: _delimited(number, writer(number_inside, value))


def _type_item(number: int, value: Any) -> bytes:
    return _delimited(number, _each(_string)(1, [value] if isinstance(value, str) else value))


def _additional(number: int, value: Any) -> bytes:
    return _delimited(number, _boolean(2, value) if isinstance(value, bool) else _SCHEMA(1, value))


def _items(number: int, value: Any) -> bytes:
    return _delimited(number, _each(_SCHEMA)(1, value if isinstance(value, list) else [value]))


def _parameter(number: int, value: Object) -> bytes:
    """`ParametersItem` around `Parameter`, around a body or the kind of parameter that `in` names."""
    where = value.get("in")
    if where == "body":
        inner = _BODY_PARAMETER(1, value)
    else:
        kinds = {"header": (1, _PATH_PARAMETER), "formData": (2, _QUERY_PARAMETER), "path": (4, _PATH_PARAMETER)}
        inside, writer = kinds.get(str(where), (3, _QUERY_PARAMETER))
        inner = _delimited(2, writer(inside, value))
    return _delimited(number, _delimited(1, inner))


def _responses(number: int, value: Mapping[str, Any]) -> bytes:
    """`Responses`, each a `ResponseValue` around a `Response`."""
    return _named(_wrapped(_RESPONSE))(number, value)


_SCHEMA: Final = _message(lambda: _SCHEMA_FIELDS, 31)
_EXTERNAL_DOCS: Final = _message(lambda: {"description": (1, _string), "url": (2, _string)}, 3)
_BODY_PARAMETER: Final = _message(
    lambda: {
        "description": (1, _string),
        "name": (2, _string),
        "in": (3, _string),
        "required": (4, _boolean),
        "schema": (5, _SCHEMA),
    },
    6,
)
_PATH_PARAMETER: Final = _message(lambda: _PATH_PARAMETER_FIELDS, 22)
_QUERY_PARAMETER: Final = _message(lambda: _QUERY_PARAMETER_FIELDS, 23)
_RESPONSE: Final = _message(lambda: {"description": (1, _string), "schema": (2, _wrapped(_SCHEMA))}, 5)
_OPERATION: Final = _message(lambda: _OPERATION_FIELDS, 13)
_PATH_ITEM: Final = _message(lambda: _PATH_ITEM_FIELDS, 10)
_INFO: Final = _message(lambda: {"title": (1, _string), "version": (2, _string), "description": (3, _string)}, 7)

_SCHEMA_FIELDS: Final[Table] = {
    "$ref": (1, _string),
    "format": (2, _string),
    "title": (3, _string),
    "description": (4, _string),
    "default": (5, _any),
    "multipleOf": (6, _double),
    "maximum": (7, _double),
    "exclusiveMaximum": (8, _boolean),
    "minimum": (9, _double),
    "exclusiveMinimum": (10, _boolean),
    "maxLength": (11, _integer),
    "minLength": (12, _integer),
    "pattern": (13, _string),
    "maxItems": (14, _integer),
    "minItems": (15, _integer),
    "uniqueItems": (16, _boolean),
    "maxProperties": (17, _integer),
    "minProperties": (18, _integer),
    "required": (19, _each(_string)),
    "enum": (20, _each(_any)),
    "additionalProperties": (21, _additional),
    "type": (22, _type_item),
    "items": (23, _items),
    "allOf": (24, _each(_SCHEMA)),
    "properties": (25, _named(_SCHEMA)),
    "discriminator": (26, _string),
    "readOnly": (27, _boolean),
    "externalDocs": (29, _EXTERNAL_DOCS),
    "example": (30, _any),
}
_PATH_PARAMETER_FIELDS: Final[Table] = {
    "required": (1, _boolean),
    "in": (2, _string),
    "description": (3, _string),
    "name": (4, _string),
    "type": (5, _string),
    "format": (6, _string),
    "uniqueItems": (19, _boolean),
}
_QUERY_PARAMETER_FIELDS: Final[Table] = {
    "required": (1, _boolean),
    "in": (2, _string),
    "description": (3, _string),
    "name": (4, _string),
    "type": (6, _string),
    "format": (7, _string),
    "uniqueItems": (20, _boolean),
}
_OPERATION_FIELDS: Final[Table] = {
    "tags": (1, _each(_string)),
    "summary": (2, _string),
    "description": (3, _string),
    "operationId": (5, _string),
    "produces": (6, _each(_string)),
    "consumes": (7, _each(_string)),
    "parameters": (8, _each(_parameter)),
    "responses": (9, _responses),
    "schemes": (10, _each(_string)),
    "deprecated": (11, _boolean),
}
_PATH_ITEM_FIELDS: Final[Table] = {
    "get": (2, _OPERATION),
    "put": (3, _OPERATION),
    "post": (4, _OPERATION),
    "delete": (5, _OPERATION),
    "options": (6, _OPERATION),
    "head": (7, _OPERATION),
    "patch": (8, _OPERATION),
    "parameters": (9, _each(_parameter)),
}


class Encoder:
    """Encodes documents that change little from one to the next.

    A definition or path that is the same as in the last document is not encoded again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[Object, bytes]] = {}

    def encode(self, document: Object) -> bytes:
        """The document as a message `openapi.v2.Document`."""
        known: dict[tuple[int, str], tuple[Object, bytes]] = {}
        definitions = self._pairs(1, _SCHEMA, document.get("definitions", {}), known)
        paths = self._pairs(2, _PATH_ITEM, document.get("paths", {}), known)
        self._known = known
        return b"".join(
            (
                _string(1, document.get("swagger", "2.0")),
                _INFO(2, document.get("info", {})),
                _delimited(8, paths),
                _delimited(9, definitions),
            )
        )

    def _pairs(
        self,
        number: int,
        writer: Writer,
        values: Mapping[str, Object],
        known: dict[tuple[int, str], tuple[Object, bytes]],
    ) -> bytes:
        return b"".join(self._pair(number, writer, name, value, known) for name, value in _sorted(values))

    def _pair(
        self,
        number: int,
        writer: Writer,
        name: str,
        value: Object,
        known: dict[tuple[int, str], tuple[Object, bytes]],
    ) -> bytes:
        found = self._known.get((number, name))
        if found is None or (found[0] is not value and found[0] != value):
            found = (value, _pair(number, name, writer, value))
        known[number, name] = found
        return found[1]


def _sorted(values: Mapping[str, Object]) -> Iterable[tuple[str, Object]]:
    return sorted(values.items())


def encode(document: Object) -> bytes:
    """A document as a message `openapi.v2.Document`; keep an `Encoder` to encode it again after a small change."""
    return Encoder().encode(document)

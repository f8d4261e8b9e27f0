"""Find values that do not fit the Go types of built-in kinds, and say so as Go's JSON decoder does.

The names of Go types are those of the OpenAPI definitions. What OpenAPI does not tell (names of string and map types)
is in a small table; a type that is not there is told by its underlying type.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from kubelab.apiserver.errors import ApiError, bad_request
from kubelab.apiserver.schema.builtin import INT_OR_STRING, META, QUANTITY
from kubelab.apiserver.schema.formats import is_date_time
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.scalars import INT32, INT64
from kubelab.objects import GroupVersionKind, Json, Object

_TIMES: Final = {META + "Time": "2006-01-02T15:04:05Z07:00", META + "MicroTime": "2006-01-02T15:04:05.000000Z07:00"}
_QUANTITY_PATTERN: Final = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_QUANTITY: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?", re.ASCII)
_QUANTITY_SHAPE: Final = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_GO_NAMES: Final = {
    ("ResourceRequirements", "limits"): "v1.ResourceList",
    ("ResourceRequirements", "requests"): "v1.ResourceList",
    ("NodeStatus", "capacity"): "v1.ResourceList",
    ("NodeStatus", "allocatable"): "v1.ResourceList",
    ("ServiceSpec", "type"): "v1.ServiceType",
    ("ServiceSpec", "externalTrafficPolicy"): "v1.ServiceExternalTrafficPolicy",
    ("ServiceSpec", "internalTrafficPolicy"): "v1.ServiceInternalTrafficPolicy",
    ("ServiceSpec", "ipFamilyPolicy"): "v1.IPFamilyPolicy",
    ("ServiceSpec", "ipFamilies"): "[]v1.IPFamily",
    ("ServiceSpec", "sessionAffinity"): "v1.ServiceAffinity",
    ("ServicePort", "protocol"): "v1.Protocol",
    ("ContainerPort", "protocol"): "v1.Protocol",
    ("Container", "imagePullPolicy"): "v1.PullPolicy",
    ("PodSpec", "restartPolicy"): "v1.RestartPolicy",
    ("PodSpec", "dnsPolicy"): "v1.DNSPolicy",
    ("Taint", "effect"): "v1.TaintEffect",
    ("Toleration", "effect"): "v1.TaintEffect",
    ("Toleration", "operator"): "v1.TolerationOperator",
    ("DeploymentStrategy", "type"): "v1.DeploymentStrategyType",
    ("ObjectMeta", "uid"): "types.UID",
    ("OwnerReference", "uid"): "types.UID",
}
_FITS: Final[dict[str, type | tuple[type, ...]]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "string": str,
}
_GO_SCALARS: Final = {"boolean": "bool", "number": "float64", "string": "string"}
_GO_VALUES: Final[dict[type, str]] = {bool: "bool", dict: "object", list: "array", str: "string"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the decoder stands: the struct it fills, the path of fields from the root, the field itself."""

    struct: str
    path: str
    field: str

    def into(self, schema: Schema, field: str) -> _Place:
        path = f"{self.path}.{field}" if self.path else field
        return _Place(_struct(schema.definition) or self.struct, path, field)

    def described(self, go_type: str) -> str:
        if not self.path:
            return f"Go value of type {go_type}"
        return f"Go struct field {self.struct}.{self.path} of type {go_type}"


_NOWHERE: Final = _Place("", "", "")


def check_types(schema: Schema, obj: Json, kind: GroupVersionKind) -> ApiError | None:
    """The answer to an object that a built-in type cannot hold; None if it can.

    `kind` is what the request asks to write: the sentence names it and the first misfit in the order of the text.
    For custom resources call it with the type of `metadata` alone, by `check_metadata`.
    """
    if _holds(schema, obj):
        return None
    misfit = next(_misfits(schema, obj, _NOWHERE), None)
    return None if misfit is None else cannot_be_handled(kind, misfit)


def check_metadata(schema: Schema, obj: Object, kind: GroupVersionKind) -> ApiError | None:
    """The same for the metadata of a custom resource; `schema` is the resource's type."""
    metadata = schema.properties["metadata"]
    misfit = next(_misfits(metadata, obj.get("metadata"), _Place("ObjectMeta", "metadata", "metadata")), None)
    return None if misfit is None else cannot_be_handled(kind, misfit)


def cannot_be_handled(kind: GroupVersionKind, why: str, wanted: str = "") -> ApiError:
    """400 for a body that does not decode into its kind; `wanted` is the kind that the resource has, if another."""
    return bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {wanted or kind.kind}: {why}')


def strict_decoding(kind: GroupVersionKind, sentences: list[str]) -> ApiError:
    """400 for unknown and duplicate fields under `fieldValidation=Strict`."""
    return cannot_be_handled(kind, "strict decoding error: " + ", ".join(sentences))


def _holds(schema: Schema, value: Json) -> bool:
    """Whether nothing is wrong, without a word about what: nearly always the case, and three times as fast."""
    if isinstance(value, dict) and schema.type == "object":
        properties, additional = schema.properties, schema.additional
        for name, part in value.items():
            known = properties.get(name) or additional
            if known is None or (isinstance(part, str) and known.type == "string" and not known.format):
                continue
            if not _holds(known, part):
                return False
        return True
    if isinstance(value, list) and schema.type == "array":
        items = schema.items
        return items is None or all(_holds(items, item) for item in value)
    return next(_misfits(schema, value, _NOWHERE), None) is None


def _misfits(schema: Schema, value: Json, place: _Place) -> Iterator[str]:
    if value is None or schema.type == "any":
        return
    if special := _SPECIAL.get(schema.definition):
        yield from special(schema, value)
    elif not _fits(schema.type, value):
        yield f"json: cannot unmarshal {_told(value, schema.type)} into {place.described(_go_type(schema, place))}"
    elif isinstance(value, dict):
        yield from _in_object(schema, value, place)
    elif isinstance(value, list) and schema.items is not None:
        for item in value:
            yield from _misfits(schema.items, item, place)
    else:
        yield from _in_scalar(schema, value, place)


def _fits(kind: str, value: Json) -> bool:
    wanted = _FITS.get(kind)
    if wanted is None:
        return True
    return isinstance(value, wanted) and (kind == "boolean" or not isinstance(value, bool))


def _in_object(schema: Schema, value: dict[str, Any], place: _Place) -> Iterator[str]:
    for name, part in value.items():
        known = schema.properties.get(name)
        if known is not None:
            yield from _misfits(known, part, place.into(schema, name))
        elif schema.additional is not None:
            yield from _misfits(schema.additional, part, place)


def _in_scalar(schema: Schema, value: Json, place: _Place) -> Iterator[str]:
    if schema.type == "integer":
        low, high = INT32 if schema.format == "int32" else INT64
        if not low <= value <= high:
            yield f"json: cannot unmarshal {_told(value, schema.type)} into {place.described(schema.format or 'int64')}"
    elif schema.format == "byte" and (at := _bad_base64(value)) is not None:
        yield f"illegal base64 data at input byte {at}"


def _bad_base64(value: str) -> int | None:
    """The first byte at which a text stops being base64; None if it is."""
    text = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = re.match(r"(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{0,3}", text)
        return found.end() if found else 0
    return None


def _told(value: Json, kind: str) -> str:
    """A value as the decoder names it: its kind, and the digits of a number that a number could not be."""
    name = _GO_VALUES.get(type(value))
    if name is not None:
        return name
    return f"number {value}" if kind in {"integer", "number", "int-or-string"} else "number"


def _go_type(schema: Schema, place: _Place) -> str:
    named = _GO_NAMES.get((place.struct, place.field))
    if named is not None:
        return named.removeprefix("[]") if schema.type != "array" else named
    if _struct(schema.definition):
        return ".".join(schema.definition.split(".")[-2:])
    if schema.type == "array":
        return "[]" + _inner_go_type(schema.items)
    if schema.type == "object":
        return "map[string]" + _inner_go_type(schema.additional)
    if schema.format == "byte":
        return "[]uint8"
    return schema.format or "int64" if schema.type == "integer" else _GO_SCALARS.get(schema.type, schema.type)


def _inner_go_type(schema: Schema | None) -> str:
    return "interface {}" if schema is None else _go_type(schema, _NOWHERE)


def _struct(definition: str) -> str:
    return definition.rpartition(".")[2]


def _time(schema: Schema, value: Json) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"json: cannot unmarshal {_told(value, schema.type)} into Go value of type string"
    elif not is_date_time(value):
        layout = _TIMES[schema.definition]
        yield f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"'


def _int_or_string(schema: Schema, value: Json) -> Iterator[str]:
    if isinstance(value, str) or (type(value) is int and INT32[0] <= value <= INT32[1]):
        return
    yield f"json: cannot unmarshal {_told(value, schema.type)} into Go value of type int32"


def _quantity(_: Schema, value: Json) -> Iterator[str]:
    text = value if isinstance(value, str) else "" if isinstance(value, bool | dict | list) else str(value)
    if _QUANTITY.fullmatch(text):
        return
    if _QUANTITY_SHAPE.fullmatch(text):
        yield "unable to parse quantity's suffix"
    else:
        yield f"quantities must match the regular expression '{_QUANTITY_PATTERN}'"


_SPECIAL: Final = {INT_OR_STRING: _int_or_string, QUANTITY: _quantity} | dict.fromkeys(_TIMES, _time)

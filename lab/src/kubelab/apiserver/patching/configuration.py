"""Check an applied configuration against its schema, worded as structured-merge-diff words its findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from kubelab.apiserver.patching.element_order import go_text
from kubelab.apiserver.patching.fieldset import element_text
from kubelab.apiserver.patching.typed import ANYTHING, ItemError, element
from kubelab.apiserver.schema.model import Schema, SchemaType
from kubelab.objects import Json, Object

_SCALARS: Final = {"string", "integer", "number", "boolean"}


def check(obj: Object, schema: Schema) -> str:
    """All that is wrong with a configuration, as one text; empty if nothing is.

    Unknown fields, values of the wrong type, list items without key, two items with one key.
    """
    found = [f"{path}: {text}" if path else text for path, text in _fields(obj, schema, keep=False)]
    if len(found) < 2:  # noqa: PLR2004  # one is said alone, several are listed
        return "".join(found)
    return "\n".join(["errors:", *(f"  {line}" for line in found)])


def _check(value: Json, schema: Schema, *, keep: bool) -> Iterator[tuple[str, str]]:
    keep = keep or schema.preserve_unknown
    kind = schema.type
    if value is None:
        return
    if kind == "object" or (kind == "any" and isinstance(value, dict)):
        yield from _fields(value, schema, keep=keep)
    elif kind == "array" or (kind == "any" and isinstance(value, list)):
        yield from _items(value, schema, keep=keep)
    elif text := _mistyped(value, kind):
        yield "", text


def _fields(value: Json, schema: Schema, *, keep: bool) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield "", f"expected map, got &{{{go_text(value)}}}"
        return
    keep = keep or schema.preserve_unknown
    open_ended = keep or schema.additional is not None or not schema.properties
    for name, part in value.items():
        kind = schema.properties.get(name) or schema.additional or ANYTHING
        if name not in schema.properties and not open_ended:
            yield f".{name}", "field not declared in schema"
            return
        for path, text in _check(part, kind, keep=keep):
            yield f".{name}{path}", text


def _items(value: Json, schema: Schema, *, keep: bool) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        yield "", f"expected list, got &{{{go_text(value)}}}"
        return
    kind = schema.items or ANYTHING
    seen: set[str] = set()
    for index, item in enumerate(value):
        place = f"i:{index}"
        if schema.list_type != "atomic":
            try:
                place = element(schema, item)
            except ItemError as error:
                yield "", f"element {index}: {error}"
                return
            if place in seen:
                yield "", f"duplicate entries for key {element_text(place)}"
            seen.add(place)
        for path, text in _check(item, kind, keep=keep):
            yield element_text(place) + path, text


def _mistyped(value: Json, kind: SchemaType) -> str:
    if kind in {"integer", "number"} and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"expected numeric (int or float), got {_go_type(value)}"
    if kind == "boolean" and not isinstance(value, bool):
        return f"expected boolean, got &{{{go_text(value)}}}"
    if kind == "string" and not isinstance(value, str):
        return f"expected string, got &value.valueUnstructured{{Value:{_go_syntax(value)}}}"
    if kind not in _SCALARS and isinstance(value, dict | list):
        return f"expected any scalar, got &{{{go_text(value)}}}"
    return ""


def _go_type(value: Json) -> str:
    if isinstance(value, bool):
        return "bool"
    return (
        "map[string]interface {}"
        if isinstance(value, dict)
        else "[]interface {}"
        if isinstance(value, list)
        else "string"
    )


def _go_syntax(value: Json) -> str:
    """A value as Go writes it in source (`%#v`)."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_go_syntax(name)}:{_go_syntax(part)}" for name, part in sorted(value.items()))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(_go_syntax(item) for item in value) + "}"
    return "interface {}(nil)" if value is None else msgspec.json.encode(value).decode()

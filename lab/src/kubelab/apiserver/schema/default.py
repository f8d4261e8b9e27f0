"""Fill in the defaults of a type and drop nulls that mean "not set".

Source: apiextensions-apiserver `schema/defaulting`. Custom types: null in a field that is not nullable is as good as
absent. Built-in types: null is absent everywhere, and in maps and lists it is the zero value, as Go decodes it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from kubelab.apiserver.schema.model import MISSING, Schema
from kubelab.objects import Json, Object

_ZERO: Final[Mapping[str, Json]] = {
    "array": None,
    "boolean": False,
    "int-or-string": 0,
    "integer": 0,
    "number": 0,
    "object": {},
    "quantity": "0",
    "string": "",
}


def apply_defaults(schema: Schema, obj: Object) -> Object:
    """The object with nulls dropped and defaults set; the very object given where there is nothing to do.

    A default is set first and then looked into, so that defaults inside of a default apply as well.
    """
    done: Object = _done(schema, obj, built_in=bool(schema.definition))
    return done


def _done(schema: Schema, value: Json, *, built_in: bool) -> Json:
    if isinstance(value, dict):
        return _done_object(schema, value, built_in=built_in or bool(schema.definition))
    if isinstance(value, list) and schema.items is not None:
        return _done_list(schema.items, value, built_in=built_in)
    return value


def _done_object(schema: Schema, value: Mapping[str, Any], *, built_in: bool) -> Mapping[str, Any]:
    changed: Object | None = None
    properties, additional = schema.properties, schema.additional
    for name, part in value.items():
        known = properties.get(name) or additional
        if known is None or not (part is None or isinstance(part, dict | list)):
            continue
        new = _entry(known, part, built_in=built_in, in_map=name not in properties)
        if new is not part:
            changed = dict(value) if changed is None else changed
            if new is MISSING:
                del changed[name]
            else:
                changed[name] = new
    return _with_missing(schema, value, changed, built_in=built_in)


def _with_missing(
    schema: Schema, value: Mapping[str, Any], changed: Object | None, *, built_in: bool
) -> Mapping[str, Any]:
    """The object with the defaults of fields that are not there. Built-in types have none in their schema."""
    if built_in:
        return value if changed is None else changed
    for name, part in schema.properties.items():
        if part.default is not MISSING and name not in value:
            changed = dict(value) if changed is None else changed
            changed[name] = _done(part, copy.deepcopy(part.default), built_in=built_in)
    return value if changed is None else changed


def _entry(schema: Schema, value: Json, *, built_in: bool, in_map: bool) -> Json:
    """A field's value, or MISSING if the field goes."""
    if value is not None:
        return _done(schema, value, built_in=built_in)
    if schema.default is not MISSING and not schema.nullable:
        return _done(schema, copy.deepcopy(schema.default), built_in=built_in)
    if built_in:
        return _zero(schema) if in_map else MISSING
    return None if schema.nullable else MISSING


def _done_list(items: Schema, value: list[Any], *, built_in: bool) -> list[Any]:
    changed: list[Any] | None = None
    for at, item in enumerate(value):
        if not (item is None or isinstance(item, dict | list)):
            continue
        new = _item(items, item, built_in=built_in)
        if new is not item:
            changed = list(value) if changed is None else changed
            changed[at] = new
    return value if changed is None else changed


def _item(items: Schema, item: Json, *, built_in: bool) -> Json:
    if item is not None:
        return _done(items, item, built_in=built_in)
    if built_in:
        return _zero(items)
    if items.nullable or items.default is MISSING:
        return item
    return _done(items, copy.deepcopy(items.default), built_in=built_in)


def _zero(schema: Schema) -> Json:
    return copy.copy(_ZERO.get(schema.type))

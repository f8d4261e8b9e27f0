"""Read typed objects as sets of fields: what an object holds, and what differs between two objects (KEP-555).

Objects and maps are owned field by field and lists of type `map` and `set` item by item, unless their schema says
`atomic`; everything else is owned whole. Where the schema knows nothing, maps are owned by key and lists whole.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

from kubelab.apiserver.patching.fieldset import SELF, FieldSet, field, keyed, union, valued
from kubelab.apiserver.schema.model import MISSING, Schema
from kubelab.objects import Json, Object

Node: TypeAlias = FieldSet | None
"""A node below the root of a set: None holds nothing, `{}` is a member."""

ANYTHING: Final = Schema()
"""The type of what no schema describes."""

_RAW: Final = "io.k8s.apimachinery.pkg.runtime.RawExtension"
_API: Final = "io.k8s.api.core.v1."
_KEY_DEFAULTS: Final[Mapping[tuple[str, str], str]] = {
    (_API + "ServicePort", "protocol"): "TCP",
    (_API + "ContainerPort", "protocol"): "TCP",
    (_API + "LocalObjectReference", "name"): "",
}
"""Defaults of key fields that the published schemas of built-in kinds leave out."""

_TEXTS: Final = Schema(type="object", additional=Schema(type="string"))
_METADATA: Final = Schema(
    type="object",
    properties={
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "finalizers": Schema(type="array", list_type="set", items=Schema(type="string")),
        "ownerReferences": Schema(
            type="array", list_type="map", list_keys=("uid",), items=Schema(type="object", map_type="atomic")
        ),
        "managedFields": Schema(type="array", items=Schema(type="object", map_type="atomic")),
        **{
            name: Schema(type="string")
            for name in (
                "name",
                "generateName",
                "namespace",
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "deletionTimestamp",
                "selfLink",
            )
        },
        "generation": Schema(type="integer"),
        "deletionGracePeriodSeconds": Schema(type="integer"),
    },
)
"""How the metadata of custom resources is owned; their own schemas do not describe it."""


class Shape(IntEnum):
    """How a value is owned."""

    WHOLE = 0
    BY_FIELD = 1
    BY_ITEM = 2


class ItemError(ValueError):
    """An item of a `map` or `set` list that can't be told from others; worded as structured-merge-diff does."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two objects: fields only the second has, of other value, only the first has."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    @property
    def changed(self) -> FieldSet:
        """Fields whose value in the second object is new."""
        return union(self.added, self.modified)


@functools.lru_cache(maxsize=512)
def whole(schema: Schema) -> Schema:
    """The type of an object, with the fields every object has: schemas of custom resources leave them implicit."""
    metadata = schema.properties.get("metadata")
    if metadata is not None and "ownerReferences" in metadata.properties:
        return schema
    text = Schema(type="string")
    implicit = {"apiVersion": text, "kind": text, "metadata": _METADATA}
    return dataclasses.replace(schema, properties={**schema.properties, **implicit})


def shape(schema: Schema, value: Json) -> Shape:
    """How a value of this type is owned. A value of another type than declared is owned whole."""
    kind = schema.type
    if kind in {"object", "any"}:
        by_field = schema.map_type == "granular" and (value is None or isinstance(value, dict))
        return Shape.BY_FIELD if by_field and schema.definition != _RAW else Shape.WHOLE
    if kind == "array" and schema.list_type != "atomic" and (value is None or isinstance(value, list)):
        return Shape.BY_ITEM
    return Shape.WHOLE


def child(schema: Schema, name: str) -> Schema:
    """The type of a field of an object or a value of a map."""
    return schema.properties.get(name) or schema.additional or ANYTHING


def element(schema: Schema, item: Json) -> str:
    """The path element of an item of a `map` or `set` list.

    Raises:
        ItemError: the item has no key.
    """
    if schema.list_type == "map":
        return keyed(_key(schema, item))
    if isinstance(item, dict):
        raise ItemError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ItemError("not supported: associative list with lists as elements")
    if item is None:
        raise ItemError("associative list without keys has an element that's an explicit null")
    return valued(item)


def _key(schema: Schema, item: Json) -> Object:
    if item is None:
        raise ItemError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise ItemError("associative list with keys may not have non-map elements")
    key: Object = {}
    for name in sorted(schema.list_keys):
        value = item[name] if name in item else key_default(schema, name)
        if value is not MISSING:
            key[name] = value
    if not key:
        names = " ".join(f'"{name}"' for name in schema.list_keys)
        raise ItemError(
            f"associative list with keys has an element that omits all key fields [{names}] "
            "(and doesn't have default values for any key fields)"
        )
    return key


def key_default(schema: Schema, name: str) -> Any:
    """The default of a key field of a list's items; `MISSING` if there is none."""
    items = schema.items or ANYTHING
    declared = items.properties.get(name, ANYTHING).default
    return _KEY_DEFAULTS.get((items.definition, name), MISSING) if declared is MISSING else declared


def grouped(schema: Schema, items: list[Json]) -> dict[str, list[Json]]:
    """The items of a `map` or `set` list by their path elements, in order; only faulty lists have two in one place.

    Raises:
        ItemError: an item has no key.
    """
    found: dict[str, list[Json]] = {}
    for item in items:
        found.setdefault(element(schema, item), []).append(item)
    return found


def leaves(obj: Object, schema: Schema) -> FieldSet:
    """The fields that a configuration speaks about: its leaves, and the items and keys on the way to them.

    Raises:
        ItemError: a list's item has no key.
    """
    return _leaves(obj, schema) or {}


def _leaves(value: Json, schema: Schema) -> Node:
    how = shape(schema, value)
    if how is Shape.WHOLE:
        return {}
    if not value:
        return None
    if how is Shape.BY_ITEM:
        return _item_leaves(value, schema)
    fields: FieldSet = {}
    for name, part in value.items():
        node = _leaves(part, child(schema, name))
        if part is None or part == {}:
            node = {}
        elif name not in schema.properties:
            node = _with_self(node)
        if node is not None:
            fields[field(name)] = node
    return fields or None


def _item_leaves(items: list[Json], schema: Schema) -> FieldSet:
    kind = schema.items or ANYTHING
    return {
        place: _with_self(_leaves(same[0], kind)) if len(same) == 1 else {}
        for place, same in grouped(schema, items).items()
    }


def _with_self(node: Node) -> FieldSet:
    return {SELF: {}, **node} if node else {}


def everything(value: Json, schema: Schema) -> FieldSet:
    """The node of a value that is new or gone as a whole: the value itself and all that is in it.

    Raises:
        ItemError: a list's item has no key.
    """
    how = shape(schema, value)
    if how is Shape.WHOLE or not value:
        return {}
    node: FieldSet = {SELF: {}}
    if how is Shape.BY_FIELD:
        for name, part in value.items():
            node["f:" + name] = everything(part, child(schema, name))
    else:
        kind = schema.items or ANYTHING
        for place, same in grouped(schema, value).items():
            node[place] = everything(same[0], kind) if len(same) == 1 else {}
    return node


def compare(old: Object, new: Object, schema: Schema) -> Comparison:
    """What differs between two objects of a type. Fields that are equal cost one comparison, however deep they are.

    Raises:
        ItemError: a list's item has no key.
    """
    added, modified, removed = _compare_fields(old, new, schema)
    return Comparison(added or {}, modified or {}, removed or {})


def _compare(old: Json, new: Json, schema: Schema) -> tuple[Node, Node, Node]:
    """Two values that both exist and differ."""
    before, after = shape(schema, old), shape(schema, new)
    if before is not after:
        return _inside(new, schema), {}, _inside(old, schema)
    if after is Shape.WHOLE or not (old or new):
        return None, {}, None
    if after is Shape.BY_FIELD:
        return _compare_fields(old or {}, new or {}, schema)
    return _compare_items(old or [], new or [], schema)


def _inside(value: Json, schema: Schema) -> Node:
    """All that is in a value, without the value itself."""
    return {place: node for place, node in everything(value, schema).items() if place != SELF} or None


def _compare_fields(old: Object, new: Object, schema: Schema) -> tuple[Node, Node, Node]:
    parts: tuple[FieldSet, FieldSet, FieldSet] = ({}, {}, {})
    for name, value in new.items():
        if name not in old:
            parts[0][field(name)] = everything(value, child(schema, name))
        elif old[name] != value:
            _put(parts, field(name), _compare(old[name], value, child(schema, name)))
    for name, value in old.items():
        if name not in new:
            parts[2][field(name)] = everything(value, child(schema, name))
    return parts[0] or None, parts[1] or None, parts[2] or None


def _compare_items(old: list[Json], new: list[Json], schema: Schema) -> tuple[Node, Node, Node]:
    parts: tuple[FieldSet, FieldSet, FieldSet] = ({}, {}, {})
    kind = schema.items or ANYTHING
    before, after = grouped(schema, old), grouped(schema, new)
    for place in before | after:
        _put(parts, place, _compare_places(before.get(place, []), after.get(place, []), kind))
    return parts[0] or None, parts[1] or None, parts[2] or None


def _compare_places(old: list[Json], new: list[Json], kind: Schema) -> tuple[Node, Node, Node]:
    """Items under one path element: one at most in a sound list; several are owned as one."""
    if old == new:
        return None, None, None
    if len(old) == len(new):
        return _compare(old[0], new[0], kind) if len(new) == 1 else (None, {}, None)
    if len(old) > 1 and len(new) > 1:
        return None, {}, None
    return _place(new, kind), None, _place(old, kind)


def _place(items: list[Json], kind: Schema) -> Node:
    if not items:
        return None
    return everything(items[0], kind) if len(items) == 1 else {}


def _put(parts: tuple[FieldSet, FieldSet, FieldSet], place: str, nodes: tuple[Node, Node, Node]) -> None:
    for part, node in zip(parts, nodes, strict=True):
        if node is not None:
            part[place] = node

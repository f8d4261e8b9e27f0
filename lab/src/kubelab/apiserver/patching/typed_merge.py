"""Merge an applied configuration into an object, and take fields out of an object, by its schema (KEP-555)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from kubelab.apiserver.patching.fieldset import FieldSet, field, is_member
from kubelab.apiserver.patching.typed import ANYTHING, Shape, child, element, grouped, shape
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Json, Object

Emptied: TypeAlias = Literal["null", "absent"]
"""What becomes of a field that lost all it held, but is not itself to be removed."""


def merge(live: Object, applied: Object, schema: Schema, *, drop_nulls: bool) -> Object:
    """The live object with all that is applied: maps by key, lists of type `map` and `set` by item, the rest whole.

    Args:
        live: the stored object; its items and keys stay.
        applied: the configuration; its values win.
        schema: the kind's type.
        drop_nulls: an applied null means that the field is absent, as in the Go types of built-in kinds.

    Raises:
        typed.ItemError: a list's item has no key.
    """
    return _Merge(drop_nulls).fields(live, applied, schema)


@dataclass(frozen=True, slots=True)
class _Merge:
    drop_nulls: bool

    def fields(self, live: Object, applied: Object, schema: Schema) -> Object:
        merged = dict(live)
        for name, value in applied.items():
            after = self.values(live[name], value, child(schema, name)) if name in live else self.new(value)
            if after is None and self.drop_nulls:
                merged.pop(name, None)
            else:
                merged[name] = after
        return merged

    def values(self, live: Json, applied: Json, schema: Schema) -> Json:
        how = shape(schema, applied)
        if how is Shape.WHOLE or how is not shape(schema, live) or not (live or applied):
            return self.new(applied)
        if how is Shape.BY_FIELD:
            return self.fields(live or {}, applied or {}, schema)
        return self.items(live or [], applied or [], schema)

    def items(self, live: list[Json], applied: list[Json], schema: Schema) -> list[Json]:
        kind = schema.items or ANYTHING
        theirs, mine = grouped(schema, live), grouped(schema, applied)
        places = [element(schema, item) for item in live]
        merged: list[Json] = []
        for place, index in merged_order(places, list(mine)):
            if index is not None:
                merged.append(live[index])
                continue
            same, value = theirs.get(place, []), mine[place][0]
            merged.append(self.values(same[0], value, kind) if len(same) == 1 else self.new(value))
        return merged

    def new(self, value: Json) -> Json:
        if not self.drop_nulls:
            return value
        if isinstance(value, dict):
            return {name: self.new(part) for name, part in value.items() if part is not None}
        return [self.new(item) for item in value] if isinstance(value, list) else value


def merged_order(live: list[str], applied: list[str]) -> list[tuple[str, int | None]]:
    """The places of a merged list: each with its index in `live` if it is only there, with None if it is applied.

    What is applied keeps its order. What is only in the live list follows what it followed there, as far as the
    applied order lets it; this is the order in which structured-merge-diff puts them.
    """
    asked, known = set(applied), set(live)
    shared = (place for place in applied if place in known)
    following = next(shared, None)
    result: list[tuple[str, int | None]] = []
    done: set[str] = set()
    at = 0
    for place in applied:
        while at < len(live) and live[at] != place and (live[at] not in asked or following not in {None, live[at]}):
            if live[at] not in asked:
                result.append((live[at], at))
            at += 1
        if at < len(live) and (live[at] == place or live[at] in done):
            at += 1
        result.append((place, None))
        done.add(place)
        if place == following:
            following = next(shared, None)
    return result + [(place, index) for index, place in enumerate(live) if index >= at and place not in asked]


def remove(obj: Object, fields: FieldSet, schema: Schema, *, emptied: Emptied) -> Object:
    """The object without these fields, list items and map keys, and all below them."""
    return _remove_fields(obj, fields, schema, emptied) or {}


def _remove(value: Json, fields: FieldSet, schema: Schema, emptied: Emptied) -> Json:
    """What is left of a value that is not removed itself; None if it is emptied."""
    how = shape(schema, value)
    if how is Shape.WHOLE:
        return None if isinstance(value, dict | list) else value
    if not value:
        return None
    if how is Shape.BY_FIELD:
        return _remove_fields(value, fields, schema, emptied)
    return _remove_items(value, fields, schema, emptied)


def _remove_fields(value: Object, fields: FieldSet, schema: Schema, emptied: Emptied) -> Object | None:
    rest: Object = {}
    for name, part in value.items():
        node = fields.get(field(name))
        if node is None:
            rest[name] = part
        elif not is_member(node):
            left = _remove(part, node, child(schema, name), emptied)
            if left is not None or emptied == "null":
                rest[name] = left
    return rest or None


def _remove_items(items: list[Json], fields: FieldSet, schema: Schema, emptied: Emptied) -> list[Json] | None:
    """The items that stay; each keeps its key, or it would be no item."""
    kind = schema.items or ANYTHING
    rest: list[Json] = []
    for item in items:
        node = fields.get(element(schema, item))
        if node is None:
            rest.append(item)
        elif not is_member(node):
            key = {name: item[name] for name in schema.list_keys if name in item} if isinstance(item, dict) else {}
            left = _remove(item, node, kind, emptied)
            rest.append({**key, **(left or {})} if key else left)
    return rest or None


def named(fields: FieldSet, schema: Schema) -> FieldSet:
    """The set with every declared field on the way to a member a member too; map keys and items stay as they are."""
    filled: FieldSet = {}
    for place, node in fields.items():
        if not node:
            filled[place] = node
            continue
        name = place[2:]
        is_field = place.startswith("f:")
        inner = named(node, child(schema, name) if is_field else schema.items or ANYTHING)
        filled[place] = {".": {}, **inner} if is_field and name in schema.properties else inner
    return filled

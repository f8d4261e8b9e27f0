"""Sets of field paths in the form that `metadata.managedFields` stores (KEP-555, `FieldsV1`).

A set is the decoded JSON of a `FieldsV1`: a tree whose keys are path elements (`f:` field, `k:` list item by its key
fields, `v:` list item by its value, `i:` list item by its position). A path is a member of the set if its node is empty
or holds `.`. Sets are values: no function changes one, results may share nodes with the arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from kubelab.objects import Json

FieldSet: TypeAlias = dict[str, Any]
"""A node of a set. As the root: the set; `{}` is the empty set. Below the root `{}` is a member without children."""

Path: TypeAlias = tuple[str, ...]
"""The elements on the way to a field."""

SELF: Final = "."
"""Marks a node with children that is a member itself."""

_MEMBER: Final[FieldSet] = {SELF: {}}


class FieldSetError(ValueError):
    """What was read as a set of fields is none; the text says where."""


def field(name: str) -> str:
    """The element of a field of an object or a key of a map."""
    return "f:" + name


def keyed(key: dict[str, Json]) -> str:
    """The element of a list's item by its key fields, which must be in the order of their names."""
    return "k:" + msgspec.json.encode(key).decode()


def valued(value: Json) -> str:
    """The element of a set's item."""
    return "v:" + msgspec.json.encode(value).decode()


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """The members of either set."""
    if not one or not other:
        return one or other
    merged = dict(one)
    for element, node in other.items():
        mine = merged.get(element)
        merged[element] = node if mine is None or mine is node else _joined(mine, node)
    return merged


def _joined(one: FieldSet, other: FieldSet) -> FieldSet:
    if not one and not other:
        return one
    return union(one or _MEMBER, other or _MEMBER)


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """The members of `one` that are none of `other`. The same object as `one` if there are no others."""
    if not one or not other:
        return one
    kept: FieldSet = {}
    changed = False
    for element, node in one.items():
        theirs = other.get(element)
        rest = node if theirs is None else _left(node, theirs)
        changed = changed or rest is not node
        if rest is not None:
            kept[element] = rest
    return kept if changed else one


def _left(one: FieldSet, other: FieldSet) -> FieldSet | None:
    """What is left of a node; None if nothing is."""
    if not one:
        return None if not other or SELF in other else one
    if not other:
        other = _MEMBER
    rest = difference(one, other)
    if rest is one:
        return one
    return _compact(rest)


def _compact(node: FieldSet) -> FieldSet | None:
    """A node in its one form: a member without children is empty; None if the node holds nothing."""
    if not node:
        return None
    return {} if len(node) == 1 and SELF in node else node


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """The members of both sets."""
    common: FieldSet = {}
    for element, node in one.items():
        theirs = other.get(element)
        if theirs is not None:
            both = _common(node, theirs)
            if both is not None:
                common[element] = both
    return common


def _common(one: FieldSet, other: FieldSet) -> FieldSet | None:
    if not one and not other:
        return one
    return _compact(intersection(one or _MEMBER, other or _MEMBER))


def without(one: FieldSet, roots: FieldSet) -> FieldSet:
    """The members of `one` that are neither in `roots` nor below a member of `roots`."""
    if not one or not roots:
        return one
    kept: FieldSet = {}
    for element, node in one.items():
        theirs = roots.get(element)
        if theirs is None:
            kept[element] = node
        elif theirs and SELF not in theirs:
            rest = _compact(without(node, theirs)) if node else node
            if rest is not None:
                kept[element] = rest
    return kept


def is_member(node: FieldSet | None) -> bool:
    """Whether a node found in a set (not the root) is a member itself."""
    return node is not None and (not node or SELF in node)


def paths(fields: FieldSet) -> Iterator[Path]:
    """The members: those of one object before those below its fields, each in the order of `ordered`."""
    yield from _paths(ordered(fields), ())


def _paths(fields: FieldSet, above: Path) -> Iterator[Path]:
    for element, node in fields.items():
        if element != SELF and is_member(node):
            yield (*above, element)
    for element, node in fields.items():
        if element != SELF:
            yield from _paths(node, (*above, element))


def text(path: Path) -> str:
    """A path as messages name it: `.spec.ports[port=80,protocol="TCP"].name`."""
    return "".join(element_text(element) for element in path)


def element_text(element: str) -> str:
    """One element as messages name it: `.spec`, `[name="a"]`, `[="x"]`, `[0]`."""
    kind, rest = element[:2], element[2:]
    if kind == "f:":
        return "." + rest
    if kind == "k:":
        key = msgspec.json.decode(rest)
        return "[" + ",".join(f"{name}={_quoted(value)}" for name, value in key.items()) + "]"
    if kind == "v:":
        return f"[={rest}]"
    return f"[{rest}]"


def _quoted(value: Json) -> str:
    return msgspec.json.encode(value).decode()


def ordered(fields: FieldSet) -> FieldSet:
    """The same set with its elements in the order in which Kubernetes writes them."""
    names = sorted(fields, key=_rank) if any(name[0] in "kvi" for name in fields) else sorted(fields)
    return {name: ordered(node) if (node := fields[name]) else node for name in names}


@functools.lru_cache(maxsize=16384)
def _rank(element: str) -> tuple[Any, ...]:
    """Sort key: the node itself, fields by name, items by key, items by value, items by position."""
    kind, rest = element[:2], element[2:]
    if kind == "k:":
        return 2, tuple((name, _value_rank(value)) for name, value in msgspec.json.decode(rest).items())
    if kind == "v:":
        return 3, _value_rank(msgspec.json.decode(rest))
    if kind == "i:":
        return 4, int(rest)
    return (1, rest) if kind == "f:" else (0,)


def _value_rank(value: Json) -> tuple[int, Any]:
    """Numbers before strings before booleans before everything else."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (3, _quoted(value))


def parse(fields: Json) -> FieldSet:
    """Read a `FieldsV1` that a client sent, in the one form that all functions here expect.

    Raises:
        FieldSetError: it is no set of fields.
    """
    if not isinstance(fields, dict):
        raise FieldSetError(f"expected an object, got {_quoted(fields)}")
    read: FieldSet = {}
    for element, node in fields.items():
        if not isinstance(node, dict):
            raise FieldSetError(f"expected an object under {element!r}, got {_quoted(node)}")
        read[element if element == SELF else _element(element)] = _compact(parse(node)) or {}
    return read


def _element(written: str) -> str:
    """An element with its JSON compact and its keys in order.

    Raises:
        FieldSetError: it is no path element.
    """
    kind, rest = written[:2], written[2:]
    try:
        if kind == "f:":
            return written
        if kind == "i:":
            return f"i:{int(rest)}"
        if kind == "v:":
            return valued(msgspec.json.decode(rest))
        if kind == "k:":
            key = msgspec.json.decode(rest, type=dict[str, Any])
            return keyed(dict(sorted(key.items())))
    except (ValueError, msgspec.MsgspecError) as error:
        raise FieldSetError(f"{written!r} is no path element: {error}") from error
    raise FieldSetError(f"{written!r} is no path element")

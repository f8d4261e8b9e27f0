"""Every function that Kubernetes adds to CEL, in one table; the names of those that CEL has itself.

Source: Kubernetes "Common Expression Language in Kubernetes"; CEL language definition, "List of standard definitions".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from kubelab.apiserver.cel import lists, named_formats, networks, quantities, texts
from kubelab.apiserver.cel.overloads import Function, NoOverload, Overload, Table, dispatcher

MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map", "optMap"})
"""Methods whose first argument is the name of a variable."""
STANDARD: Final = frozenset(
    [
        "size",
        "has",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bool",
        "bytes",
        "dyn",
        "type",
        "duration",
        "timestamp",
        "getFullYear",
        "getMonth",
        "getDayOfYear",
        "getDayOfMonth",
        "getDate",
        "getDayOfWeek",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "hasValue",
        "value",
        "orValue",
    ]
)
"""Functions and methods of CEL itself that the library has."""


@functools.cache
def table(optional: Any) -> Mapping[str, Function]:
    """The functions by name; `optional` is the library's type of values that may be absent."""
    overloads: dict[str, list[Overload]] = {}
    parts: list[Table] = [
        texts.TABLE,
        lists.TABLE,
        networks.TABLE,
        quantities.TABLE,
        named_formats.table(optional),
        _optional(optional),
    ]
    for part in parts:
        for name, some in part.items():
            overloads.setdefault(name, []).extend(some)
    return {name: dispatcher(some) for name, some in overloads.items()}


def is_known(name: str) -> bool:
    """Whether there is a function or method of a name."""
    known = (texts.TABLE, lists.TABLE, networks.TABLE, quantities.TABLE)
    return name in STANDARD or name in MACROS or name == "validate" or any(name in part for part in known)


def _optional(optional: Any) -> Table:
    """Selection from values that may be absent, which the library's grammar does not have."""

    def is_optional(value: Any) -> bool:
        return isinstance(value, optional)

    def anything(_: Any) -> bool:
        return True

    def field(value: Any, name: Any) -> Any:
        if is_optional(value):
            return field(value.value(), name) if value.has_value() else value
        if isinstance(value, dict):
            return optional.of(value[name]) if name in value else optional.none()
        if isinstance(value, list) and isinstance(name, int):
            return optional.of(value[name]) if 0 <= name < len(value) else optional.none()
        raise NoOverload("no such overload")

    return {
        "optionalField_": [((anything, anything), field)],
        "optionalIndex_": [((anything, anything), field)],
        "optionalToList_": [((is_optional,), lambda value: [value.value()] if value.has_value() else [])],
        "optionalFromList_": [
            ((_is_list,), lambda values: optional.of(values[0]) if values else optional.none()),
        ],
    }


def _is_list(value: Any) -> bool:
    return isinstance(value, list)

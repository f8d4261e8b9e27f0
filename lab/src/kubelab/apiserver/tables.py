"""Tables, as `kubectl get` asks for them: built-in kinds by their printers, custom ones by JSON path."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kubelab.apiserver import conversion, jsonpath
from kubelab.apiserver.builtin import printers
from kubelab.apiserver.errors import ApiError, bad_request
from kubelab.apiserver.negotiation import Form
from kubelab.apiserver.request import Request
from kubelab.apiserver.resources import ResourceInfo
from kubelab.apiserver.storage import Stored
from kubelab.objects import Json, Object

_NAME: Final = printers.DEFAULT.definitions[0]
_AGE: Final = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
_INCLUDES: Final = frozenset({"", "None", "Metadata", "Object"})


@dataclass(frozen=True, slots=True)
class TableView:
    """How the objects of a resource become rows. `include` is what a row carries of its object."""

    info: ResourceInfo
    definitions: list[Object]
    cells: Callable[[Object, str], list[Json]]
    conditions: Callable[[Object], list[Object]]
    include: str
    now: str
    meta_version: str

    def row(self, stored: Stored) -> Object:
        """One object's row."""
        obj = conversion.from_stored(self.info, stored.obj)
        row: Object = {"cells": self.cells(obj, self.now)}
        if conditions := self.conditions(obj):
            row["conditions"] = conditions
        if self.include == "Object":
            row["object"] = {"kind": self.info.kind, "apiVersion": self.info.api_version} | obj
        elif self.include != "None":
            kind = {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{self.meta_version}"}
            row["object"] = {**kind, "metadata": obj["metadata"]}
        else:
            row["object"] = None
        return row


def view(info: ResourceInfo, request: Request, form: Form, now: str) -> TableView | None:
    """The table a request asks for; None if it asks for none.

    Raises:
        ApiError: 400, `includeObject` is none of its values.
    """
    if form.view != "table":
        return None
    include = request.query.get("includeObject")
    if include not in _INCLUDES:
        raise _bad_include(include)
    if info.custom is not None:
        definitions, cells = _custom(info.custom.columns)
        return TableView(info, definitions, cells, _no_conditions, include, now, form.meta_version)
    printer = printers.columns(info.group_resource) or printers.DEFAULT
    return TableView(info, printer.definitions, printer.cells, printer.conditions, include, now, form.meta_version)


def _bad_include(include: str) -> ApiError:
    return bad_request(f'unrecognized includeObject value: "{include}"')


def _no_conditions(_: Object) -> list[Object]:
    return []


def _custom(columns: tuple[Object, ...]) -> tuple[list[Object], Callable[[Object, str], list[Json]]]:
    wanted = columns or (_AGE,)
    definitions = [_NAME, *(_definition(column) for column in wanted)]

    def cells(obj: Object, now: str) -> list[Json]:
        return [obj["metadata"].get("name", ""), *(_cell(column, obj, now) for column in wanted)]

    return definitions, cells


def _definition(column: Object) -> Object:
    path = column["jsonPath"]
    return {
        "name": column["name"],
        "type": column["type"],
        "format": column.get("format", ""),
        "description": column.get("description") or f"Custom resource definition column (in JSONPath format): {path}",
        "priority": column.get("priority", 0),
    }


def _cell(column: Object, obj: Object, now: str) -> Json:
    value = jsonpath.first(column["jsonPath"], obj)
    if value is None:
        return None
    return _CELLS.get(column["type"], _as_text)(value, now)


def _as_date(value: Json, now: str) -> Json:
    return printers.age(value, now) if isinstance(value, str) else "<invalid>"


def _as_number(value: Json, _: str) -> Json:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _as_integer(value: Json, _: str) -> Json:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _as_boolean(value: Json, _: str) -> Json:
    return value if isinstance(value, bool) else None


def _as_text(value: Json, _: str) -> Json:
    if isinstance(value, str):
        return value
    return _go_text(value)


def _go_text(value: Json) -> str:
    """A value as Go's printer for JSON paths writes it: scalars plain, the rest as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_CELLS: Final[dict[str, Callable[[Json, str], Json]]] = {
    "date": _as_date,
    "integer": _as_integer,
    "number": _as_number,
    "boolean": _as_boolean,
}


def at(shown: TableView, now: str) -> TableView:
    """The same view at another time."""
    return dataclasses.replace(shown, now=now)

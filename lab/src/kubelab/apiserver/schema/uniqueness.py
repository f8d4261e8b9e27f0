"""Find duplicates in lists that are sets or maps (`x-kubernetes-list-type`; KEP-555)."""

from __future__ import annotations

import json
from typing import Any

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import wording
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Json


def duplicates(schema: Schema, value: Json, path: str = "") -> list[FieldError]:
    """Every item that stands in its list already; an item that stands there three times is told once."""
    if isinstance(value, dict):
        return _in_object(schema, value, path)
    if isinstance(value, list):
        return _in_list(schema, value, path)
    return []


def _in_object(schema: Schema, value: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in sorted(value):
        part = schema.properties.get(name)
        if part is not None:
            errors += _below(part, value[name], f"{path}.{name}" if path else name)
        elif schema.additional is not None:
            errors += _below(schema.additional, value[name], f"{path}[{name}]")
    return errors


def _below(schema: Schema, value: Json, path: str) -> list[FieldError]:
    return duplicates(schema, value, path) if isinstance(value, dict | list) else []


def _in_list(schema: Schema, value: list[Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if schema.list_type == "set":
        errors += _repeated(value, path)
    elif schema.list_type == "map":
        errors += _in_map(schema, value, path)
    if schema.items is not None:
        for at, item in enumerate(value):
            errors += _below(schema.items, item, f"{path}[{at}]")
    return errors


def _in_map(schema: Schema, value: list[Any], path: str) -> list[FieldError]:
    for at, item in enumerate(value):
        if item is not None and not isinstance(item, dict):
            return [wording.invalid(f"{path}[{at}]", item, "must be an object for an array of list-type map")]
    keys = [{key: item[key] for key in schema.list_keys if key in item} if item else {} for item in value]
    return _repeated(keys, path)


def _repeated(identities: list[Any], path: str) -> list[FieldError]:
    counts: dict[str, int] = {}
    errors: list[FieldError] = []
    for at, identity in enumerate(identities):
        text = json.dumps(identity, sort_keys=True)
        counts[text] = counts.get(text, 0) + 1
        if counts[text] == 2:  # noqa: PLR2004  # the second is the first that is one too many
            errors.append(wording.duplicate(f"{path}[{at}]", identity))
    return errors

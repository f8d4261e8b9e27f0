"""How a schema may say that lists and maps merge: `x-kubernetes-list-type`, `-list-map-keys`, `-map-type` (KEP-555)."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import keywords
from kubelab.apiserver.schema.wording import forbidden, invalid, required, unsupported
from kubelab.objects import Object

_LIST_TYPES: Final = ("atomic", "set", "map")
_MAP_TYPES: Final = ("atomic", "granular")
_AS_ITEM: Final = "must be atomic as item of a list with x-kubernetes-list-type=set"
_IN_MAP: Final = "if x-kubernetes-list-type is map"
_IS_KEY: Final = "this property is in x-kubernetes-list-map-keys, so it"


def listing_errors(schema: Object, path: str) -> list[FieldError]:
    """Every contradiction in one node."""
    errors = _map_type(schema, path) + _list_type(schema, path)
    keys, kind = keywords.strings(schema.get("x-kubernetes-list-map-keys")), schema.get("x-kubernetes-list-type")
    if keys and kind != "map":
        where, detail = f"{path}.x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"
        errors.append(required(where, detail) if kind is None else invalid(where, kind, detail))
    if kind == "map":
        errors += _map_items(schema, path, keys)
    return errors + _item_nulls(schema, path, keys)


def _map_type(schema: Object, path: str) -> list[FieldError]:
    map_type = schema.get("x-kubernetes-map-type")
    if map_type is None:
        return []
    errors = _must_be("object", schema, path, "x-kubernetes-map-type")
    if map_type not in _MAP_TYPES:
        errors.append(unsupported(f"{path}.x-kubernetes-map-type", map_type, _MAP_TYPES))
    return errors


def _list_type(schema: Object, path: str) -> list[FieldError]:
    list_type = schema.get("x-kubernetes-list-type")
    if list_type is None:
        return []
    errors = _must_be("array", schema, path, "x-kubernetes-list-type")
    items = schema.get("items")
    if not errors and list_type == "set" and isinstance(items, dict):
        errors += _set_items(items, f"{path}.items")
    if list_type not in _LIST_TYPES:
        errors.append(unsupported(f"{path}.x-kubernetes-list-type", list_type, _LIST_TYPES))
    return errors


def _must_be(kind: str, schema: Object, path: str, keyword: str) -> list[FieldError]:
    found = keywords.text(schema.get("type"))
    detail = f"must be {kind} if {keyword} is specified"
    if found == kind:
        return []
    return [invalid(f"{path}.type", found, detail) if found else required(f"{path}.type", detail)]


def _set_items(items: Object, path: str) -> list[FieldError]:
    list_type = items.get("x-kubernetes-list-type")
    if items.get("type") == "array" and list_type not in (None, "atomic"):
        return [invalid(f"{path}.x-kubernetes-list-type", list_type, _AS_ITEM)]
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        return [invalid(f"{path}.x-kubernetes-map-type", list_type, _AS_ITEM)]
    return []


def _map_items(schema: Object, path: str, keys: tuple[str, ...]) -> list[FieldError]:
    errors: list[FieldError] = []
    items = schema.get("items")
    if not keys:
        errors.append(required(f"{path}.x-kubernetes-list-map-keys", f"must not be empty {_IN_MAP}"))
    if items is None:
        errors.append(required(f"{path}.items", f"must have a schema {_IN_MAP}"))
    if isinstance(items, list):
        errors.append(invalid(f"{path}.items", items, f"must only have a single schema {_IN_MAP}"))
    if isinstance(items, dict):
        kind = keywords.text(items.get("type"))
        if kind != "object":
            detail = "must be object if parent array's x-kubernetes-list-type is map"
            errors.append(invalid(f"{path}.items.type", kind, detail))
        else:
            errors += _map_keys(items, path, keys)
    return errors


def _map_keys(items: Object, path: str, keys: tuple[str, ...]) -> list[FieldError]:
    errors: list[FieldError] = []
    properties = keywords.node(items.get("properties"))
    for at, key in enumerate(keys):
        if key not in properties:
            detail = "entries must all be names of item properties"
            errors.append(invalid(f"{path}.x-kubernetes-list-map-keys", list(keys), detail))
        elif keywords.node(properties[key]).get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errors.append(invalid(f"{path}.items.properties[{key}].type", items["type"], detail))
        if key in keys[:at]:
            detail = "must not contain duplicate entries"
            errors.append(invalid(f"{path}.x-kubernetes-list-map-keys", list(keys), detail))
    return errors


def _item_nulls(schema: Object, path: str, keys: tuple[str, ...]) -> list[FieldError]:
    """Items of sets and maps are never null, and the keys of maps are always there."""
    items, kind = schema.get("items"), schema.get("x-kubernetes-list-type")
    if not isinstance(items, dict) or kind not in ("set", "map"):
        return []
    errors: list[FieldError] = []
    if items.get("nullable"):
        errors.append(forbidden(f"{path}.items.nullable", f"cannot be nullable when x-kubernetes-list-type is {kind}"))
    for key in keys if kind == "map" else ():
        property_ = keywords.node(items.get("properties")).get(key)
        if not isinstance(property_, dict):
            continue
        where = f"{path}.items.properties[{key}]"
        if key not in keywords.strings(items.get("required")) and property_.get("default") is None:
            errors.append(required(f"{where}.default", f"{_IS_KEY} must have a default or be a required property"))
        if property_.get("nullable"):
            errors.append(forbidden(f"{where}.nullable", f"{_IS_KEY} cannot be nullable"))
    return errors

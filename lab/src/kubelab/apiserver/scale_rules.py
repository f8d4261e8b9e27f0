"""What the fields of a custom object hold that its scale subresource reads (apiextensions-apiserver `validation`)."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.crd import ScalePaths
from kubelab.apiserver.errors import FieldError
from kubelab.objects import Json, Object

_MOST: Final = 2**31 - 1
_KINDS: Final = {str: "string", bool: "bool", float: "float64", list: "[]interface {}", dict: "map[string]interface {}"}


def scale_errors(obj: Object, paths: ScalePaths) -> list[FieldError]:
    """Every broken rule: numbers of replicas are numbers, a selector is text."""
    found = _number_errors(obj, paths.spec_replicas) + _number_errors(obj, paths.status_replicas)
    if paths.selector:
        selector = _value(obj, paths.selector)
        if selector is not None and not isinstance(selector, str):
            found.append(fields.invalid(paths.selector, "", _unfit(selector, paths.selector, "string")))
    return found


def _number_errors(obj: Object, path: str) -> list[FieldError]:
    value = _value(obj, path)
    if value is None:
        return []
    if not isinstance(value, int) or isinstance(value, bool):
        return [fields.invalid(path, 0, _unfit(value, path, "int64"))]
    if value < 0:
        return [fields.invalid(path, value, "should be a non-negative integer")]
    if value > _MOST:
        return [fields.invalid(path, value, f"should be less than or equal to {_MOST}")]
    return []


def _value(obj: Object, path: str) -> Json:
    """What stands at a simple path; None for nothing, and where the way there is none (the schema tells of that)."""
    value: Json = obj
    for name in path.removeprefix(".").split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _unfit(value: Json, path: str, wanted: str) -> str:
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
    return f"{path} accessor error: {shown} is of the type {_KINDS.get(type(value), 'int64')}, expected {wanted}"

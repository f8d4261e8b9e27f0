"""Read the keywords of one OpenAPI schema node: bounds, rules, merge behaviour; the parts all types share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kubelab.apiserver.schema.model import UNBOUNDED, Bounds, Rule
from kubelab.objects import Object

REASONS: Final = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
"""Reasons a validation rule may give, sorted (apiextensions `ValidationRule.reason`)."""

_BOUNDS: Final[dict[str, tuple[str, type | tuple[type, ...]]]] = {
    "minimum": ("minimum", (int, float)),
    "exclusiveMinimum": ("exclusive_minimum", bool),
    "maximum": ("maximum", (int, float)),
    "exclusiveMaximum": ("exclusive_maximum", bool),
    "multipleOf": ("multiple_of", (int, float)),
    "minLength": ("min_length", int),
    "maxLength": ("max_length", int),
    "pattern": ("pattern", str),
    "minItems": ("min_items", int),
    "maxItems": ("max_items", int),
    "uniqueItems": ("unique_items", bool),
    "minProperties": ("min_properties", int),
    "maxProperties": ("max_properties", int),
}
_READ: Final = frozenset(_BOUNDS) | {
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "not",
    "nullable",
    "oneOf",
    "properties",
    "required",
    "type",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-patch-merge-key",
    "x-kubernetes-patch-strategy",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
}


def node(value: Any) -> Object:
    """A schema node, whatever was written: what is no object constrains nothing."""
    return value if isinstance(value, dict) else {}


def nodes(value: Any) -> list[Object]:
    """The members of a list of schema nodes."""
    return [node(member) for member in value] if isinstance(value, list) else []


def strings(value: Any) -> tuple[str, ...]:
    """The strings of a list, in its order."""
    return tuple(member for member in value if isinstance(member, str)) if isinstance(value, list) else ()


def text(value: Any) -> str:
    """A string, or empty for anything else."""
    return value if isinstance(value, str) else ""


def bounds(schema: Object) -> Bounds:
    """The constraints beyond the type; `UNBOUNDED` itself when there are none."""
    found: dict[str, Any] = {
        name: schema[keyword]
        for keyword, (name, kind) in _BOUNDS.items()
        if isinstance(schema.get(keyword), kind) and schema[keyword] != ""
    }
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        found["enum"] = tuple(schema["enum"])
    return Bounds(**found) if found else UNBOUNDED


def rules(schema: Object) -> tuple[Rule, ...]:
    """The validation rules (`x-kubernetes-validations`)."""
    return tuple(
        Rule(
            rule=text(rule.get("rule")),
            message=text(rule.get("message")),
            message_expression=text(rule.get("messageExpression")),
            reason=text(rule.get("reason")),
            field_path=text(rule.get("fieldPath")),
            optional_old_self=rule.get("optionalOldSelf") is True,
        )
        for rule in nodes(schema.get("x-kubernetes-validations"))
    )


def merging(schema: Object) -> dict[str, Any]:
    """The attributes of `Schema` that tell how values merge; those that are not said are left out."""
    found: dict[str, Any] = {}
    if (list_type := text(schema.get("x-kubernetes-list-type"))) in {"atomic", "set", "map"}:
        found["list_type"] = list_type
    if keys := strings(schema.get("x-kubernetes-list-map-keys")):
        found["list_keys"] = keys
    if (map_type := text(schema.get("x-kubernetes-map-type"))) in {"granular", "atomic"}:
        found["map_type"] = map_type
    if strategy := text(schema.get("x-kubernetes-patch-strategy")):
        found["patch_strategy"] = frozenset(strategy.split(","))
    if key := text(schema.get("x-kubernetes-patch-merge-key")):
        found["patch_merge_key"] = key
    return found


def unread(schema: Object) -> Mapping[str, Any]:
    """The keywords that no attribute of `Schema` stands for."""
    return {keyword: value for keyword, value in schema.items() if keyword not in _READ}

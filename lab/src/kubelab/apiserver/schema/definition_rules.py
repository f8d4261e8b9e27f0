"""What kube-apiserver refuses in a CustomResourceDefinition's schema beyond its not being structural.

Source: apiextensions-apiserver `ValidateCustomResourceDefinitionOpenAPISchema`, `defaulting.ValidateDefaults`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import keywords, listing_rules, rule_shape
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.prune import prune
from kubelab.apiserver.schema.reading import node_of
from kubelab.apiserver.schema.validate import validate
from kubelab.apiserver.schema.wording import forbidden, invalid, required, unsupported
from kubelab.objects import Object

_TYPES: Final = ("array", "boolean", "integer", "number", "object", "string")
_NOT_SUPPORTED: Final = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_OBJECT_FIELDS: Final = {"metadata", "apiVersion", "kind"}


class _Place(NamedTuple):
    """What is allowed where a node stands."""

    no_defaults: str | None = None
    """Why defaults are forbidden; None where they are not."""
    in_metadata: bool = False
    root: bool = False


def schema_errors(schema: Object, path: str) -> list[FieldError]:
    """Every error of every node, parts after the node itself, properties by name."""
    return _node(schema, path, _Place(root=True))


def default_errors(schema: Object, path: str) -> list[FieldError]:
    """Defaults that the schema itself would not accept."""
    metadata = Schema(type="object", preserve_unknown=True)
    return _defaults(schema, path, metadata)


def _node(schema: Object, path: str, place: _Place) -> list[FieldError]:
    errors = _standard(schema, path, place)
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(forbidden(f"{path}.uniqueItems", detail))
    errors += _additional(schema, path, place)
    errors += _properties(schema, path, place)
    errors += _junctors(schema, path, place)
    if isinstance(schema.get("items"), dict):
        errors += _node(schema["items"], f"{path}.items", place._replace(root=False))
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        errors.append(invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined"))
    errors += listing_rules.listing_errors(schema, path)
    return errors + rule_shape.rule_errors(schema, path)


def _standard(schema: Object, path: str, place: _Place) -> list[FieldError]:
    errors: list[FieldError] = []
    kind = keywords.text(schema.get("type"))
    if kind and kind not in _TYPES:
        errors.append(unsupported(f"{path}.type", kind, _TYPES))
    if schema.get("default") is not None and place.no_defaults is not None:
        errors.append(forbidden(f"{path}.default", f"must not be set {place.no_defaults}".rstrip()))
    errors += [
        forbidden(f"{path}.{keyword}", f"{keyword} is not supported")
        for keyword in _NOT_SUPPORTED
        if schema.get(keyword)
    ]
    if kind == "null":
        errors.append(forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative"))
    if isinstance(schema.get("items"), list):
        errors.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if place.in_metadata and schema.get("x-kubernetes-embedded-resource"):
        errors.append(forbidden(f"{path}.x-kubernetes-embedded-resource", "must not be used inside of resource meta"))
    return errors


def _additional(schema: Object, path: str, place: _Place) -> list[FieldError]:
    more: Any = schema.get("additionalProperties")
    if more is None:
        return []
    errors: list[FieldError] = []
    if schema.get("properties") and more is not True:
        detail = "additionalProperties and properties are mutual exclusive"
        errors.append(forbidden(f"{path}.additionalProperties", detail))
    if place.in_metadata:
        place = place._replace(no_defaults="inside additionalProperties applying to object metadata")
    if isinstance(more, dict):
        errors += _node(more, f"{path}.additionalProperties", place._replace(root=False))
    return errors


def _properties(schema: Object, path: str, place: _Place) -> list[FieldError]:
    errors: list[FieldError] = []
    is_object = place.root or bool(schema.get("x-kubernetes-embedded-resource"))
    for name, part in sorted(keywords.node(schema.get("properties")).items()):
        below = place._replace(root=False)
        if is_object and name in _OBJECT_FIELDS:
            reason = f"in top-level {name}" if place.root else place.no_defaults
            below = _Place(no_defaults=reason, in_metadata=True)
        errors += _node(keywords.node(part), f"{path}.properties[{name}]", below)
    return errors


def _junctors(schema: Object, path: str, place: _Place) -> list[FieldError]:
    errors: list[FieldError] = []
    below = place._replace(root=False)
    if isinstance(schema.get("not"), dict):
        errors += _node(schema["not"], f"{path}.not", below)
    for junctor in ("allOf", "oneOf", "anyOf"):
        for at, part in enumerate(keywords.nodes(schema.get(junctor))):
            errors += _node(part, f"{path}.{junctor}[{at}]", below)
    return errors


def _defaults(schema: Object, path: str, metadata: Schema) -> list[FieldError]:
    errors: list[FieldError] = []
    if schema.get("default") is not None:
        errors += _default(schema, path, metadata)
    if isinstance(schema.get("items"), dict):
        errors += _defaults(schema["items"], f"{path}.items", metadata)
    for name, part in sorted(keywords.node(schema.get("properties")).items()):
        errors += _defaults(keywords.node(part), f"{path}.properties[{name}]", metadata)
    return errors


def _default(schema: Object, path: str, metadata: Schema) -> list[FieldError]:
    value, where = schema["default"], f"{path}.default"
    node = node_of(schema, metadata)
    errors: list[FieldError] = []
    if prune(node, value)[1]:
        errors.append(invalid(where, value, "must not have unknown fields"))
    if node.embedded and isinstance(value, dict):
        errors += [required(f"{where}.{name}") for name in ("apiVersion", "kind") if name not in value]
    return errors + validate(node, value, where)

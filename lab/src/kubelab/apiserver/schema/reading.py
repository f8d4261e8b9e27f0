"""Read the schema of a CustomResourceDefinition as a type (KEP-1979: structural schemas)."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from kubelab.apiserver.schema import keywords
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.model import MISSING, Schema, SchemaType
from kubelab.objects import Object

_TYPES: Final = ("object", "array", "string", "integer", "number", "boolean")
_TYPE_META: Final = ("apiVersion", "kind")


def schema_of(openapi_v3_schema: Object, metadata: Schema | None = None) -> Schema:
    """The type that a version's `openAPIV3Schema` describes.

    `apiVersion`, `kind` and `metadata` are part of it whether the schema names them or not; `metadata` is the given
    type, by default that of the built-in kinds. The schema need not have passed `check`: keywords that make no sense
    constrain nothing.
    """
    metadata = Types.load().metadata if metadata is None else metadata
    root = node_of(openapi_v3_schema, metadata)
    return _with_object_fields(dataclasses.replace(root, type="object", embedded=True), metadata)


def node_of(raw: Object, metadata: Schema) -> Schema:
    """One node of a schema with all below it; `metadata` is the type of the metadata of objects inside."""
    built = Schema(
        type=_type(raw),
        format=keywords.text(raw.get("format")),
        description=keywords.text(raw.get("description")),
        properties={name: node_of(keywords.node(part), metadata) for name, part in _properties(raw).items()},
        required=keywords.strings(raw.get("required")),
        nullable=raw.get("nullable") is True,
        preserve_unknown=raw.get("x-kubernetes-preserve-unknown-fields") is True,
        embedded=raw.get("x-kubernetes-embedded-resource") is True,
        bounds=keywords.bounds(raw),
        rules=keywords.rules(raw),
        extra=keywords.unread(raw),
        **keywords.merging(raw),
    )
    _fill(built, raw, metadata)
    return _with_object_fields(built, metadata) if built.embedded else built


def _fill(built: Schema, raw: Object, metadata: Schema) -> None:
    if raw.get("default") is not None:
        built.default = raw["default"]
    if isinstance(raw.get("items"), dict):
        built.items = node_of(raw["items"], metadata)
    more = raw.get("additionalProperties")
    if isinstance(more, dict):
        built.additional = node_of(more, metadata)
    elif more is True:
        built.additional = Schema(nullable=True)
    for keyword, attribute in (("allOf", "all_of"), ("anyOf", "any_of"), ("oneOf", "one_of")):
        setattr(built, attribute, tuple(node_of(part, metadata) for part in keywords.nodes(raw.get(keyword))))
    if isinstance(raw.get("not"), dict):
        built.negated = node_of(raw["not"], metadata)


def _type(raw: Object) -> SchemaType:
    if raw.get("x-kubernetes-int-or-string") is True:
        return "int-or-string"
    return raw["type"] if raw.get("type") in _TYPES else "any"


def _properties(raw: Object) -> dict[str, Any]:
    return keywords.node(raw.get("properties"))


def _with_object_fields(schema: Schema, metadata: Schema) -> Schema:
    """The type of an object that is a Kubernetes object, at the root or embedded."""
    own = {name: Schema(type="string") for name in _TYPE_META}
    narrowed = _narrowed(metadata, schema.properties.get("metadata"))
    properties = {**own, **schema.properties, "metadata": narrowed}
    return dataclasses.replace(schema, properties=properties)


def _narrowed(metadata: Schema, written: Schema | None) -> Schema:
    """The metadata's type with what the schema demands of `name` and `generateName`, all it may restrict."""
    if written is None:
        return metadata
    properties = dict(metadata.properties)
    for name, narrower in written.properties.items():
        properties[name] = dataclasses.replace(narrower, default=MISSING)
    return dataclasses.replace(metadata, properties=properties, required=written.required)

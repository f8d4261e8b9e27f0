"""The one shape of all types: built-in kinds and custom resources are trees of `Schema`.

Validation, pruning, defaulting, strategic merge, server-side apply and the OpenAPI documents all read this tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SchemaType = Literal["object", "array", "string", "integer", "number", "boolean", "int-or-string", "quantity", "any"]


class Missing:
    """The type of `MISSING`: no default, as opposed to a default of null."""


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Rule:
    """A validation rule in CEL (`x-kubernetes-validations`)."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str = ""
    field_path: str = ""
    optional_old_self: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """Constraints of a value beyond its type (OpenAPI v3 keywords); None means not constrained."""

    minimum: float | None = None
    exclusive_minimum: bool = False
    maximum: float | None = None
    exclusive_maximum: bool = False
    multiple_of: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool = False
    min_properties: int | None = None
    max_properties: int | None = None
    enum: tuple[Any, ...] | None = None


UNBOUNDED: Final = Bounds()
"""The bounds of a value that is constrained by its type only; the one instance, so that it can be told by identity."""


@dataclass(slots=True, eq=False)
class Schema:
    """One node of a type. Built once, then only read; recursive types point back at themselves.

    Attributes:
        type: JSON type, or one of the three that JSON has no word for.
        properties: fields of an object with known fields.
        additional: type of the values of a map; None where unknown keys are not values of a map.
        items: type of an array's items.
        list_type: how a list merges in server-side apply (KEP-555).
        list_keys: keys of a `map` list's items.
        map_type: whether a map or object is owned key by key, or whole.
        patch_strategy: of strategic merge patch: any of merge, replace, retainKeys.
        patch_merge_key: key by which strategic merge patch finds list items.
        preserve_unknown: unknown fields are kept (`x-kubernetes-preserve-unknown-fields`).
        embedded: this object is itself a Kubernetes object with apiVersion, kind and metadata.
        all_of, any_of, one_of, negated: further constraints of the same value (`negated` is OpenAPI's `not`).
        definition: name of the published OpenAPI definition, or empty.
        extra: the keywords this class has no field for (title, externalDocs, example ...), as written.
    """

    type: SchemaType = "any"
    format: str = ""
    description: str = ""
    properties: Mapping[str, Schema] = field(default_factory=dict)
    additional: Schema | None = None
    items: Schema | None = None
    required: tuple[str, ...] = ()
    default: Any = MISSING
    nullable: bool = False
    list_type: Literal["atomic", "set", "map"] = "atomic"
    list_keys: tuple[str, ...] = ()
    map_type: Literal["granular", "atomic"] = "granular"
    patch_strategy: frozenset[str] = frozenset()
    patch_merge_key: str = ""
    preserve_unknown: bool = False
    embedded: bool = False
    bounds: Bounds = UNBOUNDED
    rules: tuple[Rule, ...] = ()
    all_of: tuple[Schema, ...] = ()
    any_of: tuple[Schema, ...] = ()
    one_of: tuple[Schema, ...] = ()
    negated: Schema | None = None
    definition: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

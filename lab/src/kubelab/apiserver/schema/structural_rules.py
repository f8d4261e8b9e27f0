"""What makes the schema of a CustomResourceDefinition structural (KEP-1979; apiextensions `ValidateStructural`)."""

from __future__ import annotations

from typing import Any, Final

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import keywords
from kubelab.apiserver.schema.nested_rules import constraint_errors
from kubelab.apiserver.schema.wording import forbidden, invalid, required
from kubelab.objects import Object

_ROOT: Final = "at the root"
_ITEM: Final = "for specified array items"
_FIELD: Final = "for specified object fields"
_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]


def structural_errors(schema: Object, path: str) -> list[FieldError]:
    """Every way in which a schema is not structural, in alphabetical order of the sentences."""
    return sorted(_invariants(schema, path, _ROOT) + _incomplete(schema, path), key=str)


def _invariants(schema: Object, path: str, level: str) -> list[FieldError]:
    errors = _parts(schema, path, level)
    errors += _extensions(schema, path)
    errors += _constraints(schema, path)
    errors += _type(schema, path, level)
    errors += _embedded(schema, path)
    errors += _object_fields(schema, path, level)
    return errors


def _parts(schema: Object, path: str, level: str) -> list[FieldError]:
    errors: list[FieldError] = []
    items, more = schema.get("items"), schema.get("additionalProperties")
    if schema.get("type") == "array" and items is None:
        errors.append(required(f"{path}.items", "must be specified"))
    if isinstance(items, dict):
        errors += _invariants(items, f"{path}.items", _ITEM)
    for name, part in keywords.node(schema.get("properties")).items():
        errors += _invariants(keywords.node(part), f"{path}.properties[{name}]", _FIELD)
    if more is not None and level is _ROOT:
        errors.append(forbidden(f"{path}.additionalProperties", "must not be used at the root"))
    if isinstance(more, dict):
        errors += _invariants(more, f"{path}.additionalProperties", _FIELD)
    return errors


def _extensions(schema: Object, path: str) -> list[FieldError]:
    if not schema.get("x-kubernetes-int-or-string"):
        return []
    return [
        invalid(f"{path}.{keyword}", True, "must be false if x-kubernetes-int-or-string is true")
        for keyword in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
        if schema.get(keyword)
    ]


def _constraints(schema: Object, path: str) -> list[FieldError]:
    """Logical junctors and the pattern; the two ways to write an int-or-string are let pass."""
    any_of, all_of = schema.get("anyOf"), keywords.nodes(schema.get("allOf"))
    skip_first = bool(all_of) and all_of[0].get("anyOf") == _INT_OR_STRING
    return constraint_errors(schema, path, skip_any_of=any_of == _INT_OR_STRING, skip_in_first_all_of=skip_first)


def _type(schema: Object, path: str, level: str) -> list[FieldError]:
    kind, embedded = keywords.text(schema.get("type")), schema.get("x-kubernetes-embedded-resource")
    errors: list[FieldError] = []
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        errors.append(invalid(f"{path}.type", kind, detail) if kind else required(f"{path}.type", detail))
    elif not kind and not _typeless(schema):
        errors.append(required(f"{path}.type", f"must not be empty {level}"))
    if level is _ROOT and kind and kind != "object":
        errors.append(invalid(f"{path}.type", kind, "must be object at the root"))
    return errors


def _typeless(schema: Object) -> bool:
    keys = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    return any(schema.get(key) for key in keys)


def _embedded(schema: Object, path: str) -> list[FieldError]:
    if not schema.get("x-kubernetes-embedded-resource"):
        return []
    errors: list[FieldError] = []
    if schema.get("additionalProperties") is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        errors.append(forbidden(f"{path}.additionalProperties", detail))
    if not schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        errors.append(required(f"{path}.properties", detail))
    return errors


def _object_fields(schema: Object, path: str, level: str) -> list[FieldError]:
    """`kind`, `apiVersion` and `metadata` of the object itself may hardly be restricted."""
    if level is not _ROOT and not schema.get("x-kubernetes-embedded-resource"):
        return []
    properties = keywords.node(schema.get("properties"))
    errors: list[FieldError] = []
    for name, kind in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        if name in properties and (found := keywords.text(keywords.node(properties[name]).get("type"))) != kind:
            errors.append(invalid(f"{path}.properties[{name}].type", found, f"must be {kind}"))
    metadata = keywords.node(properties.get("metadata"))
    if level is _ROOT and metadata and not _only_names(metadata):
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        errors.append(forbidden(f"{path}.properties[metadata]", detail))
    return errors


def _only_names(metadata: Object) -> bool:
    named = set(keywords.node(metadata.get("properties"))) <= {"name", "generateName"}
    return named and set(metadata) <= {"type", "properties", "default"}


def _incomplete(schema: Object, path: str) -> list[FieldError]:
    """What junctors speak of must be specified outside of them too."""
    errors: list[FieldError] = []
    for where, part in _junctors(schema, path):
        errors += _missing(schema, part, path, where)
    items, more = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, dict):
        errors += _incomplete(items, f"{path}.items")
    if isinstance(more, dict):
        errors += _incomplete(more, f"{path}.additionalProperties")
    for name, part in keywords.node(schema.get("properties")).items():
        errors += _incomplete(keywords.node(part), f"{path}.properties[{name}]")
    return errors


def _junctors(schema: Object, path: str) -> list[tuple[str, Object]]:
    found = [
        (f"{path}.{keyword}[{at}]", part)
        for keyword in ("allOf", "anyOf", "oneOf")
        for at, part in enumerate(keywords.nodes(schema.get(keyword)))
    ]
    return found + ([(f"{path}.not", schema["not"])] if isinstance(schema.get("not"), dict) else [])


def _missing(whole: Object | None, part: Object, path: str, where: str) -> list[FieldError]:
    """Fields and items that `part` constrains and `whole` does not have; `where` is the junctor's place."""
    errors: list[FieldError] = []
    if isinstance(part.get("items"), dict):
        errors += _missing_at(keywords.node(whole).get("items"), part["items"], f"{path}.items", f"{where}.items")
    for name, inner in keywords.node(part.get("properties")).items():
        found = keywords.node(keywords.node(whole).get("properties")).get(name)
        at = f"properties[{name}]"
        errors += _missing_at(found, keywords.node(inner), f"{path}.{at}", f"{where}.{at}")
    for deeper_where, deeper in _junctors(part, where):
        errors += _missing(whole, deeper, path, deeper_where)
    return errors


def _missing_at(whole: Any, part: Object, path: str, where: str) -> list[FieldError]:
    if not isinstance(whole, dict):
        return [required(path, f"because it is defined in {where}")]
    return _missing(whole, part, path, where)

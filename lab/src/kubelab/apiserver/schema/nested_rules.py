"""What a structural schema forbids inside `allOf`, `anyOf`, `oneOf` and `not` (KEP-1979)."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import keywords, patterns
from kubelab.apiserver.schema.wording import forbidden, invalid
from kubelab.objects import Object

_EMPTY: Final = "must be empty to be structural"
_UNDEFINED: Final = "must be undefined to be structural"
_FALSE: Final = "must be false to be structural"
_FORBIDDEN: Final = (
    ("type", _EMPTY),
    ("additionalProperties", _UNDEFINED),
    ("default", _UNDEFINED),
    ("title", _EMPTY),
    ("description", _EMPTY),
    ("nullable", _FALSE),
    ("x-kubernetes-preserve-unknown-fields", _FALSE),
    ("x-kubernetes-embedded-resource", _FALSE),
    ("x-kubernetes-int-or-string", _FALSE),
    ("x-kubernetes-list-map-keys", _EMPTY),
    ("x-kubernetes-list-type", _UNDEFINED),
    ("x-kubernetes-map-type", _UNDEFINED),
    ("x-kubernetes-validations", _EMPTY),
)
_SET_EVEN_IF_EMPTY: Final = {"additionalProperties", "x-kubernetes-list-type", "x-kubernetes-map-type", "default"}


def constraint_errors(
    schema: Object, path: str, *, skip_any_of: bool = False, skip_in_first_all_of: bool = False
) -> list[FieldError]:
    """Errors in the junctors of a node, and in its pattern.

    `skip_any_of` lets the node's own `anyOf` pass, `skip_in_first_all_of` that of the first member of its `allOf`:
    these are the places where an int-or-string says its two types.
    """
    errors: list[FieldError] = []
    if not skip_any_of:
        errors += _members(schema, "anyOf", path)
    for at, part in enumerate(keywords.nodes(schema.get("allOf"))):
        errors += _inside(part, f"{path}.allOf[{at}]", skip_any_of=skip_in_first_all_of and at == 0)
    errors += _members(schema, "oneOf", path)
    if isinstance(schema.get("not"), dict):
        errors += _inside(schema["not"], f"{path}.not")
    return errors + _pattern(schema, path)


def _members(schema: Object, junctor: str, path: str) -> list[FieldError]:
    members = enumerate(keywords.nodes(schema.get(junctor)))
    return [error for at, part in members for error in _inside(part, f"{path}.{junctor}[{at}]")]


def _inside(part: Object, path: str, *, skip_any_of: bool = False) -> list[FieldError]:
    errors = constraint_errors(part, path, skip_any_of=skip_any_of)
    if isinstance(part.get("items"), dict):
        errors += _inside(part["items"], f"{path}.items")
    properties = keywords.node(part.get("properties"))
    for name, inner in properties.items():
        errors += _inside(keywords.node(inner), f"{path}.properties[{name}]")
    errors += [forbidden(f"{path}.{keyword}", why) for keyword, why in _FORBIDDEN if _is_set(part, keyword)]
    if "metadata" in properties:
        errors.append(forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context"))
    return errors


def _is_set(part: Object, keyword: str) -> bool:
    value = part.get(keyword)
    return value is not None if keyword in _SET_EVEN_IF_EMPTY else bool(value)


def _pattern(schema: Object, path: str) -> list[FieldError]:
    pattern = keywords.text(schema.get("pattern"))
    try:
        patterns.compiled(pattern)
    except ValueError as error:
        detail = f"must be a valid regular expression, but isn't: error parsing regexp: {error}"
        return [invalid(f"{path}.pattern", pattern, detail)]
    return []

"""The seam for validation rules (`x-kubernetes-validations`; KEP-2876): who evaluates them, when they are skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.wording import invalid
from kubelab.objects import Object

_BLOCKING: Final = {
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
}
_NOT_CHECKED: Final = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


class Evaluator(Protocol):
    """Evaluates the rules of custom types. Implementations keep what they compiled by schema."""

    def compile_errors(self, schema: Schema, path: str) -> list[FieldError]:
        """Rules that do not compile, for a CustomResourceDefinition whose schema is otherwise right."""
        ...

    def evaluate(self, schema: Schema, obj: Object, old: Object | None) -> list[FieldError]:
        """Rules that an object breaks; `old` is the object before an update, None when it is created."""
        ...


class NoEvaluator:
    """Takes every rule for fulfilled."""

    def compile_errors(self, schema: Schema, path: str) -> list[FieldError]:  # noqa: ARG002  # the protocol's arguments
        """No error."""
        return []

    def evaluate(self, schema: Schema, obj: Object, old: Object | None) -> list[FieldError]:  # noqa: ARG002  # the same
        """No error."""
        return []


def has_rules(schema: Schema) -> bool:
    """Whether a type has a rule at any depth."""
    return _has_rules(schema, set())


def _has_rules(schema: Schema, seen: set[int]) -> bool:
    if id(schema) in seen:
        return False
    seen.add(id(schema))
    below = [*schema.properties.values(), *schema.all_of, schema.items, schema.additional]
    return bool(schema.rules) or any(part is not None and _has_rules(part, seen) for part in below)


def check_rules(
    evaluator: Evaluator, schema: Schema, obj: Object, old: Object | None, found: Sequence[FieldError]
) -> list[FieldError]:
    """Errors of rules, given those found before: an object that is too wrong to be looked at gets one sentence.

    Call it only for types that have rules.
    """
    if any(error.reason in _BLOCKING for error in found):
        return [invalid("", None, _NOT_CHECKED)]
    return evaluator.evaluate(schema, obj, old)

"""The seam for validation rules."""

from __future__ import annotations

from typing import Any

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.rules import Evaluator, NoEvaluator, check_rules, has_rules
from kubelab.apiserver.schema.structural import schema_of
from kubelab.apiserver.schema.wording import invalid, required
from kubelab.objects import GroupVersionKind, Object

RULE = [{"rule": "true"}]


class Refuses:
    """Finds the same fault in every object, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Object, Object | None]] = []

    def compile_errors(self, schema: Schema, path: str) -> list[FieldError]:
        return []

    def evaluate(self, schema: Schema, obj: Object, old: Object | None) -> list[FieldError]:
        self.asked.append((obj, old))
        return [invalid("spec", "x", "no")]


def test_rules_are_found_at_any_depth(types: Types, widget: Schema) -> None:
    assert has_rules(widget)
    assert not has_rules(schema_of({}))
    inner = {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}
    inner["items"]["additionalProperties"]["x-kubernetes-validations"] = RULE  # type: ignore[index]  # nested JSON
    assert has_rules(schema_of({"type": "object", "properties": {"a": inner}}))


def test_types_that_contain_themselves_are_searched_once(types: Types) -> None:
    crd = types.schema(GroupVersionKind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"))
    assert crd is not None
    assert not has_rules(crd)


def test_an_object_that_is_wrong_in_itself_is_not_asked_about(widget: Schema) -> None:
    evaluator = Refuses()
    errors = check_rules(evaluator, widget, {}, None, [required("spec.size")])
    assert [(error.field, error.reason) for error in errors] == [("<nil>", "FieldValueInvalid")]
    assert errors[0].text.startswith("Invalid value: null: some validation rules were not checked")
    assert evaluator.asked == []


def test_lesser_errors_do_not_keep_rules_from_being_checked(widget: Schema) -> None:
    evaluator: Any = Refuses()
    checked: Evaluator = evaluator
    old: Object = {"spec": {}}
    errors = check_rules(checked, widget, {}, old, [invalid("spec.size", 0, "too small")])
    assert [error.text for error in errors] == ['Invalid value: "x": no']
    assert evaluator.asked == [({}, old)]


def test_without_an_evaluator_every_rule_holds(widget: Schema) -> None:
    assert check_rules(NoEvaluator(), widget, {"spec": {"name": "bad"}}, None, []) == []
    assert NoEvaluator().compile_errors(widget, "x") == []

"""Asking rules about objects: scopes, old values, messages, ratcheting, types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.schema.structural import schema_of
from kubelab.objects import Object

Ask = Callable[..., list[str]]
INTEGER: Object = {"type": "integer"}


def with_rule(schema: Object, rule: str, **more: Any) -> Object:
    return {**schema, "x-kubernetes-validations": [{"rule": rule, **more}]}


def fields(**properties: Object) -> Object:
    return {"type": "object", "properties": properties}


def test_a_rule_holds_for_the_node_it_stands_at(ask: Ask) -> None:
    positive = with_rule(INTEGER, "self > 0", message="must be positive")
    schema = fields(
        a=positive,
        l={"type": "array", "items": positive},
        m={"type": "object", "additionalProperties": positive},
    )
    assert ask(schema, {"a": 1, "l": [1], "m": {"x": 1}}) == []
    assert ask(schema, {"a": 0, "l": [1, 0], "m": {"x.y": 0, "b": 0}}) == [
        "spec.a: Invalid value: 0: must be positive",
        "spec.l[1]: Invalid value: 0: must be positive",
        "spec.m[b]: Invalid value: 0: must be positive",
        "spec.m[x.y]: Invalid value: 0: must be positive",
    ]
    assert ask(schema, {}) == []
    assert ask(schema, {"a": None, "l": [None], "m": None}) == []
    assert ask(schema, None) == []


def test_the_outer_rule_is_told_before_the_inner(ask: Ask) -> None:
    inner = with_rule(INTEGER, "self > 1")
    schema = with_rule(fields(b=inner, a=inner), "self.a > self.b")
    assert ask(schema, {"a": 0, "b": 0}) == [
        "spec: Invalid value: failed rule: self.a > self.b",
        "spec.a: Invalid value: 0: failed rule: self > 1",
        "spec.b: Invalid value: 0: failed rule: self > 1",
    ]


def test_a_rule_at_the_root_knows_the_name(evaluator: RuleEvaluator) -> None:
    schema = schema_of(with_rule({"type": "object"}, "self.metadata.name.startsWith('a')"))
    assert evaluator.evaluate(schema, {"metadata": {"name": "ab"}}, None) == []
    (error,) = evaluator.evaluate(schema, {"metadata": {"name": "b"}}, None)
    assert str(error) == "<nil>: Invalid value: failed rule: self.metadata.name.startsWith('a')"


def test_a_transition_rule_is_asked_only_where_there_was_a_value(ask: Ask) -> None:
    schema = fields(a=with_rule(INTEGER, "self >= oldSelf", message="may only grow"))
    assert ask(schema, {"a": 1}) == []
    assert ask(schema, {"a": 1}, {}) == []
    assert ask(schema, {"a": 1}, {"a": None}) == []
    assert ask(schema, {}, {"a": 1}) == []
    assert ask(schema, {"a": 2}, {"a": 1}) == []
    assert ask(schema, {"a": 1}, {"a": 2}) == ["spec.a: Invalid value: 1: may only grow"]


def test_an_optional_old_value_is_asked_about_at_creation_too(ask: Ask) -> None:
    rule = "oldSelf.hasValue() ? self == oldSelf.value() : self > 5"
    schema = fields(a=with_rule(INTEGER, rule, optionalOldSelf=True, message="no"))
    assert ask(schema, {"a": 6}) == []
    assert ask(schema, {"a": 1}) == ["spec.a: Invalid value: 1: no"]
    assert ask(schema, {"a": 1}, {"a": 1}) == []
    assert ask(schema, {"a": 6}, {"a": 7}) == ["spec.a: Invalid value: 6: no"]


def test_items_of_a_map_list_are_compared_by_key(ask: Ask) -> None:
    item = with_rule(fields(k={"type": "string"}, v=INTEGER), "self.v >= oldSelf.v")
    by_key = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": item}
    schema = fields(l=by_key)
    old = {"l": [{"k": "a", "v": 2}, {"k": "b", "v": 0}]}
    assert ask(schema, {"l": [{"k": "b", "v": 1}, {"k": "c", "v": 0}, {"k": "a", "v": 2}]}, old) == []
    assert ask(schema, {"l": [{"k": "b", "v": 1}, {"k": "a", "v": 1}]}, old) == [
        "spec.l[1]: Invalid value: failed rule: self.v >= oldSelf.v"
    ]


def test_what_an_update_leaves_as_it_was_is_not_held_against_it(ask: Ask) -> None:
    schema = fields(a=with_rule(INTEGER, "self < 3"), b=INTEGER)
    assert ask(schema, {"a": 5, "b": 2}, {"a": 5, "b": 1}) == []
    assert ask(schema, {"a": 6, "b": 1}, {"a": 5, "b": 1}) == ["spec.a: Invalid value: 6: failed rule: self < 3"]
    assert ask(with_rule(schema, "self.b < 2"), {"a": 5, "b": 2}, {"a": 5, "b": 2}) == []


def test_a_transition_rule_is_held_against_what_did_not_change(ask: Ask) -> None:
    schema = fields(a=with_rule(INTEGER, "self > oldSelf"))
    assert ask(schema, {"a": 1}, {"a": 1}) == ["spec.a: Invalid value: 1: failed rule: self > oldSelf"]


NO_MATCH = "call arguments did not match a supported operator, function or macro signature for rule"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "spec: Invalid value: failed rule: self.a > 1"),
        ({"message": " no "}, "spec: Invalid value: no"),
        ({"messageExpression": "'a is ' + string(self.a)"}, "spec: Invalid value: a is 1"),
        ({"message": "no", "messageExpression": "''"}, "spec: Invalid value: no"),
        ({"message": "no", "messageExpression": "'a\\nb'"}, "spec: Invalid value: no"),
        ({"message": "no", "messageExpression": "self.a"}, "spec: Invalid value: no"),
        ({"message": "no", "messageExpression": "self.l[5]"}, "spec: Invalid value: no"),
        ({"message": "no", "reason": "FieldValueForbidden", "fieldPath": ".a"}, "spec.a: Forbidden: no"),
        (
            {"message": "no", "reason": "FieldValueRequired", "fieldPath": ".m['x.y']"},
            "spec.m[x.y]: Required value: no",
        ),
        ({"message": "no", "reason": "FieldValueDuplicate"}, "spec: Duplicate value"),
        ({"message": "no", "reason": "FieldValueInvalid"}, "spec: Invalid value: no"),
    ],
)
def test_message_reason_and_field_are_those_of_the_rule(ask: Ask, more: Object, told: str) -> None:
    strings = {"type": "object", "additionalProperties": {"type": "string"}}
    schema = fields(a=INTEGER, l={"type": "array", "items": INTEGER}, m=strings)
    assert ask(with_rule(schema, "self.a > 1", **more), {"a": 1, "l": []}) == [told]


def test_a_duplicate_shows_a_plain_value(ask: Ask) -> None:
    schema = fields(a=with_rule({"type": "string"}, "self != 'x'", reason="FieldValueDuplicate"))
    assert ask(schema, {"a": "x"}) == ['spec.a: Duplicate value: "x"']


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("self.a > 1", '"object": no such key: a evaluating rule: no'),
        ("self.b / 0 > 1", '"object": division by zero evaluating rule: no'),
        ("self.b + 9223372036854775807 > 0", '"object": integer overflow evaluating rule: no'),
        (
            "self.p > 1",
            f"\"object\": 'no such overload': {NO_MATCH}: no",
        ),
        ("self.b", "no"),
    ],
)
def test_a_rule_without_an_answer_makes_the_object_invalid(ask: Ask, rule: str, told: str) -> None:
    schema = with_rule(fields(a=INTEGER, b=INTEGER, p={"x-kubernetes-int-or-string": True}), rule, message="no")
    assert ask(schema, {"b": 1, "p": "x"}) == [f"spec: Invalid value: {told}"]


def test_a_rule_that_does_not_compile_refuses_every_object(ask: Ask) -> None:
    (found,) = ask(with_rule(fields(), "self >"), {})
    assert found.startswith("spec: Invalid value: rule compile error: ERROR: <input>:1:7: Syntax error")


@pytest.mark.parametrize(
    ("schema", "rule", "value"),
    [
        ({"type": "number"}, "self * 2.0 == 6.0 && type(self) == double", 3),
        ({"type": "string", "format": "duration"}, "self == duration('90m')", "1h30m"),
        ({"type": "string", "format": "date-time"}, "self < timestamp('2026-01-02T00:00:00Z')", "2026-01-01T00:00:00Z"),
        ({"type": "string", "format": "date"}, "self.getFullYear() == 2026", "2026-01-01"),
        ({"type": "string", "format": "byte"}, "self == b'abc'", "YWJj"),
        ({"x-kubernetes-int-or-string": True}, "type(self) == int ? self == 1 : self == '1'", "1"),
        ({"x-kubernetes-int-or-string": True}, "type(self) == int ? self == 1 : self == '1'", 1),
        ({"type": "array", "items": {"type": "number"}}, "self.sum() == 3.5", [1, 2.5]),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "self.a / 2.0 == 0.5", {"a": 1}),
        (
            fields(**{"a-b": {"type": "number"}, "in": INTEGER}),
            "self.a__dash__b * 0.5 == 1.0 && self.__in__ == 1",
            {"a-b": 2, "in": 1},
        ),
        ({"type": "string", "nullable": True}, "false", None),
    ],
)
def test_values_have_the_types_that_the_schema_says(ask: Ask, schema: Object, rule: str, value: Any) -> None:
    assert ask(fields(a=with_rule(schema, rule)), {"a": value}) == []


def test_the_object_itself_is_never_changed(ask: Ask) -> None:
    schema = with_rule(fields(x={"type": "number"}, t={"type": "string", "format": "date-time"}), "self.x > 0.0")
    value = {"x": 1, "t": "2026-01-01T00:00:00Z"}
    assert ask(schema, value) == []
    assert value == {"x": 1, "t": "2026-01-01T00:00:00Z"}
    assert type(value["x"]) is int


def test_rules_of_a_type_are_compiled_once(evaluator: RuleEvaluator) -> None:
    schema = schema_of(fields(a=with_rule(INTEGER, "self > 0")))
    evaluator.evaluate(schema, {"a": 1}, None)
    assert evaluator._plan(schema) is evaluator._plan(schema)

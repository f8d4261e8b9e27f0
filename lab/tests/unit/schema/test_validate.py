"""Values of custom resources: refusals as kube-apiserver words them."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.structural import schema_of
from kubelab.apiserver.schema.validate import validate, validate_lists, validate_values
from kubelab.objects import Object


def test_a_widget_is_refused_in_the_words_of_the_real_server(judge: Any, widget: Schema, refused_value: Object) -> None:
    obj, _ = judge.decoded(widget, refused_value["body"])
    errors = judge.errors(widget, obj)
    recorded_causes = refused_value["response"].get("details", {}).get("causes", [])
    # The scale subresource's paths are the server's to check, between values and lists.
    accessor = [one for one in recorded_causes if "accessor error" in one["message"]]
    causes = [{"reason": error.reason, "message": error.text, "field": error.field} for error in errors]
    assert causes == [one for one in recorded_causes if one not in accessor]
    if not accessor:
        assert judge.message(refused_value["body"], errors) == refused_value["response"].get("message", "")


def test_an_accepted_widget_has_the_recorded_spec(judge: Any, widget: Schema, exchanges: Any) -> None:
    accepted = [one for one in exchanges("crds") if one["method"] == "POST" and one["status"] == 201]
    widgets = [one for one in accepted if one["body"]["kind"] == "Widget"]
    assert len(widgets) > 5
    for exchange in widgets:
        obj, unknown = judge.decoded(widget, exchange["body"])
        assert obj.get("spec") == exchange["response"].get("spec")
        assert unknown == judge.warnings(exchange)


def one_field(schema: Object) -> Schema:
    return schema_of({"type": "object", "properties": {"f": schema}})


TABLE: list[tuple[str, Object, Any, list[str]]] = [
    ("float for integer", {"type": "integer"}, 1.5, [
        'f: Invalid value: "number": f in body must be of type integer: "number"',
        '<nil>: Invalid value: "": Checked value must be of type integer (default format) in f',
    ]),
    ("whole float for integer", {"type": "integer"}, 2.0, []),
    ("integer for number", {"type": "number"}, 2, []),
    ("bool for int32", {"type": "integer", "format": "int32"}, True, [
        'f: Invalid value: "": f in body must be of type int32: ""',
    ]),
    ("true is not 1", {"type": "integer", "enum": [1]}, True, [
        'f: Invalid value: "boolean": f in body must be of type integer: "boolean"',
        'f: Unsupported value: true: supported values: "1"',
    ]),
    ("int32", {"type": "integer", "format": "int32"}, 2**31, [
        '<nil>: Invalid value: "": Checked value must be of type integer with format int32 in f',
    ]),
    ("exclusive minimum", {"type": "number", "minimum": 0.5, "exclusiveMinimum": True}, 0.5, [
        "f: Invalid value: 0.5: f in body should be greater than 0.5",
    ]),
    ("multiple", {"type": "integer", "multipleOf": 3}, 4, ["f: Invalid value: 4: f in body should be a multiple of 3"]),
    ("short", {"type": "string", "minLength": 3}, "é", ['f: Invalid value: "é": f in body should be at least 3 chars long']),
    ("characters, not bytes", {"type": "string", "maxLength": 2}, "éé", []),
    ("end of text", {"type": "string", "pattern": "^a$"}, "a\n", ["f: Invalid value: \"a\\n\": f in body should match '^a$'"]),
    ("few properties", {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1}, {}, [
        "f: Invalid value: 0: f in body should have at least 1 properties",
    ]),
    ("many properties", {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1},
     {"a": "", "b": ""}, ["f: Too many: 2: must have at most 1 item"]),
    ("null", {"type": "string"}, None, ['f: Invalid value: "null": f in body must be of type string: "null"']),
    ("nullable", {"type": "string", "nullable": True}, None, []),
    ("date", {"type": "string", "format": "date"}, "2026-02-30", [
        'f: Invalid value: "2026-02-30": f in body must be of type date: "2026-02-30"',
    ]),
    ("unknown format", {"type": "string", "format": "poem"}, "no", []),
    ("one of none", {"type": "string", "oneOf": [{"enum": ["a"]}, {"enum": ["b"]}]}, "c", [
        '<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). Found none valid',
        'f: Unsupported value: "c": supported values: "a"',
    ]),
    ("one of two", {"type": "string", "oneOf": [{"minLength": 1}, {"maxLength": 9}]}, "c", [
        '<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). Found 2 valid alternatives',
    ]),
    ("all of", {"type": "string", "allOf": [{"minLength": 1}, {"maxLength": 2}]}, "abc", [
        "f: Too long: may not be more than 2 bytes",
        '<nil>: Invalid value: "": "f" must validate all the schemas (allOf)',
    ]),
    ("not", {"type": "string", "not": {"enum": ["x"]}}, "x", [
        '<nil>: Invalid value: "": "f" must not validate the schema (not)',
    ]),
    ("map key", {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"},
                                                             "x-kubernetes-list-type": "set"}},
     {"k": ["a", "a", "a"]}, ['f[k][1]: Duplicate value: "a"']),
    ("two keys", {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
                  "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}},
     [{"a": "x", "b": 1}, {"a": "x", "b": 2}, {"a": "x", "b": 1}], ['f[2]: Duplicate value: {"a":"x","b":1}']),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_value_is_refused_for_what_is_wrong_with_it(schema: Object, value: Any, expected: list[str]) -> None:
    assert [str(error) for error in validate(one_field(schema), {"f": value})] == expected


def test_an_alternative_that_fits_more_is_the_one_explained() -> None:
    quantity = {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": True,
        "pattern": "^[0-9]+$",
    }
    errors = [str(error) for error in validate(one_field(quantity), {"f": 0.5})]
    assert errors == [
        'f: Invalid value: "number": f in body must be of type integer,string: "number"',
        '<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)',
        'f: Invalid value: "number": f in body must be of type integer: "number"',
        '<nil>: Invalid value: "": Checked value must be of type integer (default format) in f',
    ]


def test_errors_carry_the_path_they_are_asked_for() -> None:
    schema = schema_of({"type": "object", "properties": {"a": {"type": "integer"}}})
    fields = [error.field for error in validate(schema, {"a": "x"}, "spec.template")]
    assert fields == ["spec.template.a"]


def test_an_update_keeps_what_was_wrong_before(widget: Schema) -> None:
    schema = widget
    old = {"spec": {"size": 99, "name": "TOOLONG", "items": [{"key": "a", "value": 1}], "list": ["x", "x"]}}
    new = {"spec": {**old["spec"], "mode": "Q", "items": [{"key": "b"}, {"key": "a", "value": 1}]}}
    assert [error.field for error in validate(schema, new, old=old)] == ["spec.mode"]
    assert {error.field for error in validate(schema, new)} > {"spec.mode", "spec.size", "spec.items[1].value"}


def test_an_update_is_refused_for_what_it_changes() -> None:
    schema = schema_of({"type": "object", "properties": {"size": {"type": "integer", "maximum": 3}}})
    assert validate(schema, {"size": 4}, old={"size": 4}) == []
    errors = validate(schema, {"size": 5}, old={"size": 4})
    assert [str(error) for error in errors] == [
        "size: Invalid value: 5: size in body should be less than or equal to 3"
    ]


def test_values_and_lists_can_be_asked_for_apart() -> None:
    schema = one_field({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 1})
    assert [error.reason for error in validate_values(schema, {"f": ["a", "a"]})] == ["FieldValueTooMany"]
    assert [error.reason for error in validate_lists(schema, {"f": ["a", "a"]})] == ["FieldValueDuplicate"]

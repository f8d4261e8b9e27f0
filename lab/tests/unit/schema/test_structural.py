"""Schemas of CustomResourceDefinitions: as types, and refused."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiserver.schema.model import MISSING, Rule, Schema
from kubelab.apiserver.schema.structural import check, schema_of
from kubelab.objects import Object

PATH = "spec.validation.openAPIV3Schema"


def test_a_schema_that_is_not_structural_is_refused_in_the_words_of_the_real_server(recorded: Any) -> None:
    schema = {"type": "object", "properties": {"spec": {"properties": {"a": {"type": "nope"}}}}}
    message = recorded("crds", "schema not structural")["response"]["message"]
    errors = ", ".join(str(error) for error in check(schema))
    assert message == f'CustomResourceDefinition.apiextensions.k8s.io "gadgets.lab.example.org" is invalid: [{errors}]'


def test_an_accepted_schema_has_no_errors(widget_schema: Object) -> None:
    assert check(widget_schema) == []


def field(**schema: Any) -> Object:
    return {"type": "object", "properties": {"f": {name.replace("_", "-"): value for name, value in schema.items()}}}


STRING = {"type": "string"}
TABLE: list[tuple[str, Object, list[str]]] = [
    ("root type", {"type": "string"}, ['.type: Invalid value: "string": must be object at the root']),
    ("root without type", {}, [".type: Required value: must not be empty at the root"]),
    ("root nullable", {"type": "object", "nullable": True}, [".nullable: Forbidden: nullable cannot be true at the root"]),
    ("root map", {"type": "object", "additionalProperties": STRING},
     [".additionalProperties: Forbidden: must not be used at the root"]),
    ("array without items", field(type="array"), [".properties[f].items: Required value: must be specified"]),
    ("item without type", field(type="array", items={}),
     [".properties[f].items.type: Required value: must not be empty for specified array items"]),
    ("metadata", {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": STRING}}}},
     [(".properties[metadata]: Forbidden: must not specify anything other than name and generateName, "
      "but metadata is implicitly specified")]),
    ("kind", {"type": "object", "properties": {"kind": {"type": "integer"}}},
     ['.properties[kind].type: Invalid value: "integer": must be string']),
    ("type in a junctor", field(type="object", anyOf=[{"type": "object"}]),
     [".properties[f].anyOf[0].type: Forbidden: must be empty to be structural"]),
    ("int or string", field(x_kubernetes_int_or_string=True, anyOf=[{"type": "integer"}, {"type": "string"}]), []),
    ("int or string deeper", field(x_kubernetes_int_or_string=True,
                                   allOf=[{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "a"}]), []),
    ("junctor of unknown field", field(type="object", properties={"a": STRING},
                                       allOf=[{"properties": {"b": {"minLength": 1}}}]),
     [(".properties[f].properties[b]: Required value: because it is defined in "
      f"{PATH}.properties[f].allOf[0].properties[b]")]),
    ("pattern", field(type="string", pattern="(?=a)"),
     [('.properties[f].pattern: Invalid value: "(?=a)": must be a valid regular expression, but isn\'t: '
      "error parsing regexp: invalid or unsupported Perl syntax: `(?=a)`")]),
    ("properties and additional", field(type="object", properties={"a": STRING}, additionalProperties=STRING),
     [".properties[f].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"]),
    ("unique items", field(type="array", items=STRING, uniqueItems=True),
     [(".properties[f].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes "
      "quadratic")]),
    ("preserve false", field(type="object", **{"x-kubernetes-preserve-unknown-fields": False}),
     [".properties[f].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"]),
    ("embedded without fields", field(type="object", **{"x-kubernetes-embedded-resource": True}),
     [(".properties[f].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without "
      "x-kubernetes-preserve-unknown-fields")]),
    ("map keys without list type", field(type="array", items={"type": "object", "properties": {"k": STRING}},
                                         **{"x-kubernetes-list-map-keys": ["k"]}),
     [".properties[f].x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty"]),
    ("map key optional", field(type="array", items={"type": "object", "properties": {"k": STRING}},
                               **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}),
     [(".properties[f].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so "
      "it must have a default or be a required property")]),
    ("map key unknown", field(type="array", items={"type": "object", "properties": {"k": STRING}},
                              **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["z"]}),
     ['.properties[f].x-kubernetes-list-map-keys: Invalid value: ["z"]: entries must all be names of item properties']),
    ("list type on an object", field(type="object", **{"x-kubernetes-list-type": "set"}),
     ['.properties[f].type: Invalid value: "object": must be array if x-kubernetes-list-type is specified']),
    ("list type unknown", field(type="array", items=STRING, **{"x-kubernetes-list-type": "heap"}),
     ['.properties[f].x-kubernetes-list-type: Unsupported value: "heap": supported values: "atomic", "set", "map"']),
    ("set of granular objects", field(type="array", items={"type": "object"}, **{"x-kubernetes-list-type": "set"}),
     [(".properties[f].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with "
      "x-kubernetes-list-type=set")]),
    ("default of another type", field(type="integer", default="x"),
     ['.properties[f].default: Invalid value: "string":  in body must be of type integer: "string"']),
    ("default with unknown field", field(type="object", properties={"a": STRING}, default={"b": 1}),
     ['.properties[f].default: Invalid value: {"b":1}: must not have unknown fields']),
    ("default in metadata", {"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "default": "x"}}}}},
     [".properties[metadata].properties[name].default: Forbidden: must not be set in top-level metadata"]),
    ("rule without text", field(type="string", **{"x-kubernetes-validations": [{"rule": " "}]}),
     [".properties[f].x-kubernetes-validations[0].rule: Required value: rule is not specified"]),
    ("rule with a wrong reason", field(type="string", **{"x-kubernetes-validations": [{"rule": "true", "reason": "No"}]}),
     [('.properties[f].x-kubernetes-validations[0].reason: Unsupported value: "No": supported values: '
      '"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"')]),
    ("rule with a wrong path", field(type="object", properties={"a": STRING},
                                     **{"x-kubernetes-validations": [{"rule": "true", "fieldPath": ".b"}]}),
     ['.properties[f].x-kubernetes-validations[0].fieldPath: Invalid value: ".b": must be a valid path']),
    ("null as type", field(type="null"),
     [('.properties[f].type: Unsupported value: "null": supported values: "array", "boolean", "integer", "number", '
      '"object", "string"'),
      ".properties[f].type: Forbidden: type cannot be set to null, use nullable as an alternative"]),
    ("reference", field(type="string", **{"$ref": "#/x"}), [".properties[f].$ref: Forbidden: $ref is not supported"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_schema_is_refused_for_what_is_wrong_with_it(schema: Object, expected: list[str]) -> None:
    assert [str(error) for error in check(schema, PATH)] == [PATH + line for line in expected]


def test_errors_stand_at_the_path_of_the_version() -> None:
    assert [error.field for error in check({}, "spec.versions[1].schema.openAPIV3Schema")] == [
        "spec.versions[1].schema.openAPIV3Schema.type"
    ]


def test_a_custom_type_is_an_object_whatever_its_schema_says() -> None:
    schema = schema_of({})
    assert schema.type == "object"
    assert schema.embedded
    assert set(schema.properties) == {"apiVersion", "kind", "metadata"}
    assert "labels" in schema.properties["metadata"].properties


def test_metadata_may_be_narrowed_by_name_only() -> None:
    narrowed = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}}
    metadata = schema_of({"type": "object", "properties": {"metadata": narrowed}}).properties["metadata"]
    assert metadata.properties["name"].bounds.max_length == 3
    assert "labels" in metadata.properties


def test_what_a_schema_says_is_in_the_type(widget: Schema) -> None:
    spec = widget.properties["spec"]
    assert spec.properties["port"].type == "int-or-string"
    assert spec.properties["items"].list_type == "map"
    assert spec.properties["items"].list_keys == ("key",)
    assert spec.properties["any"].preserve_unknown
    assert spec.properties["nul"].nullable
    assert spec.properties["size"].default == 3
    assert spec.properties["name"].default is MISSING
    assert spec.rules[0] == Rule("!has(self.name) || self.name != 'bad'", message="name may not be bad")

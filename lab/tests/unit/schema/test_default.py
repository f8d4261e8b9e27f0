"""Defaults and nulls."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.default import apply_defaults
from kubelab.apiserver.schema.structural import schema_of
from kubelab.objects import GroupVersionKind, Object

INNER = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}}
TABLE: list[tuple[str, Object, Any, Any]] = [
    ("missing", {"type": "string", "default": "x"}, {}, {"f": "x"}),
    ("there", {"type": "string", "default": "x"}, {"f": "y"}, {"f": "y"}),
    ("null", {"type": "string", "default": "x"}, {"f": None}, {"f": "x"}),
    ("null, nullable", {"type": "string", "default": "x", "nullable": True}, {"f": None}, {"f": None}),
    ("null without default", {"type": "string"}, {"f": None}, {}),
    ("null, nullable, without default", {"type": "string", "nullable": True}, {"f": None}, {"f": None}),
    ("null in an unknown field", {"type": "string"}, {"g": None}, {"g": None}),
    ("object is not made for what it would hold", INNER, {}, {}),
    ("object is filled", INNER, {"f": {}}, {"f": {"a": 1}}),
    ("default is filled", {**INNER, "default": {}}, {}, {"f": {"a": 1}}),
    ("items", {"type": "array", "items": INNER}, {"f": [{}, {"a": 2}]}, {"f": [{"a": 1}, {"a": 2}]}),
    ("null item", {"type": "array", "items": {"type": "string"}}, {"f": [None]}, {"f": [None]}),
    ("null item with default", {"type": "array", "items": {"type": "string", "default": "x"}}, {"f": [None]},
     {"f": ["x"]}),
    ("map values", {"type": "object", "additionalProperties": INNER}, {"f": {"k": {}}}, {"f": {"k": {"a": 1}}}),
    ("null map value", {"type": "object", "additionalProperties": {"type": "string"}}, {"f": {"k": None}}, {"f": {}}),
    ("untyped map", {"type": "object", "additionalProperties": True}, {"f": {"k": None}}, {"f": {"k": None}}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "obj", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_field_gets_its_default(schema: Object, obj: Object, expected: Object) -> None:
    before = copy.deepcopy(obj)
    assert apply_defaults(schema_of({"type": "object", "properties": {"f": schema}}), obj) == expected
    assert obj == before


def test_an_object_that_lacks_nothing_is_the_object_itself() -> None:
    root = schema_of({"type": "object", "properties": {"f": INNER}})
    obj: Object = {"metadata": {"name": "a"}, "f": {"a": 1}}
    assert apply_defaults(root, obj) is obj


def test_no_two_objects_share_a_default() -> None:
    root = schema_of({"type": "object", "properties": {"f": {**INNER, "default": {}}}})
    first, second = apply_defaults(root, {}), apply_defaults(root, {})
    assert first["f"] is not second["f"]


def test_null_means_absent_in_built_in_kinds(types: Types) -> None:
    service = types.schema(GroupVersionKind("", "v1", "Service"))
    assert service is not None
    obj = {
        "metadata": {"name": "a", "labels": None, "annotations": {"x": None}, "creationTimestamp": None},
        "spec": {"ports": [{"port": 80, "name": None}], "selector": None},
        "status": {"loadBalancer": {}},
    }
    assert apply_defaults(service, obj) == {
        "metadata": {"name": "a", "annotations": {"x": ""}},
        "spec": {"ports": [{"port": 80}]},
        "status": {"loadBalancer": {}},
    }


def test_null_means_absent_in_the_metadata_of_custom_resources() -> None:
    assert apply_defaults(schema_of({}), {"metadata": {"labels": None, "name": "x"}}) == {"metadata": {"name": "x"}}

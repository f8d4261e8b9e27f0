"""Unknown and duplicate fields."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.prune import duplicate_fields, prune
from kubelab.apiserver.schema.structural import schema_of
from kubelab.objects import GroupVersionKind, Object


def test_unknown_fields_of_a_custom_resource_go_and_are_told_by_name(widget: Schema) -> None:
    obj = {
        "metadata": {"zz": 1, "labels": {"a": "b"}},
        "spec": {"z": 1, "a": {}, "items": [{"key": "k", "q": 1}]},
        "x": 1,
    }
    before = copy.deepcopy(obj)
    kept, unknown = prune(widget, obj)
    assert kept == {"metadata": {"labels": {"a": "b"}}, "spec": {"items": [{"key": "k"}]}}
    assert unknown == [
        f'unknown field "{path}"' for path in ("metadata.zz", "spec.a", "spec.items[0].q", "spec.z", "x")
    ]
    assert obj == before


def test_unknown_fields_of_a_service_are_told_in_the_order_of_the_text(types: Types, recorded: Any) -> None:
    service = types.schema(GroupVersionKind("", "v1", "Service"))
    assert service is not None
    body = recorded("services", "unknown field warn")["body"]
    assert prune(service, body)[1] == ['unknown field "spec.nope"']
    _, unknown = prune(service, {"spec": {"z": 1, "ports": [{"b": {}}], "a": 2}})
    assert unknown == ['unknown field "spec.z"', 'unknown field "spec.ports[0].b"', 'unknown field "spec.a"']


def test_an_object_without_unknown_fields_is_the_object_itself(widget: Schema) -> None:
    obj: Object = {"spec": {"any": {"x": {"y": [{"z": 1}]}}, "map": {"a": 1}, "list": ["a"]}}
    kept, unknown = prune(widget, obj)
    assert kept is obj
    assert unknown == []


NESTED = {"a": {"b": {"c": 1}}}
TABLE: list[tuple[str, Object, Any, Any]] = [
    ("preserved", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, NESTED, NESTED),
    ("known field inside preserved", {"type": "object", "x-kubernetes-preserve-unknown-fields": True,
                                      "properties": {"a": {"type": "object"}}}, NESTED, {"a": {}}),
    ("untyped map", {"type": "object", "additionalProperties": True}, {"a": {"b": 1}, "c": 1}, {"a": {}, "c": 1}),
    ("object for a string", {"type": "string"}, {"a": 1}, {}),
    ("object for a list", {"type": "array", "items": {"type": "string"}}, {"a": 1}, {}),
    ("list of unknown", {"type": "object"}, [{"a": 1}, 2], [{}, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "value", "kept"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_is_known_stays(schema: Object, value: Any, kept: Any) -> None:
    root = schema_of({"type": "object", "properties": {"f": schema}})
    assert prune(root, {"f": value})[0] == {"f": kept}


def test_embedded_objects_have_metadata() -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}
    root = schema_of({"type": "object", "properties": {"template": embedded}})
    obj = {"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "nope": 1}, "spec": {}, "x": 1}}
    kept, unknown = prune(root, obj)
    assert kept == {"template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}}}
    assert unknown == ['unknown field "template.metadata.nope"', 'unknown field "template.x"']


def test_duplicate_fields_are_told_once_with_their_path(recorded: Any) -> None:
    body = recorded("services", "duplicate field strict")["body"]
    assert duplicate_fields(body.encode()) == ['duplicate field "metadata.name"']
    text = b'{"a":[{"b":1,"b":2,"b":3}],"c":{"d":1,"d":{"e":1,"e":2}}}'
    assert duplicate_fields(text) == [
        'duplicate field "a[0].b"',
        'duplicate field "c.d"',
        'duplicate field "c.d.e"',
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000], ids=["empty", "cut", "no text", "deep"])
def test_a_body_that_is_no_json_has_no_duplicates(body: bytes) -> None:
    assert duplicate_fields(body) == []

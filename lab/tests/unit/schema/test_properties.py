"""What holds for all values and all schemas."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.decode import _NOWHERE, _holds, _misfits, check_types
from kubelab.apiserver.schema.default import apply_defaults
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.prune import duplicate_fields, prune
from kubelab.apiserver.schema.structural import check, schema_of
from kubelab.apiserver.schema.validate import validate
from kubelab.objects import GroupVersionKind, Json, Object

NAMES = st.sampled_from(["a", "b", "key", "spec", "metadata", "size", "items", "x.y"])
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
KEYWORDS = [
    "type", "format", "default", "nullable", "properties", "items", "additionalProperties", "required", "enum",
    "minimum", "maxLength", "pattern", "allOf", "anyOf", "not", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
    "x-kubernetes-validations",
]  # fmt: skip
NONSENSE = st.recursive(
    SCALARS | st.sampled_from(["object", "array", "string", "integer", "set", "map", "^a$", "("]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=15,
)


def described(inner: st.SearchStrategy[Object]) -> st.SearchStrategy[Object]:
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=4)},
        optional={"x-kubernetes-preserve-unknown-fields": st.just(True)},
    )
    maps = st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner})
    lists = st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"maxItems": st.integers(0, 3)})
    return objects | maps | lists


LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.just("string")}, optional={"default": st.just("d"), "nullable": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.just(0)}, optional={"default": st.just(3)}),
    st.fixed_dictionaries({"x-kubernetes-int-or-string": st.just(True)}),
    st.fixed_dictionaries({"type": st.just("boolean")}, optional={"nullable": st.booleans()}),
)
SCHEMAS = st.recursive(LEAVES, described, max_leaves=8).map(
    lambda spec: {"type": "object", "properties": {"spec": spec}}
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


@given(raw=SCHEMAS, obj=OBJECTS)
def test_pruning_twice_is_pruning_once(raw: Object, obj: Object) -> None:
    schema = schema_of(raw)
    before = copy.deepcopy(obj)
    kept, _ = prune(schema, obj)
    assert prune(schema, kept) == (kept, [])
    assert obj == before


@given(raw=SCHEMAS, obj=OBJECTS)
def test_defaulting_twice_is_defaulting_once(raw: Object, obj: Object) -> None:
    schema = schema_of(raw)
    before = copy.deepcopy(obj)
    once = apply_defaults(schema, obj)
    assert apply_defaults(schema, once) == once
    assert obj == before


@given(raw=SCHEMAS, obj=OBJECTS)
def test_a_valid_object_stays_valid_when_pruned_and_defaulted(raw: Object, obj: Object) -> None:
    schema = schema_of(raw)
    if not validate(schema, obj):
        assert validate(schema, apply_defaults(schema, prune(schema, obj)[0])) == []


@given(raw=SCHEMAS, obj=OBJECTS)
def test_an_update_that_changes_nothing_is_never_refused(raw: Object, obj: Object) -> None:
    assert validate(schema_of(raw), obj, old=obj) == []


@given(raw=NONSENSE, value=VALUES)
def test_no_schema_and_no_value_raises(raw: Json, value: Json) -> None:
    schema = schema_of(raw if isinstance(raw, dict) else {})
    validate(schema, value)
    validate(schema, value, old=value)
    if isinstance(raw, dict):
        check(raw)
    if isinstance(value, dict):
        kept, _ = prune(schema, value)
        apply_defaults(schema, kept)


@pytest.fixture(scope="module")
def kinds() -> list[tuple[GroupVersionKind, Schema]]:
    types = Types.load()
    chosen = [("", "v1", "Pod"), ("", "v1", "Service"), ("apps", "v1", "Deployment"), ("", "v1", "Secret")]
    names = [GroupVersionKind(*one) for one in chosen]
    return [(name, schema) for name in names if (schema := types.schema(name)) is not None]


FIELDS = st.sampled_from(
    ["apiVersion", "kind", "metadata", "spec", "data", "labels", "ports", "containers", "template", "name", "nope"]
)
BODIES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=12
)


@settings(max_examples=50)
@given(value=BODIES)
def test_no_body_of_a_built_in_kind_raises(kinds: list[tuple[GroupVersionKind, Schema]], value: Json) -> None:
    for kind, schema in kinds:
        assert _holds(schema, value) is not any(_misfits(schema, value, _NOWHERE))
        if check_types(schema, value, kind) is None and isinstance(value, dict):
            kept, _ = prune(schema, value)
            done = apply_defaults(schema, kept)
            assert check_types(schema, done, kind) is None
            assert prune(schema, done)[0] is done


@given(body=st.binary(max_size=40))
def test_no_bytes_raise_when_duplicates_are_looked_for(body: bytes) -> None:
    found: Any = duplicate_fields(body)
    assert isinstance(found, list)

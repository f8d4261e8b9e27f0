"""JSON patch and merge patch: tables of RFC 6902 and RFC 7386, errors, and inputs that stay as they were."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.patching import json_patch, merge

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", max_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@pytest.mark.parametrize(
    ("obj", "ops", "after"),
    [
        ({"a": 1}, None, {"a": 1}),
        ({"a": 1}, [], {"a": 1}),
        ({"a": 1}, [{"op": "add", "path": "/b", "value": [1]}], {"a": 1, "b": [1]}),
        ({"b": [1, 3]}, [{"op": "add", "path": "/b/1", "value": 2}], {"b": [1, 2, 3]}),
        ({"b": [1]}, [{"op": "add", "path": "/b/-", "value": 2}], {"b": [1, 2]}),
        ({"a": 1}, [{"op": "add", "path": "/a"}], {"a": None}),
        ({"a": 1}, [{"op": "replace", "path": "/a", "value": {}}], {"a": {}}),
        ({"a": 1, "b": 2}, [{"op": "remove", "path": "/a"}], {"b": 2}),
        ({"a": {"x": 1}}, [{"op": "move", "from": "/a/x", "path": "/b"}], {"a": {}, "b": 1}),
        ({"a": {"x": 1}}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": {"x": 1}, "b": {"x": 1}}),
        ({"a/b": {"c~d": 1}}, [{"op": "test", "path": "/a~1b/c~0d", "value": 1}], {"a/b": {"c~d": 1}}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"z": 1}}], {"z": 1}),
    ],
)
def test_operations_of_a_json_patch(obj: dict[str, Any], ops: Any, after: dict[str, Any]) -> None:
    before = copy.deepcopy((obj, ops))
    assert json_patch.apply(obj, ops) == after
    assert (obj, ops) == before, "an input was changed"


@pytest.mark.parametrize(
    "ops",
    [
        [{"op": "remove", "path": "/nope"}],
        [{"op": "replace", "path": "/nope", "value": 1}],
        [{"op": "add", "path": "/list/9", "value": 1}],
        [{"op": "add", "path": "/list/x", "value": 1}],
        [{"op": "add", "path": "/a/b", "value": 1}],
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "move", "from": "/nope", "path": "/b"}],
        [{"op": "move", "path": "/b"}],
        [{"op": "frobnicate", "path": "/b"}],
        [{"path": "/b"}],
        [{"op": "add", "value": 1}],
        [{"op": "add", "path": "nope", "value": 1}],
        [{"op": "replace", "path": "", "value": [1]}],
    ],
)
def test_an_operation_that_cannot_be_done_refuses_the_whole(ops: Any) -> None:
    obj = {"a": 1, "list": [1]}
    with pytest.raises(ApiError) as caught:
        json_patch.apply(obj, [{"op": "add", "path": "/first", "value": 1}, *ops])
    assert (caught.value.code, caught.value.reason, caught.value.details) == (422, "Invalid", {})
    assert obj == {"a": 1, "list": [1]}


@pytest.mark.parametrize(
    ("ops", "code", "message"),
    [
        ({"op": "add"}, 400, "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ("x", 400, "cannot unmarshal string into Go value of type []handlers.jsonPatchOp"),
        (True, 400, "cannot unmarshal bool into Go value of type []handlers.jsonPatchOp"),
        (1.5, 400, "cannot unmarshal number into Go value of type []handlers.jsonPatchOp"),
        ([1], 400, "cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        ([{"op": 1}], 400, "cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
        (
            [{"op": "add", "path": []}],
            400,
            "cannot unmarshal array into Go struct field jsonPatchOp.path of type string",
        ),
        (
            [{"op": "test", "path": "/a"}] * 10_001,
            413,
            "The allowed maximum operations in a JSON patch is 10000, got 10001",
        ),
    ],
)
def test_what_is_no_json_patch_is_refused_before_anything_is_done(ops: Any, code: int, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        json_patch.apply({"a": None}, ops)
    assert caught.value.code == code
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("obj", "patch", "after"),
    [  # RFC 7386, appendix A, as far as objects go
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": "x"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_merge_patches_of_the_rfc(obj: dict[str, Any], patch: Any, after: dict[str, Any]) -> None:
    assert merge.apply(obj, patch) == after


@pytest.mark.parametrize(("patch", "kind"), [([1], "array"), ("x", "string"), (None, "null"), (3, "number")])
def test_a_merge_patch_must_be_an_object(patch: Any, kind: str) -> None:
    with pytest.raises(ApiError) as caught:
        merge.apply({}, patch)
    assert caught.value.code == 400
    assert kind in caught.value.message


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_done_twice_changes_nothing_more(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((obj, patch))
    once = merge.apply(obj, patch)
    assert merge.apply(once, patch) == once
    assert merge.apply(obj, {}) == obj
    assert (obj, patch) == before, "an input was changed"

"""Strategic merge patch: lists by key, sets, directives, order of items, errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.patching import strategic
from kubelab.apiserver.schema.model import Schema

TEXT = Schema(type="string")
MERGE = frozenset({"merge"})
ITEM = Schema(
    type="object",
    properties={
        "name": TEXT,
        "value": TEXT,
        "args": Schema(type="array", items=TEXT),
        "labels": Schema(type="object", additional=TEXT),
        "env": Schema(
            type="array", patch_strategy=MERGE, patch_merge_key="name", items=Schema(type="object", additional=TEXT)
        ),
    },
)
KIND = Schema(
    type="object",
    properties={
        "items": Schema(type="array", patch_strategy=MERGE, patch_merge_key="name", items=ITEM),
        "set": Schema(type="array", patch_strategy=MERGE, items=TEXT),
        "whole": Schema(type="array", items=ITEM),
        "one": ITEM,
        "source": Schema(type="object", patch_strategy=frozenset({"replace"}), additional=TEXT),
    },
)


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("obj", "patch", "after"),
    [
        pytest.param(
            {"one": {"name": "a"}}, {"one": {"value": "b"}}, {"one": {"name": "a", "value": "b"}}, id="object"
        ),
        pytest.param({"one": {"name": "a"}}, {"one": None}, {}, id="null removes"),
        pytest.param({}, {"one": {"name": "a", "value": None}}, {"one": {"name": "a"}}, id="null in what is new"),
        pytest.param(
            {"one": {}}, {"one": {"$patch": "replace", "name": "b"}}, {"one": {"name": "b"}}, id="replace object"
        ),
        pytest.param({"one": {"name": "a"}}, {"one": {"$patch": "delete"}}, {"one": {}}, id="delete object"),
        pytest.param({"source": {"a": "1"}}, {"source": {"b": "2"}}, {"source": {"b": "2"}}, id="strategy replace"),
        pytest.param({"whole": named("a")}, {"whole": named("b")}, {"whole": named("b")}, id="list without strategy"),
        pytest.param(
            {"items": [{"name": "a", "value": "1"}, {"name": "b"}]},
            {"items": [{"name": "b", "value": "2"}]},
            {"items": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]},
            id="item by key",
        ),
        pytest.param(
            {"items": named("a")}, {"items": named("n")}, {"items": named("n", "a")}, id="new items come first"
        ),
        pytest.param(
            {"items": named("a", "b", "c")},
            {"items": [*named("n"), {"name": "b", "value": "1"}]},
            {"items": [{"name": "n"}, {"name": "a"}, {"name": "b", "value": "1"}, {"name": "c"}]},
            id="live items keep their places around patched ones",
        ),
        pytest.param(
            {"items": named("a", "b")},
            {"items": [{"name": "a", "$patch": "delete"}]},
            {"items": named("b")},
            id="delete item",
        ),
        pytest.param(
            {"items": named("a", "b")},
            {"items": [{"$patch": "replace"}, {"name": "z"}]},
            {"items": named("z")},
            id="replace list",
        ),
        pytest.param(
            {},
            {"items": [{"name": "a", "$patch": "delete"}, {"name": "b"}]},
            {"items": named("b")},
            id="delete in new list",
        ),
        pytest.param(
            {"items": [{"name": "a", "env": named("x")}]},
            {"items": [{"name": "a", "env": named("y")}]},
            {"items": [{"name": "a", "env": named("y", "x")}]},
            id="list in item",
        ),
        pytest.param({"set": ["a", "b"]}, {"set": ["b", "c"]}, {"set": ["a", "b", "c"]}, id="set"),
        pytest.param({"set": ["a"]}, {"set": ["c"]}, {"set": ["c", "a"]}, id="new values come first"),
        pytest.param(
            {"set": ["a", "b"]}, {"$deleteFromPrimitiveList/set": ["a"]}, {"set": ["b"]}, id="delete from set"
        ),
        pytest.param({}, {"$deleteFromPrimitiveList/set": ["a"]}, {}, id="delete from no set"),
        pytest.param(
            {"items": named("a", "b", "c")},
            {"$setElementOrder/items": named("c", "a")},
            {"items": named("b", "c", "a")},
            id="order alone",
        ),
        pytest.param(
            {"items": named("a", "b")},
            {"$setElementOrder/items": named("n", "b", "a"), "items": named("n")},
            {"items": named("n", "b", "a")},
            id="order and change",
        ),
        pytest.param({}, {"$setElementOrder/items": named("a")}, {}, id="order of nothing"),
        pytest.param(
            {"set": ["a", "b", "c"]},
            {"$setElementOrder/set": ["c", "b", "a"]},
            {"set": ["c", "b", "a"]},
            id="order of set",
        ),
        pytest.param(
            {"items": named("a", "b")},
            {"$setElementOrder/items": named("b"), "items": [{"name": "a", "$patch": "delete"}]},
            {"items": named("b")},
            id="order without the deleted",
        ),
        pytest.param(
            {"one": {"name": "a", "value": "1", "args": []}},
            {"one": {"$retainKeys": ["value", "name"], "value": "2"}},
            {"one": {"name": "a", "value": "2"}},
            id="retain keys",
        ),
        pytest.param(
            {},
            {"one": {"$retainKeys": ["value"], "value": "2"}},
            {"one": {"value": "2"}},
            id="retain keys of what is new",
        ),
        pytest.param({"one": "x"}, {"one": {"name": "a"}}, {"one": {"name": "a"}}, id="other type"),
    ],
)
def test_a_patch_merges(obj: dict[str, Any], patch: dict[str, Any], after: dict[str, Any]) -> None:
    before = copy.deepcopy((obj, patch))
    assert strategic.apply(obj, patch, KIND) == after
    assert (obj, patch) == before, "an input was changed"


@pytest.mark.parametrize(
    ("patch", "code", "message"),
    [
        ([], 400, "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        ({"items": [{"value": "x"}]}, 500, "map: map[value:x] does not contain declared merge key: name"),
        ({"items": [{"$patch": "delete"}]}, 500, "map: map[$patch:delete] does not contain declared merge key: name"),
        ({"items": [{"name": "a", "$patch": "merge"}]}, 500, "merging lists cannot yet be specified in the patch"),
        ({"items": [{"name": "a", "$patch": "x"}]}, 500, "unknown patch type: x in map: map[$patch:x name:a]"),
        ({"one": {"$patch": "merge"}}, 500, "unknown patch type: merge in map: map[$patch:merge]"),
        ({"items": [[1]]}, 422, "the server rejected our request due to an error in our request"),
        ({"one": {"$retainKeys": ["name"], "value": "x"}}, 400, "invalid patch format of retainKeys"),
        ({"one": {"$retainKeys": "name"}}, 400, "invalid patch format of retainKeys"),
        ({"$deleteFromPrimitiveList/set": "a"}, 400, "invalid patch format of primitive list"),
        ({"$setElementOrder/items": "a"}, 400, "invalid patch format of setElementOrder list"),
        (
            {"$setElementOrder/items": named("a", "b"), "items": named("b", "a")},
            500,
            (
                "The order in patch list:\n[map[name:b] map[name:a]]\n doesn't match $setElementOrder list:\n"
                "[map[name:a] map[name:b]]\n"
            ),
        ),
    ],
)
def test_a_patch_that_makes_no_sense_is_refused(patch: Any, code: int, message: str) -> None:
    obj = {"items": named("a"), "set": ["a"], "one": {"name": "a"}}
    with pytest.raises(ApiError) as caught:
        strategic.apply(obj, patch, KIND)
    assert (caught.value.code, caught.value.message) == (code, message)


ITEMS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd")}, optional={"value": st.sampled_from("xyz")}),
    max_size=4,
    unique_by=lambda item: item["name"],
)
THINGS = st.fixed_dictionaries(
    {},
    optional={
        "items": ITEMS,
        "set": st.lists(st.sampled_from("abcd"), max_size=4, unique=True),
        "whole": ITEMS,
        "one": st.fixed_dictionaries({}, optional={"name": st.sampled_from("ab"), "value": st.sampled_from("ab")}),
    },
)


@given(THINGS)
def test_an_empty_patch_changes_nothing(obj: dict[str, Any]) -> None:
    assert strategic.apply(obj, {}, KIND) == obj


@given(THINGS, THINGS)
def test_a_patch_done_twice_changes_nothing_more(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((obj, patch))
    once = strategic.apply(obj, patch, KIND)
    assert strategic.apply(once, patch, KIND) == once
    assert (obj, patch) == before, "an input was changed"


@given(THINGS, THINGS)
def test_no_item_is_lost_or_doubled(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    names = [item["name"] for item in strategic.apply(obj, patch, KIND).get("items", [])]
    wanted = {item["name"] for item in [*obj.get("items", []), *patch.get("items", [])]}
    assert sorted(names) == sorted(wanted)


def test_services_merge_ports_by_port(schema_of: Callable[[str, str], Schema]) -> None:
    service = {"spec": {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 80}], "externalIPs": ["192.0.2.1"]}}
    patch = {"spec": {"ports": [{"port": 80, "name": "http"}], "externalIPs": ["192.0.2.2"]}}
    after = strategic.apply(service, patch, schema_of("v1", "Service"))
    assert after["spec"]["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 80, "name": "http"}]
    assert after["spec"]["externalIPs"] == ["192.0.2.2"]

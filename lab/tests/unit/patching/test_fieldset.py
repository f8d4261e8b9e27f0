"""Sets of field paths: the algebra, the order in which they are written, the text of paths."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.patching import fieldset
from kubelab.apiserver.patching.fieldset import FieldSet, Path

SCALARS = st.one_of(st.integers(-5, 5), st.sampled_from(["a", "b c", "é", '"', "10"]), st.booleans())
ELEMENTS = st.one_of(
    st.sampled_from(["f:a", "f:b", "f:c.d/e", "f:"]),
    st.builds(fieldset.valued, SCALARS),
    st.builds(lambda port, name: fieldset.keyed({"name": name, "port": port}), st.integers(0, 12), SCALARS),
    st.builds(lambda index: f"i:{index}", st.integers(0, 12)),
)
PATHS = st.lists(ELEMENTS, min_size=1, max_size=4).map(tuple)


def built(members: set[Path]) -> FieldSet:
    """The set of these members, made without any function that is tested."""
    tree: dict[str, Any] = {}
    for path in members:
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return compact(tree)


def compact(node: FieldSet) -> FieldSet:
    return {} if set(node) == {"."} else {name: compact(part) if part else part for name, part in node.items()}


MEMBERS = st.sets(PATHS, max_size=6)


@given(MEMBERS)
def test_paths_are_the_members(members: set[Path]) -> None:
    found = list(fieldset.paths(built(members)))
    assert set(found) == members
    assert len(found) == len(members)


@given(MEMBERS, MEMBERS)
def test_the_algebra_is_that_of_sets_of_paths(one: set[Path], other: set[Path]) -> None:
    first, second = built(one), built(other)
    before = copy.deepcopy((first, second))
    assert fieldset.union(first, second) == built(one | other)
    assert fieldset.intersection(first, second) == built(one & other)
    assert fieldset.difference(first, second) == built(one - other)
    assert (first, second) == before, "an argument was changed"


@given(MEMBERS, MEMBERS)
def test_without_takes_what_is_below_too(one: set[Path], roots: set[Path]) -> None:
    kept = {path for path in one if not any(path[: len(root)] == root for root in roots)}
    assert fieldset.without(built(one), built(roots)) == built(kept)


@given(MEMBERS)
def test_what_is_written_reads_the_same(members: set[Path]) -> None:
    fields = fieldset.ordered(built(members))
    written = json.dumps(fields)
    assert fieldset.parse(json.loads(written)) == fields
    assert json.dumps(fieldset.ordered(fieldset.parse(json.loads(written)))) == written


def test_a_difference_of_nothing_is_the_same_object() -> None:
    fields = built({("f:a", "f:b"), ("f:c",)})
    assert fieldset.difference(fields, built({("f:a",), ("f:d",)})) is fields


def test_elements_are_written_in_kubernetes_order() -> None:
    members = {
        ("f:b",),
        ("f:a",),
        ("f:a", 'k:{"port":443,"protocol":"TCP"}'),
        ("f:a", 'k:{"port":80,"protocol":"UDP"}'),
        ("f:a", 'k:{"port":80,"protocol":"TCP"}'),
        ("f:a", 'k:{"port":"80","protocol":"TCP"}'),
        ("f:a", "v:true"),
        ("f:a", 'v:"x"'),
        ("f:a", "v:10"),
        ("f:a", "v:9"),
        ("f:a", "i:10"),
        ("f:a", "i:9"),
        ("f:a", "f:z"),
    }
    ordered = fieldset.ordered(built(members))
    assert list(ordered) == ["f:a", "f:b"]
    assert list(ordered["f:a"]) == [
        ".",
        "f:z",
        'k:{"port":80,"protocol":"TCP"}',
        'k:{"port":80,"protocol":"UDP"}',
        'k:{"port":443,"protocol":"TCP"}',
        'k:{"port":"80","protocol":"TCP"}',
        "v:9",
        "v:10",
        'v:"x"',
        "v:true",
        "i:9",
        "i:10",
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name"), '.spec.ports[port=80,protocol="TCP"].name'),
        (("f:metadata", "f:finalizers", 'v:"example.org/f"'), '.metadata.finalizers[="example.org/f"]'),
        (("f:spec", "f:weights", "v:3"), ".spec.weights[=3]"),
        (("f:spec", "f:list", "i:2"), ".spec.list[2]"),
        (("f:data", "f:a.b"), ".data.a.b"),
    ],
)
def test_a_path_reads_as_in_messages(path: Path, text: str) -> None:
    assert fieldset.text(path) == text


def test_keys_are_brought_into_one_form() -> None:
    sent = {"f:ports": {'k:{"protocol": "TCP", "port": 80}': {".": {}}}, "f:set": {'v: "a"': {}}}
    assert fieldset.parse(sent) == {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {}}, "f:set": {'v:"a"': {}}}


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        (7, "got 7"),
        ([], "got []"),
        ({"f:a": 1}, "'f:a'"),
        ({"x:a": {}}, "'x:a'"),
        ({"a": {}}, "'a'"),
        ({"k:nope": {}}, "'k:nope'"),
        ({"k:[1]": {}}, "'k:[1]'"),
        ({"v:": {}}, "'v:'"),
        ({"f:a": {"i:x": {}}}, "'i:x'"),
    ],
)
def test_what_is_no_set_is_refused_with_its_place(sent: Any, where: str) -> None:
    with pytest.raises(fieldset.FieldSetError) as caught:
        fieldset.parse(sent)
    assert where in str(caught.value)

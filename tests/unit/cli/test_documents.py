"""Manifests are read as kubectl reads them, and every object knows where it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.cli.documents import UnreadableError, files_of, read_file, read_text


def test_scalars_are_what_kubectl_takes_them_for(recorded: Callable[[str], Any]) -> None:
    rows = recorded("yaml/scalars.jsonl")
    for row in rows:
        found = read_text("f", f"a: [{row['text']}]")[0].value["a"][0]
        assert (found, type(found)) == (row["value"], type(row["value"])), row["text"]
    assert len(rows) == 43


def test_a_bare_community_is_text() -> None:
    assert read_text("f", "communities: [65000:100, 1:2]")[0].value == {"communities": ["65000:100", "1:2"]}


def test_documents_are_counted_and_empty_ones_left_out() -> None:
    found = read_text("f", "---\na: 1\n---\n---\n# nothing\n---\nb: 2\n")
    assert [(each.index, each.value) for each in found] == [(1, {"a": 1}), (4, {"b": 2})]


def test_members_of_a_list_stand_for_themselves() -> None:
    text = "kind: List\nitems:\n- a: 1\n- kind: List\n  items:\n  - b:\n      c: 2\n"
    found = read_text("f", text)
    assert [(each.index, each.value, each.root) for each in found] == [
        (1, {"a": 1}, ("items", 0)),
        (1, {"b": {"c": 2}}, ("items", 1, "items", 0)),
    ]
    assert found[1].line_of(("b", "c")) == 7


def test_members_of_a_list_of_one_kind_need_not_say_it() -> None:
    text = "kind: PoolList\napiVersion: x/v1\nitems: [{a: 1}, {kind: Other}, 5]\n---\nkind: PoolList\nitems:\n"
    assert [each.value for each in read_text("f", text)] == [
        {"apiVersion": "x/v1", "kind": "Pool", "a": 1},
        {"apiVersion": "x/v1", "kind": "Other"},
        5,
    ]


def test_a_list_without_a_list_is_not_taken_for_an_empty_one() -> None:
    assert read_text("f", "kind: List\nitems:\n") == []
    with pytest.raises(UnreadableError, match=r"^f:4: items of List is no list$"):
        read_text("f", "a: 1\n---\nkind: List\nitems: {a: 1}\n")


def test_lines_of_fields_and_of_what_is_not_written() -> None:
    document = read_text("f", "# first\na:\n  b:\n  - x\n  - y: 1\n---\nc: 1\n")[0]
    assert [document.line_of(path) for path in ((), ("a",), ("a", "b"), ("a", "b", 1, "y"), ("a", "b", 7), ("z",))] == [
        *(2, 2, 3, 5, 3, 2),
    ]


def test_json_is_read_with_its_lines_and_in_a_row() -> None:
    one = read_text("f", '{\n\t"a": [1.0, "\\u00e9", "a\\/b"],\n\t"b": {}\n}')[0]
    assert (one.value, one.line_of(("b",))) == ({"a": [1, "é", "a/b"], "b": {}}, 3)
    assert [each.value for each in read_text("f", '{"a": "\\ud83d\\ude00"}{"b": 1.5}\n {"c": 1.0}')] == [
        {"a": "😀"},
        {"b": 1.5},
        {"c": 1},
    ]


def test_keys_are_text_and_those_that_stand_twice_are_told() -> None:
    document = read_text("f", "1: a\non: b\nx: 1\ny2: {z: 1, z: 2}\nx: 3\n")[0]
    assert document.value == {"1": "a", "true": "b", "x": 3, "y2": {"z": 2}}
    assert document.repeated == (("y2", "z"), ("x",))
    assert document.line_of(("x",)) == 5


def test_merge_keys() -> None:
    text = "base: &b {p: 1, q: 1}\nother: &o {q: 2, r: 2}\nc:\n  <<: [*b, *o]\n  r: 3\nd: {<<: *o, q: 4}\n"
    value = read_text("f", text)[0].value
    assert (value["c"], value["d"]) == ({"p": 1, "q": 1, "r": 3}, {"q": 4, "r": 2})


LAUGHS = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "f:2: is no YAML"),
        ("a: b: c", "f:1: is no YAML: mapping values are not allowed"),
        ("x: 1\n\t- a", "f:2: is no YAML: found a tab"),
        ("{" * 5000, "f:1: is no YAML: exceeded maximum nesting"),
        ("a: &a [*a]", "f:1: more than 200 levels"),
        (LAUGHS, "aliases make the document too large"),
        ("\x00", "f: is no YAML: unacceptable character"),
        ("a: 1\nb: *y", "f:2: is no YAML: found undefined alias"),
        ("a: !foo b", "f:1: 'b' is not of the type that its tag !foo says"),
        ("a: !!int b", "f:1: 'b' is not of the type"),
        ("? [1]\n: 2", "f:1: a key is no text"),
        ("a: .inf", "f:1: '.inf' is a number that JSON does not have"),
        ("a: .nan", "f:1: '.nan' is a number"),
        ("<<: 5", "f:1: << wants a mapping"),
        ('{"a": 1} x', "f:1: is no YAML"),
    ],
)
def test_what_is_no_manifest_is_told_with_its_place(text: str, says: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_text("f", text)
    assert says in str(caught.value)


def test_folders_are_opened_as_kubectl_does(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "d.txt", "sub/e.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    names = [each.name for each in files_of([str(tmp_path)], recursive=False)]
    assert names == ["a.yml", "b.yaml", "c.json"]
    assert [each.name for each in files_of([str(tmp_path)], recursive=True)] == [*names, "e.yaml"]
    assert list(files_of([str(tmp_path / "d.txt")], recursive=False)) == [tmp_path / "d.txt"]


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for says, call in (
        (
            "the folder has no .json, .yaml, .yml file",
            lambda: list(files_of([str(tmp_path.parent / tmp_path.name / "..")], recursive=False)),
        ),
        ("addresses are not read", lambda: list(files_of(["https://example.com/a.yaml"], recursive=False))),
        ("No such file", lambda: read_file(tmp_path / "none.yaml")),
        ("is no UTF-8 text", lambda: read_file(tmp_path / "binary.yaml")),
    ):
        with pytest.raises(UnreadableError, match=says):
            call()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=15,
    )
)
def test_what_is_written_as_json_is_read_as_it_was(value: Any) -> None:
    written = {"value": value}
    assert [each.value for each in read_text("f", json.dumps(written))] == [written]
    assert [each.value for each in read_text("f", json.dumps(written, ensure_ascii=False, indent=1))] == [written]


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_line_breaks_of_yaml_are_characters_in_json(character: str) -> None:
    text = json.dumps({"value": f"a{character}b"}, ensure_ascii=False)
    assert [each.value for each in read_text("f", text)] == [{"value": f"a{character}b"}]


@given(st.text(st.sampled_from("ab:-[]{}&*!<?|>'\"#%@`,\n \t0.e_x~"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read_text("f", text)
    except UnreadableError as error:
        assert str(error).startswith("f")
    else:
        assert json.dumps([each.value for each in found], allow_nan=False)

"""Server-side apply: merging by schema, ownership, conflicts, what a manager drops, errors; tables and properties."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.patching import apply, fieldset, managed, typed
from kubelab.apiserver.patching.typed_merge import merged_order
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Object

SchemaOf = Callable[[str, str], Schema]

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"
TEXT = Schema(type="string")
PART = Schema(type="object", properties={"name": TEXT, "port": Schema(type="integer", default=1), "value": TEXT})
SPEC = Schema(
    type="object",
    properties={
        "text": TEXT,
        "number": Schema(type="integer"),
        "yes": Schema(type="boolean"),
        "maybe": Schema(type="string", nullable=True),
        "either": Schema(type="int-or-string"),
        "map": Schema(type="object", additional=TEXT),
        "block": Schema(type="object", map_type="atomic", additional=TEXT),
        "list": Schema(type="array", items=TEXT),
        "set": Schema(type="array", list_type="set", items=TEXT),
        "parts": Schema(type="array", list_type="map", list_keys=("name", "port"), items=PART),
        "free": Schema(type="object", preserve_unknown=True),
        "any": Schema(),
    },
)
THING = Schema(type="object", properties={"spec": SPEC, "status": Schema(type="object", properties={"phase": TEXT})})


def thing(spec: Any = None, **metadata: Any) -> Object:
    obj: Object = {"apiVersion": "e.org/v1", "kind": "Thing", "metadata": {"name": "t", **metadata}}
    return obj if spec is None else {**obj, "spec": spec}


def applied(live: Object | None, spec: Any, manager: str = "one", *, schema: Schema = THING, **more: Any) -> Object:
    config = spec if isinstance(spec, dict) and "kind" in spec else thing(spec)
    options: dict[str, Any] = {"force": False, "subresource": "", "now": NOW, "api_version": config["apiVersion"]}
    before = copy.deepcopy((live, config))
    result = apply.apply(live, config, schema, manager=manager, **options | more)
    assert (live, config) == before, "an input was changed"
    return result


def owned(obj: Object, manager: str = "one") -> list[str]:
    """The paths that a manager owns, as messages write them."""
    for entry in obj["metadata"].get("managedFields", []):
        if entry["manager"] == manager:
            return [fieldset.text(path) for path in fieldset.paths(entry["fieldsV1"])]
    return []


def updated(live: Object, spec: Any, manager: str = "editor") -> Object:
    new = {**live, "spec": spec}
    entries = managed.track_update(live, new, THING, manager=manager, api_version="e.org/v1", subresource="", now=LATER)
    return managed.with_entries(new, entries)


@pytest.mark.parametrize(
    ("live", "spec", "after"),
    [
        pytest.param({"text": "a"}, {"number": 1}, {"text": "a", "number": 1}, id="fields"),
        pytest.param({"map": {"a": "1"}}, {"map": {"b": "2"}}, {"map": {"a": "1", "b": "2"}}, id="map by key"),
        pytest.param({"list": ["a"]}, {"list": ["b"]}, {"list": ["b"]}, id="atomic list"),
        pytest.param({"block": {"a": "1"}}, {"block": {"b": "2"}}, {"block": {"b": "2"}}, id="atomic map"),
        pytest.param({"set": ["a", "b"]}, {"set": ["c", "b"]}, {"set": ["a", "c", "b"]}, id="set"),
        pytest.param({"either": 1}, {"either": "x"}, {"either": "x"}, id="number to text"),
        pytest.param({"free": {"a": [1]}}, {"free": {"b": [2]}}, {"free": {"a": [1], "b": [2]}}, id="unknown map"),
        pytest.param({"any": 1}, {"any": {"a": 1}}, {"any": {"a": 1}}, id="unknown value"),
        pytest.param({"map": {}}, {"map": {"a": "1"}}, {"map": {"a": "1"}}, id="into empty"),
        pytest.param({"map": {"a": "1"}}, {"map": {}}, {"map": {"a": "1"}}, id="empty applied"),
        pytest.param({"map": {"a": "1"}}, {"map": None}, {"map": {"a": "1"}}, id="null map applied"),
        pytest.param({"maybe": "x"}, {"maybe": None}, {"maybe": None}, id="null"),
        pytest.param(
            {"parts": [{"name": "a", "port": 1, "value": "x"}, {"name": "b"}]},
            {"parts": [{"name": "b", "value": "y"}, {"name": "c"}]},
            {"parts": [{"name": "a", "port": 1, "value": "x"}, {"name": "b", "value": "y"}, {"name": "c"}]},
            id="items by key",
        ),
        pytest.param(
            {"parts": [{"name": "a", "port": 1, "value": "x"}]},
            {"parts": [{"name": "a", "value": "y"}]},
            {"parts": [{"name": "a", "port": 1, "value": "y"}]},
            id="a key's default counts",
        ),
        pytest.param(
            {"parts": [{"name": "a", "port": 1}]},
            {"parts": [{"name": "a", "port": 2}]},
            {"parts": [{"name": "a", "port": 1}, {"name": "a", "port": 2}]},
            id="both keys count",
        ),
    ],
)
def test_a_configuration_merges_by_schema(live: Any, spec: Any, after: Any) -> None:
    assert applied(thing(live), spec, force=True)["spec"] == after


@pytest.mark.parametrize(
    ("live", "wanted", "after"),
    [
        ("ab", "c", "abc"),
        ("abc", "b", "abc"),
        ("abc", "cb", "acb"),
        ("abcd", "db", "acdb"),
        ("abcd", "xbyd", "axbcyd"),
        ("", "ba", "ba"),
        ("ba", "ab", "ab"),
        ("bxa", "ab", "xab"),
        ("abc", "", "abc"),
        ("aab", "b", "aab"),
    ],
)
def test_items_stand_in_applied_order_among_live_ones(live: str, wanted: str, after: str) -> None:
    assert "".join(place for place, _ in merged_order(list(live), list(wanted))) == after


def test_an_applier_owns_what_it_said_and_no_more() -> None:
    spec = {"map": {"a": "1"}, "block": {"b": "2"}, "set": ["x"], "parts": [{"name": "a"}], "free": {"k": {"l": 1}}}
    live = applied(thing({"text": "t"}), {**spec, "any": [1]})
    assert owned(live) == [
        ".spec.any",
        ".spec.block",
        ".spec.free.k",
        ".spec.free.k.l",
        ".spec.map.a",
        '.spec.parts[name="a",port=1]',
        '.spec.parts[name="a",port=1].name',
        '.spec.set[="x"]',
    ]


def test_what_a_manager_stops_applying_goes() -> None:
    live = applied(None, {"text": "t", "map": {"a": "1", "b": "2"}, "set": ["x", "y"], "parts": [{"name": "a"}]})
    after = applied(live, {"map": {"a": "1"}, "set": ["y"]})
    assert after["spec"] == {"map": {"a": "1"}, "set": ["y"]}
    assert owned(after) == [".spec.map.a", '.spec.set[="y"]']


def test_what_others_own_too_stays() -> None:
    live = applied(applied(None, {"text": "t", "number": 1}), {"text": "t"}, "two")
    after = applied(live, {"number": 1})
    assert after["spec"] == {"text": "t", "number": 1}
    assert owned(after, "two") == [".spec.text"]


def test_what_an_updater_changed_is_no_longer_the_appliers_to_remove() -> None:
    live = updated(applied(None, {"text": "t", "number": 1}), {"text": "u", "number": 1})
    after = applied(live, {"number": 1})
    assert after["spec"] == {"text": "u", "number": 1}


def test_an_item_goes_with_its_applier_even_if_another_changed_a_field_of_it() -> None:
    live = applied(None, {"text": "t", "parts": [{"name": "a", "value": "1"}, {"name": "b"}]})
    live = updated(live, {"text": "t", "parts": [{"name": "a", "value": "2"}, {"name": "b"}]})
    assert applied(live, {"text": "t"})["spec"] == {"text": "t"}


def test_an_item_stays_if_another_applies_it_too() -> None:
    live = applied(None, {"parts": [{"name": "a", "value": "1"}, {"name": "b"}]})
    live = applied(live, {"parts": [{"name": "a"}]}, "two")
    assert applied(live, {"text": "t"})["spec"] == {"parts": [{"name": "a"}], "text": "t"}


def test_an_emptied_map_that_is_still_applied_stays_empty() -> None:
    live = applied(None, {"map": {"a": "1"}, "text": "t"})
    assert applied(live, {"map": {}, "text": "t"})["spec"] == {"map": {}, "text": "t"}


def test_a_conflict_names_each_field_and_owner() -> None:
    live = updated(applied(None, {"text": "t", "map": {"a": "1"}}, "two"), {"text": "u", "map": {"a": "1"}})
    with pytest.raises(ApiError) as caught:
        applied(live, {"text": "x", "map": {"a": "9"}})
    assert caught.value.code == 409
    assert caught.value.reason == "Conflict"
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "editor" using e.org/v1:\n- .spec.text\n'
        'conflicts with "two":\n- .spec.map.a'
    )
    assert caught.value.details == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "editor" using e.org/v1',
                "field": ".spec.text",
            },
            {"reason": "FieldManagerConflict", "message": 'conflict with "two"', "field": ".spec.map.a"},
        ]
    }


def test_a_conflict_with_a_status_writer_names_the_subresource() -> None:
    status = {**thing(), "status": {"phase": "a"}}
    live = applied(thing({"text": "t"}), status, "ctl", subresource="status")
    with pytest.raises(ApiError) as caught:
        applied(live, {**thing(), "status": {"phase": "b"}}, "two", subresource="status")
    assert caught.value.message == (
        'Apply failed with 1 conflict: conflict with "ctl" with subresource "status": .status.phase'
    )


def test_force_takes_the_fields() -> None:
    live = applied(applied(None, {"text": "t"}), {"text": "u"}, "two", force=True)
    assert live["spec"] == {"text": "u"}
    assert (owned(live), owned(live, "two")) == ([], [".spec.text"])


def test_equal_values_are_shared_without_force() -> None:
    live = applied(applied(None, {"text": "t"}), {"text": "t"}, "two")
    assert owned(live) == owned(live, "two") == [".spec.text"]


def test_the_status_is_not_the_objects_to_apply() -> None:
    live = applied(None, {**thing({"text": "t"}), "status": {"phase": "x"}})
    assert owned(live) == [".spec.text"]
    live = applied(live, {**thing({"text": "z"}), "status": {"phase": "x"}}, "ctl", subresource="status")
    assert owned(live, "ctl") == [".status.phase"]


def test_an_object_without_owners_belongs_to_nobody_in_particular() -> None:
    live = applied(thing({"text": "t", "number": 1}), {"text": "t"})
    assert owned(live, "before-first-apply") == [".spec", ".spec.number", ".spec.text"]
    assert applied(live, {})["spec"] == {"text": "t", "number": 1}


def test_times_change_with_the_object_only() -> None:
    live = applied(None, {"text": "t"})
    assert applied(live, {"text": "t"}, now=LATER) is live
    shared = applied(live, {"text": "t"}, "two", now=LATER)
    assert ["time" in entry for entry in shared["metadata"]["managedFields"]] == [False, True]
    changed = applied(live, {"text": "u"}, now=LATER)
    assert changed["metadata"]["managedFields"][0]["time"] == LATER


def test_kubectl_takes_over_what_it_applied_from_the_client_side() -> None:
    config = thing({"text": "t", "number": 1})
    written = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(config)}
    live = thing({"text": "t", "number": 2}, annotations=written)
    entries = managed.track_update(
        None, live, THING, manager="kubectl-client-side-apply", api_version="e.org/v1", subresource="", now=NOW
    )
    live = managed.with_entries(live, entries)
    after = applied(live, {"text": "new"}, "kubectl")
    assert after["spec"] == {"text": "new", "number": 2}
    renewed = json.loads(after["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert renewed["spec"] == {"text": "new"}
    with pytest.raises(ApiError) as caught:
        applied(live, {"text": "new", "number": 3}, "kubectl")
    assert caught.value.message.endswith('"kubectl-client-side-apply" using e.org/v1: .spec.number')
    with pytest.raises(ApiError):
        applied(live, {"text": "new"}, "another")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"nope": 1}, ".spec.nope: field not declared in schema"),
        ({"text": 1}, ".spec.text: expected string, got &value.valueUnstructured{Value:1}"),
        ({"text": ["a"]}, '.spec.text: expected string, got &value.valueUnstructured{Value:[]interface {}{"a"}}'),
        ({"number": "1"}, ".spec.number: expected numeric (int or float), got string"),
        ({"yes": "1"}, ".spec.yes: expected boolean, got &{1}"),
        ({"either": {}}, ".spec.either: expected any scalar, got &{map[]}"),
        ({"map": []}, ".spec.map: expected map, got &{[]}"),
        ({"map": {"a": 1}}, ".spec.map.a: expected string, got &value.valueUnstructured{Value:1}"),
        ({"list": "a"}, ".spec.list: expected list, got &{a}"),
        ({"list": ["a", 1]}, ".spec.list[1]: expected string, got &value.valueUnstructured{Value:1}"),
        ({"set": ["a", "a"]}, '.spec.set: duplicate entries for key [="a"]'),
        ({"set": [{}]}, ".spec.set: element 0: associative list without keys has an element that's a map type"),
        ({"set": [[]]}, ".spec.set: element 0: not supported: associative list with lists as elements"),
        ({"set": [None]}, ".spec.set: element 0: associative list without keys has an element that's an explicit null"),
        (
            {"parts": [{"name": "a"}, {"name": "a", "port": 1}]},
            '.spec.parts: duplicate entries for key [name="a",port=1]',
        ),
        ({"parts": [None]}, ".spec.parts: element 0: associative list with keys may not have a null element"),
        ({"parts": ["a"]}, ".spec.parts: element 0: associative list with keys may not have non-map elements"),
        ({"parts": [{"name": "a", "no": 1}]}, '.spec.parts[name="a",port=1].no: field not declared in schema'),
        (
            {"text": 1, "yes": 2},
            (
                "errors:\n  .spec.text: expected string, got &value.valueUnstructured{Value:1}\n"
                "  .spec.yes: expected boolean, got &{2}"
            ),
        ),
    ],
)
def test_a_configuration_that_does_not_fit_the_schema_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        applied(None, thing(spec, namespace="ns"))
    assert caught.value.code == 500
    assert caught.value.message == f"failed to create typed patch object (ns/t; e.org/v1, Kind=Thing): {message}"


def test_an_item_without_any_key_is_refused(schema_of: SchemaOf) -> None:
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"image": "i"}]},
    }
    with pytest.raises(ApiError) as caught:
        applied(None, pod, schema=schema_of("v1", "Pod"))
    assert caught.value.message == (
        "failed to create typed patch object (/p; /v1, Kind=Pod): .spec.containers: element 0: associative list with "
        'keys has an element that omits all key fields ["name"] (and doesn\'t have default values for any key fields)'
    )


@pytest.mark.parametrize("spec", [{"free": {"x": {"y": 1}}}, {"any": {"x": 1}}, {"text": None}, {"parts": []}])
def test_what_the_schema_leaves_open_is_accepted(spec: Any) -> None:
    assert applied(None, spec)["spec"] == spec


def test_version_and_owners_are_not_the_clients_to_choose() -> None:
    with pytest.raises(ApiError) as caught:
        applied(None, thing({}), api_version="e.org/v2")
    assert caught.value.message == (
        "Incorrect version specified in apply patch. Specified patch version: e.org/v1, expected: e.org/v2"
    )
    with pytest.raises(ApiError) as caught:
        applied(None, thing({}, managedFields=[]))
    assert (caught.value.code, caught.value.message) == (400, "metadata.managedFields must be nil")


def test_nulls_of_built_in_kinds_mean_absent(schema_of: SchemaOf) -> None:
    schema = schema_of("v1", "Service")
    base: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    ports = [{"port": 80, "name": None}]
    live = applied(None, {**base, "spec": {"ports": ports, "externalName": "x"}}, schema=schema)
    assert live["spec"] == {"ports": [{"port": 80}], "externalName": "x"}
    after = applied(live, {**base, "spec": {"ports": ports, "externalName": None}}, schema=schema)
    assert after["spec"] == {"ports": [{"port": 80}]}


def test_labels_finalizers_and_owners_of_custom_resources_merge() -> None:
    refs = [{"uid": "1", "kind": "A", "name": "a", "apiVersion": "v1"}]
    live = applied(None, thing({}, labels={"a": "1"}, finalizers=["x"], ownerReferences=refs))
    after = applied(
        live, thing({}, labels={"b": "1"}, finalizers=["y"], ownerReferences=[{**refs[0], "uid": "2"}]), "two"
    )
    assert after["metadata"]["labels"] == {"a": "1", "b": "1"}
    assert after["metadata"]["finalizers"] == ["x", "y"]
    assert [ref["uid"] for ref in after["metadata"]["ownerReferences"]] == ["1", "2"]
    assert '.metadata.ownerReferences[uid="2"]' in owned(after, "two")


NAMES = st.sampled_from("abcd")
VALUES = st.sampled_from("xyz")


def specs(names: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[Object]:
    parts = st.lists(
        st.fixed_dictionaries({"name": names}, optional={"value": VALUES}),
        max_size=3,
        unique_by=lambda part: part["name"],
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "text": VALUES,
            "map": st.dictionaries(names, VALUES, max_size=3),
            "block": st.dictionaries(names, VALUES, max_size=2),
            "list": st.lists(VALUES, max_size=2),
            "set": st.lists(names, max_size=3, unique=True),
            "parts": parts,
            "free": st.dictionaries(names, st.one_of(VALUES, st.lists(VALUES, max_size=2)), max_size=2),
        },
    )


@given(specs(), specs())
def test_applying_twice_changes_nothing_more(start: Object, spec: Object) -> None:
    live = applied(applied(None, start, "start"), spec, force=True)
    assert applied(live, spec, now=LATER) is live


@given(specs(), specs(), specs())
def test_what_is_applied_is_there(start: Object, first: Object, spec: Object) -> None:
    live = applied(applied(applied(None, start, "start"), first, force=True), spec, force=True)
    for name in ("text", "list", "block"):
        if name in spec:
            assert live["spec"][name] == spec[name]
    assert (spec.get("map") or {}).items() <= (live["spec"].get("map") or {}).items()
    wanted = spec.get("set", [])
    assert [one for one in live["spec"].get("set") or [] if one in wanted] == wanted
    values = {part["name"]: part for part in live["spec"].get("parts") or []}
    assert all(part.items() <= values[part["name"]].items() for part in spec.get("parts", []))


@given(specs(), specs())
def test_applying_nothing_takes_back_just_what_one_owned_alone(start: Object, spec: Object) -> None:
    base = applied(None, start, "start")
    live = applied(applied(base, spec, force=True), thing())
    assert owned(live) == []
    for name in ("map", "set", "parts", "free", "text", "list", "block"):
        if start.get(name) and name not in spec:
            assert live["spec"][name] == start[name]
        if name not in start:
            assert not live.get("spec", {}).get(name)


@given(specs(st.sampled_from("ab")), specs(st.sampled_from("cd")))
def test_managers_of_other_fields_do_not_meet(one: Object, two: Object) -> None:
    for name in ("text", "list", "block"):
        two.pop(name, None)
    base = applied(None, {"number": 1}, "base")
    first = applied(applied(base, one, "one"), two, "two")
    second = applied(applied(base, two, "two"), one, "one")
    assert {entry["manager"]: entry["fieldsV1"] for entry in first["metadata"].get("managedFields", [])} == {
        entry["manager"]: entry["fieldsV1"] for entry in second["metadata"].get("managedFields", [])
    }

    def unordered(spec: Object) -> Object:
        return {name: sorted(value, key=str) if name in {"set", "parts"} else value for name, value in spec.items()}

    assert unordered(first.get("spec", {})) == unordered(second.get("spec", {}))


@given(specs(), specs(), specs())
def test_a_conflict_is_reported_for_each_field_that_force_takes(start: Object, two: Object, spec: Object) -> None:
    live = applied(applied(None, start, "start"), two, "two", force=True)
    forced = applied(live, spec, force=True)
    lost = {
        (manager, path)
        for manager in ("start", "two")
        for path in set(owned(live, manager)) - set(owned(forced, manager))
    }
    try:
        applied(live, spec)
    except ApiError as error:
        causes = (error.details or {})["causes"]
        assert {(cause["message"].split('"')[1], cause["field"]) for cause in causes} == lost
    else:
        assert not lost


STEPS = st.lists(
    st.tuples(st.sampled_from(["apply", "force", "update"]), st.sampled_from(["one", "two"]), specs()), max_size=6
)


def applied_or_refused(live: Object, spec: Object, manager: str, *, force: bool) -> Object:
    """The object after an apply, or as it was if the apply met a conflict."""
    if force:
        return applied(live, spec, manager, force=True)
    with contextlib.suppress(ApiError):
        return applied(live, spec, manager)
    return live


@given(STEPS)
def test_whatever_happens_owners_own_only_what_is_there(steps: list[tuple[str, str, Object]]) -> None:
    live = applied(None, {"number": 1}, "base")
    for verb, manager, spec in steps:
        if verb == "update":
            live = updated(live, {"number": 1, **spec}, manager)
        else:
            live = applied_or_refused(live, spec, manager, force=verb == "force")
        there = typed.everything(live, typed.whole(THING))
        for entry in live["metadata"]["managedFields"]:
            assert fieldset.difference(entry["fieldsV1"], there) == {}
            assert fieldset.ordered(entry["fieldsV1"]) == entry["fieldsV1"]
            assert fieldset.parse(entry["fieldsV1"]) == entry["fieldsV1"]

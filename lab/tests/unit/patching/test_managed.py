"""Bookkeeping of owners on create, update and patch: tables, resets, the cap, times."""

from __future__ import annotations

import copy
import timeit
from collections.abc import Callable
from typing import Any

import pytest

from kubelab.apiserver.patching import managed, ownership
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Object

SchemaOf = Callable[[str, str], Schema]

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"


def config_map(data: dict[str, str], entries: Any = None, **metadata: Any) -> Object:
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}, "data": data}
    if entries is not None:
        obj["metadata"]["managedFields"] = entries
    return obj


def entry(manager: str, fields: Any, *, time: str = NOW, subresource: str = "", operation: str = "Update") -> Object:
    written = {"manager": manager, "operation": operation, "apiVersion": "v1", "time": time}
    written |= {"fieldsType": "FieldsV1", "fieldsV1": fields}
    return written | ({"subresource": subresource} if subresource else {})


def data(*names: str, itself: bool = False) -> Object:
    return {"f:data": {**({".": {}} if itself else {}), **{f"f:{name}": {} for name in names}}}


@pytest.fixture
def track(schema_of: SchemaOf) -> Callable[..., list[Object]]:
    def call(old: Object | None, new: Object, manager: str = "m", **more: Any) -> list[Object]:
        place: dict[str, Any] = {"api_version": "v1", "subresource": "", "now": LATER, **more}
        before = copy.deepcopy((old, new))
        entries = managed.track_update(old, new, schema_of(new["apiVersion"], new["kind"]), manager=manager, **place)
        assert (old, new) == before, "an input was changed"
        return entries

    return call


def test_a_creator_owns_what_it_said_and_the_map_around_it(track: Callable[..., list[Object]]) -> None:
    new = config_map({"a": "1"}, labels={"x": "y"}, uid="u", generation=1, annotations={}, finalizers=["e.org/f"])
    assert track(None, new) == [
        entry(
            "m",
            {
                "f:data": {".": {}, "f:a": {}},
                "f:metadata": {
                    "f:annotations": {},
                    "f:finalizers": {".": {}, 'v:"e.org/f"': {}},
                    "f:labels": {".": {}, "f:x": {}},
                },
            },
            time=LATER,
        )
    ]


@pytest.mark.parametrize(
    ("before", "after", "entries"),
    [
        pytest.param({"a": "1"}, {"a": "1"}, [entry("one", data("a", itself=True))], id="nothing changed"),
        pytest.param(
            {"a": "1"},
            {"a": "2"},
            [entry("one", data(itself=True) | {"f:data": {}}), entry("two", data("a"), time=LATER)],
            id="changed field changes hands",
        ),
        pytest.param(
            {"a": "1"},
            {"a": "1", "b": "2"},
            [entry("one", data("a", itself=True)), entry("two", data("b"), time=LATER)],
            id="new field",
        ),
        pytest.param({"a": "1", "b": "2"}, {"a": "1"}, [entry("one", data("a", itself=True))], id="removed field"),
        pytest.param({"a": "1"}, None, [], id="all removed"),
    ],
)
def test_owners_after_an_update(
    track: Callable[..., list[Object]], before: dict[str, str], after: dict[str, str] | None, entries: list[Object]
) -> None:
    old = config_map(before, [entry("one", data(*before, itself=True))])
    new = config_map(after or {}, old["metadata"]["managedFields"])
    if after is None:
        del new["data"]
    assert track(old, new, "two") == entries


def test_entries_are_the_same_list_when_nothing_changes(track: Callable[..., list[Object]]) -> None:
    old = config_map({"a": "1"}, [entry("one", data("a", itself=True))])
    assert track(old, copy.deepcopy(old), "two") is old["metadata"]["managedFields"]


def test_the_same_manager_gathers_fields_in_one_entry(track: Callable[..., list[Object]]) -> None:
    old = config_map({"a": "1"}, [entry("one", data("a", itself=True))])
    new = config_map({"a": "1", "b": "2"})
    assert track(old, new, "one") == [entry("one", data("a", "b", itself=True), time=LATER)]


def test_a_nameless_manager_is_unknown(track: Callable[..., list[Object]]) -> None:
    assert track(None, config_map({"a": "1"}), "")[0]["manager"] == "unknown"


@pytest.mark.parametrize(
    ("sent", "managers"),
    [
        pytest.param(None, ["one", "two"], id="left out"),
        pytest.param([], ["one", "two"], id="empty list means nothing"),
        pytest.param([{}], [], id="reset"),
        pytest.param([{}, {}], ["one", "two"], id="two empty entries are unreadable"),
        pytest.param([entry("z", data("a"))], ["two", "z"], id="corrected"),
        pytest.param([entry("z", {"x": {}})], ["one", "two"], id="unreadable"),
        pytest.param([{**entry("z", {}), "fieldsType": "FieldsV2"}], ["one", "two"], id="of another type"),
        pytest.param("nonsense", ["one", "two"], id="no list"),
    ],
)
def test_clients_may_correct_and_reset_owners(
    track: Callable[..., list[Object]], sent: Any, managers: list[str]
) -> None:
    old = config_map({"a": "1"}, [entry("one", data("a", itself=True))])
    new = config_map({"a": "1", "b": "1"}, sent)
    assert sorted(one["manager"] for one in track(old, new, "two")) == managers


def test_a_subresource_ignores_the_owners_that_a_client_sends(track: Callable[..., list[Object]]) -> None:
    old = config_map({"a": "1"}, [entry("one", data("a", itself=True))])
    assert track(old, config_map({"a": "1"}, [{}]), subresource="status") == old["metadata"]["managedFields"]


def test_an_object_without_owners_stays_so(track: Callable[..., list[Object]]) -> None:
    assert track(config_map({"a": "1"}), config_map({"a": "2"})) == []


def test_status_and_spec_are_written_through_their_own_doors(track: Callable[..., list[Object]]) -> None:
    port: Object = {"port": 80, "protocol": "TCP"}
    service: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    service |= {"spec": {"ports": [port]}, "status": {"loadBalancer": {}}}
    spec: Object = {
        "f:spec": {"f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:protocol": {}}}}
    }
    service["metadata"]["managedFields"] = track(None, service, "user")
    assert service["metadata"]["managedFields"] == [entry("user", spec, time=LATER)]
    changed = {**service, "spec": {"ports": []}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    assert track(service, changed, "ctl", subresource="status") == [
        entry("ctl", {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}, time=LATER, subresource="status"),
        entry("user", spec, time=LATER),
    ]
    assert track(service, changed, "ctl") == [entry("user", {"f:spec": {"f:ports": {}}}, time=LATER)]


def test_the_oldest_updaters_are_joined_when_there_are_too_many(track: Callable[..., list[Object]]) -> None:
    names = [f"k{index:02}" for index in range(11)]
    times = [f"2026-01-01T00:00:{index:02}Z" for index in range(10)]
    old = config_map(dict.fromkeys(names[:10], "1"))
    old["metadata"]["managedFields"] = [
        entry(f"m{index}", data(names[index]), time=times[index]) for index in range(10)
    ]
    after = track(old, config_map(dict.fromkeys(names, "1")), "late", now="2026-01-01T00:01:00Z")
    assert [one["manager"] for one in after] == ["ancient-changes", *(f"m{index}" for index in range(2, 10)), "late"]
    assert after[0]["fieldsV1"] == data("k00", "k01")
    assert after[0]["time"] == times[1]
    again = config_map(dict.fromkeys([*names, "x"], "1"))
    joined = track(config_map(dict.fromkeys(names, "1"), after), again, "later", now="2026-01-01T00:02:00Z")
    assert [one["manager"] for one in joined][:2] == ["ancient-changes", "m3"]
    assert joined[0]["fieldsV1"] == data("k00", "k01", "k02")


def test_appliers_are_not_counted(track: Callable[..., list[Object]]) -> None:
    appliers = [entry(f"a{index:02}", data("a"), operation="Apply") for index in range(12)]
    old = config_map({"a": "1"}, appliers)
    assert len(track(old, config_map({"a": "1", "b": "1"}), "m")) == 13


def test_a_list_without_keys_leaves_no_owners(track: Callable[..., list[Object]]) -> None:
    service: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "s"},
        "spec": {"containers": [{"image": "i"}]},
    }
    assert track(None, service) == []


def test_items_under_one_key_are_owned_as_one(track: Callable[..., list[Object]]) -> None:
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    double = {"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
    pod["spec"] = {"containers": [double]}
    pod["metadata"]["managedFields"] = track(None, pod)
    fields = pod["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:containers"]['k:{"name":"c"}']
    assert fields["f:env"] == {".": {}, 'k:{"name":"A"}': {}}
    single = {"name": "c", "env": [{"name": "A", "value": "2"}]}
    after = track(pod, {**pod, "spec": {"containers": [single]}}, "other")
    assert 'k:{"name":"A"}' in str(next(one for one in after if one["manager"] == "other"))


def test_times_alone_are_no_change() -> None:
    old = config_map({"a": "1"}, [entry("one", data("a"))])
    new = config_map({"a": "1"}, [entry("one", data("a"), time=LATER)])
    assert managed.keep_times(old, new) == old
    other = config_map({"a": "1"}, [entry("one", data("b"), time=LATER)])
    assert managed.keep_times(old, other) is other
    changed = config_map({"a": "2"}, [entry("one", data("a"), time=LATER)])
    assert managed.keep_times(old, changed) is changed
    assert managed.keep_times(config_map({}), new) is new


@pytest.mark.parametrize("fault", [[1], [{"operation": "Nope"}], [{}, {}]])
def test_stored_owners_that_cannot_be_read_count_as_none(track: Callable[..., list[Object]], fault: Any) -> None:
    assert track(config_map({"a": "1"}, fault), config_map({"a": "2"})) == []


def test_entries_are_sorted_by_operation_time_and_name() -> None:
    owners = {
        ownership.updater(name, "v1", ""): ownership.Owned("v1", time, data("a"))
        for name, time in (("b", LATER), ("c", NOW), ("a", LATER))
    } | {ownership.applier("z", ""): ownership.Owned("v1", None, data("a"))}
    assert [one["manager"] for one in ownership.encode(owners)] == ["z", "c", "a", "b"]


@pytest.mark.parametrize(("name", "budget_us"), [("create", 200), ("create deployment", 600)])
def test_bookkeeping_keeps_its_budget(
    story: Callable[[str], list[dict[str, Any]]], schema_of: SchemaOf, name: str, budget_us: float
) -> None:
    obj = next(line["response"] for line in story("patches") if line["name"] == name)
    schema = schema_of(obj["apiVersion"], obj["kind"])
    old = managed.with_entries(obj, [])

    def write() -> None:
        managed.track_update(None, old, schema, manager="m", api_version=obj["apiVersion"], subresource="", now=NOW)

    best = min(timeit.repeat(write, number=50, repeat=20)) / 50
    assert best * 1e6 < budget_us

"""Services, measured against the recorded exchanges of a real API server."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.resources import Settings
from kubelab.objects import GroupResource, Object

SERVICES = GroupResource("", "services")
_FILE = Path(__file__).parents[2] / "vectors" / "apiserver" / "services.jsonl"
RECORDED: list[Object] = [json.loads(line) for line in _FILE.read_text(encoding="utf-8").splitlines()]
BY_NAME = {line["name"]: line for line in RECORDED}
# What decoding and routing refuse before a strategy is asked.
_NOT_OURS = {"refused string-for-int", "refused wrong-kind", "refused wrong-ns", "refused bad-name"}
_CREATED = [line for line in RECORDED if line["name"].startswith("create ")]
_REFUSED = [line for line in RECORDED if line["name"].startswith("refused ") and line["name"] not in _NOT_OURS]


def masked(value: Any) -> Object:
    """Addresses and ports that the server chose, by family and kind."""
    text = json.dumps(value, sort_keys=True)
    text = re.sub(r"fd00:10:96::[0-9a-f]+", "<v6>", text)
    text = re.sub(r"10\.96\.\d+\.\d+", "<v4>", text)
    plain: Object = json.loads(re.sub(r'"(nodePort|healthCheckNodePort)": \d+', r'"\1": 0', text))
    return plain


def _outcome(action: Any, *args: Any) -> Object:
    try:
        return compared(action(*args))
    except ApiError as error:
        return compared(error.status())


def compared(obj: Object) -> Object:
    kept = {key: value for key, value in obj.items() if key != "metadata"}
    annotations = obj.get("metadata", {}).get("annotations")
    return masked(kept | ({"annotations": annotations} if annotations else {}))


def kubernetes(desk: Any) -> None:
    """The Service that every cluster has."""
    spec = {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]}
    desk.create(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes"}, "spec": spec})


@pytest.mark.parametrize("line", _CREATED, ids=lambda line: line["name"])
def test_a_new_service_gets_what_the_real_server_gives_it(desk: Any, line: Object) -> None:
    created = desk.create(SERVICES, line["body"])
    assert compared(created) == compared(line["response"])


@pytest.mark.parametrize("line", _REFUSED, ids=lambda line: line["name"])
def test_a_bad_service_is_refused_in_the_real_servers_words(desk: Any, refused: Any, line: Object) -> None:
    kubernetes(desk)
    error = refused(desk.create, SERVICES, line["body"])
    assert error.code == line["status"]
    assert masked(error.status()) == masked(line["response"])


def _story(desk: Any) -> None:
    for line in _CREATED:
        desk.create(SERVICES, line["body"])


def _patched(desk: Any, merged: Any, line: Object) -> Object:
    name, _, subresource = line["path"].partition("/services/")[2].partition("/")

    def change(obj: Object) -> None:
        merged(obj, copy.deepcopy(line["body"]))

    updated: Object = desk.update(SERVICES, "default", name, change, subresource)
    return updated


def test_the_recorded_life_of_services_is_the_same_step_by_step(desk: Any, merged: Any) -> None:
    _story(desk)
    steps = [line for line in RECORDED if line["method"] == "PATCH" and line["status"] in {200, 422}]
    assert len(steps) == 12
    for line in steps:
        assert (line["name"], _outcome(_patched, desk, merged, line)) == (line["name"], compared(line["response"]))


def _service(name: str, **spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]} | spec}


def test_addresses_and_ports_are_unique_and_come_back_after_deletion(desk: Any, refused: Any) -> None:
    first = desk.create(SERVICES, _service("a", type="NodePort"))
    wanted = {
        "type": "NodePort",
        "clusterIP": first["spec"]["clusterIP"],
        "ports": [{"port": 80, "nodePort": first["spec"]["ports"][0]["nodePort"]}],
    }
    assert "already allocated" in refused(desk.create, SERVICES, _service("b", **wanted)).message
    desk.delete(SERVICES, "default", "a")
    assert desk.create(SERVICES, _service("b", **wanted))["spec"]["clusterIP"] == first["spec"]["clusterIP"]


def test_what_a_changed_type_gives_up_is_free_at_once(desk: Any) -> None:
    held = desk.create(SERVICES, _service("a", type="NodePort"))["spec"]["ports"][0]["nodePort"]
    desk.update(SERVICES, "default", "a", lambda obj: obj["spec"].update(type="ClusterIP"))
    taken = desk.create(SERVICES, _service("b", type="NodePort", ports=[{"port": 80, "nodePort": held}]))
    assert taken["spec"]["ports"][0]["nodePort"] == held


def test_a_refused_service_holds_nothing_for_long(desk: Any, refused: Any) -> None:
    spec = {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30500}]}
    refused(desk.create, SERVICES, _service("a", **spec, externalTrafficPolicy="Nope"))
    refused(desk.create, SERVICES, _service("b", **spec))
    desk.now = "2026-11-23T22:32:00Z"
    assert desk.create(SERVICES, _service("b", **spec))["spec"]["ports"][0]["nodePort"] == 30500


def test_a_dry_run_keeps_nothing(desk: Any) -> None:
    tried = desk.create(SERVICES, _service("a", type="NodePort"), dry_run=True)
    port = tried["spec"]["ports"][0]["nodePort"]
    spec = {"type": "NodePort", "clusterIP": tried["spec"]["clusterIP"], "ports": [{"port": 80, "nodePort": port}]}
    assert desk.create(SERVICES, _service("b", **spec))["spec"]["clusterIP"] == tried["spec"]["clusterIP"]


def test_allocation_is_rebuilt_from_what_is_stored(desk: Any, refused: Any) -> None:
    first = desk.create(SERVICES, _service("a", type="NodePort"))
    desk.shared.clear()
    spec = {"clusterIP": first["spec"]["clusterIP"]}
    assert "already allocated" in refused(desk.create, SERVICES, _service("b", **spec)).message


def test_a_full_range_says_so(desk: Any, refused: Any) -> None:
    desk.settings = Settings(service_cidrs=("10.96.0.0/29",), node_ports=(30000, 30001))
    for number in range(6):
        desk.create(SERVICES, _service(f"s{number}"))
    error = refused(desk.create, SERVICES, _service("last"))
    assert (error.code, error.message) == (
        500,
        "Internal error occurred: failed to allocate a serviceIP: range is full",
    )


def test_one_family_only_refuses_both(desk: Any, refused: Any) -> None:
    desk.settings = Settings(service_cidrs=("10.96.0.0/16",))
    error = refused(desk.create, SERVICES, _service("a", ipFamilyPolicy="RequireDualStack"))
    assert "this cluster is not configured for dual-stack services" in error.message
    assert (
        "not configured on this cluster" in refused(desk.create, SERVICES, _service("a", ipFamilies=["IPv6"])).message
    )
    assert desk.create(SERVICES, _service("a", ipFamilyPolicy="PreferDualStack"))["spec"]["ipFamilies"] == ["IPv4"]


def test_headless_without_selector_is_of_both_families(desk: Any) -> None:
    spec = desk.create(SERVICES, _service("a", clusterIP="None"))["spec"]
    assert (spec["ipFamilyPolicy"], spec["ipFamilies"], spec["clusterIPs"]) == (
        "RequireDualStack",
        ["IPv4", "IPv6"],
        ["None"],
    )


def test_ports_of_one_number_share_a_node_port(desk: Any) -> None:
    ports = [{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]
    created = desk.create(SERVICES, _service("dns", type="LoadBalancer", ports=ports))["spec"]["ports"]
    assert created[0]["nodePort"] == created[1]["nodePort"]


def test_a_whole_object_without_allocations_keeps_them(desk: Any) -> None:
    held = desk.create(SERVICES, _service("a", type="LoadBalancer", externalTrafficPolicy="Local"))["spec"]

    def replace(obj: Object) -> None:
        obj["spec"] = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]}

    assert desk.update(SERVICES, "default", "a", replace)["spec"] == held


def test_to_external_name_and_back_gets_a_new_address(desk: Any) -> None:
    desk.create(SERVICES, _service("a"))

    def leave(obj: Object) -> None:
        obj["spec"] |= {"type": "ExternalName", "externalName": "example.org"}

    gone = desk.update(SERVICES, "default", "a", leave)["spec"]
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"} & set(gone)
    back = desk.update(SERVICES, "default", "a", lambda obj: obj["spec"].update(type="ClusterIP", externalName=None))
    assert back["spec"]["clusterIPs"] == [back["spec"]["clusterIP"]]

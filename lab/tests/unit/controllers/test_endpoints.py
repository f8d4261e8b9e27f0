"""Endpoint slices: families, named ports, sizes, and nothing moved without need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubelab.controllers.decide import endpoints, legacy_endpoints
from kubelab.controllers.decide.resources import ENDPOINT_SLICES, ENDPOINTS
from kubelab.controllers.decide.writes import Decision

Worlds = Callable[[], Any]


def service(**spec: Any) -> Any:
    meta = {"name": "web", "namespace": "default", "uid": "s", "creationTimestamp": "2026-11-23T22:30:18Z"}
    ports = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    whole = {"selector": {"app": "web"}, "ports": ports, "ipFamilies": ["IPv4"], "clusterIP": "198.18.128.9"} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": whole}


def pod(number: int, *, ready: bool = True, leaving: bool = False, phase: str = "Running", **more: Any) -> Any:
    meta: dict[str, Any] = {"name": f"p{number}", "namespace": "default", "uid": f"u{number}"}
    if leaving:
        meta["deletionTimestamp"] = "2026-11-23T22:31:00Z"
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": "2026-11-23T22:30:20Z"}
    addresses = [{"ip": f"198.18.{number // 250}.{number % 250 + 1}"}, {"ip": f"2001:db8:200::{number + 1:x}"}]
    status = {"phase": phase, "podIPs": more.pop("podIPs", addresses), "conditions": [condition]}
    spec = {"nodeName": "n1", "containers": [{"ports": more.pop("ports", [])}], **more}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}


def run(world: Any, it: Any, pods: list[Any]) -> int:
    decision = endpoints.decide(it, pods, {}, endpoints.ours(it, world.all(ENDPOINT_SLICES)))
    return world.carry_out(decision.writes)


def shown(world: Any, family: str = "IPv4") -> list[str]:
    slices = [one for one in world.all(ENDPOINT_SLICES) if one["addressType"] == family]
    return [endpoint["addresses"][0] for one in slices for endpoint in one["endpoints"] or []]


def test_each_family_of_a_dual_stack_service_has_its_own_slices(make_world: Worlds) -> None:
    world = make_world()
    it = service(ipFamilies=["IPv4", "IPv6"])
    run(world, it, [pod(0), pod(1)])
    assert shown(world, "IPv4") == ["198.18.0.1", "198.18.0.2"]
    assert shown(world, "IPv6") == ["2001:db8:200::1", "2001:db8:200::2"]
    run(world, service(ipFamilies=["IPv6"]), [pod(0)])
    assert {one["addressType"] for one in world.all(ENDPOINT_SLICES)} == {"IPv6"}
    assert shown(world, "IPv6") == ["2001:db8:200::1"]


@pytest.mark.parametrize(
    ("it", "publish", "conditions"),
    [
        (pod(0), False, {"ready": True, "serving": True, "terminating": False}),
        (pod(0, ready=False), False, {"ready": False, "serving": False, "terminating": False}),
        (pod(0, leaving=True), False, {"ready": False, "serving": True, "terminating": True}),
        (pod(0, ready=False, leaving=True), False, {"ready": False, "serving": False, "terminating": True}),
        (pod(0, ready=False), True, {"ready": True, "serving": False, "terminating": False}),
        (pod(0, phase="Succeeded"), False, None),
        (pod(0, phase="Failed"), True, None),
        (pod(0, podIPs=[]), False, None),
    ],
)
def test_conditions_tell_ready_serving_and_terminating_apart(it: Any, publish: bool, conditions: Any) -> None:  # noqa: FBT001  # a table's column
    groups = endpoints.wanted(service(publishNotReadyAddresses=publish), [it], {}, "IPv4")
    found = [endpoint["conditions"] for group in groups for endpoint in group.endpoints.values()]
    assert found == ([conditions] if conditions else [])


def test_a_named_port_may_differ_from_pod_to_pod(make_world: Worlds) -> None:
    world = make_world()
    it = service(ports=[{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web"}])
    pods = [pod(i, ports=[{"name": "web", "containerPort": 8080 + i, "protocol": "TCP"}]) for i in range(2)]
    run(world, it, pods)
    found = {one["ports"][0]["port"]: one["endpoints"][0]["addresses"][0] for one in world.all(ENDPOINT_SLICES)}
    assert found == {8080: "198.18.0.1", 8081: "198.18.0.2"}
    assert run(world, it, pods) == 0


def test_a_zone_and_a_hostname_are_passed_on() -> None:
    it = service(clusterIP="None")
    one = pod(0, hostname="first", subdomain="web")
    node = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}}}
    (group,) = endpoints.wanted(it, [one], {"n1": node}, "IPv4")
    (endpoint,) = group.endpoints.values()
    assert (endpoint["zone"], endpoint["hostname"], endpoint["nodeName"]) == ("a", "first", "n1")


def test_a_headless_service_is_labelled_so(make_world: Worlds) -> None:
    world = make_world()
    run(world, service(clusterIP="None"), [pod(0)])
    (one,) = world.all(ENDPOINT_SLICES)
    assert one["metadata"]["labels"][endpoints.HEADLESS] == ""


def test_slices_of_others_are_not_touched(make_world: Worlds) -> None:
    world = make_world()
    labels = {endpoints.SERVICE_NAME: "web", endpoints.MANAGED_BY: "somebody-else"}
    theirs = world.put(ENDPOINT_SLICES, {"metadata": {"name": "x", "namespace": "default", "labels": labels}})
    run(world, service(), [pod(0)])
    assert world.get(ENDPOINT_SLICES, "x") == theirs


@pytest.mark.parametrize("spec", [{"selector": None}, {"selector": {}}, {"type": "ExternalName"}])
def test_services_without_a_selector_are_left_alone(spec: dict[str, Any]) -> None:
    assert not endpoints.is_ours(service(**spec))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 320), max_size=320), min_size=1, max_size=4))
def test_slices_hold_just_the_pods_there_are_and_move_nobody(make_world: Worlds, rounds: list[set[int]]) -> None:
    world = make_world()
    it = service()
    stands: dict[str, str] = {}
    for numbers in rounds:
        pods = [pod(number) for number in sorted(numbers)]
        run(world, it, pods)
        slices = world.all(ENDPOINT_SLICES)
        assert sorted(shown(world)) == sorted(p["status"]["podIPs"][0]["ip"] for p in pods)
        assert all(len(one["endpoints"] or []) <= 100 for one in slices)
        assert len(slices) >= 1
        assert len([one for one in slices if not one["endpoints"]]) == (0 if pods else 1)
        now = {e["targetRef"]["uid"]: one["metadata"]["name"] for one in slices for e in one["endpoints"] or []}
        assert all(now[uid] == name for uid, name in stands.items() if uid in now)
        stands = now
        assert run(world, it, pods) == 0


def test_endpoints_tell_ready_from_not_ready_and_leave_the_leaving_out() -> None:
    pods = [pod(0), pod(1, ready=False), pod(2, leaving=True), pod(3, phase="Failed")]
    subsets, cut = legacy_endpoints.subsets_of(service(), pods)
    (subset,) = subsets
    assert [a["ip"] for a in subset["addresses"]] == ["198.18.0.1"]
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["198.18.0.2"]
    assert subset["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    assert not cut


def test_endpoints_are_cut_at_a_thousand_and_say_so(make_world: Worlds) -> None:
    world = make_world()
    pods = [pod(number) for number in range(1100)]
    world.carry_out(legacy_endpoints.decide(service(), pods, None).writes)
    made = world.get(ENDPOINTS, "web")
    assert len(made["subsets"][0]["addresses"]) == 1000
    assert made["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"] == "truncated"
    assert legacy_endpoints.decide(service(), pods, made) == Decision()
    world.carry_out(legacy_endpoints.decide(service(), pods[:1], made).writes)
    assert "endpoints.kubernetes.io/over-capacity" not in world.get(ENDPOINTS, "web")["metadata"]["annotations"]

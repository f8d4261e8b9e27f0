"""Nodes that die, come back, are tainted or removed, and what becomes of their pods."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiclient import Resource

PODS = Resource("", "v1", "pods", True)
NODES = Resource("", "v1", "nodes", False)
SERVICES = Resource("", "v1", "services", True)
EVENTS = Resource("", "v1", "events", True)
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", True)


pytestmark = pytest.mark.parametrize("servers", ["lose nodes"], indirect=True)


def pod(name: str, node: str, *tolerations: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "nodeName": node,
            "tolerations": list(tolerations),
        },
    }


def condition(obj: Any, kind: str = "Ready") -> str:
    return next((c["status"] for c in obj["status"].get("conditions") or [] if c["type"] == kind), "")


def ready(slices: Any) -> set[str]:
    found = [endpoint for one in slices.values() for endpoint in one["endpoints"] or []]
    return {
        endpoint["targetRef"]["name"]
        for endpoint in found
        if "targetRef" in endpoint and endpoint["conditions"]["ready"]
    }


def keys(node: Any) -> list[tuple[str, str]]:
    return [(taint["key"], taint["effect"]) for taint in node["spec"].get("taints") or []]


async def test_a_dead_node_takes_its_pods_out_of_service_soon_and_brings_them_back(cluster: Any, nodes: Any) -> None:
    eye, client = cluster.eye, cluster.client
    found, pods = await eye.on(NODES), await eye.on(PODS)
    slices, events = await eye.on(SLICES), await eye.on(EVENTS)
    ports = [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]
    spec = {"selector": {"app": "web"}, "ports": ports, "ipFamilies": ["IPv4"]}
    meta = {"name": "web", "namespace": "default"}
    await client.create(SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    for number, name in enumerate(("n1", "n2")):
        await client.create(PODS, pod(f"p{number}", name))
    await eye.until(lambda: ready(slices) == {"p0", "p1"})
    await cluster.kill(nodes["n1"])
    await eye.until(lambda: ready(slices) == {"p1"}, within_s=35)
    await eye.until(lambda: condition(found["", "n1"]) == "Unknown")
    await eye.until(lambda: condition(pods["default", "p0"]) == "False")
    unreachable = "node.kubernetes.io/unreachable"
    await eye.until(lambda: keys(found["", "n1"]) == [(unreachable, "NoSchedule"), (unreachable, "NoExecute")])
    await eye.until(lambda: condition(found["", "n2"]) == condition(found["", "n3"]) == "True")
    await eye.until(lambda: "NodeNotReady" in {event["reason"] for event in events.values()})
    cluster.start(nodes["n1"])
    await eye.until(lambda: ready(slices) == {"p0", "p1"})
    await eye.until(lambda: not keys(found["", "n1"]) and condition(found["", "n1"]) == "True")


async def test_a_no_execute_taint_drives_pods_off_when_their_time_is_up(cluster: Any, nodes: Any) -> None:
    eye, client = cluster.eye, cluster.client
    pods, driven = await eye.on(PODS), list[str]()

    def see(_kind: str, _old: Any, new: Any) -> None:
        name = new["metadata"]["name"] if new and new["metadata"].get("deletionTimestamp") else ""
        if name and name not in driven:
            driven.append(name)

    eye.subscribe(PODS, see)
    tolerate = {"key": "out", "operator": "Exists", "effect": "NoExecute"}
    await client.create(PODS, pod("never", "n1", tolerate))
    await client.create(PODS, pod("later", "n1", tolerate | {"tolerationSeconds": 1}))
    await client.create(PODS, pod("now", "n1"))
    await eye.until(lambda: len(pods) == 3 and all(condition(one) == "True" for one in pods.values()))
    await client.patch(NODES, "n1", {"spec": {"taints": [{"key": "out", "effect": "NoExecute"}]}})
    await eye.until(lambda: {name for _, name in pods} == {"never"})
    assert driven == ["now", "later"]


async def test_pods_of_a_dead_node_stay_terminating_and_go_with_the_node(cluster: Any, nodes: Any) -> None:
    eye, client = cluster.eye, cluster.client
    pods = await eye.on(PODS)
    await client.create(
        PODS,
        pod(
            "p",
            "n1",
            {
                "key": "node.kubernetes.io/unreachable",
                "operator": "Exists",
                "tolerationSeconds": 0,
                "effect": "NoExecute",
            },
        ),
    )
    await eye.until(lambda: ("default", "p") in pods and condition(pods["default", "p"]) == "True")
    await cluster.kill(nodes["n1"])
    await eye.until(lambda: pods["default", "p"]["metadata"].get("deletionTimestamp"))
    await client.delete(NODES, "n1")
    await eye.until(lambda: ("default", "p") not in pods)

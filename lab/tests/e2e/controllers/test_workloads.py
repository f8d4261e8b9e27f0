"""Deployments, daemon sets, scheduling and endpoints, from an object to its pods' addresses."""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from typing import Any

import pytest

from kubelab.apiclient import PatchKind, Resource

PODS = Resource("", "v1", "pods", True)
NODES = Resource("", "v1", "nodes", False)
SERVICES = Resource("", "v1", "services", True)
ENDPOINTS = Resource("", "v1", "endpoints", True)
EVENTS = Resource("", "v1", "events", True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", True)
REPLICA_SETS = Resource("apps", "v1", "replicasets", True)
DAEMON_SETS = Resource("apps", "v1", "daemonsets", True)
REVISIONS = Resource("apps", "v1", "controllerrevisions", True)
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", True)


def workload(kind: str, name: str, image: str = "web:1", **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [
                {
                    "name": "c",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def deployment(name: str = "web", replicas: int = 3, image: str = "web:1") -> dict[str, Any]:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    return workload(
        "Deployment",
        name,
        image,
        replicas=replicas,
        strategy=rolling,
        revisionHistoryLimit=10,
        progressDeadlineSeconds=600,
    )


def service(name: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            "ipFamilyPolicy": "PreferDualStack",
            "ipFamilies": ["IPv4", "IPv6"],
        },
    }


def available(store: Any, name: str = "web") -> int:
    status = store.get(("default", name), {}).get("status") or {}
    return int(status.get("availableReplicas") or status.get("numberAvailable") or 0)


def reasons(obj: Any) -> dict[str, str]:
    return {c["type"]: c["reason"] for c in obj["status"].get("conditions") or []}


def ready_addresses(slices: Any, family: str, name: str = "web") -> set[str]:
    return {
        endpoint["addresses"][0]
        for one in slices.values()
        if one["addressType"] == family and one["metadata"]["labels"]["kubernetes.io/service-name"] == name
        for endpoint in one["endpoints"] or []
        if endpoint["conditions"]["ready"]
    }


async def image(cluster: Any, name: str, value: str, resource: Resource = DEPLOYMENTS) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": value}]}}}}
    await cluster.client.patch(resource, name, patch, "default", kind=PatchKind.STRATEGIC)


async def test_a_deployment_and_its_service_from_the_first_pod_to_a_rolled_back_image(cluster: Any, nodes: Any) -> None:
    eye, client = cluster.eye, cluster.client
    deployments, pods, slices = await eye.on(DEPLOYMENTS), await eye.on(PODS), await eye.on(SLICES)
    sets, endpoints = await eye.on(REPLICA_SETS), await eye.on(ENDPOINTS)
    await client.create(SERVICES, service())
    await client.create(DEPLOYMENTS, deployment())
    await eye.until(lambda: available(deployments) == 3)
    assert {pod["spec"]["nodeName"] for pod in pods.values()} == {"n1", "n2", "n3"}
    addresses = {pod["status"]["podIPs"][0]["ip"] for pod in pods.values()}
    await eye.until(lambda: ready_addresses(slices, "IPv4") == addresses)
    await eye.until(lambda: len(ready_addresses(slices, "IPv6")) == 3)
    await eye.until(
        lambda: {a["ip"] for s in endpoints["default", "web"].get("subsets") or [] for a in s["addresses"]} == addresses
    )
    assert reasons(deployments["default", "web"]) == {
        "Available": "MinimumReplicasAvailable",
        "Progressing": "NewReplicaSetAvailable",
    }

    def images() -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in pods.values()}

    await image(cluster, "web", "web:2")
    await eye.until(lambda: images() == {"web:2"} and len(pods) == 3 and available(deployments) == 3)
    assert sorted(rs["spec"]["replicas"] for rs in sets.values()) == [0, 3]
    await image(cluster, "web", "web:1")
    await eye.until(lambda: images() == {"web:1"} and len(pods) == 3 and available(deployments) == 3)
    assert len(sets) == 2
    await eye.until(
        lambda: deployments["default", "web"]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    )
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, "default")
    await eye.until(lambda: available(deployments) == 5)
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, "default")
    await eye.until(lambda: not pods)
    await eye.until(lambda: not ready_addresses(slices, "IPv4"))
    assert len(slices) >= 2
    await client.delete(SERVICES, "web", "default")
    await client.delete(DEPLOYMENTS, "web", "default", propagation="Background")
    await eye.until(lambda: not sets and not [s for s in slices.values() if s["metadata"]["name"].startswith("web-")])
    await eye.until(lambda: ("default", "web") not in endpoints)


async def test_a_broken_image_stops_a_rollout_before_it_hurts(cluster: Any, nodes: Any) -> None:
    eye = cluster.eye
    deployments, pods = await eye.on(DEPLOYMENTS), await eye.on(PODS)
    await cluster.client.create(DEPLOYMENTS, deployment(replicas=4))
    await eye.until(lambda: available(deployments) == 4)
    await image(cluster, "web", "broken:1")
    await eye.until(lambda: sum("broken" in p["spec"]["containers"][0]["image"] for p in pods.values()) == 2)
    await eye.until(lambda: deployments["default", "web"]["status"].get("updatedReplicas") == 2)
    await eye.until(lambda: available(deployments) == 3)


async def test_a_daemon_set_has_a_pod_on_each_node_and_follows_new_ones(cluster: Any, nodes: Any) -> None:
    eye = cluster.eye
    daemon_sets, pods = await eye.on(DAEMON_SETS), await eye.on(PODS)
    made = workload(
        "DaemonSet", "agent", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
    )
    await cluster.client.create(DAEMON_SETS, made)
    await eye.until(lambda: available(daemon_sets, "agent") == 3)
    await cluster.add_node("n4")
    await eye.until(lambda: available(daemon_sets, "agent") == 4)
    assert sorted(pod["spec"]["nodeName"] for pod in pods.values()) == ["n1", "n2", "n3", "n4"]
    await image(cluster, "agent", "web:2", DAEMON_SETS)
    await eye.until(lambda: daemon_sets["default", "agent"]["status"].get("updatedNumberScheduled") == 4)
    await eye.until(lambda: available(daemon_sets, "agent") == 4)
    await eye.until(lambda: {pod["spec"]["containers"][0]["image"] for pod in pods.values()} == {"web:2"})
    revisions = (await cluster.client.list(REVISIONS, "default")).items
    assert sorted(revision["revision"] for revision in revisions) == [1, 2]


async def test_a_pod_waits_says_why_and_goes_when_it_can(cluster: Any, nodes: Any) -> None:
    eye, client = cluster.eye, cluster.client
    pods = await eye.on(PODS)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "picky", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "nodeSelector": {"disk": "ssd"}},
    }
    await client.create(PODS, pod)
    await eye.until(lambda: ("default", "picky") in pods)
    await eye.until(lambda: reasons(pods["default", "picky"]).get("PodScheduled") == "Unschedulable")
    (condition,) = pods["default", "picky"]["status"]["conditions"]
    assert condition["message"].startswith(
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    )
    await client.patch(NODES, "n2", {"metadata": {"labels": {"disk": "ssd"}}})
    await eye.until(lambda: pods["default", "picky"]["spec"].get("nodeName") == "n2")
    events = await eye.on(EVENTS)
    await eye.until(lambda: {"FailedScheduling", "Scheduled"} <= {event["reason"] for event in events.values()})


@pytest.mark.parametrize("servers", ["processes"], indirect=True)
async def test_a_restart_of_the_controllers_changes_nothing(cluster: Any, nodes: Any) -> None:
    eye, client = cluster.eye, cluster.client
    deployments, daemon_sets = await eye.on(DEPLOYMENTS), await eye.on(DAEMON_SETS)
    await client.create(SERVICES, service())
    await client.create(DEPLOYMENTS, deployment())
    await client.create(DAEMON_SETS, workload("DaemonSet", "agent"))
    await eye.until(lambda: available(deployments) == 3 and available(daemon_sets, "agent") == 3)
    slices = await eye.on(SLICES)
    await eye.until(lambda: len(ready_addresses(slices, "IPv4")) == 3)

    async def versions() -> dict[str, str]:
        found: dict[str, str] = {}
        for resource in (PODS, REPLICA_SETS, DEPLOYMENTS, DAEMON_SETS, SLICES, ENDPOINTS, REVISIONS, SERVICES):
            for obj in (await client.list(resource)).items:
                meta = obj["metadata"]
                found[f"{obj['kind']} {meta['namespace']}/{meta['name']}"] = meta["resourceVersion"]
        return found

    for attempt in range(5):
        before = await versions()
        assert await cluster.servers.controllers.stop() == 0
        await cluster.servers.controllers.start()
        probe = f"probe{attempt}"
        await client.create(DEPLOYMENTS, deployment(probe, 1))
        await eye.until(lambda probe=probe: available(deployments, probe) == 1)
        after = await versions()
        if {key: after.get(key) for key in before} == before:
            break  # else it was not done yet with what had been before
    else:
        pytest.fail(f"each restart changes something: {before} {after}")


@pytest.mark.parametrize("servers", ["processes"], indirect=True)
async def test_a_paused_api_server_is_waited_for(cluster: Any, nodes: Any) -> None:
    """The server stands still for longer than a node may be silent: afterwards nobody is called lost."""
    eye, client = cluster.eye, cluster.client
    deployments, found, events = await eye.on(DEPLOYMENTS), await eye.on(NODES), await eye.on(EVENTS)
    await client.create(DEPLOYMENTS, deployment())
    await eye.until(lambda: available(deployments) == 3)

    def lost() -> set[str]:
        said = {event["involvedObject"]["name"] for event in events.values() if event["reason"] == "NodeNotReady"}
        return said | {name for (_, name), node in found.items() if reasons(node)["Ready"] != "KubeletReady"}

    cluster.servers.api.send(signal.SIGSTOP)
    await asyncio.sleep(3)
    assert not lost(), "on a machine that is so busy there is nothing to be learned"
    cluster.servers.api.send(signal.SIGCONT)
    for kubelet in nodes.values():
        kubelet.renewed.clear()
    begun = asyncio.get_running_loop().time()
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 4}}, "default")
    await eye.until(lambda: available(deployments) == 4)
    await asyncio.sleep(2.5)  # the time in which a lost node would be found
    for name in lost():
        times = [begun, *nodes[name].renewed]
        gap_s = max(after - before for before, after in pairwise(times))
        assert gap_s > 1.5, f"{name} was called lost, and had said that it lives"

"""A cluster under upstream's operator becomes ours, goes back, comes again, and is left, in the right order and not."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelab.cluster import parse
from kubelab.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
NAMESPACE = "metallb-system"
OPERATOR = "deployment/metallb-operator-controller-manager"
IMAGES = {"controller": "metallb-py/controller:0.1.0", "speaker": "metallb-py/speaker:0.1.0"}
OLD = "kube-rbac-proxy"
"""A container of upstream's until 2025, that its later operators never took out again."""

METALLB = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "MetalLB",
    "metadata": {"name": "metallb", "namespace": NAMESPACE},
}
BEFORE = ("namespace.yaml", "secrets.yaml", "crds", "rbac")
"""What upstream's installation has of ours under the same names, for its controller and speakers to run."""

CONFIGURATION = f"""
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {{name: first, namespace: {NAMESPACE}}}
spec: {{addresses: [198.51.100.100-198.51.100.149]}}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {{name: all, namespace: {NAMESPACE}}}
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {{name: some, namespace: {NAMESPACE}}}
"""
PEER = f"""
---
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {{name: some, namespace: {NAMESPACE}}}
spec: {{myASN: 64500, peerASN: 64501, peerAddress: 192.0.2.1}}
"""
"""In its older version: with it goes the server that could convert it."""

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("take over")]


@pytest.fixture(scope="module")
def empty_lab(lab_ledger: Any) -> Iterator[Lab]:
    """Two nodes, and nothing of MetalLB on them."""
    nodes = [{"name": "control-1", "roles": ["control-plane"]}, {"name": "worker-1"}]
    with ThreadPoolExecutor(1) as thread:  # the tests' event loop is not there yet
        lab = thread.submit(asyncio.run, lab_ledger.start(parse({"nodes": nodes}, "test"), None)).result()
        yield lab
        thread.submit(asyncio.run, lab.down()).result()
    lab_ledger.ended(lab)


@pytest.fixture
def cluster(empty_lab: Lab, wrapped: Callable[[Lab], Any]) -> Any:
    return wrapped(empty_lab)


class Watcher:
    """All addresses that a Service has had."""

    def __init__(self, cluster: Any, name: str) -> None:
        self.seen: set[tuple[str, ...]] = set()
        self._cluster, self._name = cluster, name

    async def run(self) -> None:
        while True:
            self.seen.add(tuple(await self._cluster.addresses(self._name)))
            await asyncio.sleep(0.3)


@pytest.fixture
async def watched(cluster: Any) -> AsyncIterator[Callable[[str], Watcher]]:
    tasks = []

    def watch(name: str) -> Watcher:
        watcher = Watcher(cluster, name)
        tasks.append(asyncio.ensure_future(watcher.run()))
        return watcher

    yield watch
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def by_upstream(objects: list[Any], uid: str) -> list[Any]:
    """Recorded objects for this cluster: its owner, our programs, and probes that don't wait ten seconds first."""
    found = copy.deepcopy(objects)
    for each in found:
        metadata = {key: each["metadata"].get(key) for key in ("name", "labels", "ownerReferences")}
        metadata["ownerReferences"] = [owner | {"uid": uid} for owner in metadata["ownerReferences"]]
        each["metadata"] = {key: value for key, value in metadata.items() if value}
        if each["kind"] != "ValidatingWebhookConfiguration":
            each["metadata"]["namespace"] = NAMESPACE
        each.pop("status", None)
        for name in ("clusterIP", "clusterIPs"):
            each.get("spec", {}).pop(name, None)
        for container in containers(each):
            container["image"] = IMAGES.get(container["name"], container["image"])
            for probe in ("livenessProbe", "readinessProbe"):
                container.get(probe, {}).pop("initialDelaySeconds", None)
    return found


def containers(each: Any) -> list[Any]:
    found: list[Any] = each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return found


def of_old(objects: list[Any]) -> list[Any]:
    for each in objects:
        if each["metadata"]["name"] == "speaker":
            containers(each).append({"name": OLD, "image": "kubelab/web:1", "args": ["29120"]})
    return objects


def without_pods(objects: list[Any]) -> list[Any]:
    """Of FRR-K8s: there, and with no node to run on."""
    for each in objects:
        if containers(each):
            each["spec"]["template"]["spec"]["nodeSelector"] = {"example.org/none": ""}
        if each["kind"] == "Deployment":
            each["spec"]["replicas"] = 0
    return objects


async def speakers_made(cluster: Any) -> int:
    """How many pods the speakers' DaemonSet has ever had."""
    return sum(
        each.get("count", 1)
        for each in await cluster.items("events", NAMESPACE)
        if each["reason"] == "SuccessfulCreate" and each["involvedObject"]["name"] == "speaker"
    )


async def available(cluster: Any) -> None:
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")


async def install(cluster: Any) -> None:
    await cluster.kubectl("apply", "-k", str(MANIFESTS))
    for server in ("deployment/metallb-operator-webhook-server", OPERATOR):
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, server, "--timeout=150s")


@pytest.fixture
async def under_upstream(cluster: Any, recorded: Callable[[str], Any]) -> tuple[list[Any], list[Any]]:
    """Upstream's operands run, as its operator wrote them before it applied: wanted ones, and those of FRR-K8s."""
    for each in BEFORE:
        await cluster.kubectl("apply", "-f", str(MANIFESTS / each))
    await cluster.apply(METALLB)
    uid = (await cluster.get("metallb", "metallb", NAMESPACE))["metadata"]["uid"]
    wanted = by_upstream(recorded("operands/native-empty.json")["objects"], uid)
    names = {(each["kind"], each["metadata"]["name"]) for each in wanted}
    every = by_upstream(recorded("operands/frr-k8s-empty.json")["objects"], uid)
    left = without_pods([each for each in every if (each["kind"], each["metadata"]["name"]) not in names])
    written = yaml.safe_dump_all([*of_old(copy.deepcopy(wanted)), *left])
    await cluster.kubectl("create", "--field-manager=manager", "-f", "-", stdin=written)
    users = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "users", "namespace": NAMESPACE}}
    await cluster.apply(users, *yaml.safe_load_all(CONFIGURATION), cluster.web("web", replicas=1))
    for each in ("daemonset/speaker", "deployment/controller"):
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, each, "--timeout=150s")
    return wanted, left


async def test_our_operator_takes_over_and_hands_back_and_no_address_moves(
    cluster: Any, under_upstream: tuple[list[Any], list[Any]], watched: Callable[[str], Watcher]
) -> None:
    wanted, left = under_upstream
    await cluster.apply(cluster.load_balancer("kept", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("kept"), "an address")
    watcher, before = watched("kept"), await speakers_made(cluster)

    await install(cluster)
    await available(cluster)
    speaker = await cluster.get("daemonset", "speaker", NAMESPACE)
    assert [each["name"] for each in containers(speaker)] == ["speaker"]
    assert "startupProbe" in containers(speaker)[0]
    assert speaker["metadata"]["generation"] == 2
    assert await speakers_made(cluster) == before + 2, "pods roll once"
    for each in left:

        async def is_gone(kind: str = each["kind"], name: str = each["metadata"]["name"]) -> bool:
            return name not in {one["metadata"]["name"] for one in await cluster.items(kind, NAMESPACE)}

        await cluster.until(is_gone, f"the end of {each['kind']} {each['metadata']['name']}")
    assert await cluster.get("configmap", "users", NAMESPACE)
    assert await cluster.until(lambda: cluster.fetch(address), "a page")

    # Back: our operator is gone, upstream's applies.
    await cluster.kubectl("scale", "-n", NAMESPACE, OPERATOR, "--replicas=0")
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=delete", "pod", "-l", "control-plane=controller-manager")
    apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=metallb-operator", "-f", "-")
    await cluster.kubectl(*apply, stdin=yaml.safe_dump_all(wanted))
    speaker = await cluster.get("daemonset", "speaker", NAMESPACE)
    assert "startupProbe" not in containers(speaker)[0]
    assert speaker["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert speaker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 0

    # And ours again.
    await cluster.kubectl("scale", "-n", NAMESPACE, OPERATOR, "--replicas=1")

    async def is_ours() -> bool:
        found = await cluster.get("daemonset", "speaker", NAMESPACE)
        return "startupProbe" in containers(found)[0]

    await cluster.until(is_ours, "our rendering")
    await available(cluster)
    assert watcher.seen == {(address,)}


async def set_up(cluster: Any) -> None:
    await install(cluster)
    await cluster.apply(METALLB)
    await available(cluster)
    await cluster.kubectl("apply", "-f", "-", stdin=CONFIGURATION + PEER)


@pytest.mark.parametrize("first", ["definitions", "namespace"])
async def test_nothing_is_stuck_or_left_whatever_goes_first(cluster: Any, first: str) -> None:
    """The resource first, as it should be: `test_install_paths.py`."""
    await set_up(cluster)
    commands = {
        "definitions": ("-f", str(MANIFESTS / "crds")),
        "namespace": ("namespace", NAMESPACE),
    }
    await cluster.kubectl("delete", *commands[first], "--timeout=150s")
    await cluster.kubectl("delete", "-k", str(MANIFESTS), "--ignore-not-found", "--wait=false")

    async def all_is_gone() -> bool:
        return not await cluster.kubectl("get", "-k", str(MANIFESTS), "--ignore-not-found", "-o", "name")

    await cluster.until(all_is_gone, "the end of the installation")
    assert "metallb" not in await cluster.kubectl("get", "pods,secrets,leases,configmaps", "-A", "-o", "name")
    # A Service keeps its address in its status, and can go: nothing of ours holds it.
    await cluster.kubectl("delete", "service", "kept", "--ignore-not-found", "--timeout=150s")

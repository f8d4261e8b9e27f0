"""Foreign hands on what the operator made: all is put right, quickly, and once it is nothing more is written."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import pytest

from kubelab import changes
from kubelab.apiclient import ApiClient
from kubelab.changes import has
from kubelab.resource import PatchKind, Resource

NAMESPACE = "metallb-system"
USER = f"system:serviceaccount:{NAMESPACE}:manager-account"

CHAOS_S = 8.0
"""`make soak ONLY=chaos` goes on for minutes."""

QUIET_S = 3.0
OBJECTS = (
    ("daemonset", "speaker"),
    ("deployment", "controller"),
    ("configmap", "metallb-excludel2"),
    ("networkpolicy", "controller"),
)
SCALED = {"metadata": {"labels": {"app": "theirs"}}}
EDITS: dict[str, dict[str, Any]] = {
    "daemonset": {"spec": {"template": {"spec": {"nodeSelector": {"theirs": "yes"}}}}},
    "deployment": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 77}}}},
    "configmap": {"data": {"excludel2.yaml": "theirs"}},
    "networkpolicy": {"spec": {"egress": []}},
}
pytestmark = pytest.mark.e2e


async def written(cluster: Any) -> int:
    """How often the operator has written objects since the lab's start."""
    return changes.written(json.loads(await cluster.kubectl("get", "--raw", "/debug/rights")), USER)


async def rests(cluster: Any) -> None:
    """Waits until nothing is written for a while: readiness may waver once more, a storm has no end."""

    async def so() -> bool:
        count = await written(cluster)
        await asyncio.sleep(QUIET_S)  # nothing to wait for: that nothing comes is the point
        return await written(cluster) == count

    try:
        await cluster.until(so, f"{QUIET_S} s without a write")
    except pytest.fail.Exception as error:  # the soak takes an assertion for a problem, and goes on
        raise AssertionError(str(error)) from None


async def specs(cluster: Any) -> dict[str, Any]:
    """What the operator's objects say, without what the API server and time put there."""
    found = {}
    for kind, name in OBJECTS:
        each = await cluster.get(kind, name, NAMESPACE)
        labels = each["metadata"]["labels"]
        body = {key: each[key] for key in ("spec", "data") if key in each}
        # Names beside ours stay: server-side apply takes back what is ours, and removes nothing of others.
        found[f"{kind}/{name}"] = without_theirs(labels, body)
    return found


def without_theirs(labels: dict[str, str], body: dict[str, Any]) -> str:
    """The text to compare: a name beside ours goes only when its object is made anew, as after `rollout restart`."""
    template = body.get("spec", {}).get("template", {})
    template.get("spec", {}).get("nodeSelector", {}).pop("theirs", None)
    metadata = template.get("metadata", {})
    annotations = metadata.pop("annotations", {})
    annotations.pop("kubectl.kubernetes.io/restartedAt", None)
    template["metadata"] = {**metadata, **({"annotations": annotations} if annotations else {})}
    return json.dumps([labels, body], sort_keys=True)


async def disturb(cluster: Any, draw: random.Random) -> None:
    kind, name = draw.choice(OBJECTS)
    if draw.random() < 0.4:  # edits are more usual
        await cluster.lab.kubectl("delete", kind, "-n", NAMESPACE, name, "--wait=false", check=False)
        return
    change = draw.choice([EDITS[kind], SCALED])
    await cluster.lab.kubectl(
        "patch", kind, "-n", NAMESPACE, name, "--type=merge", "-p", json.dumps(change), check=False
    )


async def test_after_deletions_and_edits_at_random_all_is_as_it_was_and_nothing_is_written_any_more(
    cluster: Any,
) -> None:
    await chaos(cluster, CHAOS_S, seed=7)


async def chaos(cluster: Any, seconds: float, seed: int) -> dict[str, int]:
    """Deletes and edits for so long, and sees that all is put right and comes to rest; gives counts."""
    await cluster.kubectl("rollout", "restart", "-n", NAMESPACE, "deployment/controller")  # leaves a mark of its own
    before = await specs(cluster)
    draw = random.Random(seed)  # chance in a test
    began, first, disturbed = time.monotonic(), await written(cluster), 0
    while time.monotonic() - began < seconds:
        await disturb(cluster, draw)
        disturbed += 1

    found: dict[str, str] = {}

    async def is_restored() -> bool:
        try:
            after = await specs(cluster)
        except Exception as error:  # noqa: BLE001  # one is just being made again
            found["error"] = str(error)
            return False
        found.clear()
        found.update(after)
        return found == before

    try:
        await cluster.until(is_restored, "everything as it was")
    finally:
        differing = {name: (before.get(name), each) for name, each in found.items() if each != before.get(name)}
        assert not differing, differing
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")
    count = await written(cluster)
    assert count - first < 20 * disturbed, "a storm of writes"
    await rests(cluster)
    return {"disturbed": disturbed, "writes": count - first}


RESOURCES = {
    "daemonset": Resource("apps", "v1", "daemonsets", namespaced=True),
    "deployment": Resource("apps", "v1", "deployments", namespaced=True),
    "configmap": Resource("", "v1", "configmaps", namespaced=True),
    "networkpolicy": Resource("networking.k8s.io", "v1", "networkpolicies", namespaced=True),
}


@pytest.mark.parametrize(("kind", "name"), OBJECTS)
async def test_an_edit_and_a_deletion_are_undone(cluster: Any, kind: str, name: str) -> None:
    resource, change = RESOURCES[kind], EDITS[kind] if kind != "daemonset" else SCALED
    async with ApiClient.from_kubeconfig(cluster.lab.kubeconfig) as client, asyncio.timeout(90):
        version = await client.version(resource, NAMESPACE)
        only = f"metadata.name={name}"
        seen = client.watch(resource, NAMESPACE, resource_version=version, field_selector=only)
        before = await client.get(resource, name, NAMESPACE)
        await client.patch(resource, name, change, NAMESPACE, kind=PatchKind.MERGE)
        await changes.first(seen, lambda event: has(event.object, change))
        await changes.first(seen, lambda event: not has(event.object, change))
        await client.delete(resource, name, NAMESPACE)
        await changes.first(seen, lambda event: event.kind == "DELETED")
        await changes.first(seen, lambda event: event.object["metadata"]["uid"] != before["metadata"]["uid"])
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")


async def test_nothing_is_written_while_a_pod_can_not_start(cluster: Any) -> None:
    """Upstream's operator writes about five times a second for as long as a pod is not ready."""
    spec = {"speakerConfig": {"resources": {"requests": {"cpu": "1000"}}}}
    await cluster.kubectl(
        "patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", json.dumps({"spec": spec})
    )

    async def told() -> bool:
        found = await cluster.get("metallb", "metallb", NAMESPACE)
        return "Insufficient cpu" in json.dumps(found["status"])

    try:
        await cluster.until(told, "the scheduler's words")
        await rests(cluster)
    finally:
        await cluster.kubectl(
            "patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", '{"spec":{"speakerConfig":null}}'
        )
        await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")

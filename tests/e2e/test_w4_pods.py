"""How the pods run is set in the MetalLB resource: what can't be is told in its status (the rest: the walkthrough)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

NAMESPACE = "metallb-system"
COLUMNS = "custom-columns=NAME:.metadata.name,STATUS:.status.phase,VALUE:"
FIELDS = ("logLevel", "controllerConfig", "speakerConfig")
pytestmark = pytest.mark.e2e

AFFINITY = {
    "podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "metallb"}}, "topologyKey": "kubernetes.io/hostname"}
        ]
    }
}


def class_of(kind: str, group: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **more}


async def configure(cluster: Any, spec: dict[str, Any]) -> str:
    """Patches the resource; gives what kubectl says on the side."""
    done = await cluster.lab.kubectl(
        "patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", json.dumps({"spec": spec})
    )
    return str(done.stderr)


async def rolled_out(cluster: Any) -> None:
    """Until the operator says that the newest version of the resource is in force."""

    async def is_in_force() -> bool:
        found = await cluster.get("metallb", "metallb", NAMESPACE)
        conditions = {each["type"]: each for each in found["status"]["conditions"]}
        available = conditions["Available"]
        generation = found["metadata"]["generation"]
        return bool(available["status"] == "True" and available["observedGeneration"] == generation)

    await cluster.until(is_in_force, "the new settings in force", 90.0)


async def values(cluster: Any, path: str) -> dict[str, set[str]]:
    """By the beginnings of pods' names, what a custom column shows."""
    table = await cluster.kubectl("get", "pod", "-n", NAMESPACE, "-o", f"{COLUMNS}{path}")
    found: dict[str, set[str]] = {}
    for row in table.splitlines()[1:]:
        name, _, value = row.split(maxsplit=2)
        for prefix in ("controller-", "speaker-", "metallb-operator-"):
            if name.startswith(prefix):
                found.setdefault(prefix, set()).add(value.strip())
    return found


@pytest.fixture
async def restored(cluster: Any) -> AsyncIterator[Any]:
    """The cluster, and an empty spec again afterwards, with the pods that follow from it."""
    yield cluster
    await configure(cluster, dict.fromkeys(FIELDS))
    await rolled_out(cluster)


async def test_w4c_speakers_without_a_neighbour_are_told_in_the_schedulers_words(restored: Any) -> None:
    cluster = restored
    await cluster.apply(class_of("PriorityClass", "scheduling", "high-priority", value=1000000))
    config = {"priorityClassName": "high-priority", "affinity": AFFINITY}
    said = await configure(cluster, {"controllerConfig": config, "speakerConfig": config})
    assert "no speaker runs on a node without such a pod" in said

    async def told() -> str:
        found = await cluster.get("metallb", "metallb", NAMESPACE)
        conditions = {each["type"]: each for each in found["status"]["conditions"]}
        assert conditions["Available"]["status"] == "False" or "speaker" not in conditions["Available"]["message"]
        messages = [conditions[each]["message"] for each in ("Progressing", "Degraded")]
        return next((each for each in messages if "can't be scheduled" in each), "")

    message = await cluster.until(told, "the scheduler's words", 60.0)
    assert "didn't match pod affinity rules" in message
    assert "Pod speaker-" in message

    async def all_have_it() -> bool:
        found = await values(cluster, ".spec.priorityClassName")
        return found["controller-"] == {"high-priority"} and "high-priority" in found["speaker-"]

    await cluster.until(all_have_it, "the priority class", 60.0)
    assert (await values(cluster, ".spec.priorityClassName"))["metallb-operator-"] == {"<none>"}
    placed = await cluster.kubectl(
        "get", "pod", "-o=custom-columns=NODE:.spec.nodeName,NAME:.metadata.name", "-n", NAMESPACE
    )
    assert placed.splitlines()[0].split() == ["NODE", "NAME"]


@pytest.mark.parametrize("component", ["controller", "speaker"])
async def test_a_priority_class_that_is_not_there_is_told_in_the_api_servers_words(
    restored: Any, component: str
) -> None:
    cluster = restored
    await configure(cluster, {f"{component}Config": {"priorityClassName": "nosuch"}})

    async def told() -> bool:
        found = await cluster.get("metallb", "metallb", NAMESPACE)
        conditions = {each["type"]: each for each in found["status"]["conditions"]}
        return "no PriorityClass with name nosuch was found" in conditions["Progressing"]["message"]

    await cluster.until(told, "the reason", 60.0)


async def test_an_image_that_can_not_be_pulled_is_named(restored: Any) -> None:
    """Where images come from is a setting of the operator: its Deployment is changed for a moment."""
    cluster = restored
    operator = "deployment/metallb-operator-controller-manager"
    before = await cluster.get("deployment", "metallb-operator-controller-manager", NAMESPACE)
    environment = before["spec"]["template"]["spec"]["containers"][0]["env"]
    image = next(each["value"] for each in environment if each["name"] == "CONTROLLER_IMAGE")

    async def use(name: str) -> None:
        await cluster.kubectl("set", "env", "-n", NAMESPACE, operator, f"CONTROLLER_IMAGE={name}")
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, operator, "--timeout=60s")

    async def told() -> bool:
        found = await cluster.get("metallb", "metallb", NAMESPACE)
        text = json.dumps(found["status"])
        return "image 'example.org/nowhere:1' can't be pulled" in text

    try:
        await use("example.org/nowhere:1")
        await cluster.until(told, "the image in the status", 60.0)
    finally:
        await use(image)
    await rolled_out(cluster)

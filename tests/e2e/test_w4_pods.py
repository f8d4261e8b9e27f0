"""How the pods run is set in the MetalLB resource: what can't be is told in its status (the rest: the walkthrough)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

NAMESPACE = "metallb-system"
FIELDS = ("logLevel", "controllerConfig", "speakerConfig")
pytestmark = pytest.mark.e2e


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

    await cluster.until(is_in_force, "the new settings in force")


@pytest.fixture
async def restored(cluster: Any) -> AsyncIterator[Any]:
    """The cluster, and an empty spec again afterwards, with the pods that follow from it."""
    yield cluster
    await configure(cluster, dict.fromkeys(FIELDS))
    await rolled_out(cluster)


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

    await cluster.until(told, "the reason")


async def test_an_image_that_can_not_be_pulled_is_named(restored: Any) -> None:
    """Where images come from is a setting of the operator: its Deployment is changed for a moment."""
    cluster = restored
    operator = "deployment/metallb-operator-controller-manager"
    before = await cluster.get("deployment", "metallb-operator-controller-manager", NAMESPACE)
    environment = before["spec"]["template"]["spec"]["containers"][0]["env"]
    image = next(each["value"] for each in environment if each["name"] == "CONTROLLER_IMAGE")

    async def use(name: str) -> None:
        await cluster.kubectl("set", "env", "-n", NAMESPACE, operator, f"CONTROLLER_IMAGE={name}")
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, operator, "--timeout=150s")

    async def told() -> bool:
        found = await cluster.get("metallb", "metallb", NAMESPACE)
        text = json.dumps(found["status"])
        return "image 'example.org/nowhere:1' can't be pulled" in text

    try:
        await use("example.org/nowhere:1")
        await cluster.until(told, "the image in the status")
    finally:
        await use(image)
    await rolled_out(cluster)

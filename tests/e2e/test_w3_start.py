"""Walkthrough W3: one MetalLB resource starts MetalLB (and what the operator does for it afterwards)."""

from __future__ import annotations

import json
from typing import Any

import pytest

NAMESPACE = "metallb-system"
pytestmark = pytest.mark.e2e


async def shows(cluster: Any, kind: str, header: str, *row: str) -> None:
    """Waits until kubectl's table has one row, which begins so: readiness may waver."""

    async def so() -> bool:
        lines = (await cluster.kubectl("get", kind, "-n", NAMESPACE)).splitlines()
        return len(lines) == 2 and lines[0].split() == header.split() and lines[1].split()[: len(row)] == list(row)

    await cluster.until(so, f"{kind}: {row}")


async def test_the_controller_runs_once(cluster: Any) -> None:
    await shows(cluster, "deployments/controller", "NAME READY UP-TO-DATE AVAILABLE AGE", "controller", "1/1", "1", "1")


async def test_a_speaker_runs_on_every_node(cluster: Any) -> None:
    nodes = str(len(cluster.lab.cluster.nodes))
    header = "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE"
    await shows(cluster, "daemonsets/speaker", header, "speaker", *[nodes] * 5, "kubernetes.io/os=linux")


async def test_the_resource_says_that_it_is_available(cluster: Any) -> None:
    await shows(cluster, "metallb", "NAME AVAILABLE DEGRADED PROGRESSING AGE", "metallb", "True", "False", "False")


async def test_the_operands_belong_to_the_resource(cluster: Any) -> None:
    resource = await cluster.get("metallb", "metallb", NAMESPACE)
    for kind, name in (("deployment", "controller"), ("daemonset", "speaker"), ("configmap", "metallb-excludel2")):
        owner = (await cluster.get(kind, name, NAMESPACE))["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("MetalLB", resource["metadata"]["uid"], True)


async def test_the_gossip_key_is_made_and_belongs_to_the_controller(cluster: Any) -> None:
    secret = await cluster.until(lambda: cluster.get("secret", "metallb-memberlist", NAMESPACE), "the Secret")
    assert list(secret["data"]) == ["secretkey"]
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "Deployment"


async def test_the_gossip_key_comes_back_when_it_is_deleted(cluster: Any) -> None:
    secret = await cluster.until(lambda: cluster.get("secret", "metallb-memberlist", NAMESPACE), "the Secret")
    before = secret["metadata"]["uid"]
    await cluster.kubectl("delete", "secret", "-n", NAMESPACE, "metallb-memberlist")

    async def is_back() -> bool:
        found = await cluster.items("secret", NAMESPACE)
        return any(s["metadata"]["name"] == "metallb-memberlist" and s["metadata"]["uid"] != before for s in found)

    await cluster.until(is_back, "the Secret")


async def test_a_foreign_edit_is_undone(cluster: Any) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "speaker", "image": "example.org/other:1"}]}}}}
    await cluster.kubectl("patch", "daemonset", "-n", NAMESPACE, "speaker", "-p", json.dumps(patch))

    async def is_ours_again() -> bool:
        found = await cluster.get("daemonset", "speaker", NAMESPACE)
        return bool(found["spec"]["template"]["spec"]["containers"][0]["image"].startswith("metallb-py/"))

    await cluster.until(is_ours_again, "the speaker's image")
    await cluster.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/speaker", "--timeout=150s")


async def test_a_deleted_operand_comes_back(cluster: Any) -> None:
    before = (await cluster.get("configmap", "metallb-excludel2", NAMESPACE))["metadata"]["uid"]
    await cluster.kubectl("delete", "configmap", "-n", NAMESPACE, "metallb-excludel2")

    async def is_back() -> bool:
        found = await cluster.items("configmap", NAMESPACE)
        return any(c["metadata"]["name"] == "metallb-excludel2" and c["metadata"]["uid"] != before for c in found)

    await cluster.until(is_back, "the ConfigMap")


@pytest.mark.parametrize("backend", ["frr", "frr-k8s"])
async def test_a_backend_that_is_not_here_yet_is_said_and_changes_nothing(cluster: Any, backend: str) -> None:
    before = await cluster.get("daemonset", "speaker", NAMESPACE)
    change = f'{{"spec":{{"bgpBackend":"{backend}"}}}}'
    await cluster.kubectl("patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", change)

    async def degraded() -> bool:
        found = await cluster.get("metallb", "metallb", NAMESPACE)
        conditions = {each["type"]: each for each in found["status"]["conditions"]}
        wanted = conditions["Degraded"]["status"] == "True"
        message = conditions["Degraded"]["message"] if wanted else ""
        return "is not in this version" in message

    await cluster.until(degraded, "Degraded, since it is not in this version")
    after = await cluster.get("daemonset", "speaker", NAMESPACE)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    await cluster.kubectl(
        "patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", '{"spec":{"bgpBackend":null}}'
    )
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")


async def test_another_name_is_refused_in_its_status(cluster: Any) -> None:
    await cluster.apply(
        {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": {"name": "other", "namespace": NAMESPACE}}
    )

    async def reason() -> str:
        found = await cluster.get("metallb", "other", NAMESPACE)
        conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", [])}
        return conditions["Degraded"]["reason"] if conditions else ""

    assert await cluster.until(reason, "a condition") == "IncorrectMetalLBResourceName"
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")
    await cluster.kubectl("delete", "metallb", "-n", NAMESPACE, "other")
    await shows(cluster, "metallb", "NAME AVAILABLE DEGRADED PROGRESSING AGE", "metallb", "True")


async def test_the_operator_may_grant_no_rights(cluster: Any) -> None:
    account = f"--as=system:serviceaccount:{NAMESPACE}:manager-account"
    for what in ("roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts"):
        done = await cluster.lab.kubectl("auth", "can-i", "create", what, "-n", NAMESPACE, account, check=False)
        assert done.stdout.strip() == "no", what

"""The MetalLB resource: what is refused, what is warned of, what goes with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

NAMESPACE = "metallb-system"
pytestmark = pytest.mark.e2e

METALLB = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "MetalLB",
    "metadata": {"name": "metallb", "namespace": NAMESPACE},
}
SETTINGS = "metallb-tls-config"
"""Belongs to the webhook server, which is there without a resource."""

SECONDS = {"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 30}


async def patch(cluster: Any, spec: dict[str, Any], *more: str) -> Any:
    change = json.dumps({"spec": spec})
    return await cluster.lab.kubectl(
        "patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", change, *more, check=False
    )


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"speakerTolerations": [SECONDS]},
            "spec.speakerTolerations[0].effect: 'NoSchedule' must be NoExecute when tolerationSeconds is set",
        ),
        ({"bgpBackend": "bird"}, "spec.bgpBackend: 'bird' must be one of native, frr, frr-k8s, frr-k8s-external"),
        (
            {"frrk8sConfig": {"alwaysBlock": ["10.0.0.0"]}},
            "spec.frrk8sConfig.alwaysBlock[0]: '10.0.0.0' must be a CIDR such as 192.0.2.0/24",
        ),
    ],
)
async def test_a_wrong_resource_is_refused_with_the_reason(cluster: Any, spec: dict[str, Any], text: str) -> None:
    done = await patch(cluster, spec)
    assert done.code == 1
    assert done.stderr.strip().splitlines()[-1] == (
        'Error from server (Forbidden): admission webhook "metallbvalidationwebhook.metallb.io" denied the request: '
        f"MetalLB {NAMESPACE}/metallb: {text}"
    )
    after = await cluster.get("metallb", "metallb", NAMESPACE)
    assert spec.keys().isdisjoint(after.get("spec", {}))


async def test_a_new_one_is_refused_too(cluster: Any) -> None:
    body = METALLB | {
        "metadata": {"name": "second", "namespace": NAMESPACE},
        "spec": {"controllerTolerations": [SECONDS]},
    }
    done = await cluster.lab.kubectl("create", "-f", "-", stdin=json.dumps(body), check=False)
    assert "must be NoExecute when tolerationSeconds is set" in done.stderr


async def test_what_has_no_effect_is_warned_of(cluster: Any) -> None:
    done = await patch(cluster, {"image": "x", "bgpBackend": "frr"}, "--dry-run=server")
    assert done.code == 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == 2
    assert "is not in this version" in warnings[0]
    assert "spec.image is deprecated" in warnings[1]


@pytest.fixture
async def remade(cluster: Any) -> AsyncIterator[str]:
    """The address of a Service that is served."""
    await cluster.apply(cluster.load_balancer("remade", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("remade"), "an address")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    yield address
    await cluster.kubectl("delete", "service", "remade")


AFFINITY = {
    "podAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "metallb"}}, "topologyKey": "kubernetes.io/hostname"}
        ]
    }
}


async def test_speakers_that_are_bound_to_a_neighbour_are_warned_of(cluster: Any) -> None:
    """What comes of it the walkthrough shows."""
    config = {"affinity": AFFINITY}
    done = await patch(cluster, {"controllerConfig": config, "speakerConfig": config}, "--dry-run=server")
    assert done.code == 0
    assert "no speaker runs on a node without such a pod" in done.stderr


async def test_with_the_resource_goes_all_that_it_stood_for_but_no_address(cluster: Any, remade: str) -> None:
    address = remade
    selector = ("-l", "app.kubernetes.io/managed-by=metallb-operator", "--field-selector=metadata.name!=" + SETTINGS)
    kinds = "daemonsets,deployments,configmaps,networkpolicies,pods,services"
    made = {each["metadata"]["uid"] for each in await cluster.items(kinds, NAMESPACE, *selector)}
    assert made
    await cluster.kubectl("delete", "metallb", "-n", NAMESPACE, "metallb", "--cascade=foreground")

    async def all_is_gone() -> bool:
        pods = await cluster.items("pods", NAMESPACE, "-l", "component in (speaker,controller)")
        return not pods and not await cluster.items(kinds, NAMESPACE, *selector)

    await cluster.until(all_is_gone, "the end of all objects")
    assert await cluster.addresses("remade") == [address]
    await cluster.apply(METALLB)
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")
    again = {each["metadata"]["uid"] for each in await cluster.items(kinds, NAMESPACE, *selector)}
    assert not made & again
    assert await cluster.addresses("remade") == [address]
    await cluster.until(lambda: cluster.fetch(address), "an answer")

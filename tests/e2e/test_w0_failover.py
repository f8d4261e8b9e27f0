"""Walkthrough W0, when it is too late: an IP failover beside a MetalLB that runs is told, and nothing stops."""

from __future__ import annotations

from typing import Any

import pytest

NAMESPACE = "metallb-system"
pytestmark = pytest.mark.e2e

LABELS = {"ipfailover": "hello-openshift"}
FAILOVER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "ipfailover-keepalived", "namespace": "default", "labels": LABELS},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {
                "containers": [
                    {
                        "name": "openshift-ipfailover",
                        "image": "quay.io/openshift/origin-keepalived-ipfailover:4.14",
                        "env": [{"name": "OPENSHIFT_HA_VIRTUAL_IPS", "value": "198.51.100.240"}],
                    }
                ]
            },
        },
    },
}


async def degraded(cluster: Any) -> dict[str, Any]:
    found = await cluster.get("metallb", "metallb", NAMESPACE)
    conditions = {each["type"]: each for each in found.get("status", {}).get("conditions", [])}
    condition: dict[str, Any] = conditions.get("Degraded", {})
    return condition if condition.get("status") == "True" else {}


async def test_a_running_metallb_goes_on_and_says_so(cluster: Any) -> None:
    before = await cluster.get("daemonset", "speaker", NAMESPACE)
    await cluster.apply(FAILOVER)
    try:
        condition = await cluster.until(lambda: degraded(cluster), "Degraded")
        assert condition["message"].endswith("what runs goes on")
        after = await cluster.get("daemonset", "speaker", NAMESPACE)
        assert after["metadata"]["generation"] == before["metadata"]["generation"]
    finally:
        await cluster.kubectl("delete", "deployment", "ipfailover-keepalived", "-n", "default")
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")

"""Walkthrough W3 in `openshift-operators`, the namespace of the console's default, which other operators share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelab.pytest_plugin import FreshLab

ROOT = Path(__file__).resolve().parents[2]
SPACE = "openshift-operators"
NEIGHBOUR = {"control-plane": "controller-manager"}
"""What kubebuilder labels every operator with."""

pytestmark = pytest.mark.e2e


def neighbour() -> dict[str, Any]:
    container = {"name": "web", "image": "kubelab/web:1", "ports": [{"name": "webhook-server", "containerPort": 9443}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "somebody-elses-operator", "namespace": SPACE},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": NEIGHBOUR | {"app": "other"}},
            "template": {"metadata": {"labels": NEIGHBOUR | {"app": "other"}}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def overlay(tmp_path: Path) -> str:
    """A folder for `kubectl apply -k`: the manifests in the other namespace."""
    body = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": SPACE,
        "resources": [os.path.relpath(ROOT / "manifests", tmp_path.resolve())],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(body))
    return str(tmp_path)


async def test_metallb_runs_beside_other_operators_and_touches_none_of_them(fresh_lab: FreshLab, overlay: str) -> None:
    lab = await fresh_lab()

    async def items(kind: str, *args: str) -> list[dict[str, Any]]:
        found = await lab.kubectl("get", kind, "-n", SPACE, "-o", "json", *args)
        result: list[dict[str, Any]] = json.loads(found.stdout)["items"]
        return result

    await lab.kubectl("apply", "-k", overlay)
    await lab.kubectl("apply", "-f", "-", stdin=json.dumps(neighbour()))
    for name in ("somebody-elses-operator", "metallb-operator-controller-manager", "metallb-operator-webhook-server"):
        await lab.kubectl("rollout", "status", "-n", SPACE, f"deployment/{name}", "--timeout=60s")
    metallb = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "MetalLB",
        "metadata": {"name": "metallb", "namespace": SPACE},
    }
    for _ in range(5):  # a neighbour among the endpoints would be asked every other time
        await lab.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(metallb))
    await lab.kubectl("apply", "-f", "-", stdin=json.dumps(metallb))
    await lab.kubectl("wait", "-n", SPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")

    table = (await lab.kubectl("get", "deployment", "-n", SPACE, "controller")).stdout
    assert table.splitlines()[1].split()[:4] == ["controller", "1/1", "1", "1"]
    table = (await lab.kubectl("get", "daemonset", "-n", SPACE, "speaker")).stdout
    nodes = str(len(lab.cluster.nodes))
    assert table.splitlines()[1].split()[:7] == ["speaker", *[nodes] * 5, "kubernetes.io/os=linux"]

    neighbours = {each["metadata"]["name"] for each in await items("pods", "-l", "app=other")}
    slices = await items("endpointslices", "-l", "kubernetes.io/service-name=metallb-operator-webhook-service")
    targets = {point["targetRef"]["name"] for each in slices for point in each.get("endpoints") or []}
    assert targets
    assert targets.isdisjoint(neighbours)
    for policy in await items("networkpolicies"):
        chosen = ",".join(f"{key}={value}" for key, value in policy["spec"]["podSelector"]["matchLabels"].items())
        assert {each["metadata"]["name"] for each in await items("pods", "-l", chosen)}.isdisjoint(neighbours)

    await lab.kubectl("delete", "metallb", "-n", SPACE, "metallb")
    await lab.kubectl("delete", "-k", overlay, "--wait=false")

"""Walkthrough W1: what the console does when the operator is installed with the defaults accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.walkthrough.steps import SECTIONS, Walk

from kubelab.lab import Lab

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("w1"),
    pytest.mark.timeout(900),
]

MARKET = "openshift-marketplace"
SPACE = "openshift-operators"
Object = dict[str, Any]
BUSY = ("can't be reached", "can't be followed", "could not be released")
"""Warnings about an API server that is slow to answer."""


async def test_the_catalog_entry_is_found_by_keyword_and_infrastructure_feature(administrator: Any) -> None:
    """The console lists PackageManifests: what it searches and filters is in them."""

    async def offered() -> list[Object]:
        found = await administrator.kubectl("get", "packagemanifests", "-n", MARKET, "-o", "json")
        items: list[Object] = json.loads(found)["items"]
        return items

    (package,) = await administrator.until(offered)
    assert package["metadata"]["name"] == "metallb-operator"
    (channel,) = package["status"]["channels"]
    assert (channel["name"], package["status"]["defaultChannel"]) == ("stable", "stable")
    entry = channel["currentCSVDesc"]
    assert "metallb" in entry["keywords"]
    assert entry["annotations"]["features.operators.openshift.io/disconnected"] == "true"
    assert json.loads(entry["annotations"]["operators.openshift.io/infrastructure-features"]) == ["disconnected"]
    assert {"type": "AllNamespaces", "supported": True} in entry["installModes"]
    assert f"metallb-py/operator:{administrator.version}" in entry["relatedImages"]


async def test_it_is_installed_for_all_namespaces_and_shows_no_errors(
    administrator: Any, recordings: Callable[[str], list[Object]]
) -> None:
    for line in recordings("w1-all-namespaces")[:5]:
        await administrator.sees(line["stdout"], *line["argv"][1:], stdin=line.get("stdin"))
    pods = json.loads(await administrator.kubectl("get", "pods", "-n", SPACE, "-o", "json"))["items"]
    assert [each["metadata"]["name"].rsplit("-", 2)[0] for each in pods] == [
        "metallb-operator-controller-manager",
        "metallb-operator-webhook-server",
    ]
    for pod in pods:
        assert all(each["ready"] and not each["restartCount"] for each in pod["status"]["containerStatuses"])
        log = await administrator.kubectl("logs", "-n", SPACE, pod["metadata"]["name"])
        assert '"level":"info"' in log
        assert '"level":"error"' not in log
        warned = [line for line in log.splitlines() if '"level":"warn"' in line]
        assert [line for line in warned if not any(words in line for words in BUSY)] == []


@pytest.mark.parametrize("section", SECTIONS)
async def test_w0_to_w5_as_written_in_the_operators_own_namespace(
    administrator: Any, wrapped: Callable[[Lab], Any], section: str
) -> None:
    await Walk(administrator, wrapped(administrator.lab), SPACE).do(section)


async def test_pools_are_checked_and_peers_converted_there_too(administrator: Any) -> None:
    """Webhooks and conversion are OLM's to set up, for the namespace that it installs in."""
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "wrong", "namespace": SPACE},
        "spec": {"addresses": ["198.51.100.9-198.51.100.1"]},
    }
    refused = await administrator.lab.kubectl("apply", "-f", "-", stdin=json.dumps(pool), check=False)
    assert 'admission webhook "ipaddresspoolvalidationwebhook.metallb.io" denied the request' in refused.stderr
    peer = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "BGPPeer",
        "metadata": {"name": "tor", "namespace": SPACE},
        "spec": {"myASN": 64500, "peerASN": 64501, "peerAddress": "198.51.100.1"},
    }
    await administrator.apply(peer)
    for kind in ("bgppeers.v1beta1.metallb.io", "bgppeers.v1beta2.metallb.io"):
        found = json.loads(await administrator.kubectl("get", kind, "-n", SPACE, "tor", "-o", "json"))
        assert found["spec"]["peerASN"] == 64501


NEIGHBOUR = {"control-plane": "controller-manager", "app": "other"}
"""What kubebuilder labels every operator with, and something of its own."""


def neighbour() -> Object:
    container = {"name": "web", "image": "kubelab/web:1", "ports": [{"name": "webhook-server", "containerPort": 9443}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "somebody-elses-operator", "namespace": SPACE},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": NEIGHBOUR},
            "template": {"metadata": {"labels": NEIGHBOUR}, "spec": {"containers": [container]}},
        },
    }


async def test_other_operators_in_the_namespace_are_left_alone(
    administrator: Any, wrapped: Callable[[Lab], Any]
) -> None:
    cluster = wrapped(administrator.lab)
    await cluster.apply(neighbour())
    await cluster.kubectl("rollout", "status", "-n", SPACE, "deployment/somebody-elses-operator", "--timeout=150s")
    metallb = await cluster.get("metallb", "metallb", SPACE)
    for _ in range(5):  # a neighbour among the endpoints would be asked every other time
        await cluster.kubectl("replace", "--dry-run=server", "-f", "-", stdin=json.dumps(metallb))
    neighbours = {each["metadata"]["name"] for each in await cluster.items("pods", SPACE, "-l", "app=other")}
    targets = {
        point["targetRef"]["name"]
        for each in await cluster.items("endpointslices", SPACE)
        for point in each.get("endpoints") or []
    }
    assert targets
    assert targets.isdisjoint(neighbours)
    for policy in await cluster.items("networkpolicies", SPACE):
        chosen = ",".join(f"{key}={value}" for key, value in policy["spec"]["podSelector"]["matchLabels"].items())
        found = {each["metadata"]["name"] for each in await cluster.items("pods", SPACE, "-l", chosen)}
        assert found.isdisjoint(neighbours), policy["metadata"]["name"]

"""Walkthrough W1: what the console does when the operator is installed with the defaults accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("w1")]

MARKET = "openshift-marketplace"
SPACE = "openshift-operators"
Object = dict[str, Any]


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
        assert '"level":"warn"' not in log


async def test_metallb_runs_in_the_operators_own_namespace(administrator: Any) -> None:
    await administrator.apply(
        {"apiVersion": "metallb.io/v1beta1", "kind": "MetalLB", "metadata": {"name": "metallb", "namespace": SPACE}}
    )
    await administrator.kubectl("wait", "-n", SPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
    line = await administrator.kubectl("get", "daemonset", "-n", SPACE, "speaker", "--no-headers")
    assert line.split()[:7] == ["speaker", "2", "2", "2", "2", "2", "kubernetes.io/os=linux"]


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

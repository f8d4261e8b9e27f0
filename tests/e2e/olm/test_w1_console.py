"""Walkthrough W1: what the console does when the operator is installed with the defaults accepted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("w1")]

CATALOG = Path(__file__).resolve().parents[3] / "packaging" / "catalog" / "metallb-operator" / "catalog.yaml"
SPACE = "openshift-operators"
Object = dict[str, Any]


def shown() -> Object:
    """What the console has of the newest version before it is installed."""
    bundles = [each for each in yaml.safe_load_all(CATALOG.read_text()) if each["schema"] == "olm.bundle"]
    found: Object = next(each["value"] for each in bundles[-1]["properties"] if each["type"] == "olm.csv.metadata")
    return found


async def test_the_catalog_entry_is_found_by_keyword_and_infrastructure_feature() -> None:
    entry = shown()
    assert "metallb" in entry["keywords"]
    assert entry["annotations"]["features.operators.openshift.io/disconnected"] == "true"
    assert {"type": "AllNamespaces", "supported": True} in entry["installModes"]


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

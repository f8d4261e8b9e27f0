"""People edit Services, pools and statuses while the controller is dead: what is valid is served, nothing is given twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

NAMESPACE = "metallb-system"
POOL_OF = "metallb.io/address-pool"
IPS = "metallb.io/loadBalancerIPs"
SHARED = {"metallb.io/allow-shared-ip": "key"}
pytestmark = pytest.mark.e2e


def pool(name: str, *addresses: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"edited": "yes"}},
        "spec": {"addresses": list(addresses), "autoAssign": False, **spec},
    }


def asking(cluster: Any, name: str, annotations: dict[str, str], **spec: Any) -> dict[str, Any]:
    service: dict[str, Any] = cluster.load_balancer(name, "web", **spec)
    service["metadata"] |= {"labels": {"edited": "yes"}, "annotations": annotations}
    return service


EDITS: dict[str, dict[str, Any]] = {
    "type": {"spec": {"type": "ClusterIP"}},
    "policy": {"spec": {"ipFamilyPolicy": "RequireDualStack"}},
    "ports": {"spec": {"ports": [{"name": "other", "port": 8443, "protocol": "UDP"}]}},
    "selector": {"spec": {"selector": {"app": "none"}}},
    "traffic": {"spec": {"externalTrafficPolicy": "Local"}},
    "inside": {"spec": {"internalTrafficPolicy": "Local"}},
    "affinity": {"spec": {"sessionAffinity": "ClientIP"}},
    "nodeports": {"spec": {"allocateLoadBalancerNodePorts": False}},
    "notready": {"spec": {"publishNotReadyAddresses": True}},
    "ranges": {"spec": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}},
    "external": {"spec": {"externalIPs": ["192.0.2.1"]}},
    "requested": {"spec": {"loadBalancerIP": "198.19.11.200"}},
    "nonsense": {"metadata": {"annotations": {IPS: "x" * 100_000}}},
    "moved": {"metadata": {"annotations": {POOL_OF: "edited2"}}},
    "nowhere": {"metadata": {"annotations": {POOL_OF: "none"}}},
    "labels": {"metadata": {"labels": {f"example.org/{number:03}": "v" * 63 for number in range(300)}}},
    "shares": {"metadata": {"annotations": SHARED}},
    "untold": {"metadata": {"annotations": {"metallb.io/ip-allocated-from-pool": "no-such-pool"}}},
    "quiet": {"metadata": {"annotations": {"example.org/any": "y" * 150_000}}},
}
LOST = {"type", "nowhere"}
"""Those that have no address afterwards."""

STATUSES: dict[str, dict[str, Any]] = {
    "three": {"loadBalancer": {"ingress": [{"ip": f"198.19.11.{last}"} for last in (7, 8, 9)]}},
    "foreign": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}},
    "named": {"loadBalancer": {"ingress": [{"hostname": "a.example.org"}]}},
    "wiped": {"loadBalancer": {}},
    "another": {"loadBalancer": {"ingress": [{"ip": "198.19.11.0"}]}},
    "judged": {
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": "Edited",
                "message": "by hand",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for kind in ("metallb.io/AddressAssigned", "example.org/Mine")
        ]
    },
}


@pytest.fixture(autouse=True)
async def leave_it_as_it_was(cluster: Any) -> AsyncIterator[None]:
    yield
    await cluster.kubectl("scale", "-n", NAMESPACE, "deployment/controller", "--replicas=1")
    await cluster.kubectl("delete", "service", "-l", "edited=yes")
    await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "-l", "edited=yes")


async def services(cluster: Any) -> dict[str, dict[str, Any]]:
    found = await cluster.items("services", "default", "-l", "edited=yes")
    return {each["metadata"]["name"]: each for each in found}


def ips_of(service: dict[str, Any]) -> list[str]:
    return [each.get("ip", each.get("hostname", "")) for each in service["status"]["loadBalancer"].get("ingress", [])]


async def patch(cluster: Any, name: str, body: dict[str, Any], *subresource: str) -> None:
    await cluster.kubectl(
        "patch", "service", name, *subresource, "--type=merge", "--patch-file=/dev/stdin", stdin=json.dumps(body)
    )


async def kill(cluster: Any) -> None:
    for each in await cluster.items("pods", NAMESPACE, "-l", "component=controller"):
        await cluster.kill_pod(each["metadata"]["name"])


def all_is_as_it_should_be(before: dict[str, list[str]], after: dict[str, dict[str, Any]]) -> bool:
    """Only what the edits ask for has moved, or is lost."""
    shown = {name: ips_of(each) for name, each in after.items()}
    every = [ip for ips in shown.values() for ip in ips]
    moved = {name.removeprefix("e-") for name, ips in before.items() if not set(ips) <= set(shown[name])}
    notes = {name: each["metadata"].get("annotations", {}) for name, each in after.items()}
    pools = {name: each.get("metallb.io/ip-allocated-from-pool") for name, each in notes.items()}
    elsewhere = {name: found for name, found in pools.items() if found != "edited"}
    return (
        {name for name, ips in shown.items() if not ips} == {f"e-{name}" for name in LOST}
        and len(every) == len(set(every))
        and all(ip.startswith(("198.19.1", "2001:db8:400:11:")) for ip in every)
        and moved - set(STATUSES) == {*LOST, "requested", "moved"}
        and shown["e-requested"] == ["198.19.11.200"]
        and len(shown["e-policy"]) == 2
        and elsewhere == {"e-type": None, "e-nowhere": None, "e-moved": "edited2"}
        and conditions_of(after) == CONDITIONS
    )


def conditions_of(found: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    every = {name: [said["type"] for said in each["status"].get("conditions", [])] for name, each in found.items()}
    return {name: types for name, types in every.items() if types}


CONDITIONS = {"e-nowhere": ["metallb.io/AddressAssigned"], "e-judged": ["example.org/Mine"]}


async def test_whatever_is_edited_while_the_controller_dies_again_and_again(cluster: Any) -> None:
    await cluster.apply(pool("edited", "198.19.11.0/24", "2001:db8:400:11::/112"), pool("edited2", "198.19.12.0/24"))
    for names in (EDITS, STATUSES):
        await cluster.apply(*(asking(cluster, f"e-{name}", {POOL_OF: "edited"}) for name in names))

    async def served() -> dict[str, list[str]] | None:
        found = {name: ips_of(each) for name, each in (await services(cluster)).items()}
        return found if all(found.values()) else None

    before = await cluster.until(served, "an address of each")
    for number, (name, body) in enumerate(EDITS.items()):
        if number % 5 == 0:
            await kill(cluster)
        await patch(cluster, f"e-{name}", body)
    await kill(cluster)
    for name, status in STATUSES.items():
        await patch(cluster, f"e-{name}", {"status": status}, "--subresource=status")

    async def settled() -> dict[str, dict[str, Any]] | None:
        found = await services(cluster)
        return found if all_is_as_it_should_be(before, found) else None

    after = await cluster.until(settled, "each that can have one has an address of its own, as it was edited")
    await kill(cluster)
    await cluster.apply(asking(cluster, "e-last", {POOL_OF: "edited"}))
    await cluster.until(lambda: cluster.addresses("e-last"), "an address, by another controller")
    versions = {name: each["metadata"]["resourceVersion"] for name, each in (await services(cluster)).items()}
    assert {name: versions[name] for name in after} == {
        name: each["metadata"]["resourceVersion"] for name, each in after.items()
    }, "it writes nothing about those that are as they should be"

"""How much of a pool is in use, as kubectl shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubelab.apiclient import ApiClient, Resource

NAMESPACE = "metallb-system"
POOLS = Resource("metallb.io", "v1beta1", "ipaddresspools", namespaced=True)
pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
async def leave_it_as_it_was(cluster: Any) -> AsyncIterator[None]:
    yield
    await cluster.kubectl("delete", "service", "-l", "counted=yes")
    await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "counted", "--ignore-not-found")


def counted(cluster: Any, name: str, port: int = 80, **annotations: str) -> dict[str, Any]:
    service: dict[str, Any] = cluster.load_balancer(name, "web", ipFamilyPolicy="RequireDualStack")
    service["spec"]["ports"][0]["port"] = port
    service["metadata"]["labels"] = {"counted": "yes"}
    service["metadata"]["annotations"] = {"metallb.io/address-pool": "counted", **annotations}
    return service


async def test_a_pools_status_follows_what_is_given_and_taken(cluster: Any) -> None:
    await cluster.apply(
        {
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": {"name": "counted", "namespace": NAMESPACE},
            "spec": {"addresses": ["198.19.9.0/30", "2001:db8:400:9::/64"], "autoAssign": False},
        }
    )

    async def shows(assigned4: int, assigned6: int, available4: int, available6: int) -> bool:
        found = await cluster.get("ipaddresspool", "counted", NAMESPACE)
        return bool(
            found.get("status")
            == {
                "assignedIPv4": assigned4,
                "assignedIPv6": assigned6,
                "availableIPv4": available4,
                "availableIPv6": available6,
            }
        )

    most = 2**63 - 1
    await cluster.until(lambda: shows(0, 0, 4, most), "an empty pool")
    shared = {"metallb.io/allow-shared-ip": "counted"}
    await cluster.apply(
        counted(cluster, "counted1"),
        counted(cluster, "counted2", 80, **shared),
        counted(cluster, "counted3", 81, **shared),
    )
    await cluster.until(lambda: shows(2, 2, 2, most - 2), "two addresses of each family, one of them shared")
    async with ApiClient.from_kubeconfig(cluster.lab.kubeconfig) as client, asyncio.timeout(150):
        version = await client.version(POOLS, NAMESPACE)
        seen = client.watch(POOLS, NAMESPACE, resource_version=version, field_selector="metadata.name=counted")
        await cluster.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "component=controller")
        await cluster.apply(counted(cluster, "counted4"))  # a new controller's first work
        shown = [await anext(seen)]
        while shown[-1].kind == "BOOKMARK" or shown[-1].object["status"]["assignedIPv4"] != 3:
            shown.append(await anext(seen))
    counts = {each.object["status"]["assignedIPv4"] for each in shown if each.kind != "BOOKMARK"}
    assert counts <= {2, 3}, "a new controller shows no zeros"
    await cluster.kubectl("delete", "service", "counted4")
    await cluster.kubectl("delete", "service", "counted1")
    await cluster.until(lambda: shows(1, 1, 3, most - 1), "one address of each family")

"""A Service that comes back gets its address back, and one that waits says why in its status: as kubectl shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubelab import changes
from kubelab.apiclient import ApiClient, Resource

NAMESPACE = "metallb-system"
POOL_OF = "metallb.io/address-pool"
POOLS = Resource("metallb.io", "v1beta1", "ipaddresspools", namespaced=True)
CONTROLLER = ("-n", NAMESPACE, "-l", "component=controller")
pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
async def leave_it_as_it_was(cluster: Any) -> AsyncIterator[None]:
    yield
    await cluster.kubectl("delete", "service", "-l", "sticky=yes")
    await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "sticky", "--ignore-not-found")


def pool(seconds: int, *addresses: str) -> dict[str, Any]:
    annotations = {"metallb.io/sticky-seconds": str(seconds)} if seconds else {}
    return {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "sticky", "namespace": NAMESPACE, "annotations": annotations},
        "spec": {"addresses": list(addresses), "autoAssign": False},
    }


def asking(cluster: Any, name: str) -> dict[str, Any]:
    service: dict[str, Any] = cluster.load_balancer(name, "web", ipFamilyPolicy="PreferDualStack")
    service["metadata"] |= {"labels": {"sticky": "yes"}, "annotations": {POOL_OF: "sticky"}}
    return service


async def create(cluster: Any, name: str) -> list[str]:
    await cluster.apply(asking(cluster, name))
    found: list[str] = await cluster.until(lambda: cluster.addresses(name), f"an address of {name}")
    return found


async def remembered(cluster: Any) -> dict[str, list[str]]:
    status = (await cluster.get("ipaddresspool", "sticky", NAMESPACE)).get("status", {})
    return {each["service"]: each["addresses"] for each in status.get("reservations", [])}


async def another_controller(cluster: Any) -> None:
    await cluster.kubectl("delete", "pod", *CONTROLLER)
    await cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/controller", "--timeout=150s")


async def conditions(cluster: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await cluster.get("service", name))["status"].get("conditions", [])
    return found


async def test_a_service_that_comes_back_gets_its_addresses_again(cluster: Any) -> None:
    await cluster.apply(pool(600, "198.19.10.0/28", "2001:db8:400:10::/124"))
    addresses = await create(cluster, "back")
    for restart in (False, True):
        await cluster.kubectl("delete", "service", "back")
        await cluster.until(lambda: remembered(cluster), "the pool says so")
        assert await remembered(cluster) == {"default/back": addresses}
        if restart:
            await another_controller(cluster)
        others = await create(cluster, f"other{restart}".lower())
        assert not set(others) & set(addresses)
        assert await remembered(cluster) == {"default/back": addresses}
        assert await create(cluster, "back") == addresses

        async def forgotten() -> bool:
            return not await remembered(cluster)

        await cluster.until(forgotten, "nothing is remembered for who is back")


async def test_what_is_remembered_is_forgotten_in_time(cluster: Any) -> None:
    """A watch from before the deletion sees both, however late we look."""
    await cluster.apply(pool(3, "198.19.10.0/28"))
    await create(cluster, "late")
    async with ApiClient.from_kubeconfig(cluster.lab.kubeconfig) as client, asyncio.timeout(90):
        version = await client.version(POOLS, NAMESPACE)
        only = "metadata.name=sticky"
        seen = client.watch(POOLS, NAMESPACE, resource_version=version, field_selector=only)
        await cluster.kubectl("delete", "service", "late")
        await changes.first(seen, lambda event: bool(event.object["status"].get("reservations")))
        await changes.first(seen, lambda event: not event.object["status"].get("reservations"))


async def test_a_service_that_waits_says_why_until_it_has_an_address(cluster: Any) -> None:
    await cluster.apply(pool(0, "198.19.10.0/32"))
    await create(cluster, "first-come")
    await cluster.apply(asking(cluster, "waits"))
    (said,) = await cluster.until(lambda: conditions(cluster, "waits"), "a condition")
    assert (said["type"], said["status"], said["reason"]) == (
        "metallb.io/AddressAssigned",
        "False",
        "AllocationFailed",
    )
    assert "sticky" in said["message"]
    before = await cluster.get("service", "waits")
    await another_controller(cluster)
    await create_and_delete(cluster)
    assert await cluster.get("service", "waits") == before, "nothing that says the same is written"
    await cluster.kubectl("delete", "service", "first-come")
    assert await cluster.until(lambda: cluster.addresses("waits"), "the address") == ["198.19.10.0"]

    async def says_nothing() -> bool:
        return await conditions(cluster, "waits") == []

    await cluster.until(says_nothing, "the end of the condition")


async def create_and_delete(cluster: Any) -> None:
    """The controller works: what it would have done about others, it has done."""
    await cluster.apply(cluster.load_balancer("works", "web"))
    await cluster.until(lambda: cluster.addresses("works"), "an address")
    await cluster.kubectl("delete", "service", "works")

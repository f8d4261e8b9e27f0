"""A client behind a router, as most clients of a cluster are: the router is the one that asks who has an address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


@pytest.fixture
async def routed(cluster: Any) -> AsyncIterator[Any]:
    """The cluster; Services go with the test."""
    yield cluster
    await cluster.remove_services()


async def fetch(cluster: Any, address: str) -> Any:
    host = f"[{address}]" if ":" in address else address
    done = await cluster.lab.run("remote", ["curl", "-sf", "--max-time", "2", f"http://{host}/"], check=False)
    return json.loads(done.stdout) if done.code == 0 else None


async def neighbour(cluster: Any, address: str) -> str:
    """The Ethernet address that the router has for an address."""
    family = "-6" if ":" in address else "-4"
    shown = (await cluster.lab.run("router/edge", ["ip", family, "-json", "neigh", "show", address])).stdout
    return next((entry.get("lladdr", "") for entry in json.loads(shown or "[]")), "")


async def test_a_client_behind_a_router_is_served_and_the_router_follows_a_fail_over(routed: Any) -> None:
    await routed.apply(routed.load_balancer("both", "web", ipFamilyPolicy="RequireDualStack"))
    addresses = await routed.until(lambda: routed.addresses("both"), "addresses")
    assert len(addresses) == 2
    for address in addresses:
        assert await routed.until(lambda address=address: fetch(routed, address), f"a page from {address}")

    async def settled() -> dict[str, str]:
        found = {address: await neighbour(routed, address) for address in addresses}
        return found if len(set(found.values())) == 1 and "" not in found.values() else {}

    before = await routed.until(settled, "one node for both, as the router sees it")

    async def moved(address: str) -> bool:
        page = await fetch(routed, address)
        return bool(page) and await neighbour(routed, address) not in {before[address], ""}

    owner = (await routed.macs())[before[addresses[0]]]
    routed.lab.cut(owner)
    try:
        for address in addresses:
            # The router asks nobody anew by itself for as long as its entry is fresh: it was told.
            await routed.until(lambda address=address: moved(address), f"a page from {address} by another node")
    finally:
        routed.lab.restore(owner)


async def test_clients_address_is_kept_through_the_router_with_local_traffic(routed: Any) -> None:
    await routed.apply(routed.load_balancer("local", "web", externalTrafficPolicy="Local"))
    (address,) = await routed.until(lambda: routed.addresses("local"), "an address")
    page = await routed.until(lambda: fetch(routed, address), "a page")
    assert page["client"] == "203.0.113.201"

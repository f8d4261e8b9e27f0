"""A pool asks for its addresses to be spread: each node has its share, a death moves little, and all agree."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metallb.advertisement.election import elect
from metallb.advertisement.spread import Claim, Spread, share
from metallb.api.net import Address, NodeName

NAMESPACE = "metallb-system"
COUNT = 14
GONE = "worker-2"
pytestmark = pytest.mark.e2e


def planned(addresses: list[str], nodes: list[str]) -> dict[str, str]:
    """What every node should come to."""
    everybody = frozenset(map(NodeName, nodes))
    plan = Spread().plan(Claim(Address.parse(address), everybody) for address in addresses)
    return {str(claim.address): str(node) for claim, node in plan.items()}


class Owners:
    """Who has which address, as a client sees it."""

    def __init__(self, cluster: Any, macs: dict[str, str]) -> None:
        self.cluster = cluster
        self._nodes = macs

    @classmethod
    async def of(cls, cluster: Any) -> Owners:
        macs = {}
        for node in cluster.lab.cluster.nodes:
            found = await cluster.lab.run(f"node/{node.name}", ["cat", "/sys/class/net/eth0/address"])
            macs[found.stdout.strip()] = str(node.name)
        return cls(cluster, macs)

    async def now(self, addresses: list[str]) -> dict[str, str]:
        """The client forgets what it knew and asks for all of them."""
        lab = self.cluster.lab
        await lab.run("client", ["ip", "-4", "neigh", "flush", "all"], check=False)
        await asyncio.gather(*(self.cluster.fetch(address) for address in addresses))
        entries = json.loads((await lab.run("client", ["ip", "-4", "-json", "neigh"])).stdout)
        known = {each["dst"]: self._nodes.get(each.get("lladdr", ""), "") for each in entries}
        return {address: known.get(address, "") for address in addresses}


@pytest.fixture
async def addresses(cluster: Any) -> AsyncIterator[list[str]]:
    """Of Services that are served; they and the annotation go in the end."""
    names = [f"even{number}" for number in range(COUNT)]
    spec = {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    await cluster.apply(*(cluster.load_balancer(name, "web", **spec) for name in names))

    async def given() -> list[str]:
        services = await cluster.items("services")
        found = [each["status"].get("loadBalancer", {}).get("ingress", []) for each in services]
        return [entry["ip"] for entries in found for entry in entries]

    async def all_given() -> list[str]:
        found = await given()
        return found if len(found) == COUNT else []

    yield await cluster.until(all_given, "addresses")
    cluster.lab.restore(GONE)
    await cluster.kubectl("annotate", "ipaddresspool", "-n", NAMESPACE, "first", "metallb.io/spread-")
    await cluster.kubectl("delete", "service", *names)
    await cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=150s")


async def test_addresses_are_level_and_a_death_moves_little_more_than_what_the_node_had(
    cluster: Any, addresses: list[str]
) -> None:
    nodes = [str(node.name) for node in cluster.lab.cluster.nodes]
    owners = await Owners.of(cluster)
    elected = {each: str(elect(map(NodeName, nodes), Address.parse(each), {})) for each in addresses}
    before, after = planned(addresses, nodes), planned(addresses, [node for node in nodes if node != GONE])

    async def becomes(wanted: dict[str, str]) -> bool:
        return await owners.now(addresses) == wanted

    await cluster.until(lambda: becomes(elected), "upstream's election")
    await cluster.kubectl("annotate", "ipaddresspool", "-n", NAMESPACE, "first", "metallb.io/spread=true")
    await cluster.until(lambda: becomes(before), "the plan")
    counts = Counter(before.values())
    assert set(counts) == set(nodes)
    assert max(counts.values()) <= share(COUNT, len(nodes)) == 4

    cluster.lab.cut(GONE)
    await cluster.until(lambda: becomes(after), "the plan without the node")
    moved = {each for each in addresses if before[each] != after[each]}
    assert {each for each in addresses if before[each] == GONE} <= moved
    assert len(moved) <= counts[GONE] + 3
    assert max(Counter(after.values()).values()) <= share(COUNT, len(nodes) - 1) == 5

    cluster.lab.restore(GONE)
    await cluster.until(lambda: becomes(before), "the plan as it was")


async def test_a_value_that_means_nothing_is_refused_with_the_rule(cluster: Any) -> None:
    argv = ["annotate", "ipaddresspool", "-n", NAMESPACE, "first", "metallb.io/spread=evenly"]
    refused = await cluster.lab.kubectl(*argv, check=False)
    assert refused.code != 0
    assert "metadata.annotations[metallb.io/spread]: 'evenly' must be 'true' or 'false'" in refused.stderr

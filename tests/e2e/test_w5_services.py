"""Walkthrough W5: a Service of type LoadBalancer is reached from outside, over IPv4 and IPv6."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from kubelab import overview

NAMESPACE = "metallb-system"
pytestmark = pytest.mark.e2e


@pytest.fixture
async def service(cluster: Any) -> AsyncIterator[Any]:
    """Creates Services that go with the test."""
    made: list[str] = []

    async def create(name: str, app: str = "web", **spec: Any) -> list[str]:
        made.append(name)
        await cluster.apply(cluster.load_balancer(name, app, **spec))
        found: list[str] = await cluster.until(lambda: cluster.addresses(name), f"an address of {name}")
        return found

    yield create
    if made:
        await cluster.kubectl("delete", "service", "--ignore-not-found", *made)


async def test_ipv4_is_served_and_said(cluster: Any, service: Any) -> None:
    (address,) = await service("four")
    answer = await cluster.until(lambda: cluster.fetch(address), "an answer")
    assert answer["pod"].startswith("web-")
    assert await cluster.until(lambda: cluster.events("four", "IPAllocated"), "an event") == [
        f'Assigned IP ["{address}"]'
    ]

    async def the_announcer_says_so() -> bool:
        node = await cluster.announcer(address)
        said = f'announcing from node "{node}" with protocol "layer2"'
        return said in await cluster.events("four", "nodeAssigned")

    await cluster.until(the_announcer_says_so, "an event of the node that announces")

    async def is_annotated() -> bool:
        found = await cluster.get("service", "four")
        assert "finalizers" not in found["metadata"]
        return bool(found["metadata"].get("annotations", {}).get("metallb.io/ip-allocated-from-pool") == "first")

    await cluster.until(is_annotated, "the pool's name")


async def test_ipv6_is_served(cluster: Any, service: Any) -> None:
    (address,) = await service("six", ipFamilies=["IPv6"], ipFamilyPolicy="SingleStack")
    assert ":" in address
    assert await cluster.until(lambda: cluster.fetch(address), "an answer")


async def test_both_families_are_served_from_one_node(cluster: Any, service: Any) -> None:
    addresses = await service("both", ipFamilyPolicy="RequireDualStack")
    assert [":" in address for address in addresses] == [False, True]
    for address in addresses:
        assert await cluster.until(lambda address=address: cluster.fetch(address), f"an answer of {address}")

    async def is_one() -> bool:
        seen = next(each for each in (await overview.look(cluster.lab))["services"] if each["name"] == "both")
        (owner, *others) = {await cluster.announcer(address) for address in addresses}
        expected = [{"address": address, "answeredBy": [owner]} for address in addresses]
        return not others and seen["addresses"] == expected

    await cluster.until(is_one, "one node for both, which the lab's overview knows, too")


async def test_exactly_one_node_answers_for_an_address(cluster: Any, service: Any) -> None:
    (address,) = await service("one")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    await cluster.lab.run("client", ["ip", "neigh", "flush", "all"], check=False)
    argv = [sys.executable, "-m", "kubelab.arping", "--count", "20", "eth0", "198.51.100.200", address]

    async def alone() -> bool:
        result = json.loads((await cluster.lab.run("client", argv)).stdout)
        return result["answered"] == 20 and len(result["by"]) == 1

    await cluster.until(alone, "twenty answers of one node, also while speakers of an earlier test still start")


async def test_requests_are_spread_over_the_pods(cluster: Any, service: Any) -> None:
    (address,) = await service("spread")
    await cluster.until(lambda: cluster.fetch(address), "an answer")

    async def by_two() -> bool:
        pods = {(await cluster.fetch(address) or {}).get("pod") for _ in range(30)}
        return len(pods - {None}) == 2

    await cluster.until(by_two, "answers of both pods, while both are ready")


async def test_local_traffic_keeps_the_clients_address_and_goes_to_a_node_with_a_pod(
    cluster: Any, service: Any
) -> None:
    (address,) = await service("local", externalTrafficPolicy="Local")
    await cluster.until(lambda: cluster.fetch(address), "an answer")

    async def by_the_announcer() -> bool:
        """The election may move to the other pod's node between two questions: then it is another try."""
        before = await cluster.announcer(address)
        answers = [await cluster.fetch(address) or {} for _ in range(10)]
        clients = {each["client"].removeprefix("::ffff:") for each in answers if each}
        assert clients <= {"198.51.100.200"}
        return {each.get("node") for each in answers} == {before} == {await cluster.announcer(address)}

    await cluster.until(by_the_announcer, "ten answers in a row of the pod on the node that announces")


async def test_local_traffic_moves_with_its_pod(cluster: Any, service: Any) -> None:
    await cluster.apply(cluster.web("moving", replicas=1))
    await cluster.kubectl("rollout", "status", "deployment/moving", "--timeout=150s")
    (address,) = await service("moving", "moving", externalTrafficPolicy="Local")
    first = (await cluster.until(lambda: cluster.fetch(address), "an answer"))["node"]
    await cluster.kubectl("cordon", first)
    try:
        await cluster.kubectl("delete", "pod", "-l", "app=moving", "--wait=false")

        async def elsewhere() -> str:
            answer = await cluster.fetch(address)
            return answer["node"] if answer and answer["node"] != first else ""

        assert await cluster.until(elsewhere, "an answer from another node")
    finally:
        await cluster.kubectl("uncordon", first)
        await cluster.kubectl("delete", "deployment", "moving")


async def test_local_traffic_without_any_pod_is_said(cluster: Any, service: Any) -> None:
    await cluster.apply(cluster.web("none", replicas=0))
    await service("none", "none", externalTrafficPolicy="Local")
    try:

        async def said() -> bool:
            messages = await cluster.events("none", "announceFailed")
            return any("no endpoint" in message or "ready endpoint" in message for message in messages)

        await cluster.until(said, "an event that says so")
    finally:
        await cluster.kubectl("delete", "deployment", "none")


async def test_a_service_without_an_address_left_says_why_and_gets_one_when_it_is_free(
    cluster: Any, service: Any
) -> None:
    small = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "small", "namespace": NAMESPACE},
        "spec": {"addresses": ["198.51.100.150/32"], "autoAssign": False},
    }
    await cluster.apply(small)
    asked = cluster.load_balancer("waits", "web")
    asked["metadata"]["annotations"] = {"metallb.io/address-pool": "small"}
    holder = cluster.load_balancer("holds", "web")
    holder["metadata"]["annotations"] = {"metallb.io/address-pool": "small"}
    try:
        await cluster.apply(holder)
        assert await cluster.until(lambda: cluster.addresses("holds"), "an address") == ["198.51.100.150"]
        await cluster.apply(asked)

        async def said() -> bool:
            messages = await cluster.events("waits", "AllocationFailed")
            return any(
                each.startswith('Failed to allocate IP for "default/waits": no available IPs') for each in messages
            )

        await cluster.until(said, "an event that says so")
        await cluster.kubectl("delete", "service", "holds")
        assert await cluster.until(lambda: cluster.addresses("waits"), "the freed address") == ["198.51.100.150"]
    finally:
        await cluster.kubectl("delete", "service", "--ignore-not-found", "waits", "holds")
        await cluster.kubectl("delete", "ipaddresspool", "-n", NAMESPACE, "small")


async def test_a_wrong_pool_is_refused_and_changes_nothing_for_what_runs(cluster: Any, service: Any) -> None:
    (address,) = await service("kept")
    wrong = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "wrong", "namespace": NAMESPACE},
        "spec": {"addresses": ["198.51.100.120/29"]},
    }
    done = await cluster.lab.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(wrong), check=False)
    assert done.code == 1
    assert f"overlaps 198.51.100.100-198.51.100.149 of IPAddressPool {NAMESPACE}/first" in done.stderr
    (other,) = await service("later")
    assert other != address
    assert await cluster.addresses("kept") == [address]
    assert await cluster.until(lambda: cluster.fetch(address), "an answer")


async def test_a_restart_of_the_controller_moves_nothing(cluster: Any, service: Any) -> None:
    names = [f"stays{number}" for number in range(5)]
    for name in names:
        await service(name)

    async def all_is_written() -> bool:
        """Address and pool are two writes."""
        found = [(await cluster.get("service", name))["metadata"].get("annotations", {}) for name in names]
        return all(each.get("metallb.io/ip-allocated-from-pool") == "first" for each in found)

    await cluster.until(all_is_written, "the pool of each")
    await cluster.kubectl("delete", "service", names[0], names[2])
    before = {name: await cluster.addresses(name) for name in names if name not in {names[0], names[2]}}
    versions = {name: (await cluster.get("service", name))["metadata"]["resourceVersion"] for name in before}
    await cluster.kubectl("delete", "pod", "-n", NAMESPACE, "-l", "component=controller")
    await cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/controller", "--timeout=150s")
    (fresh,) = await service("fresh")
    assert {name: await cluster.addresses(name) for name in before} == before
    assert [fresh] not in before.values()
    after = {name: (await cluster.get("service", name))["metadata"]["resourceVersion"] for name in before}
    assert after == versions, "a restart wrote what was there already"


async def test_another_type_gives_the_address_back(cluster: Any, service: Any) -> None:
    (address,) = await service("changing")
    await cluster.kubectl("patch", "service", "changing", "-p", '{"spec":{"type":"ClusterIP"}}')

    async def released() -> bool:
        found = await cluster.get("service", "changing")
        annotated = "metallb.io/ip-allocated-from-pool" in found["metadata"].get("annotations", {})
        return not annotated and await cluster.addresses("changing") == []

    await cluster.until(released, "the removal of annotation and address")

    async def silent() -> bool:
        return await cluster.fetch(address) is None

    await cluster.until(silent, "no answer any more")

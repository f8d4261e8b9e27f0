"""Nodes and speakers die: the client goes on."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

NAMESPACE = "metallb-system"
pytestmark = pytest.mark.e2e
INTERVAL_S = 0.05


async def probe(cluster: Any, address: str, seconds: float) -> Any:
    url = f"http://[{address}]/" if ":" in address else f"http://{address}/"
    argv = [sys.executable, "-m", "kubelab.probe", "--interval", str(INTERVAL_S), "--seconds", str(seconds), url]
    return await cluster.lab.popen("client", argv)


async def summary_of(process: Any) -> dict[str, Any]:
    out, err = await process.communicate()
    assert out, err.decode()
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
async def test_a_nodes_death_is_survived_within_five_seconds(cluster: Any, family: str) -> None:
    await cluster.apply(cluster.load_balancer("dies", "web", ipFamilies=[family], ipFamilyPolicy="SingleStack"))
    (address,) = await cluster.until(lambda: cluster.addresses("dies"), "an address")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    node = await cluster.announcer(address)
    assert node
    try:
        asking = await probe(cluster, address, 12.0)
        await asyncio.sleep(2.0)
        cluster.lab.cut(node)
        summary = await summary_of(asking)
        assert summary["longest_gap_s"] <= 5.0
        assert summary["failed"] < 5.0 / INTERVAL_S
        if summary["last_failure_s"] is not None:
            assert summary["last_failure_s"] <= summary["gap_began_s"] + summary["longest_gap_s"]
        assert await cluster.announcer(address) not in {"", node}
    finally:
        cluster.lab.restore(node)
        await cluster.kubectl("wait", "--for=condition=Ready", f"node/{node}", "--timeout=30s")
        await cluster.kubectl("delete", "service", "dies")
        await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
        await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")


async def test_a_returning_node_takes_its_addresses_back_without_two_answering_for_long(cluster: Any) -> None:
    await cluster.apply(cluster.load_balancer("returns", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("returns"), "an address")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    node = await cluster.announcer(address)
    try:
        cluster.lab.cut(node)

        async def moved() -> bool:
            return await cluster.announcer(address) not in {"", node}

        await cluster.until(moved, "another node")
        cluster.lab.restore(node)

        async def back() -> bool:
            return bool(await cluster.announcer(address) == node)

        await cluster.until(back, "the node of before", 30.0)
        argv = [sys.executable, "-m", "kubelab.arping", "--count", "20", "eth0", "198.51.100.200", address]
        result = json.loads((await cluster.lab.run("client", argv)).stdout)
        assert (result["answered"], len(result["by"])) == (20, 1)
    finally:
        cluster.lab.restore(node)
        await cluster.kubectl("delete", "service", "returns")
        await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")


async def test_a_killed_speaker_is_replaced_and_service_goes_on(cluster: Any) -> None:
    await cluster.apply(cluster.load_balancer("killed", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("killed"), "an address")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    node = await cluster.announcer(address)
    pods = await cluster.items("pods", NAMESPACE, "-l", "component=speaker")
    pod = next(each["metadata"]["name"] for each in pods if each["spec"]["nodeName"] == node)
    asking = await probe(cluster, address, 8.0)
    await asyncio.sleep(1.0)
    cluster.lab.kill(f"pod/{NAMESPACE}/{pod}")
    summary = await summary_of(asking)
    assert summary["longest_gap_s"] <= 5.0
    await cluster.kubectl("delete", "service", "killed")
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")


async def test_an_api_server_that_is_away_changes_nothing_for_traffic(cluster: Any) -> None:
    await cluster.apply(cluster.load_balancer("outage", "web"))
    (address,) = await cluster.until(lambda: cluster.addresses("outage"), "an address")
    await cluster.until(lambda: cluster.fetch(address), "an answer")
    node = await cluster.announcer(address)
    asking = await probe(cluster, address, 12.0)
    cluster.lab.pause("apiserver")
    try:
        await asyncio.sleep(6.0)
    finally:
        cluster.lab.resume("apiserver")
    summary = await summary_of(asking)
    assert summary["failed"] == 0
    assert await cluster.announcer(address) == node
    await cluster.kubectl("delete", "service", "outage")
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")

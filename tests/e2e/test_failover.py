"""Nodes and speakers die, stand still and come back: the client goes on, and one node at a time answers it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kubelab.witness import Record

NAMESPACE = "metallb-system"
CLIENT = {4: "198.51.100.200", 6: "2001:db8:100::200"}
pytestmark = pytest.mark.e2e
INTERVAL_S = 0.05
SILENCE_S = 2.0
"""0.5 s, and a loaded machine's share; figures are made by `bench/failover.py`."""

DOUBLE_S = 1.0
"""0.1 s, and the same."""


async def probe(cluster: Any, address: str, seconds: float) -> Any:
    url = f"http://[{address}]/" if ":" in address else f"http://{address}/"
    argv = [sys.executable, "-m", "kubelab.probe", "--interval", str(INTERVAL_S), "--seconds", str(seconds), url]
    return await cluster.lab.popen("client", argv)


async def summary_of(process: Any) -> dict[str, Any]:
    out, err = await process.communicate()
    assert out, err.decode()
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


async def announced_by_a_worker(cluster: Any, name: str, **spec: Any) -> tuple[str, str]:
    """A Service whose address a worker announces, and that worker: with the control node the API would die."""
    for number in range(20):
        await cluster.apply(cluster.load_balancer(f"{name}{number}", "web", **spec))
        (address,) = await cluster.until(lambda number=number: cluster.addresses(f"{name}{number}"), "an address")
        await cluster.until(lambda address=address: cluster.fetch(address), "an answer")
        node = await cluster.announcer(address)
        if node.startswith("worker"):
            return address, node
    pytest.fail("no address of twenty is announced by a worker")


@pytest.fixture(autouse=True)
async def leave_it_as_it_was(cluster: Any) -> AsyncIterator[None]:
    yield
    for node in cluster.lab.cluster.nodes:
        cluster.lab.restore(node.name)
    await cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=30s")
    for service in await cluster.items("services"):
        if service["spec"]["type"] == "LoadBalancer":
            await cluster.kubectl("delete", "service", service["metadata"]["name"])
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")


class Witness:
    """Sees who answers for an address; `seen` is there when the block is over."""

    def __init__(self) -> None:
        self.seen = Record()
        self.moments: list[float] = [time.monotonic()]

    def mark(self) -> None:
        """Something happens now."""
        self.moments.append(time.monotonic())

    @property
    def parts(self) -> list[Record]:
        """What was seen between the marks."""
        ends = [*self.moments[1:], self.seen.ended_s]
        return [self.seen.between(began, ended) for began, ended in zip(self.moments, ends, strict=True)]


@asynccontextmanager
async def witness(cluster: Any, address: str) -> AsyncIterator[Witness]:
    """Asks every 10 ms who has the address, for the length of the block."""
    argv = [sys.executable, "-m", "kubelab.witness", "--seconds", "120"]
    source = CLIENT[6 if ":" in address else 4]
    process = await cluster.lab.popen("client", [*argv, "eth0", source, address])
    made = Witness()
    await asyncio.sleep(1.0)
    yield made
    process.terminate()
    out, err = await process.communicate()
    assert out, err.decode()
    made.seen = Record.parse(out)


async def mac_of(cluster: Any, node: str) -> str:
    found: str = (await cluster.lab.run(f"node/{node}", ["cat", "/sys/class/net/eth0/address"])).stdout.strip()
    return found


async def speaker_on(cluster: Any, node: str) -> str:
    pods = await cluster.items("pods", NAMESPACE, "-l", "component=speaker")
    name = next(each["metadata"]["name"] for each in pods if each["spec"]["nodeName"] == node)
    return f"pod/{NAMESPACE}/{name}"


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
async def test_a_nodes_death_is_survived_within_a_second(cluster: Any, family: str) -> None:
    spec = {"ipFamilies": [family], "ipFamilyPolicy": "SingleStack"}
    address, node = await announced_by_a_worker(cluster, "dies", **spec)
    asking = await probe(cluster, address, 12.0)
    await asyncio.sleep(2.0)
    cluster.lab.cut(node)
    summary = await summary_of(asking)
    assert summary["longest_gap_s"] <= SILENCE_S
    # Until the cluster takes the node for dead, proxies send a part of the connections to its pods: they fail.
    assert summary["failed"] < 5.0 / INTERVAL_S
    assert (summary["last_failure_s"] or 0) <= summary["gap_began_s"] + 5.0
    assert await cluster.announcer(address) not in {"", node}


@pytest.mark.parametrize(
    ("family", "cable"),
    [
        pytest.param("IPv4", True, id="IPv4"),
        pytest.param("IPv6", True, id="IPv6"),
        pytest.param("IPv4", False, id="beyond a switch"),
    ],
)
async def test_of_a_node_that_was_cut_off_and_returns_only_one_answers_at_a_time(
    cluster: Any,
    family: str,
    cable: bool,  # noqa: FBT001  # a column
) -> None:
    spec = {"ipFamilies": [family], "ipFamilyPolicy": "SingleStack"}
    address, node = await announced_by_a_worker(cluster, "returns", **spec)
    mac = await mac_of(cluster, node)
    async with witness(cluster, address) as watching:
        watching.mark()
        if cable:
            cluster.lab.cut(node)
        else:
            cluster.lab.drop(node, 1.0)  # its own link stays up: nothing but silence tells
        await asyncio.sleep(8.0)  # gossip takes it for dead, too
        watching.mark()
        cluster.lab.restore(node)
        await asyncio.sleep(6.0)
    before, gone, back = watching.parts
    assert before.by() == [mac]
    assert gone.longest_gap_s() <= SILENCE_S
    assert mac not in gone.by()[1:]
    assert back.longest_double_s() <= DOUBLE_S
    assert back.longest_gap_s() <= DOUBLE_S
    assert back.by()[-1] == mac, "what it had it has again"


async def test_without_the_control_node_addresses_move_all_the_same(cluster: Any) -> None:
    address, node = await announced_by_a_worker(cluster, "headless")
    mac = await mac_of(cluster, node)
    cluster.lab.cut("control-1")
    await asyncio.sleep(1.0)
    async with witness(cluster, address) as watching:
        watching.mark()
        cluster.lab.cut(node)
        await asyncio.sleep(4.0)
        watching.mark()
        cluster.lab.restore("control-1")
        await asyncio.sleep(4.0)
    before, gone, back = watching.parts
    assert before.by() == [mac]
    assert gone.longest_gap_s() <= SILENCE_S
    assert len(gone.by()) <= 2
    assert mac not in back.by()
    assert back.longest_double_s() <= DOUBLE_S


async def test_a_killed_speaker_is_replaced_at_once_and_comes_back(cluster: Any) -> None:
    address, node = await announced_by_a_worker(cluster, "killed")
    mac = await mac_of(cluster, node)
    asking = await probe(cluster, address, 8.0)
    async with witness(cluster, address) as watching:
        watching.mark()
        cluster.lab.kill(await speaker_on(cluster, node))
        summary = await summary_of(asking)
    assert summary["failed"] == 0, "the proxy on the node serves on"
    assert watching.seen.longest_gap_s() <= SILENCE_S
    assert watching.seen.longest_double_s() <= DOUBLE_S
    assert watching.seen.by()[0] == mac


async def test_a_speaker_that_stood_still_answers_nothing_old_and_takes_back_what_it_had(cluster: Any) -> None:
    address, node = await announced_by_a_worker(cluster, "stopped")
    mac = await mac_of(cluster, node)
    pod = await speaker_on(cluster, node)
    async with witness(cluster, address) as watching:
        watching.mark()
        cluster.lab.pause(pod)
        try:
            await asyncio.sleep(3.0)
        finally:
            watching.mark()
            cluster.lab.resume(pod)
        await asyncio.sleep(4.0)
    before, still, back = watching.parts
    assert before.by() == [mac]
    assert still.longest_gap_s() <= SILENCE_S
    assert len(still.by()[-1:]) == 1
    assert mac not in still.by()[1:]
    assert back.longest_double_s() <= DOUBLE_S
    assert back.longest_gap_s() <= DOUBLE_S
    assert back.by()[-1] == mac
    log = await cluster.kubectl("logs", "-n", NAMESPACE, pod.split("/")[-1])
    assert '"event":"standstill"' in log


async def test_a_speaker_that_is_told_to_stop_hands_over(cluster: Any) -> None:
    address, node = await announced_by_a_worker(cluster, "handover")
    pod = await speaker_on(cluster, node)
    asking = await probe(cluster, address, 8.0)
    async with witness(cluster, address) as watching:
        watching.mark()
        await cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod.split("/")[-1], "--wait=false")
        summary = await summary_of(asking)
    # A connection that is open at the moment of the move is known to the old node only, and lost with it.
    assert summary["failed"] <= 1
    assert summary["longest_gap_s"] < 0.5
    assert watching.seen.longest_gap_s() <= DOUBLE_S
    assert watching.seen.longest_double_s() <= DOUBLE_S


async def test_an_api_server_that_is_away_changes_nothing_for_traffic(cluster: Any) -> None:
    address, node = await announced_by_a_worker(cluster, "outage")
    asking = await probe(cluster, address, 12.0)
    cluster.lab.pause("apiserver")
    try:
        await asyncio.sleep(6.0)
    finally:
        cluster.lab.resume("apiserver")
    summary = await summary_of(asking)
    assert summary["failed"] == 0
    assert await cluster.announcer(address) == node


async def test_nodes_that_can_not_gossip_see_on_the_wire_who_has_the_address(cluster: Any) -> None:
    """Each side takes the other for dead; of the two that announce, the elected one goes on."""
    address, node = await announced_by_a_worker(cluster, "apart")
    mac = await mac_of(cluster, node)
    nft = ["nft", "add table inet apart"]
    for hook in ("input", "output"):
        nft.append(f"add chain inet apart {hook} {{ type filter hook {hook} priority 0; }}")
        nft += [f"add rule inet apart {hook} {protocol} dport 7946 drop" for protocol in ("udp", "tcp")]
    async with witness(cluster, address) as watching:
        watching.mark()
        await cluster.lab.run(f"node/{node}", [nft[0], "; ".join(nft[1:])])
        try:
            await asyncio.sleep(4.0)  # the signs of life are missed, and somebody else announces
            watching.mark()
            await asyncio.sleep(6.0)  # gossip takes it for dead, too
        finally:
            watching.mark()
            await cluster.lab.run(f"node/{node}", ["nft", "delete table inet apart"])
        await asyncio.sleep(6.0)
    before, apart, settled, back = watching.parts
    assert before.by() == [mac]
    assert apart.longest_double_s() < 1.0
    assert settled.by() == [mac]
    assert back.by() == [mac]
    assert max(each.longest_gap_s() for each in (apart, settled, back)) <= DOUBLE_S
    log = await cluster.kubectl("logs", "-n", NAMESPACE, (await speaker_on(cluster, node)).split("/")[-1])
    assert '"event":"nodeSeen"' in log

"""Both protocols and both families of one Service, and a speaker that may not stay on its node."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metallb.advertisement.election import elect
from metallb.api.net import Address, NodeName

LONELY = "control-1"
pytestmark = pytest.mark.e2e

ECHO = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as heard:
    heard.bind(("::", int(sys.argv[1])))
    print("listens", flush=True)
    while True:
        data, asker = heard.recvfrom(1000)
        heard.sendto(data, asker)
"""
ASK = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
    asks.settimeout(1)
    asks.connect((sys.argv[1], int(sys.argv[2])))
    asks.send(b"hello")
    sys.exit(asks.recv(1000) != b"hello")
"""


@pytest.fixture(autouse=True)
async def leave_no_service(cluster: Any) -> AsyncIterator[None]:
    yield
    await cluster.remove_services()


@asynccontextmanager
async def echoing(cluster: Any, app: str, port: int) -> AsyncIterator[None]:
    """Each pod of it sends datagrams back that come to this port."""
    pods = [each["metadata"]["name"] for each in await cluster.items("pods", "default", "-l", f"app={app}")]
    running = [await cluster.lab.popen(f"pod/default/{pod}", [sys.executable, "-c", ECHO, str(port)]) for pod in pods]
    try:
        for each in running:
            assert await each.stdout.readline() == b"listens\n"
        yield
    finally:
        for each in running:
            each.kill()
            await each.wait()


async def test_one_service_serves_tcp_and_udp_on_one_address(cluster: Any) -> None:
    ports = [
        {"name": "stream", "port": 8053, "targetPort": "http", "protocol": "TCP"},
        {"name": "datagram", "port": 8053, "targetPort": 9053, "protocol": "UDP"},
    ]
    async with echoing(cluster, "web", 9053):
        await cluster.apply(cluster.load_balancer("mixed", "web", ports=ports))
        (address,) = await cluster.until(lambda: cluster.addresses("mixed"), "an address")

        async def echoed() -> bool:
            argv = [sys.executable, "-c", ASK, address, "8053"]
            return bool((await cluster.lab.run("client", argv, check=False)).code == 0)

        await cluster.until(lambda: cluster.fetch(address, 8053), "an answer by TCP")
        await cluster.until(echoed, "an answer by UDP")


async def test_both_families_of_services_that_share_are_announced_from_one_node(cluster: Any) -> None:
    keys = {"metallb.io/allow-shared-ip": "k"}
    found: list[str] = []
    for name, port in (("twin-a", 80), ("twin-b", 8080)):
        ports = [{"name": "http", "port": port, "targetPort": "http"}]
        wanted = cluster.load_balancer(name, "web", ports=ports, ipFamilyPolicy="RequireDualStack")
        wanted["metadata"]["annotations"] = keys
        await cluster.apply(wanted)
        found = await cluster.until(lambda name=name: cluster.addresses(name), "addresses")
        keys = keys | {"metallb.io/loadBalancerIPs": ",".join(found)}
    assert found == await cluster.addresses("twin-a")
    assert [":" in each for each in found] == [False, True]
    for address in found:
        for port in (80, 8080):
            ask = lambda address=address, port=port: cluster.fetch(address, port)  # noqa: E731  # for one wait
            await cluster.until(ask, f"an answer of {address} port {port}")

    async def from_one() -> bool:
        nodes = {await cluster.announcer(address) for address in found}
        return len(nodes) == 1 and "" not in nodes

    await cluster.until(from_one, "one node for both families")


async def test_a_speaker_that_has_to_leave_its_node_hands_over_and_takes_back(cluster: Any) -> None:
    """A taint drives it away from a node that runs nothing else."""
    nodes = [NodeName(node.name) for node in cluster.lab.cluster.nodes]
    pool = [Address.parse(f"198.51.100.{number}") for number in range(100, 150)]
    address = str(next(each for each in pool if elect(nodes, each, {}) == LONELY))
    wanted = cluster.load_balancer("driven", "web")
    wanted["metadata"]["annotations"] = {"metallb.io/loadBalancerIPs": address}
    await cluster.apply(wanted)

    async def at_home() -> bool:
        return bool(await cluster.announcer(address) == LONELY)

    async def elsewhere() -> bool:
        return await cluster.announcer(address) not in {"", LONELY}

    await cluster.until(at_home, f"{address} at {LONELY}")
    await cluster.kubectl("taint", "node", LONELY, "speakers=none:NoExecute")
    try:
        await cluster.until(elsewhere, "another node that announces")
        await cluster.until(lambda: cluster.fetch(address), "an answer by way of it")
    finally:
        await cluster.kubectl("taint", "node", LONELY, "speakers-")
    await cluster.until(at_home, "the node of before again")

"""Service traffic between namespaces: cluster IPs, node ports, balancer addresses, policies, both families."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from conftest import Machine, World

pytestmark = pytest.mark.e2e

SERVICE4, SERVICE6 = "198.18.128.5", "2001:db8:300::5"
BALANCER4, BALANCER6 = "198.19.0.5", "2001:db8:400::5"


@dataclass
class Site:
    """Two nodes, a web pod on each (`one`, `two`), a client outside."""

    world: World
    client: Machine

    def get(self, where: Machine, address: str, *more: str) -> asyncio.Future[str]:
        host = f"[{address}]" if address.count(":") > 1 and "[" not in address else address
        return asyncio.ensure_future(self.world.curl(where, f"http://{host}/", *more))

    def pod_machine(self, pod: dict[str, Any], node: str) -> list[str]:
        """A prefix that enters a pod's network."""
        made = self.world.nodes[node]
        return [*made.machine.enter(), "nsenter", f"--net={made.files(pod) / 'netns'}", "--"]

    async def endpoints(self, service: str, *names: str) -> None:
        """Let these pods be the service's endpoints, in both families."""
        for family in (4, 6):
            rows = []
            for name in names:
                status = self.world.api.status(name)
                rows.append((status["podIPs"][family == 6]["ip"], self.world.api.pod(name)["spec"]["nodeName"]))
            await self.world.slice(service, family, rows)

    async def answers(self, where: Machine, address: str, wanted: set[str], *more: str) -> None:
        """Ask until exactly the wanted answers come, and go on to come."""
        seen: set[str] = set()
        deadline = asyncio.get_running_loop().time() + 100
        while seen != wanted:
            assert asyncio.get_running_loop().time() < deadline, f"{address}: {seen} instead of {wanted}"
            first = await self._try(where, address, *more)
            seen = (
                {first}
                if first not in wanted
                else {await self._try(where, address, *more) for _ in range(3 if len(wanted) == 1 else 12)}
            )

    async def _try(self, where: Machine, address: str, *more: str) -> str:
        try:
            return await self.get(where, address, *more)
        except AssertionError as error:
            text = str(error)
            return "refused" if "exit code 7" in text else "silence" if "exit code 28" in text else text


async def ask(entered: list[str], url: str) -> str:
    """What a pod is answered."""
    process = await asyncio.create_subprocess_exec(
        *entered, "curl", "-sS", "-m", "30", url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode().strip()


@pytest_asyncio.fixture
async def site(world: World) -> Site:
    client = world.lan.machine("client", 200)
    for name, number in (("worker-1", 11), ("worker-2", 12)):
        node = await world.node(name, number)
        await node.start()
    await world.pod("one", "worker-1")
    await world.pod("two", "worker-2")
    await world.api.until(lambda: world.api.ready("one") and world.api.ready("two"))
    # What announces an address outside: here a route to the first node.
    client.run("ip", "route", "add", f"{BALANCER4}/32", "via", "198.51.100.11")
    client.run("ip", "route", "add", f"{BALANCER6}/128", "via", "2001:db8:100::11")
    return Site(world, client)


def balanced(policy: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "LoadBalancer",
        "externalTrafficPolicy": policy,
        "node_port": 30080,
        "status": {"loadBalancer": {"ingress": [{"ip": BALANCER4}, {"ip": BALANCER6}]}},
        **more,
    }


async def test_a_cluster_ip_leads_from_nodes_and_pods_to_all_endpoints(site: Site) -> None:
    world = site.world
    await world.service("web", [SERVICE4, SERVICE6])
    await site.endpoints("web", "one", "two")
    first = world.nodes["worker-1"].machine
    await site.answers(first, SERVICE4, {"one 198.18.11.1", "two 198.51.100.11"})
    await site.answers(first, SERVICE6, {"one 2001:db8:200:11::1", "two 2001:db8:100::11"})
    # From a pod: its own address is kept, except towards itself.
    entered = site.pod_machine(world.api.pod("one"), "worker-1")
    for address, wanted in (
        (f"http://{SERVICE4}/", {"one 198.18.11.1", "two 198.18.11.2"}),
        (f"http://[{SERVICE6}]/", {"one 2001:db8:200:11::1", "two 2001:db8:200:11::2"}),
    ):
        seen: set[str] = set()
        async with asyncio.timeout(60):
            while seen != wanted:
                seen.add(await ask(entered, address))
                assert seen <= wanted


async def test_pods_of_one_node_reach_each_other_through_a_service(site: Site) -> None:
    world = site.world
    await world.pod("three", "worker-1")
    await world.api.until(lambda: world.api.ready("three"))
    await world.service("web", [SERVICE4])
    await site.endpoints("web", "three")
    await site.answers(world.nodes["worker-1"].machine, SERVICE4, {"three 198.18.11.1"})
    entered = site.pod_machine(world.api.pod("one"), "worker-1")
    assert await ask(entered, f"http://{SERVICE4}/") == "three 198.18.11.2"


async def test_a_balancer_address_leads_anywhere_under_cluster_and_hides_the_client(site: Site) -> None:
    await site.world.service("web", [SERVICE4, SERVICE6], **balanced("Cluster"))
    await site.endpoints("web", "one", "two")
    await site.answers(site.client, BALANCER4, {"one 198.18.11.1", "two 198.51.100.11"})
    await site.answers(site.client, BALANCER6, {"one 2001:db8:200:11::1", "two 2001:db8:100::11"})


async def test_a_balancer_address_leads_only_here_under_local_and_shows_the_client(site: Site) -> None:
    world = site.world
    await world.service("web", [SERVICE4, SERVICE6], **balanced("Local"))
    await site.endpoints("web", "one", "two")
    await site.answers(site.client, BALANCER4, {"one 198.51.100.200"})
    await site.answers(site.client, BALANCER6, {"one 2001:db8:100::200"})
    # The node itself is no client from outside.
    await site.answers(world.nodes["worker-1"].machine, BALANCER4, {"one 198.18.11.1", "two 198.51.100.11"})
    await site.endpoints("web", "two")
    await site.answers(site.client, BALANCER4, {"silence"}, "-m", "0.3")
    await site.answers(world.nodes["worker-1"].machine, BALANCER4, {"two 198.51.100.11"})


async def test_node_ports_are_open_on_every_node(site: Site) -> None:
    await site.world.service("web", [SERVICE4, SERVICE6], type="NodePort", node_port=30080)
    await site.endpoints("web", "two")
    await site.answers(site.client, "198.51.100.11:30080", {"two 198.51.100.11"})
    await site.answers(site.client, "198.51.100.12:30080", {"two 198.18.12.1"})
    await site.answers(site.client, "[2001:db8:100::11]:30080", {"two 2001:db8:100::11"})


async def test_nobody_there_is_refused_at_once(site: Site) -> None:
    await site.world.service("web", [SERVICE4, SERVICE6], **balanced("Cluster"))
    await site.endpoints("web")
    first = site.world.nodes["worker-1"].machine
    await site.answers(first, SERVICE4, {"refused"})
    await site.answers(first, SERVICE6, {"refused"})
    await site.answers(site.client, BALANCER4, {"refused"})
    await site.answers(site.client, BALANCER6, {"refused"})
    await site.answers(site.client, "198.51.100.11:30080", {"refused"})
    await site.endpoints("web", "one")
    await site.answers(site.client, BALANCER4, {"one 198.18.11.1"})


async def test_source_ranges_admit_only_whom_they_name(site: Site) -> None:
    world = site.world
    await world.service("web", [SERVICE4], **balanced("Local", loadBalancerSourceRanges=["203.0.113.0/24"]))
    await site.endpoints("web", "one")
    await site.answers(site.client, BALANCER4, {"silence"}, "-m", "0.3")
    await world.service("web", [SERVICE4], **balanced("Local", loadBalancerSourceRanges=["198.51.100.200/32"]))
    await site.answers(site.client, BALANCER4, {"one 198.51.100.200"})


async def test_with_affinity_a_client_stays_with_its_endpoint(site: Site) -> None:
    await site.world.service("web", [SERVICE4], **balanced("Cluster", sessionAffinity="ClientIP"))
    await site.endpoints("web", "one", "two")
    async with asyncio.timeout(60):
        while (first := await site._try(site.client, BALANCER4)) in {"silence", "refused"}:
            pass
    assert {await site._try(site.client, BALANCER4) for _ in range(10)} == {first}


async def test_the_health_check_port_tells_whether_an_endpoint_is_here(site: Site) -> None:
    world = site.world
    await world.service("web", [SERVICE4], **balanced("Local", healthCheckNodePort=30999))
    await site.endpoints("web", "one")
    await site.answers(site.client, BALANCER4, {"one 198.51.100.200"})
    url = "http://198.51.100.{}:30999/"
    for number, count, code in ((11, 1, "200"), (12, 0, "503")):
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(AssertionError):  # refused, until that node knows of the service
                    answer = await world.curl(site.client, url.format(number), "-w", "%{http_code}")
                    if f'"localEndpoints": {count}' in answer and answer.endswith(code):
                        break


UDP = """
import socket, sys, time
udp = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(0.2)
udp.connect((sys.argv[1], 53))
deadline = time.monotonic() + 100
while time.monotonic() < deadline:
    try:
        udp.send(b"x")
        answer = udp.recv(100).decode()
    except OSError:
        continue
    if answer.split()[0] == sys.argv[2]:
        print(answer, flush=True)
        if sys.argv[2] == sys.argv[3]:
            break
        sys.argv[2] = sys.argv[3]
"""


async def test_a_udp_client_with_one_port_follows_when_its_endpoint_goes(site: Site) -> None:
    import sys

    world = site.world
    await world.service("dns", [SERVICE4], port=53, protocol="UDP")
    address = world.api.status("one")["podIP"]
    await world.slice("dns", 4, [(address, "worker-1")], protocol="UDP")
    machine = world.nodes["worker-1"].machine
    process = await asyncio.create_subprocess_exec(
        *machine.enter(), sys.executable, "-c", UDP, SERVICE4, "one", "two", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"one x\n"
    await world.slice("dns", 4, [(world.api.status("two")["podIP"], "worker-2")], protocol="UDP")
    assert await process.stdout.readline() == b"two x\n"
    assert await process.wait() == 0


async def test_pods_reach_the_outside_as_their_node(site: Site) -> None:
    world = site.world
    server = site.client.start(
        "python3", "-c", "import http.server as h, socketserver as s\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        " def do_GET(self):\n"
        "  self.send_response(200); self.end_headers(); self.wfile.write(self.client_address[0].encode())\n"
        "s.TCPServer(('198.51.100.200', 80), H).serve_forever()",
    )  # fmt: skip
    try:
        entered = site.pod_machine(world.api.pod("one"), "worker-1")
        script = "until curl -sS -m 30 http://198.51.100.200/ 2>/dev/null; do sleep 0.05; done"
        process = await asyncio.create_subprocess_exec(*entered, "sh", "-c", script, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        assert output == b"198.51.100.11"
    finally:
        server.kill()
        server.wait()

"""The lab's network as its machines see it."""

from __future__ import annotations

import asyncio
import json

import pytest

from kubelab.cluster import parse, parse_text
from kubelab.lab import Lab
from kubelab.launch import Options
from kubelab.places import way_to_wire
from kubelab.pytest_plugin import FreshLab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

REACHED = {
    "a node from the client": ("client", "198.51.100.11"),
    "a node from the client by IPv6": ("client", "2001:db8:100::11"),
    "a node from another": ("node/worker-1", "198.51.100.12"),
    "the control node by IPv6": ("node/worker-3", "2001:db8:100::10"),
    "the client": ("node/worker-2", "198.51.100.200"),
}


@pytest.mark.parametrize(("where", "address"), REACHED.values(), ids=REACHED)
async def test_reaches(stub_lab: Lab, where: str, address: str) -> None:
    await stub_lab.run(where, ["ping", "-c1", "-W1", address])


async def output(lab: Lab, where: str, *argv: str) -> str:
    return (await lab.run(where, argv)).stdout


async def test_machines_have_their_own_name_interfaces_and_run_folder(stub_lab: Lab) -> None:
    for where, name in (("client", "client"), ("node/worker-1", "worker-1")):
        assert await output(stub_lab, where, "hostname") == f"{name}\n"
        assert sorted((await output(stub_lab, where, "ls", "/sys/class/net")).split()) == ["eth0", "lo"]
    await stub_lab.run("node/worker-1", ["touch", "/run/mine"])
    assert "mine" not in await output(stub_lab, "node/worker-2", "ls", "/run")
    assert (await output(stub_lab, "node/worker-2", "cat", "/proc/1/comm")) == "kubelab-init\n"


async def test_addresses_are_usable_at_once(stub_lab: Lab) -> None:
    links = json.loads(await output(stub_lab, "node/worker-1", "ip", "-json", "address", "show", "dev", "eth0"))
    addresses = {each["local"]: each for each in links[0]["addr_info"]}
    assert {"198.51.100.11", "2001:db8:100::11"} <= set(addresses)
    assert not any("tentative" in each for each in addresses.values())
    assert links[0]["address"] == "02:00:00:00:00:11"


async def test_nodes_route_to_the_pods_of_others_and_all_machines_to_pools(stub_lab: Lab) -> None:
    routes = await output(stub_lab, "node/worker-1", "ip", "route") + await output(
        stub_lab, "node/worker-1", "ip", "-6", "route"
    )
    for line in (
        "198.18.0.0/24 via 198.51.100.10 dev eth0",
        "198.18.3.0/24 via 198.51.100.13 dev eth0",
        "2001:db8:200:2::/64 via 2001:db8:100::12 dev eth0",
        "198.19.0.0/16 dev eth0 scope link",
        "2001:db8:400::/64 dev eth0",
    ):
        assert line in routes
    assert "198.18.1.0/24" not in routes
    client = await output(stub_lab, "client", "ip", "route")
    assert "198.19.0.0/16 dev eth0" in client
    assert "198.18" not in client


SETTINGS = {
    "nodes forward": ("node/worker-1", "net/ipv4/ip_forward", "1"),
    "nodes forward IPv6": ("node/worker-1", "net/ipv6/conf/eth0/forwarding", "1"),
    "clients do not forward": ("client", "net/ipv4/ip_forward", "0"),
    "no reverse path filter": ("node/worker-1", "net/ipv4/conf/eth0/rp_filter", "0"),
    "no duplicate address detection": ("client", "net/ipv6/conf/eth0/accept_dad", "0"),
    "no router advertisements": ("node/worker-1", "net/ipv6/conf/eth0/accept_ra", "0"),
}


@pytest.mark.parametrize(("where", "setting", "value"), SETTINGS.values(), ids=SETTINGS)
async def test_setting(stub_lab: Lab, where: str, setting: str, value: str) -> None:
    assert (await output(stub_lab, where, "cat", f"/proc/sys/{setting}")).strip() == value


async def test_the_switch_is_plain(stub_lab: Lab) -> None:
    wire = [*way_to_wire(stub_lab.record.pid), "ip", "-json", "-details", "link"]
    process = await asyncio.create_subprocess_exec(*wire, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    links = {link["ifname"]: link for link in json.loads(out)}
    assert set(links) == {"lo", "lan", "control-1", "worker-1", "worker-2", "worker-3", "client"}
    bridge = links["lan"]["linkinfo"]["info_data"]
    assert (bridge["mcast_snooping"], bridge["stp_state"], bridge["forward_delay"]) == (0, 0, 0)


async def test_a_machine_on_two_networks_has_two_interfaces_and_long_names_work(
    fresh_lab: FreshLab, stub_options: Options
) -> None:
    cluster = parse(
        {
            "networks": [
                {"name": "front", "ipv4": "203.0.113.0/24"},
                {"name": "a-network-with-a-long-name", "ipv6": "2001:db8:9::/64"},
            ],
            "nodes": [
                {"name": "a-node-with-a-very-long-name.example", "roles": ["control-plane"]},
                {"name": "lo", "networks": ["front", "a-network-with-a-long-name"]},
            ],
            "clients": [{"name": "back", "networks": ["a-network-with-a-long-name"]}],
            "pools": [],
        },
        "-",
    )
    lab = await fresh_lab(cluster, stub_options)
    await lab.run("node/a-node-with-a-very-long-name.example", ["ping", "-c1", "-W1", "203.0.113.11"])
    await lab.run("client/back", ["ping", "-c1", "-W1", "2001:db8:9::11"])
    assert sorted((await output(lab, "node/lo", "ls", "/sys/class/net")).split()) == ["eth0", "eth1", "lo"]
    lab.cut("lo", "front")
    assert [(each.kind, each.target, each.detail) for each in lab.faults()] == [("cut", "lo", "network front")]
    await lab.run("back", ["ping", "-c1", "-W1", "2001:db8:9::11"])


ROUTED = """
networks:
  - {name: lan, ipv4: 198.51.100.0/24, ipv6: "2001:db8:100::/64"}
  - {name: between, ipv4: 192.0.2.0/24, ipv6: "2001:db8:500::/64"}
  - {name: far, ipv4: 203.0.113.0/24, ipv6: "2001:db8:600::/64"}
clients:
  - {name: client}
  - {name: remote, networks: [far]}
routers:
  - {name: near, networks: [lan, between]}
  - {name: distant, networks: [far, between]}
"""


async def test_a_client_behind_routers_reaches_nodes_and_is_cut_off_with_a_router(
    fresh_lab: FreshLab, stub_options: Options
) -> None:
    lab = await fresh_lab(parse_text(ROUTED, "test"), stub_options)
    for address in ("198.51.100.11", "2001:db8:100::12", "198.51.100.200"):
        await lab.run("remote", ["ping", "-c1", "-W1", address])
    await lab.run("node/worker-1", ["ping", "-c1", "-W1", "203.0.113.201"])
    assert "192.0.2.1" in await output(lab, "router/distant", "ip", "route", "get", "198.19.0.1")
    lab.cut("near", "between")
    assert (await lab.run("remote", ["ping", "-c1", "-W1", "198.51.100.11"], check=False)).code != 0
    lab.restore("router/near")
    await lab.run("remote", ["ping", "-c2", "-W1", "198.51.100.11"])

"""The network as commands: what `ip` is told, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubelab.cluster import Cluster, parse, plan
from kubelab.network import build, commands


def test_bridges_neither_block_nor_snoop() -> None:
    assert commands.bridge_commands(plan(Cluster.default())) == [
        "link set dev lo up",
        "link add name lan type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set dev lan up",
    ]


def test_a_cable_goes_from_a_port_named_after_the_machine_to_its_eth0() -> None:
    host = plan(Cluster.default()).nodes["worker-1"]
    assert commands.plug_commands(host, Path("/ns/worker-1.net")) == [
        "link add name worker-1 type veth peer name eth0 address 02:00:00:00:00:11 netns /ns/worker-1.net",
        "link set dev worker-1 master lan up",
    ]


def test_a_node_has_addresses_without_detection_and_routes_to_pools_and_to_the_pods_of_others() -> None:
    cluster = parse({"nodes": [{"name": "a", "roles": ["control-plane"]}, {"name": "b"}]}, "-")
    whole = plan(cluster)
    assert commands.host_commands(whole.nodes["b"], whole, cluster) == [
        "link set dev lo up",
        "address add 198.51.100.11/24 dev eth0 broadcast 198.51.100.255",
        "address add 2001:db8:100::11/64 dev eth0 nodad",
        "link set dev eth0 up",
        "route add 198.19.0.0/16 dev eth0",
        "route add 2001:db8:400::/64 dev eth0",
        "route add 198.18.0.0/24 via 198.51.100.10 dev eth0",
        "route add 2001:db8:200::/64 via 2001:db8:100::10 dev eth0",
    ]


def test_a_client_has_no_routes_to_pods() -> None:
    cluster = Cluster.default()
    whole = plan(cluster)
    assert not any("via" in line for line in commands.host_commands(whole.clients["client"], whole, cluster))


def test_pools_of_a_family_that_the_first_network_lacks_get_no_route() -> None:
    cluster = parse({"networks": [{"name": "x", "ipv4": "203.0.113.0/24"}], "pools": ["2001:db8:400::/64"]}, "-")
    whole = plan(cluster)
    assert not any("2001" in line for line in commands.host_commands(whole.nodes["worker-1"], whole, cluster))


ROUTED = {
    "networks": [
        {"name": "lan", "ipv4": "198.51.100.0/24", "ipv6": "2001:db8:100::/64"},
        {"name": "between", "ipv4": "192.0.2.0/24"},
        {"name": "far", "ipv4": "203.0.113.0/24"},
    ],
    "nodes": [{"name": "a", "roles": ["control-plane"]}],
    "clients": [{"name": "remote", "networks": ["far"]}],
    "routers": [{"name": "near", "networks": ["lan", "between"]}, {"name": "distant", "networks": ["far", "between"]}],
}
ROUTES = {
    "a node leaves by the router on its network": (
        "a",
        [
            "198.19.0.0/16 dev eth0",
            "2001:db8:400::/64 dev eth0",
            "default via 198.51.100.1 dev eth0",
            "default via 2001:db8:100::1 dev eth0",
        ],
    ),
    "a client elsewhere has no pools at hand": ("remote", ["default via 203.0.113.2 dev eth0"]),
    "a router on the nodes' network has the pools, and knows who has the network beyond": (
        "near",
        ["198.19.0.0/16 dev eth0", "2001:db8:400::/64 dev eth0", "203.0.113.0/24 via 192.0.2.2"],
    ),
    "a router beyond knows the nodes' network and where pools are": (
        "distant",
        ["198.51.100.0/24 via 192.0.2.1", "198.19.0.0/16 via 192.0.2.1"],
    ),
}


@pytest.mark.parametrize(("name", "expected"), ROUTES.values(), ids=ROUTES)
def test_machines_reach_each_other_by_routers(name: str, expected: list[str]) -> None:
    cluster = parse(ROUTED, "-")
    whole = plan(cluster)
    host = next(host for host in whole.hosts if host.name == name)
    lines = commands.host_commands(host, whole, cluster)
    assert [line.removeprefix("route add ") for line in lines if line.startswith("route")] == expected


BLAME = {
    "a line": ("Error: Unknown device type.\nCommand failed -:2\n", "ip link two: Error: Unknown device type."),
    "the last line": (
        "RTNETLINK answers: File exists\nCommand failed -:3\n",
        "ip link three: RTNETLINK answers: File exists",
    ),
    "no line": ("nsenter: no such file\n", "ip -batch: nsenter: no such file"),
    "silence": ("", "ip -batch: failed"),
}


@pytest.mark.parametrize(("complaint", "message"), BLAME.values(), ids=BLAME)
def test_the_command_that_failed_is_named(complaint: str, message: str) -> None:
    assert build._blame(["link one", "link two", "link three"], complaint) == message

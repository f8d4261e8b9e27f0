"""Addresses of a lab: readable, and never given twice."""

from __future__ import annotations

import itertools
import re
from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.cluster import Cluster, Plan, parse, plan


@pytest.fixture(scope="module")
def default_plan() -> Plan:
    return plan(Cluster.default())


TABLE = {
    "control node": ("control-1", ["198.51.100.10", "2001:db8:100::10"], ["198.18.0.0/24", "2001:db8:200::/64"]),
    "first worker": ("worker-1", ["198.51.100.11", "2001:db8:100::11"], ["198.18.1.0/24", "2001:db8:200:1::/64"]),
    "third worker": ("worker-3", ["198.51.100.13", "2001:db8:100::13"], ["198.18.3.0/24", "2001:db8:200:3::/64"]),
    "client": ("client", ["198.51.100.200", "2001:db8:100::200"], []),
}


@pytest.mark.parametrize(("name", "addresses", "pod_ranges"), TABLE.values(), ids=TABLE)
def test_the_default_lab(default_plan: Plan, name: str, addresses: list[str], pod_ranges: list[str]) -> None:
    host = next(host for host in default_plan.hosts if host.name == name)
    assert [str(address) for address in host.addresses] == addresses
    assert [str(each) for each in host.pod_ranges] == pod_ranges
    assert [(interface.link, interface.port, interface.bridge) for interface in host.interfaces] == [
        ("eth0", name, "lan")
    ]


def test_the_kubernetes_service_is_the_first_address_of_each_service_range(default_plan: Plan) -> None:
    assert [str(address) for address in default_plan.kubernetes_service] == ["198.18.128.1", "2001:db8:300::1"]


def test_an_address_of_a_family_that_the_network_lacks_is_none() -> None:
    host = plan(parse({"networks": [{"name": "x", "ipv4": "203.0.113.0/24"}]}, "-")).nodes["control-1"]
    assert str(host.interfaces[0].address(4)) == "203.0.113.10"
    assert host.interfaces[0].address(6) is None


LINKS = {
    "short": ("web", "web"),
    "as long as may be": ("a" * 15, "a" * 15),
    "too long": ("worker-with-a-long-name", "worker-w-"),
    "reserved": ("lo", "lo-"),
    "a folder of sysctl": ("default", "default-"),
}


@pytest.mark.parametrize(("name", "begins"), LINKS.values(), ids=LINKS)
def test_ports_are_named_after_their_machine_where_the_kernel_allows_it(name: str, begins: str) -> None:
    cluster = parse({"clients": [{"name": name}]}, "-")
    assert plan(cluster).clients[name].interfaces[0].port.startswith(begins)


names = st.from_regex(re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?"), fullmatch=True)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Clusters with one to three networks and machines on any of them."""
    all_names = draw(st.lists(names, min_size=2, max_size=24, unique=True))
    network_count = draw(st.integers(1, min(3, len(all_names) - 1)))
    networks, machines = all_names[:network_count], all_names[network_count:]
    node_count = draw(st.integers(1, len(machines)))
    others = st.lists(st.sampled_from(networks[1:]), unique=True) if networks[1:] else st.just([])
    return parse(
        {
            "networks": [
                {"name": name, "ipv4": f"203.0.{index}.0/24", "ipv6": f"2001:db8:{index}::/64"}
                for index, name in enumerate(networks)
            ],
            "nodes": [
                {
                    "name": name,
                    "networks": [networks[0], *draw(others)],
                    "roles": ["control-plane"] if index == 0 else ["worker"],
                }
                for index, name in enumerate(machines[:node_count])
            ],
            "clients": [{"name": name, "networks": draw(st.permutations(networks))} for name in machines[node_count:]],
        },
        "drawn",
    )


@given(clusters())
def test_nothing_is_given_twice(cluster: Cluster) -> None:
    found = plan(cluster)
    interfaces = [interface for host in found.hosts for interface in host.interfaces]
    addresses = [address.ip for interface in interfaces for address in interface.addresses]
    assert len(addresses) == len(set(addresses))
    macs = [interface.mac for interface in interfaces]
    assert len(macs) == len(set(macs))
    links = [*found.bridges.values(), *(interface.port for interface in interfaces)]
    assert len(links) == len(set(links))
    assert all(0 < len(link) <= 15 and "/" not in link for link in links)
    for one, other in itertools.combinations([range_ for host in found.hosts for range_ in host.pod_ranges], 2):
        assert one.version != other.version or not one.overlaps(other)


@given(clusters())
def test_every_address_lies_in_its_range(cluster: Cluster) -> None:
    found = plan(cluster)
    for host in found.hosts:
        for interface in host.interfaces:
            ranges = list(cluster.network(interface.network).ranges)
            assert [address.network for address in interface.addresses] == ranges
            assert all(
                address.ip not in (range_[0], range_[-1])
                for address, range_ in zip(interface.addresses, ranges, strict=True)
            )
        for range_ in host.pod_ranges:
            whole = cluster.pods.ipv4 if isinstance(range_, IPv4Network) else cluster.pods.ipv6
            assert isinstance(whole, IPv4Network | IPv6Network)
            assert int(whole[0]) <= int(range_[0]) <= int(range_[-1]) <= int(whole[-1])


@given(clusters())
def test_a_cluster_written_as_a_file_reads_back_equal(cluster: Cluster) -> None:
    assert parse(cluster.document(), "again") == cluster


@given(clusters())
def test_the_plan_depends_on_the_file_alone(cluster: Cluster) -> None:
    assert plan(cluster) == plan(parse(cluster.document(), "again"))

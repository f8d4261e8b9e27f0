"""The cluster file: what is understood, and what is refused in which words."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import pytest

from kubelab.cluster import Bgp, Client, Cluster, ClusterError, Network, Ranges, Router, Taint, parse, parse_text


def test_an_empty_file_is_the_default_cluster() -> None:
    assert parse_text("", "lab.yaml") == Cluster.default()


def test_the_default_cluster_is_one_control_node_three_workers_and_a_client() -> None:
    cluster = Cluster.default()
    assert [node.name for node in cluster.nodes] == ["control-1", "worker-1", "worker-2", "worker-3"]
    assert cluster.control_node.name == "control-1"
    assert cluster.control_node.taints == (Taint("node-role.kubernetes.io/control-plane", "NoSchedule"),)
    assert cluster.control_node.all_labels == {
        "kubernetes.io/hostname": "control-1",
        "kubernetes.io/os": "linux",
        "node-role.kubernetes.io/control-plane": "",
    }
    assert cluster.nodes[1].all_labels["node-role.kubernetes.io/worker"] == ""
    assert cluster.nodes[1].taints == ()
    assert cluster.clients == (Client("client", ("lan",)),)


def test_the_default_cluster_written_as_a_file_reads_back_equal() -> None:
    assert parse(Cluster.default().document(), "again") == Cluster.default()


FULL = """
networks:
- {name: rack, ipv4: 203.0.113.0/24, ipv6: "2001:db8:1::/64"}
- {name: side, ipv4: 198.51.100.0/24}
nodes:
- {name: boss, roles: [control-plane], taints: []}
- name: hand.a
  networks: [rack, side]
  labels: {example.org/zone: a}
  taints: [{key: gpu, value: "yes", effect: NoExecute}]
clients:
- {name: user, networks: [side]}
pods: {ipv4: 198.18.0.0/17}
services: {ipv4: 198.18.128.0/17}
pools: [198.19.0.0/16]
images:
  example/web:1: {"": ["{python}", -m, http.server], /web: [web, "8080"]}
"""


def test_every_field_of_a_file_arrives() -> None:
    cluster = parse_text(FULL, "lab.yaml")
    boss, hand = cluster.nodes
    assert cluster.networks[0] == Network("rack", Ranges(IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:1::/64")))
    assert cluster.networks[1].ranges == Ranges(IPv4Network("198.51.100.0/24"))
    assert (boss.networks, boss.taints) == (("rack",), ())
    assert hand.networks == ("rack", "side")
    assert hand.labels == {"example.org/zone": "a"}
    assert hand.taints == (Taint("gpu", "NoExecute", "yes"),)
    assert cluster.clients == (Client("user", ("side",)),)
    assert (cluster.pods, cluster.services) == (
        Ranges(IPv4Network("198.18.0.0/17")),
        Ranges(IPv4Network("198.18.128.0/17")),
    )
    assert cluster.pools == (IPv4Network("198.19.0.0/16"),)
    assert cluster.images == {
        "example/web:1": {"": ("{python}", "-m", "http.server"), "/web": ("web", "8080")},
    }
    assert parse(cluster.document(), "again") == cluster


def test_defaults_follow_the_first_network() -> None:
    cluster = parse_text("networks: [{name: six, ipv6: '2001:db8:1::/64'}]", "lab.yaml")
    assert {*(node.networks for node in cluster.nodes), *(client.networks for client in cluster.clients)} == {("six",)}
    assert cluster.pods.families == cluster.services.families == {6}
    assert [pool.version for pool in cluster.pools] == [6]


def test_routers_are_read_and_written() -> None:
    text = """
    networks: [{name: lan, ipv4: 198.51.100.0/24}, {name: wan, ipv4: 203.0.113.0/24}]
    routers:
      - {name: plain, networks: [lan, wan]}
      - name: clever
        networks: [lan]
        bgp: {daemon: bird, asn: 4200000000, nodesASN: 64500, maximumPaths: 4, bfd: true}
    """
    cluster = parse_text(text, "lab.yaml")
    assert cluster.routers == (
        Router("plain", ("lan", "wan")),
        Router("clever", ("lan",), Bgp("bird", 4200000000, 64500, 4, bfd=True)),
    )
    assert parse(cluster.document(), "again") == cluster


def test_folders_of_images_arrive() -> None:
    cluster = parse_text("layouts: [/var/images/amd64]", "lab.yaml")
    assert cluster.layouts == ("/var/images/amd64",)
    assert parse(cluster.document(), "again") == cluster


CONTROL = "{name: c, roles: [control-plane]}"

REFUSED = {
    "no YAML": ("a: [", "file", "must be YAML"),
    "a list": ("[]", "file", "must be a mapping from field names to values"),
    "unknown field": (
        "nodez: 1",
        "nodez",
        "unknown field; known here: clients, images, layouts, networks, nodes, pods, pools",
    ),
    "unknown field of a node": (f"nodes: [{CONTROL}, {{name: a, rolls: 1}}]", "nodes[1].rolls", "unknown field"),
    "a relative path of images": ("layouts: [dist/images]", "layouts[0]", "must be the absolute path of a folder"),
    "nodes no list": ("nodes: 3", "nodes", "must be a list"),
    "a node no mapping": ("nodes: [worker]", "nodes[0]", "must be a mapping"),
    "no nodes": ("nodes: []", "nodes", "must have 1 to 90 entries"),
    "no control node": ("nodes: [{name: a}]", "nodes", "exactly one node must have the role control-plane"),
    "two control nodes": (f"nodes: [{CONTROL}, {{name: d, roles: [control-plane]}}]", "nodes", "exactly one node"),
    "a node without name": ("nodes: [{roles: [control-plane]}]", "nodes[0].name", "must be at most 63 lower-case"),
    "an upper-case name": ("nodes: [{name: Web}]", "nodes[0].name", "must be at most 63 lower-case"),
    "a path as name": ("nodes: [{name: ../etc}]", "nodes[0].name", "must be at most 63 lower-case"),
    "a long name": (f"nodes: [{{name: {'a' * 64}}}]", "nodes[0].name", "must be at most 63 lower-case"),
    "a number as name": ("clients: [{name: 1}]", "clients[0].name", "must be at most 63 lower-case"),
    "a name twice": (f"nodes: [{CONTROL}, {{name: lan}}]", "nodes[1].name", "must be unique among networks, nodes"),
    "no such network": (f"nodes: [{CONTROL}, {{name: a, networks: [wan]}}]", "nodes[1].networks[0]", "must be one of"),
    "a network twice": ("clients: [{name: a, networks: [lan, lan]}]", "clients[0].networks[1]", "must be named once"),
    "a router on no network": ("routers: [{name: r}]", "routers[0].networks", "must name at least one network"),
    "a router named as a node": (
        f"nodes: [{CONTROL}]\nrouters: [{{name: c, networks: [lan]}}]",
        "routers[0].name",
        "must be unique among networks, nodes, clients and routers",
    ),
    "an unknown daemon": (
        "routers: [{name: r, networks: [lan], bgp: {daemon: quagga, asn: 1, nodesASN: 2}}]",
        "routers[0].bgp.daemon",
        "must be frr or bird",
    ),
    "no AS": (
        "routers: [{name: r, networks: [lan], bgp: {daemon: frr, nodesASN: 2}}]",
        "routers[0].bgp.asn",
        "must be a number from 1 to 4294967295",
    ),
    "an AS too large": (
        "routers: [{name: r, networks: [lan], bgp: {daemon: frr, asn: 4294967296, nodesASN: 2}}]",
        "routers[0].bgp.asn",
        "must be a number from 1 to 4294967295",
    ),
    "a daemon far from the nodes": (
        (
            "networks: [{name: x, ipv4: 198.51.100.0/24}, {name: y, ipv4: 203.0.113.0/24}]\n"
            "routers: [{name: r, networks: [y], bgp: {daemon: bird, asn: 1, nodesASN: 2}}]"
        ),
        "routers[0].bgp",
        "must be on the nodes' network x",
    ),
    "BFD no flag": (
        "routers: [{name: r, networks: [lan], bgp: {daemon: frr, asn: 1, nodesASN: 2, bfd: 1}}]",
        "routers[0].bgp.bfd",
        "must be true or false",
    ),
    "on no network": ("clients: [{name: a, networks: []}]", "clients[0].networks", "must name at least one network"),
    "nodes apart": (
        (
            f"networks: [{{name: x, ipv4: 198.51.100.0/24}}, {{name: y, ipv4: 203.0.113.0/24}}]\n"
            f"nodes: [{CONTROL}, {{name: a, networks: [y]}}]"
        ),
        "nodes[1].networks[0]",
        "all nodes must have the same first network: x",
    ),
    "a network without range": ("networks: [{name: x}]", "networks[0]", "must have ipv4, ipv6 or both"),
    "too small a network": (
        "networks: [{name: x, ipv4: 198.51.100.0/25}]",
        "networks[0].ipv4",
        "must be /24 or larger",
    ),
    "no range": ("networks: [{name: x, ipv4: 198.51.100.0}]", "networks[0].ipv4", "must be an IPv4 range such as"),
    "the other family": ("networks: [{name: x, ipv4: '2001:db8::/64'}]", "networks[0].ipv4", "must be an IPv4 range"),
    "a v4 range as v6": ("networks: [{name: x, ipv6: 198.51.100.0/24}]", "networks[0].ipv6", "must be an IPv6 range"),
    "host bits": ("pods: {ipv4: 198.18.0.1/17}", "pods.ipv4", "without host bits"),
    "families differ": ("services: {ipv4: 198.18.128.0/17}", "services", "must have the same address families as pods"),
    "no pods": ("pods: {}", "pods", "must have ipv4, ipv6 or both"),
    "a family the network lacks": (
        (
            "networks: [{name: x, ipv4: 198.51.100.0/24}]\n"
            "pods: {ipv6: '2001:db8:200::/56'}\nservices: {ipv6: '2001:db8:300::/112'}"
        ),
        "pods",
        "network x must have these address families too",
    ),
    "too few pod ranges": (
        "pods: {ipv4: 198.18.0.0/23, ipv6: '2001:db8:200::/56'}",
        "pods.ipv4",
        "must have room for 4",
    ),
    "pod range too long": ("pods: {ipv4: 198.18.0.0/25, ipv6: '2001:db8:200::/56'}", "pods.ipv4", "has it for 0"),
    "too few services": (
        "services: {ipv4: 198.18.128.0/29, ipv6: '2001:db8:300::/112'}",
        "services.ipv4",
        "must be /28",
    ),
    "ranges overlap": ("pools: [198.18.128.0/24]", "pools[0]", "must not overlap services.ipv4 (198.18.128.0/17)"),
    "a pool inside the network": ("pools: [198.51.100.128/25]", "pools[0]", "must not overlap networks[0].ipv4"),
    "loopback": ("pools: [127.0.0.0/24]", "pools[0]", "must not be loopback"),
    "everything": (
        "pools: ['::/0']",
        "pools[0]",
        "must not be loopback, link-local, multicast, reserved or everything",
    ),
    "multicast": ("pools: ['ff02::/64']", "pools[0]", "must not be loopback"),
    "an address as pool": ("pools: [198.19.0.1]", "pools[0]", "must be a range such as"),
    "a label's number": ("nodes: [{name: a, labels: {x: 1}}]", "nodes[0].labels.x", "(quote numbers)"),
    "a label's key": ("nodes: [{name: a, labels: {-x: a}}]", "nodes[0].labels.-x", "as a label's key it must be"),
    "a taint's effect": (
        "nodes: [{name: a, taints: [{key: a, effect: x}]}]",
        "nodes[0].taints[0].effect",
        "NoSchedule",
    ),
    "an image without command": ("images: {a: {'': []}}", "images.a.", "must list a program and its arguments"),
    "an argument's number": ("images: {a: {'': [sleep, 1]}}", "images.a.[1]", "must be a text (quote numbers)"),
    "an image as text": ("images: {a: sleep}", "images.a", "must be a mapping"),
}


@pytest.mark.parametrize(("text", "field", "rule"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str, field: str, rule: str) -> None:
    with pytest.raises(ClusterError) as caught:
        parse_text(text, "lab.yaml")
    fields = {problem.field: problem.rule for problem in caught.value.problems}
    assert rule in fields.get(field, f"nothing said of {field}, but of {fields}")
    assert str(caught.value).startswith("lab.yaml: ")


def test_all_problems_are_told_at_once_each_in_a_line() -> None:
    with pytest.raises(ClusterError) as caught:
        parse_text("nodez: 1\npools: [a, b]\nclients: [{name: A}]", "lab.yaml")
    assert str(caught.value).splitlines() == [
        (
            "lab.yaml: clients[0].name: 'A': must be at most 63 lower-case letters, digits and dashes, "
            "with no dash at either end"
        ),
        "lab.yaml: pools[0]: 'a': must be a range such as 198.19.0.0/16, without host bits",
        "lab.yaml: pools[1]: 'b': must be a range such as 198.19.0.0/16, without host bits",
        "lab.yaml: nodez: 1: unknown field; known here: clients, images, layouts, networks, nodes, pods, pools, routers, services",
    ]


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ClusterError) as caught:
        parse_text(f"nodes: [{{name: {'A' * 500}}}]", "lab.yaml")
    assert len(str(caught.value)) < 250

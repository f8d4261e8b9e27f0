"""The rules of a cluster file: what its texts look like, and what must hold between its parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network

from kubelab.cluster.addresses import MAX_CLIENTS, MAX_NODES, MAX_ROUTERS, pod_range_capacity
from kubelab.cluster.fields import Form, Problems
from kubelab.cluster.model import CONTROL_PLANE, Client, Cluster, IPNetwork, Node, Router

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

LABEL_NAME = Form(
    re.compile(_LABEL),
    63,
    "must be at most 63 lower-case letters, digits and dashes, with no dash at either end",
)
"""RFC 1123 label, as Kubernetes reads it."""
MACHINE_NAME = Form(
    re.compile(rf"{_LABEL}(\.{_LABEL})*"),
    63,
    "must be at most 63 lower-case letters, digits, dashes and dots, with no dash or dot at either end of a part",
)
"""RFC 1123 subdomain; it must also fit the label kubernetes.io/hostname and a Linux host name."""
LABEL_KEY = Form(
    re.compile(rf"({_LABEL}(\.{_LABEL})*/)?{_QUALIFIED}"),
    317,
    "must be a label's key such as example.org/zone",
)
LABEL_VALUE = Form(
    re.compile(rf"({_QUALIFIED})?"),
    63,
    "must be a text of at most 63 letters, digits, '-', '_' and '.' (quote numbers)",
)
TAINT_EFFECT = Form(
    re.compile("NoSchedule|PreferNoSchedule|NoExecute"), 20, "must be NoSchedule, PreferNoSchedule or NoExecute"
)
FOLDER = Form(re.compile("/[^\0]*"), 4096, "must be the absolute path of a folder")
ARGUMENT = Form(re.compile("[^\0]*"), 100_000, "must be a text (quote numbers)")

DAEMON = Form(re.compile("frr|bird"), 4, "must be frr or bird")
ASN = range(1, 1 << 32)
"""AS numbers of four octets (RFC 6793)."""
PATHS = range(1, 129)

MAX_NETWORKS = 16
LAN_PREFIX_LIMIT = {4: 24, 6: 112}
"""Longest prefix of a network in which every machine's number still has its place."""


def check(cluster: Cluster, problems: Problems) -> None:
    """Add what the parts of a cluster break between them; each part alone was read without a problem."""
    _check_counts(cluster, problems)
    _check_names(cluster, problems)
    for index, node in enumerate(cluster.nodes):
        _check_plugs(cluster, node, f"nodes[{index}].networks", problems)
    for index, client in enumerate(cluster.clients):
        _check_plugs(cluster, client, f"clients[{index}].networks", problems)
    for index, router in enumerate(cluster.routers):
        _check_plugs(cluster, router, f"routers[{index}].networks", problems)
        if router.bgp is not None and router.networks and cluster.lan not in router.networks:
            problems.add(f"routers[{index}].bgp", router.name, f"must be on the nodes' network {cluster.lan}")
    _check_one_lan(cluster, problems)
    _check_families(cluster, problems)
    _check_sizes(cluster, problems)
    _check_ranges(cluster, problems)


def _check_counts(cluster: Cluster, problems: Problems) -> None:
    for field, count, most in (
        ("networks", len(cluster.networks), MAX_NETWORKS),
        ("nodes", len(cluster.nodes), MAX_NODES),
    ):
        if not 1 <= count <= most:
            problems.add(field, f"{count} entries", f"must have 1 to {most} entries")
    for field, count, most in (
        ("clients", len(cluster.clients), MAX_CLIENTS),
        ("routers", len(cluster.routers), MAX_ROUTERS),
    ):
        if count > most:
            problems.add(field, f"{count} entries", f"must have at most {most} entries")
    control = [node.name for node in cluster.nodes if CONTROL_PLANE in node.roles]
    if cluster.nodes and len(control) != 1:
        problems.add("nodes", control, f"exactly one node must have the role {CONTROL_PLANE}")


def _check_names(cluster: Cluster, problems: Problems) -> None:
    seen: set[str] = set()
    named = [
        *((f"networks[{index}].name", network.name) for index, network in enumerate(cluster.networks)),
        *((f"nodes[{index}].name", node.name) for index, node in enumerate(cluster.nodes)),
        *((f"clients[{index}].name", client.name) for index, client in enumerate(cluster.clients)),
        *((f"routers[{index}].name", router.name) for index, router in enumerate(cluster.routers)),
    ]
    for field, name in named:
        if name in seen:
            problems.add(field, name, "must be unique among networks, nodes, clients and routers")
        seen.add(name)


def _check_plugs(cluster: Cluster, machine: Node | Client | Router, field: str, problems: Problems) -> None:
    """A machine is on at least one network, on each once, and they exist."""
    known = [network.name for network in cluster.networks]
    if not machine.networks:
        problems.add(field, [], "must name at least one network")
    for index, name in enumerate(machine.networks):
        if name not in known:
            problems.add(f"{field}[{index}]", name, f"must be one of the file's networks: {', '.join(known)}")
        elif name in machine.networks[:index]:
            problems.add(f"{field}[{index}]", name, "must be named once")


def _check_one_lan(cluster: Cluster, problems: Problems) -> None:
    """Nodes reach each other on their first network: the lab routes nothing between networks."""
    lan, known = cluster.lan, {network.name for network in cluster.networks}
    for index, node in enumerate(cluster.nodes):
        first = node.networks[0] if node.networks else lan
        if first != lan and first in known:
            problems.add(f"nodes[{index}].networks[0]", first, f"all nodes must have the same first network: {lan}")


def _check_families(cluster: Cluster, problems: Problems) -> None:
    """Pods and services have the same families, and the nodes' network has them too."""
    for index, network in enumerate(cluster.networks):
        if not network.ranges.families:
            problems.add(f"networks[{index}]", network.name, "must have ipv4, ipv6 or both")
    if not cluster.pods.families:
        problems.add("pods", {}, "must have ipv4, ipv6 or both")
    if cluster.services.families != cluster.pods.families:
        problems.add("services", cluster.services.document(), "must have the same address families as pods")
    lan = next((network for network in cluster.networks if network.name == cluster.lan), None)
    if lan is not None and lan.ranges.families and not cluster.pods.families <= lan.ranges.families:
        problems.add("pods", cluster.pods.document(), f"network {lan.name} must have these address families too")


def _check_sizes(cluster: Cluster, problems: Problems) -> None:
    for index, network in enumerate(cluster.networks):
        for each in network.ranges:
            limit = LAN_PREFIX_LIMIT[each.version]
            if each.prefixlen > limit:
                problems.add(f"networks[{index}].ipv{each.version}", str(each), f"must be /{limit} or larger")
    for each in cluster.pods:
        capacity = pod_range_capacity(each)
        if capacity < len(cluster.nodes):
            problems.add(
                f"pods.ipv{each.version}",
                str(each),
                f"must have room for {len(cluster.nodes)} nodes, has it for {capacity}",
            )
    for each in cluster.services:
        if each.prefixlen > each.max_prefixlen - 4:
            problems.add(f"services.ipv{each.version}", str(each), f"must be /{each.max_prefixlen - 4} or larger")


def _check_ranges(cluster: Cluster, problems: Problems) -> None:
    """No two ranges overlap, and none is one that the kernel treats in its own way."""
    seen: list[tuple[str, IPNetwork]] = []
    for field, each in _all_ranges(cluster):
        if _is_special(each):
            problems.add(field, str(each), "must not be loopback, link-local, multicast, reserved or everything")
            continue
        for other_field, other in seen:
            if other.version == each.version and other.overlaps(each):
                problems.add(field, str(each), f"must not overlap {other_field} ({other})")
        seen.append((field, each))


def _all_ranges(cluster: Cluster) -> Iterator[tuple[str, IPNetwork]]:
    for index, network in enumerate(cluster.networks):
        for each in network.ranges:
            yield f"networks[{index}].ipv{each.version}", each
    for each in cluster.pods:
        yield f"pods.ipv{each.version}", each
    for each in cluster.services:
        yield f"services.ipv{each.version}", each
    for index, each in enumerate(cluster.pools):
        yield f"pools[{index}]", each


_SPECIAL_IPV4 = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))


def _is_special(each: IPNetwork) -> bool:
    """Whether the kernel would refuse such addresses or treat them as something other than unicast."""
    if isinstance(each, IPv4Network):
        return any(each.overlaps(special) for special in _SPECIAL_IPV4)
    return each.is_loopback or each.is_link_local or each.is_multicast or each.prefixlen < 8 or int(each[0]) >> 96 == 0  # noqa: PLR2004  # ::/96 and everything

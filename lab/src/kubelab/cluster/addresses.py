"""Which address, link name and pod range every machine of a cluster has: a function of the cluster file alone.

Routers are numbered 1, 2, ... in the order of the file, nodes 10, 11, ... and clients 200, 201, ...; the number is the
last part of each of their addresses, so 198.51.100.11 and 2001:db8:100::11 are the same node. 100 to 199 stay free for
address pools.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import TypeAlias

from kubelab.cluster.model import Client, Cluster, IPNetwork, Network, Node, Ranges, Router

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPInterface: TypeAlias = IPv4Interface | IPv6Interface

FIRST_ROUTER = 1
MAX_ROUTERS = 9
FIRST_NODE = 10
MAX_NODES = 90
FIRST_CLIENT = 200
MAX_CLIENTS = 50
NODE_POD_PREFIX = {4: 24, 6: 64}
"""Length of a node's pod range, by family."""

LINK_NAME_LIMIT = 15
"""Linux IFNAMSIZ less the closing zero."""
_RESERVED_LINKS = frozenset(
    ("lo", "all", "default", "sit0", "tunl0", "ip6tnl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6gre0")
)


@dataclass(frozen=True, slots=True)
class Interface:
    """A machine's plug into a network: the link's name inside it, its other end at the switch, and its addresses."""

    link: str
    port: str
    bridge: str
    network: str
    mac: str
    addresses: tuple[IPInterface, ...]

    def address(self, version: int) -> IPAddress | None:
        """Its address of a family, if the network has that family."""
        return next((each.ip for each in self.addresses if each.version == version), None)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine as the network sees it. `pod_ranges` is empty for all but nodes."""

    name: str
    interfaces: tuple[Interface, ...]
    pod_ranges: tuple[IPNetwork, ...] = ()

    def on(self, network: str) -> Interface | None:
        """Its interface on a network, if it has one."""
        return next((each for each in self.interfaces if each.network == network), None)

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """Its addresses on its first network, IPv4 first: what a Node names as InternalIP."""
        return tuple(each.ip for each in self.interfaces[0].addresses)


@dataclass(frozen=True, slots=True)
class Plan:
    """All addresses of a cluster. `bridges` maps network names to the bridges' link names."""

    bridges: Mapping[str, str]
    nodes: Mapping[str, Host]
    clients: Mapping[str, Host]
    kubernetes_service: tuple[IPAddress, ...]
    """Addresses of the service `kubernetes`: the first of each service range."""
    routers: Mapping[str, Host]

    @property
    def hosts(self) -> tuple[Host, ...]:
        """Nodes, then clients, then routers."""
        return (*self.nodes.values(), *self.clients.values(), *self.routers.values())


def plan(cluster: Cluster) -> Plan:
    """The addresses of a cluster whose file was checked."""
    links = _LinkNames()
    bridges = {network.name: links.take(network.name) for network in cluster.networks}
    nodes = {
        node.name: Host(
            node.name,
            _interfaces(cluster, node, FIRST_NODE + index, bridges, links),
            tuple(_nth_range(range_, index) for range_ in cluster.pods),
        )
        for index, node in enumerate(cluster.nodes)
    }
    clients = {
        client.name: Host(client.name, _interfaces(cluster, client, FIRST_CLIENT + index, bridges, links))
        for index, client in enumerate(cluster.clients)
    }
    routers = {
        router.name: Host(router.name, _interfaces(cluster, router, FIRST_ROUTER + index, bridges, links))
        for index, router in enumerate(cluster.routers)
    }
    return Plan(bridges, nodes, clients, tuple(range_[1] for range_ in cluster.services), routers)


def pod_range_capacity(range_: IPNetwork) -> int:
    """How many nodes can have a pod range of their own out of `range_`."""
    spare = NODE_POD_PREFIX[range_.version] - range_.prefixlen
    return 1 << spare if spare >= 0 else 0


def _interfaces(
    cluster: Cluster, machine: Node | Client | Router, number: int, bridges: Mapping[str, str], links: _LinkNames
) -> tuple[Interface, ...]:
    """The machine's interfaces in the order of its networks."""
    order = {network.name: index for index, network in enumerate(cluster.networks)}
    return tuple(
        Interface(
            link=f"eth{position}",
            port=links.take(machine.name if position == 0 else f"{machine.name}.{position}"),
            bridge=bridges[name],
            network=name,
            mac=f"02:00:00:{order[name]:02x}:{number // 100:02d}:{number % 100:02d}",
            addresses=_addresses(cluster.network(name), number),
        )
        for position, name in enumerate(machine.networks)
    )


def _addresses(network: Network, number: int) -> tuple[IPInterface, ...]:
    """The addresses of machine `number`; IPv6 shows the number's decimal digits."""
    found: list[IPInterface] = []
    ranges: Ranges = network.ranges
    if ranges.ipv4 is not None:
        found.append(IPv4Interface((ranges.ipv4[number], ranges.ipv4.prefixlen)))
    if ranges.ipv6 is not None:
        found.append(IPv6Interface((ranges.ipv6[int(str(number), 16)], ranges.ipv6.prefixlen)))
    return tuple(found)


def _nth_range(range_: IPNetwork, index: int) -> IPNetwork:
    """The pod range of the node at `index`."""
    prefix = NODE_POD_PREFIX[range_.version]
    start = int(range_.network_address) + (index << (range_.max_prefixlen - prefix))
    return IPv4Network((start, prefix)) if range_.version == 4 else IPv6Network((start, prefix))  # noqa: PLR2004  # IP's own number


class _LinkNames:
    """Names that the kernel accepts for links, each given once: a machine's own name where that is possible."""

    def __init__(self) -> None:
        self._taken = set(_RESERVED_LINKS)

    def take(self, name: str) -> str:
        """A free link name for `name`: itself, or its beginning and a digest of the whole."""
        chosen, attempt = name, 0
        while chosen in self._taken or len(chosen) > LINK_NAME_LIMIT:
            digest = hashlib.sha256(f"{name}/{attempt}".encode()).hexdigest()
            chosen = f"{name[:8]}-{digest[:6]}"
            attempt += 1
        self._taken.add(chosen)
        return chosen

"""From a service and its endpoints to the nftables chains and map elements that carry its traffic on one node.

The table is `inet kubelab`: fixed hooks (`base`) look a packet's destination up in verdict maps, and each service port
has its own few chains, so that a change of one service changes a handful of elements however many services there are.
The behaviour is that of kube-proxy's nftables mode (KEP-3866), with KEP-1669 (draining endpoints), KEP-2086 (internal
traffic policy) and KEP-1860 (ipMode). Per service port and family the chains are

- `cluster4/...`  choose among all endpoints          - `entry4/...`    traffic to the cluster IP
- `local4/...`    choose among this node's endpoints  - `external4/...` traffic to node ports and outside addresses
- `ranges4/...`   who may use the load balancer's address

`sessionAffinity: ClientIP` is a hash of the client's address over the endpoints: without state or time-out, the same on
every node; a client may change its endpoint when the set of endpoints changes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import NamedTuple

from kubelab.proxy.model import Address, Endpoint, Network, Service, ServicePort, Slice

TABLE = "inet kubelab"
MASQUERADE_MARK = 0x4000
_AFFINITY_SEED = 0x6B756265

FAMILIES = (4, 6)
_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
_IP = {4: "ip", 6: "ip6"}


@dataclass(frozen=True, slots=True)
class Node:
    """Who this node is: its name and addresses, the pods it runs, and the ranges of the whole cluster.

    `pod_bridge` is the interface behind which its own pods are.
    """

    name: str
    addresses: tuple[Address, ...]
    pod_cidrs: tuple[Network, ...] = ()
    cluster_cidrs: tuple[Network, ...] = ()
    service_cidrs: tuple[Network, ...] = ()
    pod_bridge: str = "cni0"


class Element(NamedTuple):
    """A key of one of the table's maps or sets: (`services4`, `198.18.128.1 . tcp . 443`)."""

    container: str
    key: str


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one service contributes: chains by name (their rules in order) and elements with their verdict.

    Members of sets have the empty verdict. `backends` are the (service address, port, endpoint address) triples in use
    over UDP: connections of those that vanish must be forgotten. `local_endpoints` is what the health check reports.
    """

    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elements: Mapping[Element, str] = field(default_factory=dict)
    udp_backends: frozenset[tuple[str, int, str]] = frozenset()
    local_endpoints: int = 0


NOTHING = Fragment()


def fragment(service: Service, slices: Iterable[Slice], node: Node) -> Fragment:
    """All chains and elements of one service on one node."""
    known = tuple(slices)
    addresses = (*service.cluster_ips, *service.external_ips, *service.balancer_ips)
    families = [family for family in FAMILIES if any(address.version == family for address in addresses)]
    parts = [_PortRules(service, port, family, known, node).build() for port in service.ports for family in families]
    local = {
        endpoint.address
        for piece in known
        for endpoint in piece.endpoints
        if endpoint.ready and endpoint.node == node.name
    }
    counts = [sum(address.version == family for address in local) for family in FAMILIES]
    return Fragment(
        chains={name: rules for part in parts for name, rules in part.chains.items()},
        elements={key: verdict for part in parts for key, verdict in part.elements.items()},
        udp_backends=frozenset().union(*(part.udp_backends for part in parts)),
        local_endpoints=max(counts),  # a pod of both families is one,
    )


class Backend(NamedTuple):
    """Where a connection goes."""

    address: Address
    port: int


class _PortRules:
    """The rules of one service port in one family."""

    def __init__(self, service: Service, port: ServicePort, family: int, slices: Sequence[Slice], node: Node) -> None:
        self.service, self.port, self.family, self.node = service, port, family, node
        self.ip = _IP[family]
        self.suffix = f"{service.key.namespace}/{service.key.name}/{port.protocol}/{port.port}"
        endpoints = list(_port_endpoints(slices, port, family))
        self.cluster = usable(endpoints)
        self.local = usable([(endpoint, number) for endpoint, number in endpoints if endpoint.node == node.name])
        self.chains: dict[str, tuple[str, ...]] = {}
        self.elements: dict[Element, str] = {}

    def build(self) -> Fragment:
        cluster_ips = self._of_family(self.service.cluster_ips)
        outside = self._of_family((*self.service.external_ips, *self.service.balancer_ips))
        for address in cluster_ips:
            self.elements[Element(f"cluster_ips{self.family}", str(address))] = ""
        self._internal(cluster_ips)
        if outside or (self.port.node_port and cluster_ips):
            self._external(outside, with_node_port=bool(cluster_ips))
        self._ranges()
        for backend in self.local if self.chains else ():  # only a pod of this node can come back to itself here
            pair = f"{backend.address} . {backend.address}"
            self.elements[Element(f"hairpin{self.family}", pair)] = ""
        return Fragment(self.chains, self.elements, self._udp_backends([*cluster_ips, *outside]))

    def _of_family(self, addresses: Iterable[Address]) -> list[Address]:
        return [address for address in addresses if address.version == self.family]

    # --- ways in -------------------------------------------------------------------------------------------------

    def _internal(self, addresses: list[Address]) -> None:
        if not addresses:
            return
        choice = "local" if self.service.internal_local else "cluster"
        backends = self.local if self.service.internal_local else self.cluster
        if not backends:
            # Nobody anywhere: say so. Somebody, but not here: the policy says to drop (KEP-2086).
            self._refuse(addresses, "drop" if self.cluster else "goto refuse")
            return
        self._choose(choice, backends)
        rules = (f"{self.ip} saddr != @pods{self.family} jump to_masquerade", f"goto {self._chain(choice)}")
        self.chains[self._chain("entry")] = rules
        self._dispatch(addresses, "entry")

    def _external(self, addresses: list[Address], *, with_node_port: bool) -> None:
        node_port = self.port.node_port if with_node_port else 0
        if not self.cluster:
            self._refuse(addresses, "goto refuse", node_port)
            return
        self._choose("cluster", self.cluster)
        if self.service.external_local:
            rules = self._external_local_rules()
            if not self.local:
                self._refuse(addresses, "drop", node_port)
        else:
            rules = ("jump to_masquerade", f"goto {self._chain('cluster')}")
        self.chains[self._chain("external")] = rules
        self._dispatch(addresses, "external", node_port)

    def _external_local_rules(self) -> tuple[str, ...]:
        """Pods and the node itself may use any endpoint: the policy is for clients from outside."""
        rules = [
            f"{self.ip} saddr @pods{self.family} goto {self._chain('cluster')}",
            "fib saddr type local jump to_masquerade",
            f"fib saddr type local goto {self._chain('cluster')}",
        ]
        if self.local:
            self._choose("local", self.local)
            rules.append(f"goto {self._chain('local')}")
        return tuple(rules)

    def _ranges(self) -> None:
        """A family without a range of its own is open, as it is under kube-proxy."""
        ranges = [network for network in self.service.source_ranges if network.version == self.family]
        addresses = self._of_family(self.service.balancer_ips)
        if not ranges or not addresses:
            return
        allowed = ", ".join(_collapsed(ranges))
        self.chains[self._chain("ranges")] = (f"{self.ip} saddr {{ {allowed} }} return", "drop")
        for address in addresses:
            self.elements[self._key("guards", address)] = f"goto {self._chain('ranges')}"

    # --- pieces --------------------------------------------------------------------------------------------------

    def _chain(self, kind: str) -> str:
        return f"{kind}{self.family}/{self.suffix}"

    def _key(self, container: str, address: Address) -> Element:
        return Element(f"{container}{self.family}", f"{address} . {self.port.protocol} . {self.port.port}")

    def _port_key(self, container: str, number: int) -> Element:
        return Element(f"{container}{self.family}", f"{self.port.protocol} . {number}")

    def _dispatch(self, addresses: list[Address], kind: str, node_port: int = 0) -> None:
        verdict = f"goto {self._chain(kind)}"
        for address in addresses:
            self.elements.setdefault(self._key("services", address), verdict)
        if node_port:
            self.elements[self._port_key("nodeports", node_port)] = verdict

    def _refuse(self, addresses: list[Address], verdict: str, node_port: int = 0) -> None:
        for address in addresses:
            self.elements.setdefault(self._key("refused", address), verdict)
        if node_port:
            self.elements[self._port_key("refused_nodeports", node_port)] = verdict

    def _choose(self, kind: str, backends: Sequence[Backend]) -> None:
        self.chains[self._chain(kind)] = (
            f"meta l4proto {self.port.protocol} dnat {self.ip} to {self._target(backends)}",
        )

    def _target(self, backends: Sequence[Backend]) -> str:
        if len(backends) == 1:
            address, number = backends[0]
            return f"{address}:{number}" if self.family == 4 else f"[{address}]:{number}"  # noqa: PLR2004  # IPv4
        if self.service.affinity:
            draw = f"jhash {self.ip} saddr mod {len(backends)} seed {_AFFINITY_SEED:#x}"
        else:
            draw = f"numgen random mod {len(backends)}"
        targets = ", ".join(f"{index} : {address} . {number}" for index, (address, number) in enumerate(backends))
        return f"{draw} map {{ {targets} }}"

    def _udp_backends(self, addresses: list[Address]) -> frozenset[tuple[str, int, str]]:
        if self.port.protocol != "udp":
            return frozenset()
        ways = [(str(address), self.port.port) for address in addresses]
        if self.port.node_port:
            ways += [(str(address), self.port.node_port) for address in self._of_family(self.node.addresses)]
        return frozenset((*way, str(backend.address)) for way in ways for backend in self.cluster)


def usable(endpoints: Sequence[tuple[Endpoint, int]]) -> tuple[Backend, ...]:
    """The endpoints that get new connections: the ready ones, or if there is none those that still drain (KEP-1669)."""
    chosen = [item for item in endpoints if item[0].ready] or [item for item in endpoints if item[0].draining]
    return tuple(sorted({Backend(endpoint.address, number) for endpoint, number in chosen}, key=_order))


def _order(backend: Backend) -> tuple[int, int]:
    return int(backend.address), backend.port


def _port_endpoints(slices: Iterable[Slice], port: ServicePort, family: int) -> Iterator[tuple[Endpoint, int]]:
    for piece in slices:
        number = piece.port(port.name, port.protocol)
        if number is not None:
            for endpoint in piece.endpoints:
                if endpoint.address.version == family:
                    yield endpoint, number


def _collapsed(ranges: Iterable[Network]) -> list[str]:
    """Texts of networks that do not overlap: nft refuses overlapping intervals."""
    networks = list(ranges)
    v4 = [network for network in networks if isinstance(network, ipaddress.IPv4Network)]
    v6 = [network for network in networks if isinstance(network, ipaddress.IPv6Network)]
    return [str(network) for network in (*ipaddress.collapse_addresses(v4), *ipaddress.collapse_addresses(v6))]


def base(node: Node) -> str:
    """The table without any service: sets of the node's and the cluster's ranges, empty maps, hooks.

    Filter hooks see a connection that found no endpoint with its first destination, all others with their new one.
    """
    sets = [
        *_interval_sets("pods", node.cluster_cidrs),
        *_interval_sets("own_pods", node.pod_cidrs),
        *_interval_sets("service_ranges", node.service_cidrs),
        *_interval_sets("node_addresses", [ipaddress.ip_network(address) for address in node.addresses]),
    ]
    maps = [line for family in FAMILIES for line in _containers(family)]
    hooks = _HOOKS.substitute(bridge=node.pod_bridge, mark=f"{MASQUERADE_MARK:#x}")
    return "\n".join([f"table {TABLE} {{", *sets, *maps, hooks, "}", ""])


def _interval_sets(name: str, ranges: Iterable[Network]) -> Iterator[str]:
    known = list(ranges)
    for family in FAMILIES:
        members = ", ".join(_collapsed(network for network in known if network.version == family))
        elements = f" elements = {{ {members} }};" if members else ""
        yield f"\tset {name}{family} {{ type {_TYPES[family]}; flags interval;{elements} }}"


def _containers(family: int) -> Iterator[str]:
    address = _TYPES[family]
    yield f"\tset cluster_ips{family} {{ type {address}; }}"
    yield f"\tset hairpin{family} {{ type {address} . {address}; }}"
    for name in ("services", "refused", "guards"):
        yield f"\tmap {name}{family} {{ type {address} . inet_proto . inet_service : verdict; }}"
    for name in ("nodeports", "refused_nodeports"):
        yield f"\tmap {name}{family} {{ type inet_proto . inet_service : verdict; }}"


_HOOKS = Template("""\
	chain to_masquerade {
		meta mark set meta mark or $mark
	}
	chain refuse {
		meta l4proto tcp reject with tcp reset
		reject with icmpx type port-unreachable
	}
	chain services {
		ip daddr . meta l4proto . th dport vmap @services4
		ip6 daddr . meta l4proto . th dport vmap @services6
		ip daddr @node_addresses4 meta l4proto . th dport vmap @nodeports4
		ip6 daddr @node_addresses6 meta l4proto . th dport vmap @nodeports6
	}
	chain guards {
		ip daddr . meta l4proto . th dport vmap @guards4
		ip6 daddr . meta l4proto . th dport vmap @guards6
	}
	chain unserved {
		ip daddr . meta l4proto . th dport vmap @refused4
		ip6 daddr . meta l4proto . th dport vmap @refused6
		ip daddr @node_addresses4 meta l4proto . th dport vmap @refused_nodeports4
		ip6 daddr @node_addresses6 meta l4proto . th dport vmap @refused_nodeports6
		ip daddr @cluster_ips4 goto refuse
		ip6 daddr @cluster_ips6 goto refuse
		ip daddr @service_ranges4 drop
		ip6 daddr @service_ranges6 drop
	}
	chain filter_prerouting {
		type filter hook prerouting priority dstnat - 10; policy accept;
		ct state new jump guards
	}
	chain filter_output_first {
		type filter hook output priority -110; policy accept;
		ct state new jump guards
	}
	chain filter_input {
		type filter hook input priority filter; policy accept;
		ct state new jump unserved
	}
	chain filter_forward {
		type filter hook forward priority filter; policy accept;
		ct state new jump unserved
	}
	chain filter_output {
		type filter hook output priority filter; policy accept;
		ct state new jump unserved
	}
	chain nat_prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		jump services
	}
	chain nat_output {
		type nat hook output priority -100; policy accept;
		jump services
	}
	chain nat_postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & $mark == $mark meta mark set meta mark xor $mark masquerade
		ip saddr . ip daddr @hairpin4 masquerade
		ip6 saddr . ip6 daddr @hairpin6 masquerade
		oifname != "$bridge" ip saddr @own_pods4 ip daddr != @pods4 masquerade
		oifname != "$bridge" ip6 saddr @own_pods6 ip6 daddr != @pods6 masquerade
	}""")

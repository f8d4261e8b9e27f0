"""The configuration in force: immutable, fully checked, everything parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from metallb.api.net import Address, InterfaceName, Range
from metallb.config.communities import Community
from metallb.config.selectors import Labels, Selector, any_matches
from metallb.config.terms import FREE, Terms


@dataclass(frozen=True, slots=True)
class ServiceAllocation:
    """Who may use a pool (spec/crds.md 2).

    Attributes:
        priority: lower is tried first; 0 is tried last.
        namespaces: allowed namespaces, or None where neither names nor selectors are given. An empty set means that
            selectors are given and match nothing: then nobody may use the pool.
        service_selectors: Services by label, one is enough; empty admits all.
    """

    priority: int
    namespaces: frozenset[str] | None
    service_selectors: tuple[Selector, ...]

    def admits(self, namespace: str, labels: Labels) -> bool:
        """Whether a Service of this namespace with these labels may use the pool."""
        if self.namespaces is not None and namespace not in self.namespaces:
            return False
        return not self.service_selectors or any_matches(self.service_selectors, labels)


@dataclass(frozen=True, slots=True)
class NodePreference:
    """A weight for the nodes that a selector matches."""

    weight: int
    selector: Selector


@dataclass(frozen=True, slots=True)
class L2Advertisement:
    """How addresses are announced by ARP and NDP (spec/crds.md 3).

    Attributes:
        name: of the L2Advertisement.
        node_selectors: nodes that may announce; empty means all.
        interfaces: on which to answer; empty means all.
        service_selectors: Services it is for; empty means all.
        preferences: which of its nodes are preferred.
    """

    name: str
    node_selectors: tuple[Selector, ...] = ()
    interfaces: frozenset[InterfaceName] = frozenset()
    service_selectors: tuple[Selector, ...] = ()
    preferences: tuple[NodePreference, ...] = ()

    def selects_node(self, labels: Labels) -> bool:
        """Whether a node with these labels may announce."""
        return not self.node_selectors or any_matches(self.node_selectors, labels)

    def selects_service(self, labels: Labels) -> bool:
        """Whether it is for a Service with these labels."""
        return not self.service_selectors or any_matches(self.service_selectors, labels)

    def score(self, labels: Labels) -> int:
        """The sum of the weights for a node with these labels; 0 where it may not announce."""
        if not self.preferences or not self.selects_node(labels):
            return 0
        return sum(preference.weight for preference in self.preferences if preference.selector.matches(labels))


@dataclass(frozen=True, slots=True)
class BGPAdvertisement:
    """How addresses are announced by BGP (spec/crds.md 4).

    Attributes:
        name: of the BGPAdvertisement.
        aggregation_length: prefix length of announced IPv4 blocks.
        aggregation_length_v6: prefix length of announced IPv6 blocks.
        local_pref: LOCAL_PREF for peers of the same autonomous system.
        communities: sorted; aliases are resolved.
        node_selectors: nodes that announce themselves as next hop; empty means all.
        peers: names of BGPPeers; empty means all.
        service_selectors: Services it is for; empty means all.
    """

    name: str
    aggregation_length: int = 32
    aggregation_length_v6: int = 128
    local_pref: int = 0
    communities: tuple[Community, ...] = ()
    node_selectors: tuple[Selector, ...] = ()
    peers: frozenset[str] = frozenset()
    service_selectors: tuple[Selector, ...] = ()

    def selects_node(self, labels: Labels) -> bool:
        """Whether a node with these labels announces."""
        return not self.node_selectors or any_matches(self.node_selectors, labels)

    def selects_peer(self, name: str) -> bool:
        """Whether it is for the BGPPeer of this name."""
        return not self.peers or name in self.peers

    def selects_service(self, labels: Labels) -> bool:
        """Whether it is for a Service with these labels."""
        return not self.service_selectors or any_matches(self.service_selectors, labels)


@dataclass(frozen=True, slots=True)
class BFDProfile:
    """Settings of BFD (spec/crds.md 6); None is the backend's default.

    Attributes:
        name: of the BFDProfile.
        receive_interval_ns: shortest time between packets that it can receive, in nanoseconds.
        transmit_interval_ns: shortest time between packets that it sends, in nanoseconds.
        echo_interval_ns: shortest time between echo packets that it can handle, in nanoseconds.
        detect_multiplier: how many packets may be missed before the session is down.
        echo_mode: whether echo packets are sent.
        passive_mode: whether it waits for the peer to start.
        minimum_ttl: lowest TTL of packets that are accepted over several hops.
    """

    name: str
    receive_interval_ns: int | None = None
    transmit_interval_ns: int | None = None
    echo_interval_ns: int | None = None
    detect_multiplier: int | None = None
    echo_mode: bool = False
    passive_mode: bool = False
    minimum_ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A BGP session from nodes to a router (spec/crds.md 5).

    Attributes:
        name: of the BGPPeer.
        my_asn: autonomous system of the cluster.
        local_asn: shown to this router in place of `my_asn`; None: nothing else is shown.
        peer_asn: the router's autonomous system; 0 where it is dynamic.
        dynamic_asn: which autonomous systems the router may be of, where no number says so; else None.
        address: of the router; None on an unnumbered session.
        interface: of the node, for unnumbered sessions; else empty.
        port: TCP port of the router.
        source_address: from which the node connects; None leaves it to the kernel.
        router_id: of the node's side; None is the backend's choice.
        hold_time_ns: nanoseconds, 0 is off; None is the backend's default, and then the keepalive time is None too.
        keepalive_time_ns: nanoseconds, 0 is off.
        connect_time_ns: nanoseconds between attempts to connect; None is the backend's default.
        node_selectors: nodes that connect; empty means all.
        password: of the session (TCP MD5), from the object or from its Secret; empty: none.
        password_secret: name of the Secret; empty: none. Where Secrets are not looked up, `password` is empty then.
        bfd_profile: name of its BFDProfile; empty: no BFD.
        graceful_restart: whether the router goes on to forward while the speaker restarts.
        ebgp_multi_hop: whether a router of another autonomous system may be several hops away.
        vrf: of the node; empty is the default one.
        dual_stack: whether one session carries both families.
    """

    name: str
    my_asn: int
    peer_asn: int = 0
    dynamic_asn: Literal["internal", "external"] | None = None
    local_asn: int | None = None
    address: Address | None = None
    interface: str = ""
    port: int = 179
    source_address: Address | None = None
    router_id: Address | None = None
    hold_time_ns: int | None = None
    keepalive_time_ns: int | None = None
    connect_time_ns: int | None = None
    node_selectors: tuple[Selector, ...] = ()
    password: bytes = field(default=b"", repr=False)
    password_secret: str = ""
    bfd_profile: str = ""
    graceful_restart: bool = False
    ebgp_multi_hop: bool = False
    vrf: str = ""
    dual_stack: bool = False

    def selects_node(self, labels: Labels) -> bool:
        """Whether a node with these labels connects."""
        return not self.node_selectors or any_matches(self.node_selectors, labels)


@dataclass(frozen=True, slots=True)
class Pool:
    """Addresses that Services can be given, and how they are announced.

    Attributes:
        name: of the IPAddressPool.
        ranges: in the order of `spec.addresses`; they don't overlap.
        auto_assign: whether it is used for Services that ask for nothing.
        avoid_buggy_ips: IPv4 addresses ending in .0 or .255 are left out.
        allocation: who may use it; None means everybody.
        l2: its layer-2 advertisements, by name.
        bgp: its BGP advertisements, by name.
        terms: limits on what it gives.
    """

    name: str
    ranges: tuple[Range, ...]
    auto_assign: bool = True
    avoid_buggy_ips: bool = False
    allocation: ServiceAllocation | None = None
    l2: tuple[L2Advertisement, ...] = ()
    bgp: tuple[BGPAdvertisement, ...] = ()
    terms: Terms = FREE

    def __contains__(self, address: Address) -> bool:
        """Whether a Service may hold this address from this pool."""
        if self.avoid_buggy_ips and is_buggy(address):
            return False
        return any(address in each for each in self.ranges)

    def admits(self, namespace: str, labels: Labels) -> bool:
        """Whether a Service of this namespace with these labels may use it."""
        return self.allocation is None or self.allocation.admits(namespace, labels)


@dataclass(frozen=True, slots=True)
class Config:
    """All of it; everything is sorted by name."""

    pools: tuple[Pool, ...] = ()
    peers: tuple[Peer, ...] = ()
    bfd_profiles: tuple[BFDProfile, ...] = ()

    def pool_of(self, addresses: tuple[Address, ...]) -> Pool | None:
        """The pool that holds all of these addresses."""
        return next((pool for pool in self.pools if all(address in pool for address in addresses)), None)


def is_buggy(address: Address) -> bool:
    """Whether it is an IPv4 address that ends in .0 or .255."""
    return address.family == 4 and address.value & 0xFF in {0, 0xFF}  # noqa: PLR2004  # the family's own number

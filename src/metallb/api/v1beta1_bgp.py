"""The BGP resources of `metallb.io/v1beta1`: BGPAdvertisement, BFDProfile, Community, and the deprecated BGPPeer.

Source: spec/crds.md 4 to 7. The BGPPeer that is stored is `v1beta2`'s.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field

from metallb.api import rules
from metallb.api.core import LabelSelector, Model, ObjectMeta
from metallb.api.v1beta1 import Integer

AUTONOMOUS_SYSTEM_MAX = 4294967295
_INT32 = {"format": "int32"}

Milliseconds = Annotated[int, Meta(ge=10, le=60000, extra_json_schema=_INT32)]
Multiplier = Annotated[int, Meta(ge=2, le=255, extra_json_schema=_INT32)]
Ttl = Annotated[int, Meta(ge=1, le=254, extra_json_schema=_INT32)]


class BGPAdvertisementSpec(Model, frozen=True):
    """Which addresses are announced by BGP, to whom, in what blocks and with which attributes."""

    aggregation_length: Annotated[
        int,
        Meta(
            ge=1,
            description="Prefix length of announced IPv4 blocks: 32 announces each address by itself.",
            extra_json_schema=_INT32 | {"default": 32},
        ),
    ] = 32
    aggregation_length_v6: Annotated[
        int,
        Meta(
            description="Prefix length of announced IPv6 blocks: 128 announces each address by itself.",
            extra_json_schema=_INT32 | {"default": 128},
        ),
    ] = field(default=128, name="aggregationLengthV6")
    local_pref: Annotated[
        int,
        Meta(
            description="LOCAL_PREF of the announcement, for peers of the same autonomous system; higher is preferred.",
            extra_json_schema=_INT32,
        ),
    ] = 0
    communities: Annotated[
        tuple[str, ...],
        Meta(
            description="Communities put on the announcement: `A:B`, `large:A:B:C`, or a name that a Community gives."
        ),
    ] = ()
    ip_address_pools: Annotated[
        tuple[str, ...], Meta(description="Pools by name. Without names and selectors: all pools.")
    ] = field(default=(), name="ipAddressPools")
    ip_address_pool_selectors: Annotated[
        tuple[LabelSelector, ...], Meta(description="Pools by their labels; one matching selector is enough.")
    ] = field(default=(), name="ipAddressPoolSelectors")
    node_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(
            description="Nodes that announce themselves as next hop; one matching selector is enough; empty means all."
        ),
    ] = ()
    peers: Annotated[tuple[str, ...], Meta(description="BGPPeers by name; empty means all.")] = ()
    service_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(description="Services that are announced, by their labels; empty means all. Excludes aggregation."),
    ] = ()


class BGPAdvertisement(Model, frozen=True):
    """Announces addresses of pools to BGP routers."""

    metadata: ObjectMeta = ObjectMeta()
    spec: Annotated[
        BGPAdvertisementSpec, Meta(extra_json_schema=rules.validations(rules.NO_AGGREGATION_OF_SELECTED))
    ] = BGPAdvertisementSpec()
    status: dict[str, Any] = {}


class LegacyExpression(Model, frozen=True):
    """A condition on a node's labels."""

    key: Annotated[str, Meta(description="Label.")]
    operator: Annotated[str, Meta(description="In, NotIn, Exists or DoesNotExist.")]
    values: Annotated[tuple[str, ...], Meta(min_length=1, description="Values to compare with; at least one.")]


class LegacySelector(Model, frozen=True):
    """Nodes by their labels; empty matches every node."""

    match_labels: Annotated[dict[str, str], Meta(description="Labels and the values they must have, all of them.")] = {}
    match_expressions: Annotated[tuple[LegacyExpression, ...], Meta(description="Conditions that must all hold.")] = ()


class BGPPeerSpec(Model, frozen=True):
    """A BGP session from nodes to a router."""

    my_asn: Annotated[int, Meta(ge=0, le=AUTONOMOUS_SYSTEM_MAX, description="Autonomous system of the cluster.")] = (
        field(name="myASN")
    )
    peer_asn: Annotated[int, Meta(ge=0, le=AUTONOMOUS_SYSTEM_MAX, description="Autonomous system of the router.")] = (
        field(name="peerASN")
    )
    peer_address: Annotated[str, Meta(description="IP address of the router.")]
    source_address: Annotated[str, Meta(description="IP address of the node from which it connects.")] = ""
    peer_port: Annotated[Integer, Meta(ge=0, le=16384, description="TCP port of the router.")] = 0
    hold_time: Annotated[
        str | None, Meta(description="How long silence is borne before the session ends, as in `90s`.")
    ] = None
    keepalive_time: Annotated[str | None, Meta(description="Time between signs of life, as in `30s`.")] = None
    router_id: Annotated[str, Meta(description="Router ID of the node's side, as an IP address.")] = field(
        default="", name="routerID"
    )
    node_selectors: Annotated[
        tuple[LegacySelector, ...],
        Meta(description="Nodes that connect; one matching selector is enough; empty means all."),
    ] = ()
    password: Annotated[str, Meta(description="Password of the session (TCP MD5).")] = ""
    bfd_profile: Annotated[str, Meta(description="BFDProfile of the session, by name.")] = ""
    ebgp_multi_hop: Annotated[bool, Meta(description="Whether the router may be several hops away.")] = False


class BGPPeer(Model, frozen=True):
    """A router that nodes have a BGP session with, as older clients write it: v1beta2 replaces it."""

    metadata: ObjectMeta = ObjectMeta()
    spec: BGPPeerSpec | None = None
    status: dict[str, Any] = {}


class BFDProfileSpec(Model, frozen=True):
    """How quickly a session notices that its link is dead; what is absent is the backend's default."""

    receive_interval: Annotated[
        Milliseconds | None,
        Meta(description="Shortest time between packets that it can receive, in milliseconds; 300 when absent."),
    ] = None
    transmit_interval: Annotated[
        Milliseconds | None,
        Meta(description="Shortest time between packets that it sends, in milliseconds; 300 when absent."),
    ] = None
    detect_multiplier: Annotated[
        Multiplier | None,
        Meta(description="How many packets may be missed before the session is down; 3 when absent."),
    ] = None
    echo_interval: Annotated[
        Milliseconds | None,
        Meta(description="Shortest time between echo packets that it can handle, in milliseconds; 50 when absent."),
    ] = None
    echo_mode: Annotated[
        bool, Meta(description="Whether echo packets are sent; only for sessions to a neighbour on the same link.")
    ] = False
    passive_mode: Annotated[bool, Meta(description="Whether it waits for the peer to start.")] = False
    minimum_ttl: Annotated[
        Ttl | None,
        Meta(description="Lowest TTL of packets that are accepted, on sessions over several hops; 254 when absent."),
    ] = None


class BFDProfile(Model, frozen=True):
    """Settings of BFD, which notices dead links sooner than BGP does; BGPPeers name it."""

    metadata: ObjectMeta = ObjectMeta()
    spec: BFDProfileSpec = BFDProfileSpec()
    status: dict[str, Any] = {}


class CommunityAlias(Model, frozen=True):
    """A name for a community."""

    name: Annotated[str, Meta(description="The name, for `communities` of BGPAdvertisements.")] = ""
    value: Annotated[str, Meta(description="The community: `A:B` or `large:A:B:C`, in decimal.")] = ""


class CommunitySpec(Model, frozen=True):
    """Names for communities."""

    communities: Annotated[
        tuple[CommunityAlias, ...], Meta(description="Each name may be given once, among all Communities.")
    ] = ()


class Community(Model, frozen=True):
    """Gives names to BGP communities, for use in BGPAdvertisements."""

    metadata: ObjectMeta = ObjectMeta()
    spec: CommunitySpec = CommunitySpec()
    status: dict[str, Any] = {}

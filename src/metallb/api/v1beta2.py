"""The BGPPeer of `metallb.io/v1beta2`, the version that is stored.

Constraints that the API server checks stand in the annotations (`Meta`). Source: spec/crds.md 5.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from metallb.api import rules
from metallb.api.core import LabelSelector, Model, ObjectMeta
from metallb.api.v1beta1 import GROUP, Integer
from metallb.api.v1beta1_bgp import AUTONOMOUS_SYSTEM_MAX

VERSION = "v1beta2"
API_VERSION = f"{GROUP}/{VERSION}"


class SecretReference(Model, frozen=True):
    """A Secret by name."""

    name: Annotated[str, Meta(description="Name of the Secret.")] = ""
    namespace: Annotated[str, Meta(description="Not looked at: the Secret is one of MetalLB's namespace.")] = ""


class BGPPeerSpec(Model, frozen=True):
    """A BGP session from nodes to a router."""

    my_asn: Annotated[int, Meta(ge=0, le=AUTONOMOUS_SYSTEM_MAX, description="Autonomous system of the cluster.")] = (
        field(name="myASN")
    )
    local_asn: Annotated[
        Annotated[int, Meta(ge=1, le=AUTONOMOUS_SYSTEM_MAX)] | None,
        Meta(description="Autonomous system shown to this router in place of `myASN`."),
    ] = field(default=None, name="localASN")
    peer_asn: Annotated[
        int,
        Meta(
            ge=0,
            le=AUTONOMOUS_SYSTEM_MAX,
            description="Autonomous system of the router; either this or `dynamicASN`.",
        ),
    ] = field(default=0, name="peerASN")
    dynamic_asn: Annotated[
        Literal["internal", "external"] | None,
        Meta(
            description="Takes the router's autonomous system from the session: the same as the cluster's (`internal`) "
            "or any other (`external`).",
            extra_json_schema={"enum": ["internal", "external"]},
        ),
    ] = field(default=None, name="dynamicASN")
    peer_address: Annotated[str, Meta(description="IP address of the router; either this or `interface`.")] = ""
    interface: Annotated[
        str, Meta(description="Interface of the node at which the router is, for sessions without addresses.")
    ] = ""
    source_address: Annotated[str, Meta(description="IP address of the node from which it connects.")] = ""
    peer_port: Annotated[
        Integer, Meta(ge=1, le=16384, description="TCP port of the router.", extra_json_schema={"default": 179})
    ] = 179
    hold_time: Annotated[
        str | None,
        Meta(description="How long silence is borne before the session ends, as in `90s`: 0, or at least 3 seconds."),
    ] = None
    keepalive_time: Annotated[
        str | None, Meta(description="Time between signs of life, as in `30s`; at most the hold time.")
    ] = None
    connect_time: Annotated[
        str | None,
        Meta(
            description="Time between attempts to connect: whole seconds, from `1s` to `65535s`.",
            extra_json_schema=rules.validations(rules.CONNECT_TIME_RANGE, rules.CONNECT_TIME_WHOLE),
        ),
    ] = None
    router_id: Annotated[str, Meta(description="Router ID of the node's side, as an IP address.")] = field(
        default="", name="routerID"
    )
    node_selectors: Annotated[
        tuple[LabelSelector, ...],
        Meta(description="Nodes that connect; one matching selector is enough; empty means all."),
    ] = ()
    password: Annotated[str, Meta(description="Password of the session (TCP MD5); rather use `passwordSecret`.")] = ""
    password_secret: Annotated[
        SecretReference | None,
        Meta(
            description="Secret of type kubernetes.io/basic-auth whose `password` is the password of the session.",
            extra_json_schema={"x-kubernetes-map-type": "atomic"},
        ),
    ] = None
    bfd_profile: Annotated[str, Meta(description="BFDProfile of the session, by name.")] = ""
    enable_graceful_restart: Annotated[
        bool | None,
        Meta(
            description="Whether the router goes on to forward while the speaker restarts; can't be changed.",
            extra_json_schema=rules.validations(rules.GRACEFUL_RESTART_FIXED),
        ),
    ] = None
    ebgp_multi_hop: Annotated[
        bool, Meta(description="Whether a router of another autonomous system may be several hops away.")
    ] = False
    vrf: Annotated[str, Meta(description="VRF of the node in which the session runs.")] = ""
    disable_mp: Annotated[
        bool, Meta(description="Deprecated and without effect.", extra_json_schema={"default": False})
    ] = field(default=False, name="disableMP")
    dual_stack_address_family: Annotated[
        bool,
        Meta(description="Whether one session carries IPv4 and IPv6.", extra_json_schema={"default": False}),
    ] = False


class BGPPeer(Model, frozen=True):
    """A router that nodes have a BGP session with."""

    metadata: ObjectMeta = ObjectMeta()
    spec: BGPPeerSpec | None = None
    status: dict[str, Any] = {}

"""BGPPeers, each by itself (spec/crds.md 5, 10.3), and what the backend refuses of one (10.8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from metallb.api import duration, v1beta2
from metallb.api.net import Address
from metallb.api.v1beta1_bgp import AUTONOMOUS_SYSTEM_MAX
from metallb.config.backends import Backend, Feature, refuses
from metallb.config.model import Peer
from metallb.config.parsing import Parsed, Problems
from metallb.config.timers import parse_connect_time, parse_timers

KIND = "BGPPeer"

Spec = v1beta2.BGPPeerSpec
Neighbor = tuple[Address | str, str]
"""Address or interface, and VRF: who is at the other end of a session."""

_MAX_PORT = 16384
_NO_SPEC = Spec(my_asn=0)


def _keeps_alive(spec: Spec) -> bool:
    try:
        return duration.parse(spec.keepalive_time or "0") != 0
    except ValueError:
        return False


_FEATURES: tuple[tuple[Feature, str, Callable[[Spec], object]], ...] = (
    (Feature.PEER_BFD, "bfdProfile", lambda spec: spec.bfd_profile),
    (Feature.PEER_KEEPALIVE_TIME, "keepaliveTime", lambda spec: _keeps_alive(spec) and spec.keepalive_time),
    (Feature.PEER_VRF, "vrf", lambda spec: spec.vrf),
    (Feature.PEER_CONNECT_TIME, "connectTime", lambda spec: spec.connect_time),
    (Feature.PEER_GRACEFUL_RESTART, "enableGracefulRestart", lambda spec: spec.enable_graceful_restart),
    (Feature.PEER_DISABLE_MP, "disableMP", lambda spec: spec.disable_mp),
    (Feature.PEER_DUAL_STACK, "dualStackAddressFamily", lambda spec: spec.dual_stack_address_family),
    (Feature.PEER_DYNAMIC_ASN, "dynamicASN", lambda spec: spec.dynamic_asn),
    (Feature.PEER_INTERFACE, "interface", lambda spec: spec.interface),
    (Feature.PEER_LOCAL_ASN, "localASN", lambda spec: spec.local_asn),
)
"""What a peer asks for: the feature, its field, and whether the field is used."""


@dataclass(frozen=True, slots=True)
class ParsedPeer(Parsed):
    """A peer.

    Attributes:
        peer: as far as it could be read; its Secret is not looked at yet.
        all_nodes: it has no node selectors. (Without readable ones it selects no node.)
        neighbor: who is at the other end; None: that could not be read.
        has_router_id: whether `peer.router_id` is what the user wrote: it could be read, or there is none.
    """

    peer: Peer
    all_nodes: bool
    neighbor: Neighbor | None
    has_router_id: bool


def parse_peer(resource: v1beta2.BGPPeer, backend: Backend) -> ParsedPeer:
    """The peer as far as it could be read, and what is wrong with it."""
    problems = Problems.of(KIND, resource.metadata)
    spec = resource.spec
    if spec is None:
        problems.add("spec", "", "is missing", "give myASN, peerASN and peerAddress")
        spec = _NO_SPEC
    else:
        _check_asns(spec, problems)
        _check_other_end(spec, problems)
        _check_features(spec, backend, problems)
    if not 1 <= spec.peer_port <= _MAX_PORT:
        problems.add("spec.peerPort", spec.peer_port, f"must be from 1 to {_MAX_PORT}")
    secret = spec.password_secret.name if spec.password_secret else ""
    if spec.password and secret:
        problems.add("spec.password", "***", "stands beside passwordSecret", "keep one of the two")
    address = _parse_address("spec.peerAddress", spec.peer_address, problems)
    router_id = _parse_address("spec.routerID", spec.router_id, problems)
    hold_time, keepalive_time = parse_timers(spec.hold_time, spec.keepalive_time, problems)
    peer = Peer(
        name=resource.metadata.name,
        my_asn=spec.my_asn,
        peer_asn=spec.peer_asn,
        dynamic_asn=_dynamic_asn(spec),
        local_asn=spec.local_asn,
        address=address,
        interface=spec.interface,
        port=spec.peer_port,
        source_address=_parse_address("spec.sourceAddress", spec.source_address, problems),
        router_id=router_id,
        hold_time_ns=hold_time,
        keepalive_time_ns=keepalive_time,
        connect_time_ns=parse_connect_time(spec.connect_time, problems),
        node_selectors=problems.parse_selectors("spec.nodeSelectors", spec.node_selectors),
        password=spec.password.encode("utf-8", "surrogatepass"),
        password_secret=secret,
        bfd_profile=spec.bfd_profile,
        graceful_restart=bool(spec.enable_graceful_restart),
        ebgp_multi_hop=spec.ebgp_multi_hop,
        vrf=spec.vrf,
        dual_stack=spec.dual_stack_address_family,
    )
    return ParsedPeer(
        *problems.head(resource.metadata),
        peer,
        all_nodes=not spec.node_selectors,
        neighbor=_neighbor(spec, address),
        has_router_id=router_id is not None or not spec.router_id,
    )


def _dynamic_asn(spec: Spec) -> Literal["internal", "external"] | None:
    """What is written if it is one of the two; anything else is noted as an error."""
    return spec.dynamic_asn if spec.dynamic_asn in {"internal", "external"} else None


def _neighbor(spec: Spec, address: Address | None) -> Neighbor | None:
    if spec.peer_address:
        return None if address is None else (address, spec.vrf)
    return (spec.interface, spec.vrf) if spec.interface else None


def _check_asns(spec: Spec, problems: Problems) -> None:
    """Rows B1 to B4, and the bounds of the schema."""
    problems.check_number("spec.myASN", spec.my_asn, 1, AUTONOMOUS_SYSTEM_MAX)
    if spec.local_asn is not None:
        problems.check_number("spec.localASN", spec.local_asn, 1, AUTONOMOUS_SYSTEM_MAX)
    if spec.dynamic_asn and _dynamic_asn(spec) is None:
        problems.add("spec.dynamicASN", spec.dynamic_asn, "must be internal or external")
    if spec.peer_asn:
        problems.check_number("spec.peerASN", spec.peer_asn, 1, AUTONOMOUS_SYSTEM_MAX)
        if spec.dynamic_asn:
            problems.add("spec.dynamicASN", spec.dynamic_asn, "stands beside peerASN", "keep one of the two")
    elif not spec.dynamic_asn:
        problems.add("spec.peerASN", spec.peer_asn, "is missing, and so is dynamicASN", "give one of the two")
    if spec.ebgp_multi_hop and spec.peer_asn == spec.my_asn:
        rule = "is for routers of another autonomous system, and peerASN equals myASN"
        problems.add(
            "spec.ebgpMultiHop", "true", rule, "remove it: sessions within one may always go over several hops"
        )


def _check_other_end(spec: Spec, problems: Problems) -> None:
    """Row B5."""
    if spec.peer_address and spec.interface:
        problems.add("spec.interface", spec.interface, "stands beside peerAddress", "keep one of the two")
    elif not spec.peer_address and not spec.interface:
        problems.add("spec.peerAddress", "", "is missing, and so is interface", "give one of the two")


def _check_features(spec: Spec, backend: Backend, problems: Problems) -> None:
    for feature, name, used in _FEATURES:
        if refuses(backend, feature) and (value := used(spec)):
            shown = "true" if value is True else str(value)
            hint = f"remove it, or use another backend than {backend}"
            problems.add(f"spec.{name}", shown, f"asks for {feature.value}, which backend {backend} can't do", hint)


def _parse_address(path: str, text: str, problems: Problems) -> Address | None:
    """Row B6."""
    if not text:
        return None
    try:
        return Address.parse(text)
    except ValueError:
        problems.add(path, text, "is no IP address", "write one such as 192.0.2.1 or 2001:db8::1")
        return None

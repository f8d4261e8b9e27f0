"""What each BGP backend refuses today, in one table: to implement a feature is to delete its line (spec/crds.md 10.8).

A backend that is not in the table refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, Literal

Backend = Literal["native", "frr", "frr-k8s"]


class Feature(Enum):
    """Something that not every backend can do; the value says what of, for people."""

    PEER_BFD = "BFD"
    PEER_KEEPALIVE_TIME = "a keepalive time of its own"
    PEER_VRF = "VRFs"
    PEER_CONNECT_TIME = "a connect time"
    PEER_GRACEFUL_RESTART = "graceful restart"
    PEER_DISABLE_MP = "disableMP"
    PEER_DUAL_STACK = "both families in one session"
    PEER_DYNAMIC_ASN = "a peer's AS number taken from the session"
    PEER_INTERFACE = "unnumbered sessions"
    PEER_LOCAL_ASN = "another AS number of its own for one peer"
    BFD_PROFILES = "BFDProfiles"
    IPV6_ROUTES = "routes to IPv6 addresses"
    LARGE_COMMUNITIES = "large communities"
    ROUTER_IDS = "several router IDs on one node"
    SAME_NEIGHBOR_TWICE = "two sessions of one node with the same router"
    SEVERAL_MY_ASNS = "several AS numbers of its own in one VRF of a node"


REFUSED: Final[Mapping[Backend, frozenset[Feature]]] = {
    "native": frozenset(
        {
            Feature.PEER_BFD,
            Feature.PEER_KEEPALIVE_TIME,
            Feature.PEER_VRF,
            Feature.PEER_CONNECT_TIME,
            Feature.PEER_GRACEFUL_RESTART,
            Feature.PEER_DISABLE_MP,
            Feature.PEER_DUAL_STACK,
            Feature.PEER_DYNAMIC_ASN,
            Feature.PEER_INTERFACE,
            Feature.PEER_LOCAL_ASN,
            Feature.BFD_PROFILES,
            Feature.IPV6_ROUTES,
            Feature.LARGE_COMMUNITIES,
        }
    ),
    "frr": frozenset(
        {
            Feature.ROUTER_IDS,
            Feature.SAME_NEIGHBOR_TWICE,
            Feature.SEVERAL_MY_ASNS,
        }
    ),
    "frr-k8s": frozenset(
        {
            Feature.ROUTER_IDS,
            Feature.SAME_NEIGHBOR_TWICE,
            Feature.SEVERAL_MY_ASNS,
        }
    ),
}


def refuses(backend: Backend, feature: Feature) -> bool:
    """Whether a backend can't do this."""
    return feature in REFUSED.get(backend, frozenset())

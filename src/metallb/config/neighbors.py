"""Peers that can share a node, where the backend runs one router for all sessions of a node (spec/crds.md 10.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from metallb.config.backends import Backend, Feature, refuses
from metallb.config.blame import conflict, each_of
from metallb.config.errors import ConfigError
from metallb.config.nodes import ALL, Nodes, OnNodes
from metallb.config.parsing import Seniority
from metallb.config.peers import Neighbor, ParsedPeer
from metallb.config.slots import Groups, Slots

_HINT = "choose other nodes for one of the two"


class Neighbors:
    """All peers, and the nodes that they are on."""

    def __init__(self, nodes: Nodes, backend: Backend) -> None:
        self.peers: Slots[ParsedPeer] = Slots()
        self._all_nodes = nodes
        self._backend = backend
        self._nodes = OnNodes()
        self._by_neighbor: Groups[Neighbor] = Groups()
        self._by_router_id: Groups[object] = Groups()
        self._by_vrf: Groups[str] = Groups()
        self._by_asn: Groups[tuple[str, int]] = Groups()

    def put(self, peer: ParsedPeer) -> None:
        """Takes in a peer that is not there yet."""
        slot = self.peers.put(peer)
        everywhere = peer.all_nodes or not self._all_nodes.known
        self._nodes.put(slot, ALL if everywhere else self._all_nodes.selected(peer.peer.node_selectors))
        if peer.neighbor is not None:
            self._by_neighbor.put(peer.neighbor, slot)
        if peer.has_router_id:
            self._by_router_id.put(peer.peer.router_id, slot)
        if peer.peer.my_asn:
            self._by_vrf.put(peer.peer.vrf, slot)
            self._by_asn.put((peer.peer.vrf, peer.peer.my_asn), slot)

    def remove(self, peer: ParsedPeer) -> None:
        """Forgets a peer."""
        slot = self.peers.remove(peer)
        self._nodes.remove(slot)
        if peer.neighbor is not None:
            self._by_neighbor.remove(peer.neighbor, slot)
        self._by_router_id.remove(peer.peer.router_id, slot)
        self._by_vrf.remove(peer.peer.vrf, slot)
        self._by_asn.remove((peer.peer.vrf, peer.peer.my_asn), slot)

    def check(self, peer: ParsedPeer, before: Seniority | None) -> Iterator[ConfigError]:
        """A peer against peers that are older than `before`."""
        for feature, against, told in (
            (Feature.ROUTER_IDS, self._with_other_router_id, _other_router_id),
            (Feature.SAME_NEIGHBOR_TWICE, self._with_same_neighbor, _same_neighbor),
            (Feature.SEVERAL_MY_ASNS, self._with_other_asn, _other_asn),
        ):
            if refuses(self._backend, feature) and (candidates := against(peer)):
                yield from self._each(peer, candidates, before, told)

    def _each(
        self,
        peer: ParsedPeer,
        candidates: int,
        before: Seniority | None,
        told: Callable[[ParsedPeer, ParsedPeer, str], ConfigError],
    ) -> Iterator[ConfigError]:
        slot = self.peers.slot(peer.object)
        candidates &= self.peers.elders(before) & ~(1 << slot)
        if candidates:
            candidates &= self._nodes.sharing(slot)
        return each_of(self.peers.by_age(candidates), lambda other: told(peer, other, self._backend))

    def _with_other_router_id(self, peer: ParsedPeer) -> int:
        if not peer.has_router_id:
            return 0
        others = 0
        for router_id, peers in self._by_router_id.items():
            if router_id != peer.peer.router_id:
                others |= peers
        return others

    def _with_same_neighbor(self, peer: ParsedPeer) -> int:
        return 0 if peer.neighbor is None else self._by_neighbor.get(peer.neighbor, 0)

    def _with_other_asn(self, peer: ParsedPeer) -> int:
        vrf, asn = peer.peer.vrf, peer.peer.my_asn
        return self._by_vrf.get(vrf, 0) & ~self._by_asn.get((vrf, asn), 0) if asn else 0


def _other_router_id(peer: ParsedPeer, other: ParsedPeer, backend: str) -> ConfigError:
    theirs = "none" if other.peer.router_id is None else str(other.peer.router_id)
    rule = f"differs from {theirs} of {other.object}, and backend {backend} has one router ID on a node"
    value = "" if peer.peer.router_id is None else str(peer.peer.router_id)
    return conflict(peer.object, "spec.routerID", value, rule, f"use one router ID, or {_HINT}", other.object)


def _same_neighbor(peer: ParsedPeer, other: ParsedPeer, backend: str) -> ConfigError:
    path, value = ("spec.interface", peer.peer.interface)
    if peer.peer.address is not None:
        path, value = ("spec.peerAddress", str(peer.peer.address))
    rule = f"is the router of {other.object} too, and backend {backend} has one session with it on a node"
    return conflict(peer.object, path, value, rule, f"remove one, or {_HINT}", other.object)


def _other_asn(peer: ParsedPeer, other: ParsedPeer, backend: str) -> ConfigError:
    rule = (
        f"differs from {other.peer.my_asn} of {other.object}, and backend {backend} has one AS number of its own in a "
        "VRF of a node"
    )
    hint = f"use one number (localASN shows another to a peer), or {_HINT}"
    return conflict(peer.object, "spec.myASN", peer.peer.my_asn, rule, hint, other.object)

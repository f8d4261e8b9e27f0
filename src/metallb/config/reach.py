"""Who reaches whom by name and label: advertisements the pools and peers, as written, whether or not that is valid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metallb.api.core import LabelSelector
from metallb.api.v1beta1 import L2Advertisement
from metallb.api.v1beta1_bgp import BGPAdvertisement
from metallb.config import selectors
from metallb.config.errors import ObjectName
from metallb.config.lookup import Labelled, Named, Selecting
from metallb.config.selectors import Selector

L2 = "L2Advertisement"
BGP = "BGPAdvertisement"


@dataclass(frozen=True, slots=True)
class Choice:
    """Of nodes: all of them, or those that a readable selector matches."""

    everyone: bool
    selectors: tuple[Selector, ...]

    @classmethod
    def of(cls, written: Sequence[LabelSelector]) -> Choice:
        """From the API's list of selectors."""
        return cls(not written, readable(written))

    def meets(self, other: Choice, nodes: Labelled[str]) -> bool:
        """Whether a node is chosen by both."""
        if self.everyone:
            return other.everyone or bool(nodes.matching(other.selectors))
        mine = nodes.matching(self.selectors)
        return bool(mine) if other.everyone else not mine.isdisjoint(nodes.matching(other.selectors))


@dataclass(frozen=True, slots=True)
class Advertiser:
    """What an advertisement selects; what can't be read of it selects nothing.

    Attributes:
        object: its name.
        everywhere: whether it is for all pools.
        pools: by name.
        pool_selectors: by label.
        nodes: which announce.
        peers: BGPPeers by name; empty means all.
        communities: as written.
    """

    object: ObjectName
    everywhere: bool
    pools: tuple[str, ...]
    pool_selectors: tuple[Selector, ...]
    nodes: Choice
    peers: tuple[str, ...] = ()
    communities: tuple[str, ...] = ()

    @classmethod
    def of(cls, resource: L2Advertisement | BGPAdvertisement) -> Advertiser:
        """From the API's object."""
        spec = resource.spec
        by_bgp = resource.spec if isinstance(resource, BGPAdvertisement) else None
        return cls(
            object=cls.name_of(resource),
            everywhere=not spec.ip_address_pools and not spec.ip_address_pool_selectors,
            pools=spec.ip_address_pools,
            pool_selectors=readable(spec.ip_address_pool_selectors),
            nodes=Choice.of(spec.node_selectors),
            peers=by_bgp.peers if by_bgp else (),
            communities=by_bgp.communities if by_bgp else (),
        )

    @staticmethod
    def name_of(resource: L2Advertisement | BGPAdvertisement) -> ObjectName:
        """Its kind, namespace and name."""
        kind = BGP if isinstance(resource, BGPAdvertisement) else L2
        return ObjectName(kind, resource.metadata.namespace, resource.metadata.name)

    @property
    def speaks_bgp(self) -> bool:
        """Whether it is a BGPAdvertisement."""
        return self.object.kind == BGP


class Reach:
    """All pools, advertisements and peers, by what they say of each other."""

    def __init__(self) -> None:
        self.pools: Labelled[str] = Labelled()
        self.peers: dict[str, Choice] = {}
        self.advertisers: dict[ObjectName, Advertiser] = {}
        self._everywhere: set[ObjectName] = set()
        self._naming_pool: Named[ObjectName] = Named()
        self._selecting: Selecting[ObjectName] = Selecting()
        self._to_all_peers: set[ObjectName] = set()
        self._naming_peer: Named[ObjectName] = Named()
        self._using_community: Named[ObjectName] = Named()

    def put(self, advertiser: Advertiser) -> None:
        """Takes an advertisement in, in place of what it was before."""
        name = advertiser.object
        self.remove(name)
        self.advertisers[name] = advertiser
        self._naming_pool.put(name, advertiser.pools)
        self._selecting.put(name, advertiser.pool_selectors)
        if advertiser.everywhere:
            self._everywhere.add(name)
        if advertiser.speaks_bgp:
            self._naming_peer.put(name, advertiser.peers)
            self._using_community.put(name, advertiser.communities)
            if not advertiser.peers:
                self._to_all_peers.add(name)

    def remove(self, name: ObjectName) -> None:
        """Forgets an advertisement."""
        advertiser = self.advertisers.pop(name, None)
        if advertiser is None:
            return
        self._naming_pool.remove(name, advertiser.pools)
        self._selecting.remove(name)
        self._naming_peer.remove(name, advertiser.peers)
        self._using_community.remove(name, advertiser.communities)
        self._everywhere.discard(name)
        self._to_all_peers.discard(name)

    def pools_of(self, advertiser: Advertiser) -> frozenset[str]:
        """The pools that it reaches."""
        if advertiser.everywhere:
            return frozenset(self.pools)
        named = {name for name in advertiser.pools if name in self.pools}
        return self.pools.matching(advertiser.pool_selectors).union(named)

    def has_pool(self, advertiser: Advertiser) -> bool:
        """Whether it reaches any pool."""
        if advertiser.everywhere:
            return len(self.pools) > 0
        return any(name in self.pools for name in advertiser.pools) or bool(
            self.pools.matching(advertiser.pool_selectors)
        )

    def has_peer(self, advertiser: Advertiser) -> bool:
        """Whether any of the peers that it is for exists."""
        return any(name in self.peers for name in advertiser.peers or self.peers)

    def announcing(self, pool: str) -> set[ObjectName]:
        """The advertisements that reach a pool."""
        labels = self.pools.get(pool)
        if labels is None:
            return set()
        return self._everywhere.union(self._naming_pool[pool], self._selecting.matching(labels))

    def is_announced(self, pool: str) -> bool:
        """Whether any advertisement reaches a pool."""
        return bool(self._everywhere or self._naming_pool[pool]) or bool(
            self._selecting.matching(self.pools.get(pool) or {})
        )

    def meets_peer(self, advertiser: Advertiser, nodes: Labelled[str]) -> bool:
        """Whether one of its nodes connects to one of the peers that it is for."""
        names = advertiser.peers or self.peers
        return any(self.peers[name].meets(advertiser.nodes, nodes) for name in names if name in self.peers)

    def meets_advertiser(self, peer: str, nodes: Labelled[str]) -> bool:
        """Whether one of the nodes that connect to a peer has a BGPAdvertisement for it."""
        choice = self.peers[peer]
        candidates = self._to_all_peers.union(self._naming_peer[peer])
        return any(self.advertisers[each].nodes.meets(choice, nodes) for each in candidates)

    def left_alone(self, gone: str) -> list[ObjectName]:
        """The BGPAdvertisements that were for a peer, which is gone by now, and are for nobody any more."""
        # As long as there is any peer, those that are for all peers have one.
        candidates = self._naming_peer[gone] if self.peers else self._to_all_peers.union(self._naming_peer[gone])
        return [each for each in candidates if not self.has_peer(self.advertisers[each])]

    def is_targeted(self, peer: str) -> bool:
        """Whether any BGPAdvertisement is for a peer."""
        return bool(self._to_all_peers or self._naming_peer[peer])

    def using(self, community: str) -> frozenset[ObjectName]:
        """The BGPAdvertisements that carry a community, as it is written."""
        return self._using_community[community]


def readable(written: Iterable[LabelSelector]) -> tuple[Selector, ...]:
    """The selectors of a list that are well-formed, sorted."""
    found = []
    for each in written:
        try:
            found.append(selectors.parse(each))
        except ValueError:
            continue
    return tuple(sorted(found))

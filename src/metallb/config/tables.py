"""All objects and what surrounds them, kept so that what one change touches is found without looking at the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from metallb.api.core import Secret
from metallb.api.net import Range, ServiceKey
from metallb.api.v1beta1 import IPAddressPool, L2Advertisement
from metallb.api.v1beta1_bgp import BFDProfile, BGPAdvertisement, Community
from metallb.api.v1beta2 import BGPPeer
from metallb.config.build import Snapshot
from metallb.config.change import FIELDS
from metallb.config.lookup import Labelled, Named, Spans
from metallb.config.reach import Advertiser, Choice, Reach
from metallb.config.selectors import Labels
from metallb.config.surroundings import NodeFacts, ServiceFacts, Surroundings, parse_ranges, span
from metallb.config.together import Resource


class Tables:
    """The present state. Methods that change it are cheap: a few microseconds for each name, label and range.

    Attributes:
        objects: of MetalLB's namespace by kind and name.
        reach: which advertisements reach which pools and peers.
        namespaces: of the cluster, with their labels.
        nodes: with their labels.
        services: of all namespaces.
        secrets: of MetalLB's namespace by name; None: unknown.
        held: addresses that Services have from pools.
        node_addresses: addresses of nodes.
        pod_ranges: where the pods of each node get their addresses from.
        cluster_ips: addresses of Services inside the cluster.
    """

    def __init__(self, snapshot: Snapshot | None = None, surroundings: Surroundings | None = None) -> None:
        self.objects: dict[str, dict[str, Resource]] = {kind: {} for kind in FIELDS}
        self.reach = Reach()
        self.pool_ranges: Spans[str] = Spans()
        self.namespaces: Labelled[str] = Labelled()
        self.nodes: Labelled[str] = Labelled()
        self.services: dict[ServiceKey, ServiceFacts] = {}
        self.secrets: dict[str, Secret] | None = None
        self.held: Spans[ServiceKey] = Spans()
        self.node_addresses: Spans[str] = Spans()
        self.pod_ranges: Spans[str] = Spans()
        self.cluster_ips: Spans[ServiceKey] = Spans()
        self._giving_alias: Named[str] = Named()
        self._using_profile: Named[str] = Named()
        self._fill(snapshot or Snapshot(), surroundings or Surroundings())

    def _fill(self, snapshot: Snapshot, surroundings: Surroundings) -> None:
        for kind, field in FIELDS.items():
            for resource in getattr(snapshot, field):
                self.replace(kind, resource.metadata.name, resource)
        for name, labels in snapshot.namespaces.items():
            self.namespaces.put(name, labels)
        for name, labels in (snapshot.nodes or {}).items():
            self.put_node(name, labels, surroundings.nodes.get(name, NodeFacts()))
        for key, facts in surroundings.services.items():
            self.put_service(key, facts)
        if surroundings.secrets is not None:
            self.secrets = dict(surroundings.secrets)

    def replace(self, kind: str, name: str, resource: Resource | None) -> None:
        """Puts an object in place of its namesake; None takes it away."""
        present = self.objects[kind].pop(name, None)
        if present is not None:
            self._forget(name, present)
        if resource is not None:
            self.objects[kind][name] = resource
            self._take(name, resource)

    @contextmanager
    def showing(self, kind: str, name: str, resource: Resource | None) -> Iterator[None]:
        """As if an object were this one (None: not there); afterwards all is as before."""
        present = self.objects[kind].get(name)
        self.replace(kind, name, resource)
        try:
            yield
        finally:
            self.replace(kind, name, present)

    def put_namespace(self, name: str, labels: Labels) -> None:
        """A namespace of the cluster."""
        self.namespaces.put(name, labels)

    def put_node(self, name: str, labels: Labels, facts: NodeFacts) -> bool:
        """A node; tells whether it is new or has other labels."""
        self.node_addresses.put(name, map(span, facts.addresses))
        self.pod_ranges.put(name, facts.pod_ranges)
        return self.nodes.put(name, labels)

    def remove_node(self, name: str) -> None:
        """The node is gone."""
        self.nodes.remove(name)
        self.node_addresses.remove(name)
        self.pod_ranges.remove(name)

    def put_service(self, key: ServiceKey, facts: ServiceFacts) -> None:
        """A Service of any namespace."""
        self.services[key] = facts
        self.held.put(key, map(span, facts.held))
        self.cluster_ips.put(key, map(span, facts.cluster_ips))

    def remove_service(self, key: ServiceKey) -> None:
        """The Service is gone."""
        self.services.pop(key, None)
        self.held.remove(key)
        self.cluster_ips.remove(key)

    def giving(self, alias: str) -> frozenset[str]:
        """The Communities that give an alias."""
        return self._giving_alias[alias]

    def using_profile(self, profile: str) -> frozenset[str]:
        """The BGPPeers that name a BFD profile."""
        return self._using_profile[profile]

    def holders(self, ranges: Iterable[Range]) -> set[ServiceKey]:
        """The Services that have an address in one of the ranges."""
        return set().union(*map(self.held.owners, ranges))

    def _take(self, name: str, resource: Resource) -> None:
        match resource:
            case IPAddressPool():
                self.reach.pools.put(name, resource.metadata.labels)
                self.pool_ranges.put(name, ranges_of(resource))
            case L2Advertisement() | BGPAdvertisement():
                self.reach.put(Advertiser.of(resource))
            case BGPPeer():
                self.reach.peers[name] = Choice.of(resource.spec.node_selectors if resource.spec else ())
                self._using_profile.put(name, _profiles(resource))
            case Community():
                self._giving_alias.put(name, aliases_of(resource))
            case BFDProfile():
                pass

    def _forget(self, name: str, resource: Resource) -> None:
        match resource:
            case IPAddressPool():
                self.reach.pools.remove(name)
                self.pool_ranges.remove(name)
            case L2Advertisement() | BGPAdvertisement():
                self.reach.remove(Advertiser.name_of(resource))
            case BGPPeer():
                self.reach.peers.pop(name, None)
                self._using_profile.remove(name, _profiles(resource))
            case Community():
                self._giving_alias.remove(name, aliases_of(resource))
            case BFDProfile():
                pass


def aliases_of(resource: Resource | None) -> frozenset[str]:
    """The names that a Community gives; other objects give none."""
    return (
        frozenset(each.name for each in resource.spec.communities) if isinstance(resource, Community) else frozenset()
    )


def ranges_of(pool: IPAddressPool) -> tuple[Range, ...]:
    """The ranges of a pool that can be read."""
    return tuple(parse_ranges(pool.spec.addresses))


def _profiles(peer: BGPPeer) -> tuple[str, ...]:
    return (peer.spec.bfd_profile,) if peer.spec and peer.spec.bfd_profile else ()

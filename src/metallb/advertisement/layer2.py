"""Whether this node announces a Service by ARP and NDP, on which interfaces, and if not, why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from metallb.advertisement.election import elect
from metallb.advertisement.reasons import (
    AddressForeign,
    NoAddress,
    NoAdvertisement,
    NoCandidate,
    NoServingEndpoint,
    NotLoadBalancer,
    OtherNode,
    Reason,
    SharedWithSelectors,
)
from metallb.api.core import Endpoint, Node, Service
from metallb.api.net import Address, InterfaceName, NodeName
from metallb.config.model import Config, L2Advertisement
from metallb.config.selectors import Labels

EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
SHARING_ANNOTATIONS = ("metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the election looks at beside the Service.

    Attributes:
        me: the node this speaker runs on.
        live: nodes with a living speaker.
        nodes: Node objects by name; a node without one counts as available and has no labels.
        ignore_exclude: whether the label that excludes nodes from load balancing has no effect.
    """

    me: NodeName
    live: frozenset[NodeName]
    nodes: Mapping[NodeName, Node] = field(default_factory=dict)
    ignore_exclude: bool = False

    def labels(self, node: NodeName) -> Labels:
        """Labels of a node; none where it is unknown."""
        known = self.nodes.get(node)
        return known.metadata.labels if known else {}

    def available(self, node: NodeName) -> bool:
        """Whether the node has a network and is not excluded from load balancing."""
        known = self.nodes.get(node)
        if known is None:
            return True
        excluded = EXCLUDE_LABEL in known.metadata.labels and not self.ignore_exclude
        return not excluded and known.condition("NetworkUnavailable") != "True"


@dataclass(frozen=True, slots=True)
class Announce:
    """This node announces the addresses, on these interfaces; empty means all."""

    addresses: tuple[Address, ...]
    interfaces: frozenset[InterfaceName]


@dataclass(frozen=True, slots=True)
class Withhold:
    """This node does not announce, for this reason."""

    reason: Reason


Decision: TypeAlias = Announce | Withhold


@dataclass(frozen=True, slots=True)
class _Subject:
    """A Service that some node can announce."""

    addresses: tuple[Address, ...]
    advertisements: tuple[L2Advertisement, ...]


def decide(
    service: Service | None, endpoints: Sequence[Endpoint], config: Config, cluster: Cluster, lb_class: str = ""
) -> Decision:
    """The whole decision for one Service; None for one that is gone.

    The address that the election hashes is the first of the status: all addresses of a Service go one way.
    """
    if service is None or service.spec.type != "LoadBalancer" or (service.spec.load_balancer_class or "") != lb_class:
        return Withhold(NotLoadBalancer())
    subject = _subject(service, config, cluster)
    if not isinstance(subject, _Subject):
        return Withhold(subject)
    selected = _selected(subject.advertisements, cluster)
    everyone = {node for node in selected if cluster.available(node)}
    witness = elect(everyone or selected, subject.addresses[0], {})
    if not any(endpoint.can_serve for endpoint in endpoints):
        return Withhold(NoServingEndpoint(witness))
    local = service.spec.external_traffic_policy == "Local"
    serving = {each.node_name for each in endpoints if each.can_serve}
    candidates = everyone & serving if local else everyone
    winner = elect(candidates, subject.addresses[0], _scores(candidates, subject.advertisements, cluster))
    if winner is None:
        return Withhold(NoCandidate(local, witness))
    if winner != cluster.me:
        return Withhold(OtherNode(winner))
    return Announce(subject.addresses, interfaces_of(subject.advertisements, cluster))


def _subject(service: Service, config: Config, cluster: Cluster) -> _Subject | Reason:
    shown = tuple(ingress.ip for ingress in service.status.load_balancer.ingress)
    if not shown:
        return NoAddress()
    addresses = _parse(shown)
    pool = config.pool_of(addresses) if addresses else None
    if pool is None:
        return AddressForeign(shown)
    advertisements = tuple(each for each in pool.l2 if each.selects_service(service.metadata.labels))
    subject = _Subject(addresses, advertisements)
    return _refusal(service, pool.name, subject, cluster) or subject


def interfaces_of(advertisements: Iterable[L2Advertisement], cluster: Cluster) -> frozenset[InterfaceName]:
    """The interfaces of all advertisements that select this node; empty (all) where one of them names none."""
    mine = [each.interfaces for each in advertisements if each.selects_node(cluster.labels(cluster.me))]
    return frozenset().union(*mine) if all(mine) else frozenset()


def _parse(shown: Iterable[str]) -> tuple[Address, ...]:
    """The addresses of the status; none at all where one can't be read, so that nothing foreign is announced."""
    try:
        return tuple(Address.parse(text) for text in shown)
    except ValueError:
        return ()


def _refusal(service: Service, pool: str, subject: _Subject, cluster: Cluster) -> Reason | None:
    witness = elect(cluster.live, subject.addresses[0], {})
    if any(name in service.metadata.annotations for name in SHARING_ANNOTATIONS):
        for each in subject.advertisements:
            if each.service_selectors:
                return SharedWithSelectors(each.name, witness)
    mine = cluster.labels(cluster.me)
    if any(each.selects_node(mine) for each in subject.advertisements):
        return None
    return NoAdvertisement(pool, None if _selected(subject.advertisements, cluster) else witness)


def _selected(advertisements: Sequence[L2Advertisement], cluster: Cluster) -> set[NodeName]:
    return {node for node in cluster.live if any(each.selects_node(cluster.labels(node)) for each in advertisements)}


def _scores(
    candidates: Iterable[NodeName], advertisements: Sequence[L2Advertisement], cluster: Cluster
) -> dict[NodeName, int]:
    preferring = [each for each in advertisements if each.preferences]
    if not preferring:
        return {}
    return {node: sum(each.score(cluster.labels(node)) for each in preferring) for node in candidates}

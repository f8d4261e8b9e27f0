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
_ALL_INTERFACES: frozenset[InterfaceName] = frozenset()
"""One for thousands of Services: an empty set takes 216 bytes."""


@dataclass(frozen=True, slots=True)
class _Electorate:
    """Nodes with a living speaker: those that advertisements select; of them the available ones; of them the best."""

    advertisements: tuple[L2Advertisement, ...]
    selected: frozenset[NodeName]
    able: frozenset[NodeName]
    best: frozenset[NodeName]


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
    _electorates: dict[tuple[int, ...], _Electorate] = field(
        init=False, default_factory=dict, compare=False, repr=False
    )

    def electorate(self, advertisements: tuple[L2Advertisement, ...]) -> _Electorate:
        """The nodes that some advertisements are for; remembered, as most Services have the same ones."""
        key = tuple(map(id, advertisements))
        known = self._electorates.get(key)
        if known is None:
            known = self._electorates[key] = _electorate(advertisements, self)
        return known

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
class Standing:
    """A Service that some node may announce: what of it elections look at.

    Attributes:
        addresses: of its status; the first one stands for all in elections.
        advertisements: those for its pool and labels.
        pool: the name of its pool.
        spreads: whether its pool asks for addresses spread evenly.
        serving: nodes with an endpoint that can serve, where only these may announce (policy Local); else None.
        is_served: whether an endpoint can serve at all.
        shares: whether it may share its addresses.
    """

    addresses: tuple[Address, ...]
    advertisements: tuple[L2Advertisement, ...]
    pool: str
    spreads: bool = False
    serving: frozenset[NodeName] | None = None
    is_served: bool = True
    shares: bool = False

    @property
    def offence(self) -> L2Advertisement | None:
        """An advertisement for some Services only: it excludes those that may share their addresses."""
        return next((each for each in self.advertisements if self.shares and each.service_selectors), None)


def stand(
    service: Service | None, endpoints: Sequence[Endpoint], config: Config, lb_class: str = ""
) -> Standing | Reason:
    """What elections look at, or why there is none; the same on every node."""
    if service is None or service.spec.type != "LoadBalancer" or (service.spec.load_balancer_class or "") != lb_class:
        return NotLoadBalancer()
    shown = tuple(ingress.ip for ingress in service.status.load_balancer.ingress)
    if not shown:
        return NoAddress()
    addresses = _parse(shown)
    pool = config.pool_of(addresses) if addresses else None
    if pool is None:
        return AddressForeign(shown)
    serving = frozenset(each.node_name for each in endpoints if each.can_serve)
    local = service.spec.external_traffic_policy == "Local"
    return Standing(
        addresses,
        advertisements=tuple(each for each in pool.l2 if each.selects_service(service.metadata.labels)),
        pool=pool.name,
        spreads=pool.terms.spread,
        serving=frozenset(node for node in serving if node is not None) if local else None,
        is_served=bool(serving),
        shares=any(name in service.metadata.annotations for name in SHARING_ANNOTATIONS),
    )


def judge(standing: Standing, cluster: Cluster, owner: NodeName | None = None) -> Decision:
    """Whether this node announces.

    Args:
        standing: the Service.
        cluster: what is known of nodes.
        owner: who does by the plan of addresses that are spread; None: it is elected.
    """
    if (refusal := _refusal(standing, cluster)) is not None:
        return Withhold(refusal)
    candidates = contenders(standing, cluster)
    winner = owner if owner in candidates else elect(candidates, standing.addresses[0], {})
    if winner is None:
        return Withhold(NoCandidate(standing.serving is not None, _witness(standing, cluster)))
    if winner != cluster.me:
        return Withhold(OtherNode(winner))
    return Announce(standing.addresses, interfaces_of(standing.advertisements, cluster))


def contenders(standing: Standing, cluster: Cluster) -> frozenset[NodeName]:
    """The nodes of which one announces if something serves: those that preferences put first.

    Under policy Cluster they don't depend on what serves, so that plans stay as they are while pods come and go.
    """
    if standing.offence is not None:
        return frozenset()
    electorate = cluster.electorate(standing.advertisements)
    if standing.serving is None:
        return electorate.best
    return _best(electorate.able & standing.serving, standing.advertisements, cluster)


def interfaces_of(advertisements: Iterable[L2Advertisement], cluster: Cluster) -> frozenset[InterfaceName]:
    """The interfaces of all advertisements that select this node; empty (all) where one of them names none."""
    mine = [each.interfaces for each in advertisements if each.selects_node(cluster.labels(cluster.me))]
    return frozenset().union(*mine) if mine and all(mine) else _ALL_INTERFACES


def _parse(shown: Iterable[str]) -> tuple[Address, ...]:
    """The addresses of the status; none at all where one can't be read, so that nothing foreign is announced."""
    try:
        return tuple(Address.parse(text) for text in shown)
    except ValueError:
        return ()


def _refusal(standing: Standing, cluster: Cluster) -> Reason | None:
    if (offence := standing.offence) is not None:
        return SharedWithSelectors(offence.name, elect(cluster.live, standing.addresses[0], {}))
    mine = cluster.labels(cluster.me)
    if not any(each.selects_node(mine) for each in standing.advertisements):
        others = cluster.electorate(standing.advertisements).selected
        return NoAdvertisement(standing.pool, None if others else elect(cluster.live, standing.addresses[0], {}))
    return None if standing.is_served else NoServingEndpoint(_witness(standing, cluster))


def _witness(standing: Standing, cluster: Cluster) -> NodeName | None:
    """The node that tells people, where all come to the same end."""
    electorate = cluster.electorate(standing.advertisements)
    return elect(electorate.able or electorate.selected, standing.addresses[0], {})


def _electorate(advertisements: tuple[L2Advertisement, ...], cluster: Cluster) -> _Electorate:
    selected = frozenset(
        node for node in cluster.live if any(each.selects_node(cluster.labels(node)) for each in advertisements)
    )
    able = frozenset(node for node in selected if cluster.available(node))
    return _Electorate(advertisements, selected, able, _best(able, advertisements, cluster))


def _best(
    nodes: frozenset[NodeName], advertisements: tuple[L2Advertisement, ...], cluster: Cluster
) -> frozenset[NodeName]:
    preferring = [each for each in advertisements if each.preferences]
    if not preferring:
        return nodes
    scores = {node: sum(each.score(cluster.labels(node)) for each in preferring) for node in nodes}
    highest = max(scores.values(), default=0)
    return frozenset(node for node in nodes if scores[node] == highest)

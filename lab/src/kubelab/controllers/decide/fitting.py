"""Does a pod fit on a node? The scheduler's required constraints, one function each, and a picture of what runs where.

Names and wording of the refusals: kube-scheduler's filter plugins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from kubelab.controllers.decide import quantity
from kubelab.controllers.decide.pods import is_terminal, node_of
from kubelab.controllers.decide.selectors import labels_of, matches, matches_node, pinned_nodes, untolerated
from kubelab.objects import Object

_HOSTNAME = "kubernetes.io/hostname"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a node does not do; `final` if removing other pods from it would not help."""

    reasons: tuple[str, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pod takes of its node, and whether it refuses neighbours."""

    requests: Mapping[str, Decimal]
    ports: frozenset[tuple[str, str, int]]
    repels: bool

    @classmethod
    def of(cls, pod: Object) -> Demand:
        """From a pod's spec, which does not change in these parts."""
        spec = pod["spec"]
        return cls(requests(spec), frozenset(host_ports(spec)), bool(_terms(spec, "podAntiAffinity")))


@dataclass(slots=True)
class Place:
    """A node and what is on it: sums of requests, taken host ports, pods."""

    node: Object
    used: dict[str, Decimal] = field(default_factory=dict)
    ports: set[tuple[str, str, int]] = field(default_factory=set)
    pods: dict[str, Object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The node's name."""
        return str(self.node["metadata"]["name"])

    def add(self, pod: Object, demand: Demand) -> None:
        """Count a pod in."""
        self.pods[pod["metadata"]["uid"]] = pod
        for name, amount in demand.requests.items():
            self.used[name] = self.used.get(name, Decimal(0)) + amount
        self.ports.update(demand.ports)


@dataclass(slots=True)
class Picture:
    """All nodes with what is on them.

    `repelling` are the placed pods that refuse others by anti-affinity, each with its place; `demands` may be kept from
    picture to picture, by the pods' uids.
    """

    places: dict[str, Place]
    repelling: list[tuple[Place, Object]] = field(default_factory=list)
    demands: dict[str, Demand] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: Iterable[Object], pods: Iterable[Object], demands: dict[str, Demand] | None = None) -> Picture:
        """From the nodes and all pods that are assigned and have not ended."""
        picture = cls({str(node["metadata"]["name"]): Place(node) for node in nodes})
        if demands is not None:
            picture.demands = demands
        for pod in pods:
            if not is_terminal(pod):
                picture.add(pod, node_of(pod))
        return picture

    def add(self, pod: Object, node: str) -> None:
        """Put a pod on a node."""
        place = self.places.get(node)
        if place is None:
            return
        uid = str(pod["metadata"]["uid"])
        demand = self.demands.get(uid)
        if demand is None:
            demand = self.demands[uid] = Demand.of(pod)
        place.add(pod, demand)
        if demand.repels:
            self.repelling.append((place, pod))

    def pods(self) -> Iterator[tuple[Place, Object]]:
        """Every placed pod with its place."""
        for place in self.places.values():
            for pod in place.pods.values():
                yield place, pod


def requests(pod_spec: Object) -> dict[str, Decimal]:
    """What a pod asks for: the sum of its containers, or the largest of its init containers if that is more."""
    total: dict[str, Decimal] = {}
    for container in pod_spec.get("containers") or []:
        for name, amount in _container_requests(container).items():
            total[name] = total.get(name, Decimal(0)) + amount
    for container in pod_spec.get("initContainers") or []:
        for name, amount in _container_requests(container).items():
            total[name] = max(total.get(name, Decimal(0)), amount)
    for name, text in (pod_spec.get("overhead") or {}).items():
        total[name] = total.get(name, Decimal(0)) + quantity.parse(text)
    return total


def _container_requests(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    asked = (resources.get("limits") or {}) | (resources.get("requests") or {})
    return {name: quantity.parse(text) for name, text in asked.items()}


def host_ports(pod_spec: Object) -> set[tuple[str, str, int]]:
    """The ports of the node that a pod takes: protocol, address, number."""
    return {
        (str(port.get("protocol") or "TCP"), str(port.get("hostIP") or "0.0.0.0"), int(port["hostPort"]))  # noqa: S104  # as the API means "all addresses"
        for container in pod_spec.get("containers") or []
        for port in container.get("ports") or []
        if port.get("hostPort")
    }


def refusal(pod: Object, place: Place, picture: Picture) -> Refusal | None:
    """Why a pod cannot go to a node: the first constraint that is not met, in the scheduler's order; None if it can."""
    spec, node = pod["spec"], place.node
    pinned = pinned_nodes(spec)
    if pinned is not None and place.name not in pinned:
        return Refusal(("node(s) didn't satisfy plugin(s) [NodeAffinity]",), final=True)
    unschedulable = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    known = spec.get("tolerations") or []
    if node["spec"].get("unschedulable") and untolerated(known, [unschedulable], {"NoSchedule"}):
        return Refusal(("node(s) were unschedulable",), final=True)
    if untolerated(known, node["spec"].get("taints") or [], {"NoSchedule", "NoExecute"}):
        return Refusal(("node(s) had untolerated taint(s)",), final=True)
    if not matches_node(spec, node):
        return Refusal(("node(s) didn't match Pod's node affinity/selector",), final=True)
    if _ports_collide(host_ports(spec), place.ports):
        return Refusal(("node(s) didn't have free ports for the requested pod ports",), final=False)
    return _too_little(spec, place) or _spread(pod, place, picture) or _neighbours(pod, place, picture)


def _ports_collide(wanted: set[tuple[str, str, int]], taken: set[tuple[str, str, int]]) -> bool:
    everywhere = "0.0.0.0"  # noqa: S104  # as the API means "all addresses"
    return any(
        (protocol, number) == (other, at) and (address == where or everywhere in {address, where})
        for protocol, address, number in wanted
        for other, where, at in taken
    )


def _too_little(pod_spec: Object, place: Place) -> Refusal | None:
    allocatable = (place.node.get("status") or {}).get("allocatable") or {}
    reasons: list[str] = []
    final = False
    if len(place.pods) + 1 > quantity.parse(allocatable.get("pods", 0)):
        reasons.append("Too many pods")
    for name, amount in requests(pod_spec).items():
        whole = quantity.parse(allocatable.get(name, 0))
        if amount > 0 and place.used.get(name, Decimal(0)) + amount > whole:
            reasons.append(f"Insufficient {name}")
            final = final or amount > whole
    return Refusal(tuple(reasons), final) if reasons else None


# --- other pods ----------------------------------------------------------------------------------------------------


def _terms(pod_spec: Object, kind: str) -> list[Object]:
    affinity = (pod_spec.get("affinity") or {}).get(kind) or {}
    return affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []


def term_selects(term: Object, owner: Object, other: Object) -> bool:
    """Whether an affinity term of `owner` means the pod `other`.

    A term without namespaces means its owner's; a namespace selector, if there is one, means all of them here.
    """
    names = term.get("namespaces") or []
    if "namespaceSelector" not in term and not names:
        names = [owner["metadata"].get("namespace")]
    if names and other["metadata"].get("namespace") not in names:
        return False
    return matches(term.get("labelSelector"), labels_of(other))


def domain(node: Object, key: str) -> str | None:
    """The node's value of a topology key."""
    return labels_of(node).get(key)


def _neighbours(pod: Object, place: Place, picture: Picture) -> Refusal | None:
    if not _company(pod, place, picture):
        return Refusal(("node(s) didn't match pod affinity rules",), final=True)
    for term in _terms(pod["spec"], "podAntiAffinity"):
        if _has_neighbour(term, pod, place, picture):
            return Refusal(("node(s) didn't match pod anti-affinity rules",), final=False)
    for there, other in picture.repelling:
        for term in _terms(other["spec"], "podAntiAffinity"):
            same = domain(there.node, term["topologyKey"])
            if same is not None and same == domain(place.node, term["topologyKey"]) and term_selects(term, other, pod):
                return Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",), final=False)
    return None


def _company(pod: Object, place: Place, picture: Picture) -> bool:
    """Whether the pods it must be with are near. The first of a group that wants its own kind may go anywhere."""
    terms = _terms(pod["spec"], "podAffinity")
    if not terms or all(_has_neighbour(term, pod, place, picture) for term in terms):
        return True
    if any(domain(place.node, term["topologyKey"]) is None for term in terms):
        return False
    alone = not any(term_selects(term, pod, other) for term in terms for _, other in picture.pods())
    return alone and all(term_selects(term, pod, pod) for term in terms)


def _has_neighbour(term: Object, pod: Object, place: Place, picture: Picture) -> bool:
    key = term["topologyKey"]
    here = domain(place.node, key)
    if here is None:
        return False
    near = [place] if key == _HOSTNAME else [p for p in picture.places.values() if domain(p.node, key) == here]
    return any(term_selects(term, pod, other) for p in near for other in p.pods.values())


def _spread(pod: Object, place: Place, picture: Picture) -> Refusal | None:
    for constraint in pod["spec"].get("topologySpreadConstraints") or []:
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") != "DoNotSchedule":
            continue
        text = "node(s) didn't match pod topology spread constraints"
        here = domain(place.node, constraint["topologyKey"])
        if here is None:
            return Refusal((f"{text} (missing required label)",), final=True)
        counts = _spread_counts(pod, constraint, picture)
        own = matches(constraint.get("labelSelector"), labels_of(pod))
        if counts.get(here, 0) + own - min(counts.values(), default=0) > int(constraint.get("maxSkew") or 1):
            return Refusal((text,), final=False)
    return None


def _spread_counts(pod: Object, constraint: Object, picture: Picture) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for place in picture.places.values():
        where = domain(place.node, constraint["topologyKey"])
        if where is None or not matches_node(pod["spec"], place.node):
            continue
        counts[where] = counts.get(where, 0) + sum(
            other["metadata"].get("namespace") == pod["metadata"].get("namespace")
            and not other["metadata"].get("deletionTimestamp")
            and matches(constraint.get("labelSelector"), labels_of(other))
            for other in place.pods.values()
        )
    return counts

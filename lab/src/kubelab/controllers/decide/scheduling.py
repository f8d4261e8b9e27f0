"""Scheduler: which node a pod goes to, or the sentence that says why none will do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import log

from kubelab.controllers.decide import quantity, times
from kubelab.controllers.decide.conditions import find, patch_of
from kubelab.controllers.decide.fitting import Picture, Place, Refusal, domain, refusal, requests, term_selects
from kubelab.controllers.decide.ownership import controller_uid
from kubelab.controllers.decide.pods import is_deleting, is_terminal, node_of
from kubelab.controllers.decide.resources import PODS
from kubelab.controllers.decide.selectors import labels_of, matches_node_term, untolerated
from kubelab.controllers.decide.writes import Bind, Patch, Record, Write
from kubelab.objects import Object
from kubelab.resource import PatchKind

NAME = "default-scheduler"

_SPREAD = {"kubernetes.io/hostname": 3, "topology.kubernetes.io/zone": 5}
_NOT_HELPFUL = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"


@dataclass(frozen=True, slots=True)
class Placed:
    """The node that was chosen."""

    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """Why no node will do, as the event and the condition say it."""

    message: str


def is_waiting(pod: Object) -> bool:
    """Whether a pod is this scheduler's to place."""
    spec = pod["spec"]
    mine = spec.get("schedulerName", NAME) == NAME and not spec.get("schedulingGates")
    return mine and not node_of(pod) and not is_deleting(pod) and not is_terminal(pod)


def order(pods: Iterable[Object]) -> list[Object]:
    """The important first, then the older."""
    return sorted(
        pods,
        key=lambda pod: (
            -int(pod["spec"].get("priority") or 0),
            str(pod["metadata"].get("creationTimestamp") or ""),
            str(pod["metadata"]["name"]),
        ),
    )


def choose(pod: Object, picture: Picture) -> Placed | Unschedulable:
    """The best of the nodes that fit."""
    refusals: list[Refusal] = []
    fitting: list[Place] = []
    for place in picture.places.values():
        refused = refusal(pod, place, picture)
        if refused is None:
            fitting.append(place)
        else:
            refusals.append(refused)
    if fitting:
        crowd = _Crowd.of(pod, picture)
        fitting.sort(key=lambda place: place.name)
        return Placed(min(fitting, key=lambda place: _cost(pod, place, picture, crowd)).name)
    return Unschedulable(explain(refusals))


def explain(refusals: list[Refusal]) -> str:
    """All refusals in one sentence, in kube-scheduler's words."""
    if not refusals:
        return "no nodes available to schedule pods"
    head = f"0/{len(refusals)} nodes are available: "
    why = Counter(reason for refused in refusals for reason in refused.reasons)
    preemption = Counter(_NOT_HELPFUL if refused.final else _NO_VICTIMS for refused in refusals)
    return f"{head}{_listed(why)}. no new claims to deallocate, preemption: {head}{_listed(preemption)}."


def _listed(counts: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {text}" for text, count in counts.items()))


def assigned(pod: Object, node: str) -> Bind:
    """Bind a pod and say so."""
    meta = pod["metadata"]
    message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
    return Bind(pod, node, then=(Record(pod, "Scheduled", message, NAME, action="Binding"),))


def refused(pod: Object, why: Unschedulable, now: datetime) -> tuple[Write, ...]:
    """The condition and the event that say why a pod waits; nothing if they say so already."""
    meta = pod["metadata"]
    known = (pod.get("status") or {}).get("conditions")
    old = find(known, "PodScheduled") or {}
    said = (old.get("status"), old.get("reason"), old.get("message")) == ("False", "Unschedulable", why.message)
    if said:
        return ()
    same = old.get("status") == "False"
    condition = {
        "type": "PodScheduled",
        "observedGeneration": meta.get("generation", 0),
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": old["lastTransitionTime"] if same else times.stamp(now),
        "reason": "Unschedulable",
        "message": why.message,
    }
    patch = {"status": patch_of(known, condition)}
    event = Record(pod, "FailedScheduling", why.message, NAME, warning=True, action="Scheduling")
    return (event, Patch(PODS, meta["namespace"], meta["name"], patch, PatchKind.STRATEGIC, "status"))


def _cost(pod: Object, place: Place, picture: Picture, crowd: _Crowd) -> tuple[float, ...]:
    """The less the better: soft taints, unmet wishes about nodes and neighbours, pods of the same owner, fullness."""
    spec = pod["spec"]
    soft = untolerated(spec.get("tolerations") or [], place.node["spec"].get("taints") or [], {"PreferNoSchedule"})
    return (
        len(soft),
        -_node_wishes(spec, place.node) - _neighbour_wishes(pod, place, picture),
        crowd.around(place),
        _fullness(pod, place),
        len(place.pods),
    )


@dataclass(frozen=True, slots=True)
class _Crowd:
    """How many pods of the same owner there are in each domain of a topology key.

    Counted and weighted as by kube-scheduler's default constraints: hosts with skew 3, zones with skew 5.
    """

    counts: dict[str, Counter[str]]

    @classmethod
    def of(cls, pod: Object, picture: Picture) -> _Crowd:
        """For the owner of one pod; a pod without an owner has no crowd."""
        owner = controller_uid(pod)
        counts: dict[str, Counter[str]] = {key: Counter() for key in _SPREAD} if owner else {}
        for place in picture.places.values() if owner else ():
            siblings = sum(controller_uid(other) == owner for other in place.pods.values())
            for key, known in counts.items():
                if (where := domain(place.node, key)) is not None:
                    known[where] += siblings
        return cls(counts)

    def around(self, place: Place) -> float:
        """The weighted number of them around a node."""
        total = 0.0
        for key, known in self.counts.items():
            where = domain(place.node, key)
            if where is not None:
                total += known[where] * log(len(known) + 2) + _SPREAD[key] - 1
        return total


def _fullness(pod: Object, place: Place) -> float:
    """The average share of processor and memory in use with the pod on it."""
    allocatable = (place.node.get("status") or {}).get("allocatable") or {}
    asked = requests(pod["spec"])
    shares = []
    for name in ("cpu", "memory"):
        whole = quantity.parse(allocatable.get(name, 0))
        if whole > 0:
            shares.append(float((place.used.get(name, Decimal(0)) + asked.get(name, Decimal(0))) / whole))
    return sum(shares) / len(shares) if shares else 0.0


def _node_wishes(pod_spec: Object, node: Object) -> int:
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    wishes = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    return sum(int(wish.get("weight") or 0) for wish in wishes if matches_node_term(wish.get("preference") or {}, node))


def _neighbour_wishes(pod: Object, place: Place, picture: Picture) -> int:
    total = 0
    for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
        affinity = (pod["spec"].get("affinity") or {}).get(kind) or {}
        for wish in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []:
            total += sign * int(wish.get("weight") or 0) * _near(wish["podAffinityTerm"], pod, place, picture)
    return total


def _near(term: Object, pod: Object, place: Place, picture: Picture) -> int:
    here = labels_of(place.node).get(term["topologyKey"])
    if here is None:
        return 0
    return sum(
        term_selects(term, pod, other)
        for there, other in picture.pods()
        if domain(there.node, term["topologyKey"]) == here
    )

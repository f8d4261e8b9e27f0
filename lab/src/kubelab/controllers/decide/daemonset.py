"""DaemonSet: one pod on each node that fits, replaced a few at a time, and a status with all its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubelab.controllers.decide import pods
from kubelab.controllers.decide.quantity import share
from kubelab.controllers.decide.resources import DAEMON_SETS, PODS
from kubelab.controllers.decide.selectors import (
    labels_of,
    matches_node,
    pinned_nodes,
    untolerated,
)
from kubelab.controllers.decide.writes import Create, Decision, Delete, Record, Together, Write, changed, soonest
from kubelab.objects import Object

COMPONENT = "daemonset-controller"
HASH_LABEL = "controller-revision-hash"
GENERATION_LABEL = "pod-template-generation"
GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"

_ADDED_TOLERATIONS = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_HOST_NETWORK_TOLERATION = ("node.kubernetes.io/network-unavailable", "NoSchedule")
_ENDED = {
    "Failed": ("FailedDaemonPod", "Found failed daemon pod {} on node {}, will try to kill it", True),
    "Succeeded": ("SucceededDaemonPod", "Found succeeded daemon pod {} on node {}, will try to delete it", False),
}


@dataclass(slots=True)
class _Work:
    """What shall happen to the pods, gathered node by node."""

    create_on: list[str] = field(default_factory=list)
    remove: dict[str, Object] = field(default_factory=dict)
    say: list[Record] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Rule:
    """The update strategy in numbers."""

    rolling: bool
    surge: int
    unavailable: int
    min_ready_s: int


def decide(
    daemon_set: Object, owned: Sequence[Object], nodes: Mapping[str, Object], digest: str, now: datetime
) -> Decision:
    """The pods to make and to remove. `digest` names the current revision of the template."""
    if pods.is_deleting(daemon_set):
        return Decision()
    by_node = _by_node(owned)
    fits = {name: placement(daemon_set, node) for name, node in nodes.items()}
    rule = _rule(daemon_set, sum(runs for runs, _ in fits.values()))
    work = _Work()
    for name, fit in fits.items():
        _place(daemon_set, name, fit, by_node.get(name, []), rule, work)
    for name, there in by_node.items():
        if name not in nodes:
            work.remove |= {
                pod["metadata"]["name"]: pod for pod in there if not (pods.node_of(pod) or pods.is_deleting(pod))
            }
    if rule.rolling and not work.create_on and not work.remove:
        # A node that is just being served counts for the rollout once its new pod can be seen.
        _roll(by_node, fits, digest, rule, now, work)
    return Decision(_writes(daemon_set, work, digest))


def placement(daemon_set: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod should be on a node, and whether one that is there may stay."""
    spec = daemon_set["spec"]["template"].get("spec") or {}
    if spec.get("nodeName") and spec["nodeName"] != node["metadata"]["name"]:
        return False, False
    if not matches_node(spec, node):
        return False, False
    taints, known = node["spec"].get("taints") or [], tolerations(spec)
    if untolerated(known, taints, {"NoSchedule", "NoExecute"}):
        return False, not untolerated(known, taints, {"NoExecute"})
    return True, True


def tolerations(pod_spec: Object) -> list[Object]:
    """The template's tolerations and those that every daemon pod gets: it stays on a node in trouble."""
    found = list(pod_spec.get("tolerations") or [])
    added = [*_ADDED_TOLERATIONS, *([_HOST_NETWORK_TOLERATION] if pod_spec.get("hostNetwork") else [])]
    for key, effect in added:
        new = {"key": key, "operator": "Exists", "effect": effect}
        same = [t for t in found if (t.get("key"), t.get("operator"), t.get("effect")) == (key, "Exists", effect)]
        if same:
            found[found.index(same[0])] = new
        else:
            found.append(new)
    return found


def pod_for(daemon_set: Object, node: str, digest: str) -> Object:
    """The pod for a node: tied to it by its name, so that the scheduler has no choice."""
    template = daemon_set["spec"]["template"]
    pod = pods.from_template(daemon_set, template)
    labels = pod["metadata"]["labels"]
    labels[HASH_LABEL] = digest
    if generation := template_generation(daemon_set):
        labels[GENERATION_LABEL] = generation
    spec = dict(pod["spec"])
    spec["affinity"] = _pinned(spec, node)
    spec["tolerations"] = tolerations(spec)
    return pod | {"spec": spec}


def template_generation(daemon_set: Object) -> str:
    """How often the template changed, as the API server counts it; empty if unknown."""
    return str((daemon_set["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION, ""))


def is_current(pod: Object, digest: str) -> bool:
    """Whether a pod was made from the current revision of the template."""
    return labels_of(pod).get(HASH_LABEL) == digest


def report(
    daemon_set: Object, owned: Sequence[Object], nodes: Mapping[str, Object], digest: str, now: datetime
) -> Decision:
    """The status, and when a pod will become available by the passing of time."""
    by_node = _by_node(owned)
    min_ready_s = int(daemon_set["spec"].get("minReadySeconds") or 0)
    count = dict.fromkeys(("desired", "current", "wrong", "ready", "available", "updated"), 0)
    waits: list[float | None] = []
    for name, node in nodes.items():
        there = by_node.get(name, [])
        if not placement(daemon_set, node)[0]:
            count["wrong"] += bool(there)
            continue
        count["desired"] += 1
        if there:
            wait = pods.until_available_s(there[0], min_ready_s, now)
            waits.append(wait)
            count["current"] += 1
            count["ready"] += pods.is_ready(there[0])
            count["available"] += wait == 0.0
            count["updated"] += is_current(there[0], digest)
    status = _status(daemon_set, count)
    again_s = soonest(*(wait for wait in waits if wait))
    return Decision(changed(DAEMON_SETS, daemon_set, daemon_set | {"status": status}, "status"), again_s)


def _status(daemon_set: Object, count: Mapping[str, int]) -> Object:
    status: Object = {
        "currentNumberScheduled": count["current"],
        "numberMisscheduled": count["wrong"],
        "desiredNumberScheduled": count["desired"],
        "numberReady": count["ready"],
        "observedGeneration": daemon_set["metadata"].get("generation", 0),
    }
    optional = {
        "updatedNumberScheduled": count["updated"],
        "numberAvailable": count["available"],
        "numberUnavailable": count["desired"] - count["available"],
    }
    old = daemon_set.get("status") or {}
    kept = {name: old[name] for name in ("collisionCount", "conditions") if old.get(name)}
    return status | {name: value for name, value in optional.items() if value} | kept


def _by_node(owned: Sequence[Object]) -> dict[str, list[Object]]:
    """Pods by the node they are on or tied to, the scheduled and the oldest first."""
    found: dict[str, list[Object]] = {}
    for pod in sorted(owned, key=_seniority):
        node = pods.node_of(pod)
        if not node:
            names = pinned_nodes(pod["spec"]) or set()
            node = next(iter(sorted(names)), "")
        if node:
            found.setdefault(node, []).append(pod)
    return found


def _seniority(pod: Object) -> tuple[bool, str, str]:
    meta = pod["metadata"]
    return not pods.node_of(pod), str(meta.get("creationTimestamp") or ""), str(meta["name"])


def _rule(daemon_set: Object, desired: int) -> _Rule:
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge"), desired, up=True)
    unavailable = share(rolling.get("maxUnavailable", 1), desired, up=True)
    if not surge and not unavailable:
        unavailable = 1
    min_ready_s = int(daemon_set["spec"].get("minReadySeconds") or 0)
    return _Rule(strategy.get("type", "RollingUpdate") == "RollingUpdate", surge, unavailable, min_ready_s)


def _place(
    daemon_set: Object, node: str, fit: tuple[bool, bool], there: list[Object], rule: _Rule, work: _Work
) -> None:
    """One node by itself: a pod where there is none, none where none may be, never two."""
    runs, continues = fit
    if runs and not there:
        work.create_on.append(node)
    alive = [pod for pod in there if not pods.is_deleting(pod)]
    if not continues:
        work.remove |= {pod["metadata"]["name"]: pod for pod in alive}
        return
    for pod in alive:
        if pods.is_terminal(pod):
            reason, text, warning = _ENDED[pod["status"]["phase"]]
            subject = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            work.say.append(Record(daemon_set, reason, text.format(subject, node), COMPONENT, warning))
            work.remove[pod["metadata"]["name"]] = pod
    running = [pod for pod in alive if not pods.is_terminal(pod)]
    if not rule.surge:
        work.remove |= {pod["metadata"]["name"]: pod for pod in running[1:]}


def _roll(
    by_node: Mapping[str, list[Object]],
    fits: Mapping[str, tuple[bool, bool]],
    digest: str,
    rule: _Rule,
    now: datetime,
    work: _Work,
) -> None:
    """Replace old pods, no more at a time than the strategy allows; one that is not available anyway goes at once."""
    busy = 0
    candidates: list[tuple[str, Object]] = []
    for node, there in by_node.items():
        alive = [pod for pod in there if not pods.is_deleting(pod)]
        new = [pod for pod in alive if is_current(pod, digest)]
        old = [pod for pod in alive if not is_current(pod, digest)]
        if len(new) > 1 or len(old) > 1:
            continue
        busy += _judge(node, new, old, rule, now, candidates, work)
    room = max(0, (rule.surge or rule.unavailable) - busy)
    for node, pod in candidates[:room]:
        if not rule.surge:
            work.remove[pod["metadata"]["name"]] = pod
        elif fits.get(node, (False, False))[0]:
            work.create_on.append(node)


def _judge(
    node: str,
    new: list[Object],
    old: list[Object],
    rule: _Rule,
    now: datetime,
    candidates: list[tuple[str, Object]],
    work: _Work,
) -> bool:
    """One node's part in a rollout; whether it takes one of the places that the strategy allows."""
    new_ok = bool(new) and pods.is_available(new[0], rule.min_ready_s, now)
    if not old:
        return not rule.surge and not new_ok
    old_ok = pods.is_available(old[0], rule.min_ready_s, now)
    if new:
        if rule.surge and (new_ok or not old_ok):
            work.remove[old[0]["metadata"]["name"]] = old[0]
        return not new_ok or not rule.surge
    if not old_ok:
        if rule.surge:
            work.create_on.append(node)
        else:
            work.remove[old[0]["metadata"]["name"]] = old[0]
        return False
    candidates.append((node, old[0]))
    return False


def _writes(daemon_set: Object, work: _Work, digest: str) -> tuple[Write, ...]:
    made = tuple(_create(daemon_set, node, digest) for node in dict.fromkeys(work.create_on))
    gone = tuple(_delete(daemon_set, pod) for pod in work.remove.values())
    together: tuple[Write, ...] = (Together((*made, *gone)),) if made or gone else ()
    return (*work.say, *together)


def _create(daemon_set: Object, node: str, digest: str) -> Create:
    pod = pod_for(daemon_set, node, digest)
    message = "Created pod: {name}"
    return Create(PODS, pod, then=(Record(daemon_set, "SuccessfulCreate", message, COMPONENT),))


def _delete(daemon_set: Object, pod: Object) -> Delete:
    message = f"Deleted pod: {pod['metadata']['name']}"
    return Delete(PODS, pod, then=(Record(daemon_set, "SuccessfulDelete", message, COMPONENT),))


def _pinned(pod_spec: Object, node: str) -> Object:
    """The pod's affinity with its node required by name.

    The template's own terms give way: they were checked when the node was chosen.
    """
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = dict(pod_spec.get("affinity") or {})
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    affinity["nodeAffinity"] = dict(affinity.get("nodeAffinity") or {}) | required
    return affinity

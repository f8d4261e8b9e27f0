"""Pods that must leave: by NoExecute taints, or because their node is no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from kubelab.controllers.decide import times
from kubelab.controllers.decide.conditions import patch_of
from kubelab.controllers.decide.pods import is_deleting, is_terminal
from kubelab.controllers.decide.resources import PODS
from kubelab.controllers.decide.selectors import tolerates
from kubelab.controllers.decide.writes import Decision, Delete, Patch, Record, Write, soonest
from kubelab.objects import Object
from kubelab.resource import PatchKind

COMPONENT = "taint-eviction-controller"

_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def stay_s(pod: Object, taints: Sequence[Object], since: Mapping[str, datetime], now: datetime) -> float | None:
    """How much longer a pod may stay on a node with these NoExecute taints: None means for ever, 0 not at all.

    `since` says when a taint without a time of its own was first seen (by `taint_id`).
    """
    waits: list[float | None] = []
    for taint in taints:
        if taint.get("effect") != "NoExecute":
            continue
        covering = [t for t in pod["spec"].get("tolerations") or [] if tolerates(t, taint)]
        if not covering:
            return 0.0
        limits = [int(t["tolerationSeconds"]) for t in covering if t.get("tolerationSeconds") is not None]
        if not limits:
            continue
        begun = times.parse(taint.get("timeAdded")) or since.get(taint_id(taint), now)
        waits.append(max(0.0, min(limits) - (now - begun).total_seconds()))
    return soonest(*waits)


def taint_id(taint: Object) -> str:
    """A taint's identity on its node."""
    return f"{taint.get('key')}={taint.get('value', '')}:{taint.get('effect')}"


def decide(node: Object, pods: Iterable[Object], since: Mapping[str, datetime], now: datetime) -> Decision:
    """The pods of a node that have to go now, and when the next one will."""
    taints = node["spec"].get("taints") or []
    writes: list[Write] = []
    waits: list[float | None] = []
    out = any(taint.get("key") == _OUT_OF_SERVICE for taint in taints)
    for pod in pods:
        if is_deleting(pod):
            if out:
                writes.append(Delete(PODS, pod, grace_period_s=0))
            continue
        if is_terminal(pod):
            continue
        wait = stay_s(pod, taints, since, now)
        if wait == 0.0:
            writes += _evict(pod, now)
        else:
            waits.append(wait)
    return Decision(tuple(writes), soonest(*waits))


def _evict(pod: Object, now: datetime) -> list[Write]:
    meta = pod["metadata"]
    event = Record(
        pod, "TaintManagerEviction", f"Marking for deletion Pod {meta['namespace']}/{meta['name']}", COMPONENT
    )
    text = "Taint manager: deleting due to NoExecute taint"
    return [event, _disrupted(pod, "DeletionByTaintManager", text, now), Delete(PODS, pod)]


def _disrupted(pod: Object, reason: str, message: str, now: datetime, phase: str = "") -> Patch:
    meta = pod["metadata"]
    condition = {
        "type": "DisruptionTarget",
        "observedGeneration": meta.get("generation", 0),
        "status": "True",
        "lastTransitionTime": times.stamp(now),
        "reason": reason,
        "message": message,
    }
    status = patch_of((pod.get("status") or {}).get("conditions"), condition)
    if phase:
        status["phase"] = phase
    return Patch(PODS, meta["namespace"], meta["name"], {"status": status}, PatchKind.STRATEGIC, "status")


def stranded(pods: Iterable[Object], now: datetime) -> Decision:
    """Remove the pods of a node that does not exist: nobody else could end them."""
    writes: list[Write] = []
    for pod in pods:
        if not is_terminal(pod):
            text = "PodGC: node no longer exists"
            writes.append(_disrupted(pod, "DeletionByPodGC", text, now, phase="Failed"))
        writes.append(Delete(PODS, pod, grace_period_s=0))
    return Decision(tuple(writes))

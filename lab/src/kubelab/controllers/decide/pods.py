"""Facts about pods that controllers share, and pods made from a template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import log2

from kubelab.controllers.decide import times
from kubelab.controllers.decide.conditions import find
from kubelab.controllers.decide.ownership import reference_to
from kubelab.objects import Object

_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}
_DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def node_of(pod: Object) -> str:
    """The node a pod is assigned to; empty while it is not."""
    return str(pod["spec"].get("nodeName") or "")


def is_deleting(obj: Object) -> bool:
    """Whether an object was told to go."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def is_terminal(pod: Object) -> bool:
    """Whether all its containers have ended for good."""
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def is_active(pod: Object) -> bool:
    """Whether a pod counts as one of its owner's."""
    return not is_terminal(pod) and not is_deleting(pod)


def ready_condition(pod: Object) -> Object | None:
    """The condition Ready."""
    return find((pod.get("status") or {}).get("conditions"), "Ready")


def is_ready(pod: Object) -> bool:
    """Whether the condition Ready is True."""
    condition = ready_condition(pod)
    return condition is not None and condition.get("status") == "True"


def until_available_s(pod: Object, min_ready_s: int, now: datetime) -> float | None:
    """Seconds until a pod has been ready for long enough: 0 if it has, None if it is not ready at all."""
    condition = ready_condition(pod)
    if condition is None or condition.get("status") != "True":
        return None
    if min_ready_s <= 0:
        return 0.0
    ready_for = times.seconds_since(condition.get("lastTransitionTime"), now)
    return None if ready_for is None else max(0.0, min_ready_s - ready_for)


def is_available(pod: Object, min_ready_s: int, now: datetime) -> bool:
    """Whether a pod is ready, and has been for `min_ready_s`."""
    return until_available_s(pod, min_ready_s, now) == 0.0


def from_template(owner: Object, template: Object) -> Object:
    """A pod for an owner; the API server makes up its name."""
    owner_meta, meta = owner["metadata"], template.get("metadata") or {}
    made: Object = {
        "generateName": f"{owner_meta['name']}-",
        "namespace": owner_meta["namespace"],
        "labels": dict(meta.get("labels") or {}),
        "ownerReferences": [reference_to(owner)],
    }
    for field in ("annotations", "finalizers"):
        if meta.get(field):
            made[field] = meta[field]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template.get("spec") or {}}


def deletion_order(pods: Iterable[Object], neighbours: Mapping[str, int], now: datetime) -> list[Object]:
    """Pods in the order in which an owner gives them up.

    First those not assigned, not running, not ready; then the cheap ones by annotation, those whose node has more of
    the same (`neighbours`: number per node), those ready for less long, restarted more often, younger.
    """
    return sorted(pods, key=lambda pod: _worth(pod, neighbours, now))


def _worth(pod: Object, neighbours: Mapping[str, int], now: datetime) -> tuple[object, ...]:
    status, meta = pod.get("status") or {}, pod["metadata"]
    ready = ready_condition(pod) or {}
    ready_for = times.seconds_since(ready.get("lastTransitionTime"), now) if is_ready(pod) else None
    restarts = max((int(c.get("restartCount") or 0) for c in status.get("containerStatuses") or []), default=0)
    return (
        bool(node_of(pod)),
        _PHASE_RANK.get(str(status.get("phase")), 1),
        is_ready(pod),
        _cost(meta.get("annotations") or {}),
        -neighbours.get(node_of(pod), 0),
        _bucket(ready_for),
        -restarts,
        _bucket(times.seconds_since(meta.get("creationTimestamp"), now)),
        str(meta["name"]),
    )


def _cost(annotations: Mapping[str, str]) -> int:
    try:
        return int(annotations.get(_DELETION_COST, "0"))
    except ValueError:
        return 0


def _bucket(seconds: float | None) -> int:
    """An age in powers of two: pods of about the same age are equal (KEP-2185)."""
    return -1 if seconds is None else int(log2(max(seconds, 0) + 1))

"""ReplicaSet: as many pods as wanted, and a status that says how they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kubelab.controllers.decide import conditions, pods, times
from kubelab.controllers.decide.resources import PODS, REPLICA_SETS
from kubelab.controllers.decide.selectors import labels_of, matches_map
from kubelab.controllers.decide.writes import Create, Decision, Delete, Record, Together, Write, changed, soonest
from kubelab.objects import Object

COMPONENT = "replicaset-controller"

_BURST = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong when pods were made or removed: FailedCreate or FailedDelete, and the server's sentence."""

    reason: str
    message: str


def wanted_replicas(replica_set: Object) -> int:
    """`spec.replicas`; one if it is not said."""
    value = replica_set["spec"].get("replicas")
    return 1 if value is None else int(value)


def scale(replica_set: Object, owned: Sequence[Object], related: Sequence[Object], now: datetime) -> tuple[Write, ...]:
    """The pods to make or to remove.

    `related` are the pods of all replica sets of the same owner: of two equal pods the one on the fuller node goes.
    """
    if pods.is_deleting(replica_set):
        return ()
    active = [pod for pod in owned if pods.is_active(pod)]
    missing = wanted_replicas(replica_set) - len(active)
    if missing > 0:
        return (Together(tuple(_create(replica_set) for _ in range(min(missing, _BURST)))),)
    if missing < 0:
        neighbours = Counter(pods.node_of(pod) for pod in related if pods.is_active(pod))
        leaving = pods.deletion_order(active, neighbours, now)[: min(-missing, _BURST)]
        return (Together(tuple(_delete(replica_set, pod) for pod in leaving)),)
    return ()


def _create(replica_set: Object) -> Create:
    pod = pods.from_template(replica_set, replica_set["spec"]["template"])
    message = "Created pod: {name}"
    return Create(PODS, pod, then=(Record(replica_set, "SuccessfulCreate", message, COMPONENT),))


def _delete(replica_set: Object, pod: Object) -> Delete:
    message = f"Deleted pod: {pod['metadata']['name']}"
    return Delete(PODS, pod, then=(Record(replica_set, "SuccessfulDelete", message, COMPONENT),))


def failed(replica_set: Object, failure: Failure) -> Record:
    """The event about a pod that could not be made or removed."""
    verb = "creating" if failure.reason == "FailedCreate" else "deleting"
    return Record(replica_set, failure.reason, f"Error {verb}: {failure.message}", COMPONENT, warning=True)


def report(replica_set: Object, owned: Sequence[Object], failure: Failure | None, now: datetime) -> Decision:
    """The status as it should be, and when a pod will become available by the passing of time."""
    active = [pod for pod in owned if pods.is_active(pod)]
    min_ready_s = int(replica_set["spec"].get("minReadySeconds") or 0)
    waits = [pods.until_available_s(pod, min_ready_s, now) for pod in active]
    template_labels = (replica_set["spec"]["template"].get("metadata") or {}).get("labels") or {}
    counts = {
        "fullyLabeledReplicas": sum(matches_map(template_labels, labels_of(pod)) for pod in active),
        "readyReplicas": sum(wait is not None for wait in waits),
        "availableReplicas": sum(wait == 0.0 for wait in waits),
    }
    status: Object = {"replicas": len(active)} | {name: count for name, count in counts.items() if count}
    status["terminatingReplicas"] = sum(pods.is_deleting(pod) and not pods.is_terminal(pod) for pod in owned)
    status["observedGeneration"] = replica_set["metadata"].get("generation", 0)
    old = replica_set.get("status") or {}
    if found := _conditions(old.get("conditions") or [], failure, now):
        status["conditions"] = found
    again_s = soonest(*(wait for wait in waits if wait))
    return Decision(changed(REPLICA_SETS, replica_set, replica_set | {"status": status}, "status"), again_s)


def _conditions(old: list[Object], failure: Failure | None, now: datetime) -> list[Object]:
    known = conditions.find(old, "ReplicaFailure")
    if failure is None:
        return conditions.without(old, "ReplicaFailure")
    if known is not None and (known.get("reason"), known.get("status")) == (failure.reason, "True"):
        return old
    made = {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": times.stamp(now),
        "reason": failure.reason,
        "message": failure.message,
    }
    return [*conditions.without(old, "ReplicaFailure"), made]

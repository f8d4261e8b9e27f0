"""A deployment's status: counts, and the conditions Available, Progressing, ReplicaFailure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kubelab.controllers.decide import conditions, revisions, rollout, times
from kubelab.controllers.decide.pods import is_deleting
from kubelab.controllers.decide.resources import DEPLOYMENTS
from kubelab.controllers.decide.rollout import Limits
from kubelab.controllers.decide.writes import Decision, Update
from kubelab.objects import Object

_NO_DEADLINE = 2**31 - 1
_SUMS = {"replicas": "replicas", "readyReplicas": "readyReplicas", "availableReplicas": "availableReplicas"}


@dataclass(frozen=True, slots=True)
class Found:
    """What a deployment's status is made from; `created` says that the new replica set is being made just now."""

    deployment: Object
    replica_sets: list[Object]
    new: Object | None
    created: bool
    rule: Limits


def report(found: Found, now: datetime) -> Decision:
    """The status and the revision annotation as they should be, and when the progress deadline ends."""
    deployment = found.deployment
    old = deployment.get("status") or {}
    status = _counts(found)
    known = list(old.get("conditions") or [])
    status["conditions"] = _conditions(found, status, known, now)
    if old.get("collisionCount"):
        status["collisionCount"] = old["collisionCount"]
    after = deployment | {"status": {key: value for key, value in status.items() if value or key in _ALWAYS}}
    if found.new is not None and not is_deleting(deployment):
        revision = revisions.annotations_of(found.new).get(revisions.REVISION, "")
        annotations = revisions.annotations_of(deployment)
        if revision and annotations.get(revisions.REVISION) != revision:
            meta = deployment["metadata"] | {"annotations": annotations | {revisions.REVISION: revision}}
            after = after | {"metadata": meta}
    writes = () if after == deployment else (Update(DEPLOYMENTS, after, "status"),)
    return Decision(writes, _deadline_s(found, after, now))


_ALWAYS = frozenset({"terminatingReplicas"})


def create_failed(deployment: Object, name: str, message: str, now: datetime) -> Update:
    """The status that says why a replica set could not be made."""
    text = f'Failed to create new replica set "{name}": {message}'
    failed = _condition("Progressing", "False", "FailedCreate", text, now)
    status = deployment.get("status") or {}
    known = _set(list(status.get("conditions") or []), failed)
    return Update(DEPLOYMENTS, deployment | {"status": status | {"conditions": known}}, "status")


def _counts(found: Found) -> Object:
    sums = {
        name: sum(int((rs.get("status") or {}).get(source) or 0) for rs in found.replica_sets)
        for name, source in _SUMS.items()
    }
    wanted = sum(rollout.replicas(rs["spec"]) for rs in found.replica_sets)
    new_status = (found.new or {}).get("status") or {}
    return {
        "observedGeneration": found.deployment["metadata"].get("generation", 0),
        "replicas": sums["replicas"],
        "updatedReplicas": int(new_status.get("replicas") or 0),
        "readyReplicas": sums["readyReplicas"],
        "availableReplicas": sums["availableReplicas"],
        "unavailableReplicas": max(0, wanted - sums["availableReplicas"]),
        "terminatingReplicas": sum(
            int((rs.get("status") or {}).get("terminatingReplicas") or 0) for rs in found.replica_sets
        ),
    }


def _conditions(found: Found, status: Object, known: list[Object], now: datetime) -> list[Object]:
    known = _paused(found, known, now)
    if found.created and _has_deadline(found):
        name = found.new["metadata"]["name"] if found.new else ""
        text = f'Created new replica set "{name}"'
        known = _set(known, _condition("Progressing", "True", "NewReplicaSetCreated", text, now))
    elif found.new is not None and _has_deadline(found) and conditions.find(known, "Progressing") is None:
        text = f'Found new replica set "{found.new["metadata"]["name"]}"'
        known = _set(known, _condition("Progressing", "True", "FoundNewReplicaSet", text, now))
    known = _set(known, _availability(found, status, now))
    known = _progress(found, status, known, now)
    return _failure(found, known)


def _availability(found: Found, status: Object, now: datetime) -> Object:
    if int(status["availableReplicas"]) >= found.rule.least:
        text = "Deployment has minimum availability."
        return _condition("Available", "True", "MinimumReplicasAvailable", text, now)
    text = "Deployment does not have minimum availability."
    return _condition("Available", "False", "MinimumReplicasUnavailable", text, now)


def _paused(found: Found, known: list[Object], now: datetime) -> list[Object]:
    if not _has_deadline(found):
        return known
    progressing = conditions.find(known, "Progressing") or {}
    reason = progressing.get("reason")
    if reason == "ProgressDeadlineExceeded":
        return known
    if found.deployment["spec"].get("paused") and reason != "DeploymentPaused":
        return _set(known, _condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now))
    if not found.deployment["spec"].get("paused") and reason == "DeploymentPaused":
        return _set(known, _condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed", now))
    return known


def _progress(found: Found, status: Object, known: list[Object], now: datetime) -> list[Object]:
    if not _has_deadline(found):
        return conditions.without(known, "Progressing")
    current = conditions.find(known, "Progressing")
    if found.deployment["spec"].get("paused") or _is_done(status, current):
        return known
    subject = (
        f'ReplicaSet "{found.new["metadata"]["name"]}"'
        if found.new
        else f'Deployment "{found.deployment["metadata"]["name"]}"'
    )
    if rollout.is_complete(status, found.rule.wanted, int(found.deployment["metadata"].get("generation") or 0)):
        text = f"{subject} has successfully progressed."
        return _set(known, _condition("Progressing", "True", "NewReplicaSetAvailable", text, now))
    old: Mapping[str, int] = found.deployment.get("status") or {}
    if rollout.is_progressing(old, status):
        made = _condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if current is not None and current.get("status") == "True":
            made["lastTransitionTime"] = current["lastTransitionTime"]
        return [*conditions.without(known, "Progressing"), made]
    if _is_overdue(found, current, now):
        text = f"{subject} has timed out progressing."
        return _set(known, _condition("Progressing", "False", "ProgressDeadlineExceeded", text, now))
    return known


def _is_done(status: Object, current: Object | None) -> bool:
    """Whether the rollout was over before: pods that come and go later are no progress."""
    return (
        current is not None
        and current.get("reason") == "NewReplicaSetAvailable"
        and status["replicas"] == status["updatedReplicas"]
    )


def _is_overdue(found: Found, current: Object | None, now: datetime) -> bool:
    if current is None or current.get("reason") in {"NewReplicaSetAvailable", "DeploymentPaused"}:
        return False
    if current.get("reason") == "ProgressDeadlineExceeded":
        return True
    waited = times.seconds_since(current.get("lastUpdateTime"), now)
    return waited is not None and waited > int(found.deployment["spec"]["progressDeadlineSeconds"])


def _deadline_s(found: Found, after: Object, now: datetime) -> float | None:
    current = conditions.find(after["status"].get("conditions"), "Progressing")
    if not _has_deadline(found) or current is None or found.deployment["spec"].get("paused"):
        return None
    if current.get("reason") in {"NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"}:
        return None
    waited = times.seconds_since(current.get("lastUpdateTime"), now)
    if waited is None:
        return None
    return max(0.0, int(found.deployment["spec"]["progressDeadlineSeconds"]) - waited) + 1


def _failure(found: Found, known: list[Object]) -> list[Object]:
    ordered = [*([found.new] if found.new else []), *found.replica_sets]
    for replica_set in ordered:
        failure = conditions.find((replica_set.get("status") or {}).get("conditions"), "ReplicaFailure")
        if failure is not None:
            moment = failure.get("lastTransitionTime")
            return _set(known, dict(failure) | {"lastUpdateTime": moment, "lastTransitionTime": moment})
    return conditions.without(known, "ReplicaFailure")


def _has_deadline(found: Found) -> bool:
    value = found.deployment["spec"].get("progressDeadlineSeconds")
    return value is not None and int(value) != _NO_DEADLINE


def _condition(kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    moment = times.stamp(now)
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }


def _set(known: list[Object], condition: Object) -> list[Object]:
    """Put a condition last, unless one of the same status and reason is there; the same status keeps its time."""
    current = conditions.find(known, condition["type"])
    if current is not None and (current.get("status"), current.get("reason")) == (
        condition["status"],
        condition["reason"],
    ):
        return known
    if current is not None and current.get("status") == condition["status"]:
        condition = condition | {"lastTransitionTime": current["lastTransitionTime"]}
    return [*conditions.without(known, condition["type"]), condition]

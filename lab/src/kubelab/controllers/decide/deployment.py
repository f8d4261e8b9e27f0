"""Deployment: replica sets made, scaled and cleaned up, step by step, and a status that tells how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubelab.controllers.decide import revisions, rollout
from kubelab.controllers.decide.deployment_status import Found, report
from kubelab.controllers.decide.pods import is_deleting, is_terminal
from kubelab.controllers.decide.resources import DEPLOYMENTS, REPLICA_SETS
from kubelab.controllers.decide.rollout import Limits, Size
from kubelab.controllers.decide.writes import Create, Decision, Delete, Record, Update, Write
from kubelab.objects import Object

COMPONENT = "deployment-controller"


@dataclass(slots=True)
class _Plan:
    """A deployment's replica sets as they shall be; what differs from what is becomes writes."""

    deployment: Object
    rule: Limits
    before: dict[str, Object]
    after: dict[str, Object]
    new: str = ""
    created: bool = False
    removed: list[Object] = field(default_factory=list)

    @property
    def old(self) -> list[Object]:
        return revisions.age_order([rs for name, rs in self.after.items() if name != self.new])

    @property
    def active_old(self) -> list[Object]:
        return [rs for rs in self.old if rollout.replicas(rs["spec"]) > 0]

    def size(self, replica_set: Object) -> Size:
        status = replica_set.get("status") or {}
        name, wanted = replica_set["metadata"]["name"], rollout.replicas(replica_set["spec"])
        names = [rs["metadata"]["name"] for rs in revisions.age_order(list(self.after.values()))]
        most = revisions.annotations_of(replica_set).get(revisions.MOST, "")
        return Size(
            name=name,
            wanted=wanted,
            # A status from before it was made smaller counts pods that are about to go.
            available=min(wanted, int(status.get("availableReplicas") or 0)),
            order=names.index(name),
            before=int(most) if most.isdigit() else 0,
        )

    def resize(self, name: str, size: int) -> None:
        self.after[name] = revisions.resized(self.after[name], size, self.rule)

    def resized(self) -> bool:
        return self.created or any(
            rollout.replicas(rs["spec"]) != rollout.replicas(self.before[name]["spec"])
            for name, rs in self.after.items()
        )


def decide(
    deployment: Object, replica_sets: Sequence[Object], running_old: Mapping[str, int], now: datetime
) -> Decision:
    """One step of a deployment.

    `running_old` is the number of pods not yet ended, per replica set by name, told for the strategy Recreate: it waits
    for the old pods to be gone before it makes new ones.
    """
    rule = rollout.limits(deployment["spec"])
    owned = {rs["metadata"]["name"]: rs for rs in replica_sets}
    plan = _Plan(deployment, rule, owned, dict(owned))
    _find_current(plan)
    if not is_deleting(deployment):
        _step(plan, running_old)
    status = report(
        Found(
            deployment=deployment,
            replica_sets=list(plan.after.values()),
            new=plan.after.get(plan.new),
            created=plan.created,
            rule=rule,
        ),
        now,
    )
    return Decision((*_writes(plan), *status.writes), status.again_s)


def name_taken(deployment: Object, existing: Object, wanted: Object) -> Write | None:
    """What to do when the new replica set's name is taken.

    Nothing if it is taken by the very replica set (this process only did not see it yet), else another hash is tried by
    counting the collision.
    """
    ours = any(
        ref.get("uid") == deployment["metadata"]["uid"] for ref in existing["metadata"].get("ownerReferences") or []
    )
    same = revisions.bare_template(existing["spec"]["template"]) == revisions.bare_template(wanted["spec"]["template"])
    if ours and same:
        return None
    status = deployment.get("status") or {}
    count = int(status.get("collisionCount") or 0) + 1
    return Update(DEPLOYMENTS, deployment | {"status": status | {"collisionCount": count}}, "status")


def _find_current(plan: _Plan) -> None:
    found = revisions.current(plan.deployment, list(plan.after.values()))
    if found is None:
        return
    plan.new = found["metadata"]["name"]
    if not is_deleting(plan.deployment):
        plan.after[plan.new] = revisions.kept(plan.deployment, found, _next_revision(plan))


def _next_revision(plan: _Plan) -> int:
    return max((revisions.revision_of(rs) for rs in plan.old), default=0) + 1


def _step(plan: _Plan, running_old: Mapping[str, int]) -> None:
    spec = plan.deployment["spec"]
    if spec.get("paused") or _was_scaled(plan):
        _scale(plan)
        if spec.get("paused"):
            plan.removed = revisions.outdated(plan.deployment, plan.old)
        return
    if (spec.get("strategy") or {}).get("type") == "Recreate":
        _recreate(plan, running_old)
    else:
        _roll(plan)
    if not plan.resized() and _is_complete(plan):
        plan.removed = revisions.outdated(plan.deployment, plan.old)


def _is_complete(plan: _Plan) -> bool:
    status = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 0)
    for name, replica_set in plan.after.items():
        counts = replica_set.get("status") or {}
        status["replicas"] += int(counts.get("replicas") or 0)
        status["availableReplicas"] += int(counts.get("availableReplicas") or 0)
        if name == plan.new:
            status["updatedReplicas"] = int(counts.get("replicas") or 0)
    return rollout.is_complete(status, plan.rule.wanted, 0)


def _was_scaled(plan: _Plan) -> bool:
    """Whether the deployment's own size changed since its replica sets were last scaled."""
    for replica_set in plan.after.values():
        desired = revisions.annotations_of(replica_set).get(revisions.DESIRED, "")
        active = rollout.replicas(replica_set["spec"]) > 0
        if active and desired.isdigit() and int(desired) != plan.rule.wanted:
            return True
    return False


def _make(plan: _Plan, size: int) -> None:
    made = revisions.made(plan.deployment, size, plan.rule, _next_revision(plan))
    plan.new, plan.created = made["metadata"]["name"], True
    plan.after[plan.new] = made
    plan.before[plan.new] = made


def _roll(plan: _Plan) -> None:
    others = [plan.size(rs) for rs in plan.old]
    if not plan.new:
        _make(plan, rollout.grown(None, others, plan.rule))
        return
    new = plan.size(plan.after[plan.new])
    target = rollout.grown(new, others, plan.rule)
    if target != new.wanted:
        plan.resize(plan.new, target)
        return
    for name, size in rollout.shrunk(new, [size for size in others if size.wanted], plan.rule).items():
        plan.resize(name, size)


def _recreate(plan: _Plan, running_old: Mapping[str, int]) -> None:
    active = plan.active_old
    for replica_set in active:
        plan.resize(replica_set["metadata"]["name"], 0)
    if active or any(count for name, count in running_old.items() if name != plan.new):
        return
    if not plan.new:
        _make(plan, plan.rule.wanted)
    elif rollout.replicas(plan.after[plan.new]["spec"]) != plan.rule.wanted:
        plan.resize(plan.new, plan.rule.wanted)


def _scale(plan: _Plan) -> None:
    active = [rs for rs in plan.after.values() if rollout.replicas(rs["spec"]) > 0]
    if len(active) <= 1:
        only = active[0] if active else plan.after.get(plan.new) or _latest(plan)
        if only is not None and rollout.replicas(only["spec"]) != plan.rule.wanted:
            plan.resize(only["metadata"]["name"], plan.rule.wanted)
        return
    new = plan.after.get(plan.new)
    if new is not None and _is_saturated(plan, new):
        for replica_set in plan.active_old:
            plan.resize(replica_set["metadata"]["name"], 0)
        return
    if (plan.deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return
    before = int((plan.deployment.get("status") or {}).get("replicas") or 0)
    for name, size in rollout.scaled([plan.size(rs) for rs in active], plan.rule, before).items():
        plan.resize(name, size)


def _latest(plan: _Plan) -> Object | None:
    return plan.old[-1] if plan.old else None


def _is_saturated(plan: _Plan, replica_set: Object) -> bool:
    desired = revisions.annotations_of(replica_set).get(revisions.DESIRED, "")
    size = plan.size(replica_set)
    return desired.isdigit() and {int(desired), size.wanted, size.available} == {plan.rule.wanted}


def _writes(plan: _Plan) -> list[Write]:
    out: list[Write] = []
    for name, replica_set in plan.after.items():
        size = rollout.replicas(replica_set["spec"])
        if plan.created and name == plan.new:
            out.append(Create(REPLICA_SETS, replica_set, then=_scaled_event(plan, name, 0, size)))
        elif replica_set != plan.before[name]:
            had = rollout.replicas(plan.before[name]["spec"])
            out.append(Update(REPLICA_SETS, replica_set, then=_scaled_event(plan, name, had, size)))
    out += [Delete(REPLICA_SETS, replica_set) for replica_set in plan.removed]
    return out


def _scaled_event(plan: _Plan, name: str, had: int, size: int) -> tuple[Record, ...]:
    if had == size:
        return ()
    way = "up" if size > had else "down"
    message = f"Scaled {way} replica set {name} from {had} to {size}"
    return (Record(plan.deployment, "ScalingReplicaSet", message, COMPONENT),)


def count_running(owned_pods: Mapping[str, Sequence[Object]]) -> dict[str, int]:
    """Pods that have not ended, per replica set: one that is being deleted runs until it is gone."""
    return {name: sum(not is_terminal(pod) for pod in found) for name, found in owned_pods.items()}

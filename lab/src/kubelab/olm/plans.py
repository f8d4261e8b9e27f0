"""InstallPlans: carried out once they are approved, batch by batch."""

from __future__ import annotations

import copy
import json

from kubelab.apiclient import ApiFailure
from kubelab.objects import Object
from kubelab.olm import steps
from kubelab.olm.judging import is_established
from kubelab.olm.names import (
    DEFINITIONS,
    FINALIZER,
    INSTALL_PLANS,
    OPERATOR_GROUPS,
    RESOURCES,
    SERVICE_VERSIONS,
    owner_reference,
)
from kubelab.olm.world import World

_DONE = frozenset({"Created", "Present"})
_OWNED = frozenset({"ServiceAccount", "Role", "RoleBinding", "Service", "Secret", "ConfigMap"})


async def follow(world: World) -> None:
    """Bring every InstallPlan a batch on."""
    await world.for_each(INSTALL_PLANS, _follow_one)


async def _follow_one(world: World, plan: Object) -> None:
    phase = (plan.get("status") or {}).get("phase", "")
    if phase == "RequiresApproval" and plan["spec"]["approved"]:
        status = plan["status"] | {"phase": "Installing"}
        await world.put_status(INSTALL_PLANS, plan, status)
    elif phase == "Installing":
        await _carry_on(world, plan)


async def _carry_on(world: World, plan: Object) -> None:
    now = world.chance.stamp()
    status = copy.deepcopy(plan["status"])
    status.setdefault("startTime", now)
    if not world.all(OPERATOR_GROUPS, plan["metadata"]["namespace"]):
        status["message"] = "no operator group found that is managing this namespace"
        await world.put_status(INSTALL_PLANS, plan, status)
        return
    status.pop("message", None)
    try:
        unfinished = await _next_batch(world, plan, status["plan"])
    except ApiFailure as failure:
        if failure.passing or failure.conflict:
            raise
        status |= {"phase": "Failed", "conditions": [_condition("False", now, str(failure.message))]}
    else:
        if not unfinished:
            status |= {"phase": "Complete", "conditions": [_condition("True", now)]}
    await world.put_status(INSTALL_PLANS, plan, status)


async def _next_batch(world: World, plan: Object, found: list[Object]) -> bool:
    """Take the first steps that are not done; whether some are left."""
    for batch in steps.batches(found):
        todo = [position for position in batch if found[position]["status"] not in _DONE]
        if todo:
            for position in todo:
                found[position]["status"] = await _take(world, plan, found[position])
            break
    return any(step["status"] not in _DONE for step in found)


async def _take(world: World, plan: Object, step: Object) -> str:
    """Make a step's object; how the step is then."""
    obj = json.loads(step["resource"]["manifest"])
    kind, namespace = obj["kind"], plan["metadata"]["namespace"]
    resource = RESOURCES.get(kind)
    if resource is None:
        raise ApiFailure(422, "Invalid", f"kind {kind} of {obj['metadata']['name']} is not known to this double")
    if kind == "ClusterServiceVersion":
        if world.get(SERVICE_VERSIONS, namespace, obj["metadata"]["name"]) is None:
            obj["metadata"].setdefault("labels", {}).update(plan["metadata"]["labels"])
            obj["metadata"]["finalizers"] = [FINALIZER]
            await world.create(resource, obj)
            return "Created"
        return "Present"
    if kind == "CustomResourceDefinition":
        return await _take_definition(world, obj)
    if resource.namespaced:
        obj["metadata"]["namespace"] = namespace
    if kind in _OWNED:
        csv = world.get(SERVICE_VERSIONS, namespace, plan["spec"]["clusterServiceVersionNames"][0])
        obj["metadata"]["ownerReferences"] = [owner_reference(csv)] if csv else []
    obj["metadata"].setdefault("labels", {})["olm.managed"] = "true"
    await world.apply(resource, obj)
    return "Created"


async def _take_definition(world: World, definition: Object) -> str:
    name = definition["metadata"]["name"]
    definition["metadata"].setdefault("labels", {})["olm.managed"] = "true"
    await world.apply(DEFINITIONS, definition)
    return "Created" if is_established(world.get(DEFINITIONS, "", name)) else "WaitingForApi"


def _condition(status: str, now: str, message: str = "") -> Object:
    failure = {"reason": "InstallComponentFailed", "message": message} if message else {}
    return {"type": "Installed", "status": status, "lastUpdateTime": now, "lastTransitionTime": now, **failure}

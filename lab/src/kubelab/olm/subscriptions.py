"""Subscriptions: the catalog's answer becomes an InstallPlan, for the first version and for each that follows."""

from __future__ import annotations

from dataclasses import dataclass

from kubelab.objects import Object
from kubelab.olm import content, steps
from kubelab.olm.catalogs import offered
from kubelab.olm.names import (
    CATALOG_SOURCES,
    INSTALL_PLANS,
    SERVICE_VERSIONS,
    SUBSCRIPTIONS,
    owner_reference,
    package_label,
)
from kubelab.olm.world import World


@dataclass(frozen=True, slots=True)
class Wanted:
    """The version that a Subscription is to have next, from this catalog; or the problem that there is with it."""

    source: Object | None = None
    catalog: content.Catalog | None = None
    name: str = ""
    problem: str = ""


async def follow(world: World) -> None:
    """Bring every Subscription a step on."""
    await world.for_each(SUBSCRIPTIONS, _follow_one)


async def _follow_one(world: World, subscription: Object) -> None:
    wanted = _wanted(world, subscription)
    if wanted.problem:
        await world.put_status(SUBSCRIPTIONS, subscription, _unresolved(world, subscription, wanted))
        return
    label = package_label(subscription["spec"]["name"], subscription["metadata"]["namespace"])
    if label not in (subscription["metadata"].get("labels") or {}):
        await world.patch(SUBSCRIPTIONS, subscription, {"metadata": {"labels": {label: ""}}})
        return
    plan = _plan_of(world, subscription, wanted.name) if wanted.name else None
    if wanted.name and plan is None:
        try:
            plan = await _make_plan(world, subscription, wanted, label)
        except content.ContentError as error:
            broken = Wanted(wanted.source, problem=str(error))
            await world.put_status(SUBSCRIPTIONS, subscription, _unresolved(world, subscription, broken))
            return
    status = _status(world, subscription, wanted, plan)
    await world.put_status(SUBSCRIPTIONS, subscription, status)


def _wanted(world: World, subscription: Object) -> Wanted:
    spec, name = subscription["spec"], subscription["metadata"]["name"]
    source = world.get(CATALOG_SOURCES, spec["sourceNamespace"], spec["source"])
    catalog = offered(world, source)
    at = f"referenced by subscription {name}"
    if catalog is None:
        where = f"from catalog {spec['source']} in namespace {spec['sourceNamespace']}"
        return Wanted(source, problem=f"no operators found {where} {at}")
    if spec["name"] not in [each["name"] for each in catalog.packages()]:
        return Wanted(source, problem=f"no operators found in package {spec['name']} in the catalog {at}")
    channel = catalog.channel(spec["name"], spec.get("channel", ""))
    if channel is None:
        where = f"in channel {spec.get('channel')} of package {spec['name']} in the catalog"
        return Wanted(source, problem=f"no operators found {where} {at}")
    current = (subscription.get("status") or {}).get("currentCSV", "")
    if not current:
        return Wanted(source, catalog, spec.get("startingCSV") or content.head(channel))
    installed = world.get(SERVICE_VERSIONS, subscription["metadata"]["namespace"], current)
    succeeded = installed is not None and (installed.get("status") or {}).get("phase") == "Succeeded"
    return Wanted(source, catalog, content.following(channel, current) if succeeded else "")


def _plan_of(world: World, subscription: Object, name: str) -> Object | None:
    uid = subscription["metadata"]["uid"]
    for plan in world.all(INSTALL_PLANS, subscription["metadata"]["namespace"]):
        owners = [each["uid"] for each in plan["metadata"].get("ownerReferences", [])]
        if uid in owners and name in plan["spec"]["clusterServiceVersionNames"]:
            return plan
    return None


async def _make_plan(world: World, subscription: Object, wanted: Wanted, label: str) -> Object:
    assert wanted.catalog is not None
    assert wanted.source is not None
    namespace = subscription["metadata"]["namespace"]
    bundle = world.content.bundle(wanted.catalog.image(wanted.name))
    approval = subscription["spec"].get("installPlanApproval", "Automatic")
    earlier = [
        each["spec"].get("generation", 0)
        for each in world.all(INSTALL_PLANS, namespace)
        if label in (each["metadata"].get("labels") or {})
    ]
    made = await world.create(
        INSTALL_PLANS,
        {
            "apiVersion": INSTALL_PLANS.api_version,
            "kind": "InstallPlan",
            "metadata": {
                "generateName": "install-",
                "namespace": namespace,
                "labels": {label: ""},
                "ownerReferences": [owner_reference(subscription)],
            },
            "spec": {
                "approval": approval,
                "approved": approval == "Automatic",
                "clusterServiceVersionNames": [wanted.name],
                "generation": max(earlier, default=0) + 1,
            },
        },
    )
    replaces = (subscription.get("status") or {}).get("currentCSV", "")
    status = {
        "phase": "Installing" if approval == "Automatic" else "RequiresApproval",
        "catalogSources": [wanted.source["metadata"]["name"]],
        "plan": steps.steps(bundle, namespace, replaces, wanted.source),
    }
    await world.put_status(INSTALL_PLANS, made, status)
    return world.get(INSTALL_PLANS, namespace, made["metadata"]["name"]) or made


def _status(world: World, subscription: Object, wanted: Wanted, plan: Object | None) -> Object:
    now = world.chance.stamp()
    status = {**(subscription.get("status") or {})}
    status |= {"catalogHealth": _health(world, subscription), "lastUpdated": now}
    if plan is not None:
        status |= _references(plan) | {"currentCSV": wanted.name}
    current = status.get("currentCSV", "")
    namespace = subscription["metadata"]["namespace"]
    if world.get(SERVICE_VERSIONS, namespace, current) is not None:
        status |= {"installedCSV": current, "state": "AtLatestKnown"}
    else:
        status["state"] = "UpgradePending"
    pending = _plan_named(world, namespace, (status.get("installplan") or {}).get("name", ""))
    status["conditions"] = _conditions(status, _healthy(), pending, now)
    return status


def _references(plan: Object) -> Object:
    meta = plan["metadata"]
    name = {"apiVersion": plan["apiVersion"], "kind": "InstallPlan", "name": meta["name"]}
    version = {"namespace": meta["namespace"], "resourceVersion": meta["resourceVersion"], "uid": meta["uid"]}
    return {
        "installPlanGeneration": plan["spec"]["generation"],
        "installPlanRef": name | version,
        "installplan": name | {"uuid": meta["uid"]},
    }


def _plan_named(world: World, namespace: str, name: str) -> Object | None:
    return world.get(INSTALL_PLANS, namespace, name) if name else None


def _health(world: World, subscription: Object) -> list[Object]:
    found = []
    for source in world.all(CATALOG_SOURCES, subscription["spec"]["sourceNamespace"]):
        meta = source["metadata"]
        reference = {
            "apiVersion": source["apiVersion"],
            "kind": "CatalogSource",
            "name": meta["name"],
            "namespace": meta["namespace"],
            "resourceVersion": meta["resourceVersion"],
            "uid": meta["uid"],
        }
        healthy = offered(world, source) is not None
        found.append({"catalogSourceRef": reference, "healthy": healthy, "lastUpdated": world.chance.stamp()})
    return found


def _healthy() -> Object:
    return {
        "message": "all available catalogsources are healthy",
        "reason": "AllCatalogSourcesHealthy",
        "status": "False",
        "type": "CatalogSourcesUnhealthy",
    }


def _conditions(status: Object, health: Object, plan: Object | None, now: str) -> list[Object]:
    wanted = [health]
    phase = ((plan or {}).get("status") or {}).get("phase", "")
    if phase in ("Installing", "RequiresApproval"):
        wanted.append({"reason": phase, "status": "True", "type": "InstallPlanPending"})
    elif phase == "Failed":
        wanted.append({"reason": "InstallComponentFailed", "status": "True", "type": "InstallPlanFailed"})
    return _timed(status, wanted, now)


def _timed(status: Object, wanted: list[Object], now: str) -> list[Object]:
    """The conditions with the times of their last changes."""
    before = {each["type"]: each for each in status.get("conditions") or []}
    found = []
    for each in wanted:
        old = before.get(each["type"], {})
        same = {name: value for name, value in old.items() if name != "lastTransitionTime"} == each
        found.append(each | {"lastTransitionTime": old.get("lastTransitionTime", now) if same else now})
    return found


def _unresolved(world: World, subscription: Object, wanted: Wanted) -> Object:
    now, name = world.chance.stamp(), subscription["metadata"]["name"]
    failed = {
        "message": f"constraints not satisfiable: {wanted.problem}, subscription {name} exists",
        "reason": "ConstraintsNotSatisfiable",
        "status": "True",
        "type": "ResolutionFailed",
    }
    status = subscription.get("status") or {}
    health = _healthy()
    if wanted.source is None:
        health |= {
            "message": f"targeted catalogsource {subscription['spec']['sourceNamespace']}/"
            f"{subscription['spec']['source']} missing",
            "reason": "UnhealthyCatalogSourceFound",
            "status": "True",
        }
    conditions = _timed(status, [health, failed], now)
    return status | {
        "catalogHealth": _health(world, subscription),
        "conditions": conditions,
        "lastUpdated": now,
    }

"""ClusterServiceVersions: from Pending to Succeeded or Failed, replaced by the next, and cleaned up after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from kubelab import pki
from kubelab.apiclient import ApiFailure
from kubelab.objects import Object
from kubelab.olm import installing, judging, steps
from kubelab.olm.installing import Certificate
from kubelab.olm.judging import Phase, is_established
from kubelab.olm.names import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    DEFINITIONS,
    DEPLOYMENTS,
    FINALIZER,
    OPERATOR_GROUPS,
    RESOURCES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICE_VERSIONS,
    SERVICES,
    WEBHOOKS,
    owner_labels,
    owner_reference,
)
from kubelab.olm.world import World

_MISPLACED: Final = frozenset({"NoOperatorGroup", "TooManyOperatorGroups", "UnsupportedOperatorGroup"})
_CLUSTER_WIDE: Final = (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, WEBHOOKS)


async def follow(world: World) -> None:
    """Bring every ClusterServiceVersion a phase on."""
    await world.for_each(SERVICE_VERSIONS, _follow_one)


async def _follow_one(world: World, csv: Object) -> None:
    if csv["metadata"].get("deletionTimestamp"):
        await _clean_up(world, csv)
        return
    if FINALIZER not in csv["metadata"].get("finalizers", []):
        await world.patch(SERVICE_VERSIONS, csv, {"metadata": {"finalizers": [FINALIZER]}})
        return
    phase = (csv.get("status") or {}).get("phase", "")
    following = await _ahead(world, csv, phase)
    if following is not None and not judging.is_in(csv.get("status") or {}, following):
        status = judging.with_phase(csv.get("status") or {}, following, world.chance.stamp())
        await world.put_status(SERVICE_VERSIONS, csv, status)
    elif phase == "Deleting":
        await world.delete(SERVICE_VERSIONS, csv)


async def _ahead(world: World, csv: Object, phase: str) -> Phase | None:
    """The phase that follows, None if it stays."""
    if phase == "Deleting":
        return None
    groups = world.all(OPERATOR_GROUPS, csv["metadata"]["namespace"])
    misplaced = judging.misplaced(csv, groups)
    if misplaced:
        return misplaced
    if phase == "Failed" and csv["status"].get("reason") in _MISPLACED:
        return judging.SUPPORTED_NOW
    successor = _successor(world, csv)
    if phase in ("Succeeded", "Replacing") and successor is not None:
        done = (successor.get("status") or {}).get("phase") == "Succeeded"
        return judging.REPLACED if done else judging.being_replaced(successor)
    step: Callable[[World, Object], Awaitable[Phase | None]] | None = _STEPS.get(phase)
    return await step(world, csv) if step else None


def _successor(world: World, csv: Object) -> Object | None:
    for each in world.all(SERVICE_VERSIONS, csv["metadata"]["namespace"]):
        if each["spec"].get("replaces") == csv["metadata"]["name"]:
            return each
    return None


async def _first(_world: World, _csv: Object) -> Phase | None:
    return judging.UNKNOWN


async def _pending(world: World, csv: Object) -> Phase | None:
    """Definitions must be served, and accounts there with their rights."""
    if not _is_complete(world, csv):
        return judging.NOT_MET
    predecessor = world.get(SERVICE_VERSIONS, csv["metadata"]["namespace"], csv["spec"].get("replaces", ""))
    if predecessor is not None and (predecessor.get("status") or {}).get("phase") not in ("Replacing", "Deleting"):
        return None
    return judging.READY


def _is_complete(world: World, csv: Object) -> bool:
    owned = csv["spec"].get("customresourcedefinitions", {}).get("owned", [])
    namespace = csv["metadata"]["namespace"]
    accounts = [each for each in steps.rights(csv) if each["kind"] == "ServiceAccount"]
    return all(is_established(world.get(DEFINITIONS, "", each["name"])) for each in owned) and all(
        _is_ours(world.get(SERVICE_ACCOUNTS, namespace, each["metadata"]["name"]), csv) for each in accounts
    )


def _is_ours(account: Object | None, csv: Object) -> bool:
    owners = (account or {"metadata": {}})["metadata"].get("ownerReferences", [])
    return csv["metadata"]["uid"] in [each["uid"] for each in owners]


async def _install(world: World, csv: Object) -> Phase | None:
    try:
        await _make(world, csv)
    except ApiFailure as failure:
        if failure.passing or failure.conflict:
            raise
        return Phase("Failed", "InstallComponentFailed", f"install strategy failed: {failure.message}")
    return judging.INSTALLING


async def _installing(world: World, csv: Object) -> Phase | None:
    problem = _unready(world, csv)
    if problem is None:
        return judging.SUCCEEDED
    return judging.failed(problem.message) if problem.given_up else judging.waiting(problem.message)


async def _succeeded(world: World, csv: Object) -> Phase | None:
    problem = _unready(world, csv)
    return judging.unhealthy(problem.message) if problem else None


async def _failed(world: World, csv: Object) -> Phase | None:
    """What was ready once, or was given up, is looked at again when it changes."""
    problem = _unready(world, csv)
    if problem is None or problem.message.startswith("missing deployment"):
        return judging.REINSTALL
    return None


def _unready(world: World, csv: Object) -> judging.Readiness | None:
    """The first Deployment that is not ready, None if all are."""
    for each in installing.deployments(csv):
        found = world.get(DEPLOYMENTS, csv["metadata"]["namespace"], each["name"])
        if found is not None and not _is_labelled(found, csv):
            found = None
        readiness = judging.readiness(each["name"], found)
        if not readiness.ready:
            return readiness
    return None


def _is_labelled(deployment: Object, csv: Object) -> bool:
    return owner_labels(csv).items() <= (deployment["metadata"].get("labels") or {}).items()


_STEPS: Final[dict[str, Callable[[World, Object], Awaitable[Phase | None]]]] = {
    "": _first,
    "Pending": _pending,
    "InstallReady": _install,
    "Installing": _installing,
    "Succeeded": _succeeded,
    "Failed": _failed,
}


async def _make(world: World, csv: Object) -> None:
    """Everything that a ClusterServiceVersion stands for."""
    await _operator_role(world, csv)
    await _lift(world, csv)
    group = world.all(OPERATOR_GROUPS, csv["metadata"]["namespace"])[0]
    annotations = (csv["metadata"].get("annotations") or {}) | {
        "olm.operatorGroup": group["metadata"]["name"],
        "olm.operatorNamespace": csv["metadata"]["namespace"],
        "olm.targetNamespaces": ",".join(judging.target_namespaces(group)),
    }
    authority = world.chance.authority()
    for wanted in installing.deployments(csv):
        certificate = await _certificate(world, csv, wanted, authority)
        await world.apply(DEPLOYMENTS, installing.deployment_of(csv, wanted, annotations, certificate))
        if certificate is not None:
            for webhook in installing.webhooks_of(csv, wanted["name"]):
                await _webhook(world, csv, webhook, certificate)


async def _operator_role(world: World, csv: Object) -> None:
    """By which an operator may tell OLM of itself: the role is named as the ClusterServiceVersion is."""
    name = csv["metadata"]["name"]
    accounts = sorted({each["metadata"]["name"] for each in steps.rights(csv) if each["kind"] == "ServiceAccount"})
    rule = {
        "apiGroups": ["operators.coreos.com"],
        "resources": ["operatorconditions"],
        "resourceNames": [name],
        "verbs": ["get", "update", "patch"],
    }
    for resource, obj in (
        (ROLES, steps.role_of(csv, "Role", name, [rule])),
        (ROLE_BINDINGS, steps.binding_of(csv, "Role", name, accounts)),
    ):
        obj["metadata"]["ownerReferences"] = [owner_reference(csv)]
        await world.apply(resource, obj)


async def _lift(world: World, csv: Object) -> None:
    """For all namespaces the rights in the operator's own namespace become rights in every one."""
    for each in steps.rights(csv):
        if each["kind"] not in ("Role", "RoleBinding"):
            continue
        kind = f"Cluster{each['kind']}"
        lifted = each | {"kind": kind, "metadata": {k: v for k, v in each["metadata"].items() if k != "namespace"}}
        if "roleRef" in lifted:
            lifted["roleRef"] = lifted["roleRef"] | {"kind": "ClusterRole"}
        await world.apply(RESOURCES[kind], lifted)


async def _certificate(world: World, csv: Object, wanted: Object, authority: pki.Authority) -> Certificate | None:
    """The certificate of a Deployment that serves webhooks; one that is there already is kept."""
    name, namespace = wanted["name"], csv["metadata"]["namespace"]
    if not installing.webhooks_of(csv, name):
        return None
    await world.apply(SERVICES, installing.service(csv, wanted))
    try:
        kept = Certificate.of(await world.client.get(SECRETS, installing.secret_name(name), namespace))
    except ApiFailure as failure:
        if not failure.not_found:
            raise
        kept = None
    if kept is None:
        hosts = installing.host_names(name, namespace)
        identity = authority.issue(pki.Subject(hosts[0], names=hosts))
        kept = Certificate(identity.certificate, identity.key, authority.certificate)
    await world.apply(SECRETS, installing.secret(csv, name, kept))
    for resource, obj in zip((ROLES, ROLE_BINDINGS), installing.secret_rights(csv, wanted), strict=True):
        await world.apply(resource, obj)
    return kept


async def _webhook(world: World, csv: Object, webhook: Object, certificate: Certificate) -> None:
    if webhook["type"] == "ConversionWebhook":
        for name in webhook["conversionCRDs"]:
            definition = {"metadata": {"name": name}}
            await world.patch(DEFINITIONS, definition, installing.conversion(csv, webhook, certificate))
        return
    made = installing.webhook_configuration(csv, webhook, certificate)
    there = await world.client.list(WEBHOOKS, label_selector=_selector(made["metadata"]["labels"]))
    for each in there.items:
        await world.patch(WEBHOOKS, each, {"webhooks": made["webhooks"]})
    if not there.items:
        await world.create(WEBHOOKS, made)


async def _clean_up(world: World, csv: Object) -> None:
    """What no owner in a namespace can take along: cluster-wide rights and webhook configurations."""
    if FINALIZER not in csv["metadata"].get("finalizers", []):
        return
    for resource in _CLUSTER_WIDE:
        found = await world.client.list(resource, label_selector=_selector(owner_labels(csv)))
        for each in found.items:
            await world.delete(resource, each)
    others = [each for each in csv["metadata"]["finalizers"] if each != FINALIZER]
    await world.patch(SERVICE_VERSIONS, csv, {"metadata": {"finalizers": others or None}})


def _selector(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))

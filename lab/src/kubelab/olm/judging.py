"""Judgements: whether a ClusterServiceVersion may be where it is, what it lacks, whether its Deployments are ready.

Reasons and messages are OLM's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from kubelab.objects import Object


class Phase(NamedTuple):
    """A phase of a ClusterServiceVersion with its reason."""

    name: str
    reason: str
    message: str


UNKNOWN: Final = Phase("Pending", "RequirementsUnknown", "requirements not yet checked")
NOT_MET: Final = Phase("Pending", "RequirementsNotMet", "one or more requirements couldn't be found")
READY: Final = Phase("InstallReady", "AllRequirementsMet", "all requirements found, attempting install")
INSTALLING: Final = Phase("Installing", "InstallSucceeded", "waiting for install components to report healthy")
SUCCEEDED: Final = Phase("Succeeded", "InstallSucceeded", "install strategy completed with no errors")
REINSTALL: Final = Phase("Pending", "NeedsReinstall", "calculated deployment install is bad")
SUPPORTED_NOW: Final = Phase("Pending", "RequirementsUnknown", "InstallModes now support target namespaces")
REPLACED: Final = Phase(
    "Deleting", "Replaced", "has been replaced by a newer ClusterServiceVersion that has successfully installed."
)


def target_namespaces(group: Object) -> list[str]:
    """The namespaces that an OperatorGroup is for; one empty name stands for all."""
    return list((group.get("spec") or {}).get("targetNamespaces") or [""])


def misplaced(csv: Object, groups: Sequence[Object]) -> Phase | None:
    """Why a ClusterServiceVersion can't be installed in a namespace with these OperatorGroups; None if it can."""
    if not groups:
        return Phase("Failed", "NoOperatorGroup", "csv in namespace with no operatorgroups")
    if len(groups) > 1:
        message = "csv created in namespace with multiple operatorgroups, can't pick one automatically"
        return Phase("Failed", "TooManyOperatorGroups", message)
    problem = _unsupported(csv, target_namespaces(groups[0]))
    return Phase("Failed", "UnsupportedOperatorGroup", problem) if problem else None


def _unsupported(csv: Object, targets: Sequence[str]) -> str:
    modes = {each["type"]: each["supported"] for each in csv["spec"].get("installModes", [])}
    own = csv["metadata"]["namespace"]
    if len(targets) > 1:
        wanted, words = "MultiNamespace", f"watch {len(targets)} namespaces"
        if modes.get(wanted) and own in targets:
            wanted, words = "OwnNamespace", "watch own namespace"
    elif targets[0] == "":
        wanted, words = "AllNamespaces", "watch all namespaces"
    elif targets[0] == own:
        wanted, words = "OwnNamespace", "watch own namespace"
    else:
        wanted, words = "SingleNamespace", "watch one namespace"
    return "" if modes.get(wanted) else f"{wanted} InstallModeType not supported, cannot configure to {words}"


def provided_apis(csvs: Sequence[Object]) -> str:
    """The annotation of an OperatorGroup that lists what its operators offer."""
    found = set()
    for csv in csvs:
        for each in csv["spec"].get("customresourcedefinitions", {}).get("owned", []):
            found.add(f"{each['kind']}.{each['version']}.{each['name'].partition('.')[2]}")
    return ",".join(sorted(found))


def is_established(definition: Object | None) -> bool:
    """Whether a CustomResourceDefinition is served."""
    conditions = ((definition or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


class Readiness(NamedTuple):
    """Whether a Deployment is ready, why not, and whether it has been given up."""

    ready: bool
    message: str
    given_up: bool = False


def readiness(name: str, deployment: Object | None) -> Readiness:
    """How a Deployment is doing, in OLM's words."""
    if deployment is None:
        return Readiness(False, f"missing deployment with name={name}")
    status = deployment.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    waiting = f"waiting for deployment {name} to become ready: "
    if deployment["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return Readiness(False, f'{waiting}waiting for spec update of deployment "{name}" to be observed...')
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        deadline = f'deployment {name} not ready before timeout: deployment "{name}" exceeded its progress deadline'
        return Readiness(False, deadline, given_up=True)
    outdated = status.get("replicas", 0) - status.get("updatedReplicas", 0)
    if outdated > 0:
        return Readiness(
            False, f'{waiting}deployment "{name}" waiting for {outdated} outdated replica(s) to be terminated'
        )
    available = conditions.get("Available")
    if available is None or available["status"] != "True":
        why = available["message"] if available else 'missing condition "Available"'
        return Readiness(False, f'{waiting}deployment "{name}" not available: {why}')
    return Readiness(True, "")


def being_replaced(by: Object) -> Phase:
    """The phase of a version whose successor is there."""
    return Phase("Replacing", "BeingReplaced", f"being replaced by csv: {by['metadata']['name']}")


def waiting(message: str) -> Phase:
    """The phase while a Deployment is not ready yet."""
    return Phase("Installing", "InstallWaiting", f"installing: {message}")


def unhealthy(message: str) -> Phase:
    """The phase once a Deployment that was ready is not any more."""
    return Phase("Failed", "ComponentUnhealthy", f"installing: {message}")


def failed(message: str) -> Phase:
    """The phase once a Deployment has been given up."""
    return Phase("Failed", "InstallCheckFailed", f"install failed: {message}")


def with_phase(status: Object, phase: Phase, now: str) -> Object:
    """A ClusterServiceVersion's status in a new phase; its conditions are its history."""
    condition = {
        "lastTransitionTime": now,
        "lastUpdateTime": now,
        "message": phase.message,
        "phase": phase.name,
        "reason": phase.reason,
    }
    return {
        **status,
        "phase": phase.name,
        "reason": phase.reason,
        "message": phase.message,
        "lastTransitionTime": now,
        "lastUpdateTime": now,
        "conditions": [*(status.get("conditions") or []), condition],
    }


def is_in(status: Object, phase: Phase) -> bool:
    """Whether a status says this phase already, word for word."""
    return (status.get("phase"), status.get("reason"), status.get("message")) == phase

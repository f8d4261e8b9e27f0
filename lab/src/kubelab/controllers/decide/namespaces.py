"""A namespace on its way out: what is left in it, said in its conditions, and when it may go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from kubelab.controllers.decide import times
from kubelab.controllers.decide.conditions import find, replaced
from kubelab.controllers.decide.resources import NAMESPACES
from kubelab.controllers.decide.writes import Decision, Update, Write
from kubelab.objects import Object

FINALIZER = "kubernetes"


@dataclass(slots=True)
class Remains:
    """What one round of deletion left: objects per resource (`pods.`, `deployments.apps`), finalizers, errors."""

    resources: dict[str, int] = field(default_factory=dict)
    finalizers: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    discovery_errors: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing is left, and that is known for sure."""
        return not (self.resources or self.errors or self.discovery_errors)


def is_leaving(namespace: Object) -> bool:
    """Whether a namespace was told to go and still waits for its content to be removed."""
    told = bool(namespace["metadata"].get("deletionTimestamp"))
    return told and FINALIZER in (namespace["spec"].get("finalizers") or [])


def decide(namespace: Object, remains: Remains, now: datetime) -> Decision:
    """The end of an empty namespace, or conditions that say what it waits for."""
    if remains.empty:
        spec = namespace["spec"]
        rest = [name for name in spec.get("finalizers") or [] if name != FINALIZER]
        return Decision((Update(NAMESPACES, namespace | {"spec": spec | {"finalizers": rest}}, "finalize"),))
    status = namespace.get("status") or {}
    known = list(status.get("conditions") or [])
    for condition in _conditions(remains, now):
        old = find(known, condition["type"])
        if old is not None and old.get("status") == condition["status"]:
            condition["lastTransitionTime"] = old["lastTransitionTime"]
        known = replaced(known, condition)
    after = namespace | {"status": status | {"phase": "Terminating", "conditions": known}}
    writes: tuple[Write, ...] = () if after == namespace else (Update(NAMESPACES, after, "status"),)
    return Decision(writes)


def _conditions(remains: Remains, now: datetime) -> list[Object]:
    def of(kind: str, bad: tuple[str, str] | None, good: tuple[str, str]) -> Object:
        reason, message = bad or good
        status = "True" if bad else "False"
        moment = times.stamp(now)
        return {"type": kind, "status": status, "lastTransitionTime": moment, "reason": reason, "message": message}

    discovery = ("DiscoveryFailed", "Discovery failed for some groups, " + _joined(remains.discovery_errors))
    content = ("ContentDeletionFailed", "Failed to delete all resource types, " + _joined(remains.errors))
    left = ("SomeResourcesRemain", "Some resources are remaining: " + _counted(remains.resources, "has"))
    held = (
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: " + _counted(remains.finalizers, "in"),
    )
    return [
        of(
            "NamespaceDeletionDiscoveryFailure",
            discovery if remains.discovery_errors else None,
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        of(
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        of(
            "NamespaceDeletionContentFailure",
            content if remains.errors else None,
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        of(
            "NamespaceContentRemaining",
            left if remains.resources else None,
            ("ContentRemoved", "All content successfully removed"),
        ),
        of(
            "NamespaceFinalizersRemaining",
            held if remains.finalizers else None,
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]


def _joined(errors: list[str]) -> str:
    return f"{len(errors)} remaining: {', '.join(errors)}"


def _counted(counts: Mapping[str, int], verb: str) -> str:
    return ", ".join(f"{name} {verb} {count} resource instances" for name, count in sorted(counts.items()))

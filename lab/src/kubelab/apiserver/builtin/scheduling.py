"""PriorityClass, RuntimeClass, PodDisruptionBudget: what decides about pods beside their own spec."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.kind import Kind, set_default
from kubelab.apiserver.builtin.selectors import selector_errors
from kubelab.apiserver.builtin.workloads import share_errors
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

HIGHEST: Final = 1_000_000_000
SYSTEM_CLASSES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
"""The classes that every cluster has, with their values."""
_PREEMPTION: Final = frozenset({"PreemptLowerPriority", "Never"})


def system_priority_classes() -> list[Object]:
    """The PriorityClasses of a new cluster."""
    words = {
        "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to"
        " another node if necessary.",
        "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
    }
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "description": words[name],
        }
        for name, value in SYSTEM_CLASSES.items()
    ]


class PriorityClassStrategy(Kind):
    """PriorityClass (scheduling.k8s.io/v1)."""

    has_generation = True

    def default(self, obj: Object) -> None:
        """It preempts."""
        set_default(obj, "preemptionPolicy", "PreemptLowerPriority")
        set_default(obj, "value", 0)
        if not obj.get("globalDefault"):
            obj.pop("globalDefault", None)

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The system's names and numbers are the system's."""
        errors: list[FieldError] = []
        name = obj["metadata"].get("name", "")
        if name.startswith("system-"):
            if SYSTEM_CLASSES.get(name) != obj["value"]:
                refused = "priority class names with 'system-' prefix are reserved for system use only"
                errors.append(fields.forbidden("metadata.name", refused + ". error: unknown system class"))
        elif obj["value"] > HIGHEST:
            refused = f"maximum allowed value of a user defined priority is {HIGHEST}"
            errors.append(fields.forbidden("value", refused))
        policy = obj["preemptionPolicy"]
        return (
            errors if policy in _PREEMPTION else [*errors, fields.unsupported("preemptionPolicy", policy, _PREEMPTION)]
        )

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Pods carry the number: it stays."""
        errors: list[FieldError] = []
        if obj["value"] != old.get("value"):
            errors.append(fields.forbidden("value", "may not be changed in an update."))
        return errors + fields.immutable("preemptionPolicy", obj["preemptionPolicy"], old.get("preemptionPolicy"))


class RuntimeClassStrategy(Kind):
    """RuntimeClass (node.k8s.io/v1)."""

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The handler is a name."""
        return names.syntax_errors("handler", obj.get("handler") or "", names.dns_label)

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The handler stays."""
        return fields.immutable("handler", obj.get("handler"), old.get("handler"))


class DisruptionBudgetStrategy(Kind):
    """PodDisruptionBudget (policy/v1)."""

    has_generation = True

    def prepare_create(self, obj: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """Nothing is counted yet."""
        counts = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
        obj.setdefault("spec", {})
        obj["status"] = dict.fromkeys(counts, 0)

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """One limit, not two."""
        spec: Object = obj["spec"]
        if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
            return [fields.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")]
        errors: list[FieldError] = []
        for field in ("minAvailable", "maxUnavailable"):
            errors += share_errors(spec.get(field), f"spec.{field}") if spec.get(field) is not None else []
        return errors + selector_errors(spec.get("selector"), "spec.selector")

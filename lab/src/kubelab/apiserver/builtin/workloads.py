"""Deployment, DaemonSet, ReplicaSet, StatefulSet, ControllerRevision: defaults, rules, what may not change."""

from __future__ import annotations

from typing import ClassVar, Final

from kubelab.apiserver.builtin import fields, names, pod_defaults, pod_rules
from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.kind import Kind, drop_empty, set_default
from kubelab.apiserver.builtin.selectors import is_empty, matches, selector_errors
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Json, Object

TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"
_ALWAYS: Final = ("Always",)
_HISTORY: Final = 10


class Workload(Kind):
    """What has a selector and a pod template."""

    has_generation = True
    word: ClassVar[str]
    """The kind as messages name it."""
    defaults: ClassVar[dict[str, Json]] = {}
    """Defaults of the spec's plain fields."""
    first_status: ClassVar[Object] = {}
    """The status of a new object: the numbers that are always shown."""

    def default(self, obj: Object) -> None:
        """Set defaults of the spec and its template."""
        spec: Object = obj.setdefault("spec", {})
        for field, value in self.defaults.items():
            set_default(spec, field, value)
        pod_defaults.default_template(spec.setdefault("template", {}))
        if isinstance(spec.get("selector"), dict):
            drop_empty(spec["selector"], "matchLabels", "matchExpressions")
        for field, value in self.first_status.items():
            entries(obj.get("status")).setdefault(field, value)

    def prepare_create(self, obj: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """Start with an empty status."""
        obj["status"] = dict(self.first_status)

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The selector selects the template's pods, and those are such as the kind can own."""
        spec = obj["spec"]
        errors = self.number_errors(spec)
        errors += _selector_rules(spec, self.word)
        errors += pod_rules.template_errors(spec["template"], "spec.template", _ALWAYS)
        deadline = spec["template"]["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            refused = f"activeDeadlineSeconds in {self.word} is not Supported"
            errors.append(fields.forbidden("spec.template.spec.activeDeadlineSeconds", refused))
        return errors

    def number_errors(self, spec: Object) -> list[FieldError]:
        """Rules of the spec's numbers."""
        return [
            fields.invalid(f"spec.{field}", spec[field], names.NOT_NEGATIVE)
            for field in ("replicas", "minReadySeconds", "revisionHistoryLimit")
            if (spec.get(field) or 0) < 0
        ]

    def validate_update(self, obj: Object, old: Object, context: Context) -> list[FieldError]:
        """The kind's rules, then what may not change: the other way round than most kinds."""
        if context.subresource == "status":
            return self.status_rules(obj, old, context)
        return [*self.rules(obj, context), *self.update_rules(obj, old, context)]

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """The selector stays."""
        return fields.immutable("spec.selector", obj["spec"].get("selector"), old["spec"].get("selector"))


def _selector_rules(spec: Object, word: str) -> list[FieldError]:
    selector = spec.get("selector")
    labels = entries(entries(spec["template"].get("metadata")).get("labels"))
    errors: list[FieldError] = []
    if selector is None:
        errors.append(fields.required("spec.selector"))
    else:
        errors += selector_errors(selector, "spec.selector")
        if is_empty(selector):
            errors.append(fields.invalid("spec.selector", selector, f"empty selector is invalid for {word}"))
    if selector is None or (not is_empty(selector) and not matches(selector, labels)):
        refused = "`selector` does not match template `labels`"
        errors.append(fields.invalid("spec.template.metadata.labels", labels or None, refused))
    return errors


class DeploymentStrategy(Workload):
    """Deployment (apps/v1)."""

    word = "deployment"
    defaults: ClassVar[dict[str, Json]] = {
        "replicas": 1,
        "revisionHistoryLimit": _HISTORY,
        "progressDeadlineSeconds": 600,
    }

    def default(self, obj: Object) -> None:
        """Also the strategy: a quarter of the pods at a time."""
        super().default(obj)
        strategy: Object = obj["spec"].setdefault("strategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            set_default(strategy, "rollingUpdate", {})
            set_default(strategy["rollingUpdate"], "maxUnavailable", "25%")
            set_default(strategy["rollingUpdate"], "maxSurge", "25%")
        drop_empty(strategy, "rollingUpdate")

    def number_errors(self, spec: Object) -> list[FieldError]:
        """Also the strategy's."""
        errors = super().number_errors(spec)
        strategy = spec["strategy"]
        if strategy["type"] not in {"RollingUpdate", "Recreate"}:
            supported = ("RollingUpdate", "Recreate")
            errors.append(fields.unsupported("spec.strategy.type", strategy["type"], supported))
        elif strategy["type"] == "Recreate" and strategy.get("rollingUpdate") is not None:
            refused = "may not be specified when strategy `type` is 'Recreate'"
            errors.append(fields.forbidden("spec.strategy.rollingUpdate", refused))
        elif strategy["type"] == "RollingUpdate":
            errors += rolling_errors(strategy["rollingUpdate"], "spec.strategy.rollingUpdate")
        if (spec.get("progressDeadlineSeconds") or 0) <= (spec.get("minReadySeconds") or 0):
            refused = "must be greater than minReadySeconds"
            errors.append(fields.invalid("spec.progressDeadlineSeconds", spec.get("progressDeadlineSeconds"), refused))
        return errors


def rolling_errors(update: Object, path: str) -> list[FieldError]:
    """A rolling update must be able to move: something may be missing, or something more."""
    errors: list[FieldError] = []
    for field in ("maxUnavailable", "maxSurge"):
        errors += share_errors(update.get(field), f"{path}.{field}")
    if not errors and all(_is_zero(update.get(field)) for field in ("maxUnavailable", "maxSurge")):
        refused = "may not be 0 when `maxSurge` is 0"
        errors.append(fields.invalid(f"{path}.maxUnavailable", update.get("maxUnavailable"), refused))
    return errors


def _is_zero(share: Json) -> bool:
    return share in (0, None, "0%")


def share_errors(share: Json, path: str) -> list[FieldError]:
    """A number or a percentage."""
    if isinstance(share, str):
        number = share.removesuffix("%")
        if not share.endswith("%") or not number.isdecimal():
            refused = (
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%',"
                " regex used for validation is '[0-9]+%')"
            )
            return [fields.invalid(path, share, refused)]
        return []
    return [fields.invalid(path, share, names.NOT_NEGATIVE)] if (share or 0) < 0 else []


class ReplicaSetStrategy(Workload):
    """ReplicaSet (apps/v1)."""

    word = "deployment"
    defaults: ClassVar[dict[str, Json]] = {"replicas": 1}
    first_status: ClassVar[Object] = {"replicas": 0}


class StatefulSetStrategy(Workload):
    """StatefulSet (apps/v1): defaults and the rules of all workloads."""

    word = "statefulset"
    defaults: ClassVar[dict[str, Json]] = {
        "replicas": 1,
        "revisionHistoryLimit": _HISTORY,
        "podManagementPolicy": "OrderedReady",
    }
    first_status: ClassVar[Object] = {"replicas": 0, "availableReplicas": 0}

    def default(self, obj: Object) -> None:
        """Also the update strategy and what becomes of volume claims."""
        super().default(obj)
        strategy: Object = obj["spec"].setdefault("updateStrategy", {})
        set_default(strategy, "type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            set_default(strategy, "rollingUpdate", {})
            set_default(strategy["rollingUpdate"], "partition", 0)
        policy: Object = obj["spec"].setdefault("persistentVolumeClaimRetentionPolicy", {})
        set_default(policy, "whenDeleted", "Retain")
        set_default(policy, "whenScaled", "Retain")


class DaemonSetStrategy(Workload):
    """DaemonSet (apps/v1); counts the generations of its template in an annotation, as it always has."""

    word = "daemonset"
    defaults: ClassVar[dict[str, Json]] = {"revisionHistoryLimit": _HISTORY}
    first_status: ClassVar[Object] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }

    def default(self, obj: Object) -> None:
        """Also the update strategy: one node at a time."""
        super().default(obj)
        strategy: Object = obj["spec"].setdefault("updateStrategy", {})
        if not strategy.get("type"):
            strategy["type"] = "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            set_default(strategy, "rollingUpdate", {})
            set_default(strategy["rollingUpdate"], "maxUnavailable", 1)
            set_default(strategy["rollingUpdate"], "maxSurge", 0)
        if TEMPLATE_GENERATION not in entries(obj["metadata"].get("annotations")):
            _set_generation(obj, 0)  # a field of the Go type: written whoever writes, and owned by who does

    def prepare_create(self, obj: Object, context: Context) -> None:
        """The first generation of the template."""
        super().prepare_create(obj, context)
        _set_generation(obj, 1)

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:
        """Count changes of the template."""
        if context.subresource:
            return
        before = entries(old["metadata"].get("annotations")).get(TEMPLATE_GENERATION, "1")
        generation = int(before) if before.isdecimal() else 1
        _set_generation(obj, generation + (obj["spec"]["template"] != old["spec"]["template"]))

    def number_errors(self, spec: Object) -> list[FieldError]:
        """Also the strategy's."""
        errors = super().number_errors(spec)
        strategy = spec["updateStrategy"]
        if strategy["type"] not in {"RollingUpdate", "OnDelete"}:
            supported = ("RollingUpdate", "OnDelete")
            return [*errors, fields.unsupported("spec.updateStrategy.type", strategy["type"], supported)]
        if strategy["type"] == "RollingUpdate":
            errors += rolling_errors(strategy["rollingUpdate"], "spec.updateStrategy.rollingUpdate")
        return errors


def _set_generation(obj: Object, generation: int) -> None:
    annotations = entries(obj["metadata"].get("annotations"))
    obj["metadata"]["annotations"] = {**annotations, TEMPLATE_GENERATION: str(generation)}


class ControllerRevisionStrategy(Kind):
    """ControllerRevision (apps/v1): a state that was, never changed."""

    def default(self, obj: Object) -> None:
        """Revisions start at zero."""
        set_default(obj, "revision", 0)

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Data there is, and a number that is none below zero."""
        errors: list[FieldError] = []
        if obj.get("data") is None:
            errors.append(fields.required("data", "data is mandatory"))
        if obj["revision"] < 0:
            errors.append(fields.invalid("revision", obj["revision"], names.NOT_NEGATIVE))
        return errors

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Only the number changes."""
        return fields.immutable("data", obj.get("data"), old.get("data"))

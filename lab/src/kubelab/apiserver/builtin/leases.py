"""Lease: who holds what for how long."""

from __future__ import annotations

from datetime import UTC, datetime

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.kind import Kind
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object


def micro_time(text: str) -> str:
    """A time as `MicroTime` shows it: UTC, six digits of a second. What is no time comes back as it is."""
    if len(text) == len("2006-01-02T15:04:05.000000Z") and text.endswith("Z"):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LeaseStrategy(Kind):
    """Lease (coordination.k8s.io/v1). Nodes renew theirs all the time: this is a hot path."""

    def default(self, obj: Object) -> None:
        """Times with microseconds."""
        spec: Object = obj.setdefault("spec", {})
        for field in ("acquireTime", "renewTime"):
            if spec.get(field) is not None:
                spec[field] = micro_time(spec[field])

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Durations last, transitions count up."""
        spec = entries(obj.get("spec"))
        errors: list[FieldError] = []
        duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        if duration is not None and duration <= 0:
            errors.append(fields.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
        if transitions is not None and transitions < 0:
            errors.append(fields.invalid("spec.leaseTransitions", transitions, names.NOT_NEGATIVE))
        strategy = spec.get("strategy")
        if strategy is not None:
            errors += names.syntax_errors("spec.strategy", strategy, names.qualified_name)
        if spec.get("preferredHolder") is not None and not strategy:
            refused = "may only be specified if `strategy` is defined"
            errors.append(fields.forbidden("spec.preferredHolder", refused))
        return errors

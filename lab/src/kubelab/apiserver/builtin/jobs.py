"""Job and CronJob: defaults, and the selector of a job's own pods."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import pod_defaults, pod_rules
from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.kind import Kind, set_default
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_RESTART: Final = ("Never", "OnFailure")
_UID_LABEL: Final = "batch.kubernetes.io/controller-uid"
_JOB_DEFAULTS: Final = {
    "backoffLimit": 6,
    "completionMode": "NonIndexed",
    "suspend": False,
    "podReplacementPolicy": "TerminatingOrFailed",
}


def _default_job_spec(spec: Object) -> None:
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    set_default(spec, "parallelism", 1)
    for field, value in _JOB_DEFAULTS.items():
        set_default(spec, field, value)
    set_default(spec, "template", {})
    pod_defaults.default_template(spec["template"])


class JobStrategy(Kind):
    """Job (batch/v1)."""

    has_generation = True

    def default(self, obj: Object) -> None:
        """Set defaults of the spec and its template."""
        _default_job_spec(obj.setdefault("spec", {}))

    def prepare_create(self, obj: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """Select the job's own pods, by its uid."""
        obj["status"] = {}
        spec, uid = obj["spec"], obj["metadata"].get("uid")
        if spec.get("manualSelector") or not uid:
            return
        labels = {"controller-uid": uid, "job-name": obj["metadata"].get("name", "")}
        labels |= {_UID_LABEL: uid, "batch.kubernetes.io/job-name": obj["metadata"].get("name", "")}
        metadata: Object = spec["template"]["metadata"]
        metadata["labels"] = {**entries(metadata.get("labels")), **labels}
        spec["selector"] = {"matchLabels": {_UID_LABEL: uid}}

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Pods that end."""
        return pod_rules.spec_errors(obj["spec"]["template"]["spec"], "spec.template.spec", _RESTART)


class CronJobStrategy(Kind):
    """CronJob (batch/v1)."""

    has_generation = True

    def default(self, obj: Object) -> None:
        """Set defaults of the schedule and of the jobs it makes."""
        spec: Object = obj.setdefault("spec", {})
        for field, value in (
            ("concurrencyPolicy", "Allow"),
            ("suspend", False),
            ("successfulJobsHistoryLimit", 3),
            ("failedJobsHistoryLimit", 1),
        ):
            set_default(spec, field, value)
        set_default(spec, "jobTemplate", {})
        job: Object = spec["jobTemplate"].setdefault("spec", {})
        _default_job_spec(job)

    def prepare_create(self, obj: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """Nothing has run yet."""
        obj["status"] = {}

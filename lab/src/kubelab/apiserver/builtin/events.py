"""Event: one storage, two groups; what an event always shows in each, and its rules."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.builtin.fields import entries
from kubelab.apiserver.builtin.kind import Kind
from kubelab.apiserver.builtin.leases import micro_time
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

# What is shown even where it is empty.
_CORE_SHOWN: Final[Object] = {
    "involvedObject": {},
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
_NEW_SHOWN: Final[Object] = {
    "eventTime": None,
    "regarding": {},
    "deprecatedSource": {},
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
}
_LONGEST_NOTE_BYTES: Final = 1024


class EventStrategy(Kind):
    """Event of core/v1."""

    def default(self, obj: Object) -> None:
        """Fill in what is always shown."""
        for key, value in _CORE_SHOWN.items():
            obj.setdefault(key, dict(value) if isinstance(value, dict) else value)
        if obj["eventTime"]:
            obj["eventTime"] = micro_time(obj["eventTime"])

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """An event stands in the namespace of what it is about."""
        return _place_errors(obj, "involvedObject")


def _place_errors(event: Object, field: str) -> list[FieldError]:
    about = entries(event.get(field)).get("namespace") or ""
    namespace = event["metadata"].get("namespace") or ""
    # What has no namespace is told of in `default`, by old custom also in kube-system.
    if about == namespace or (not about and namespace in {"default", "kube-system"}):
        return []
    return [fields.invalid(f"{field}.namespace", about, "does not match event.namespace")]


class NewEventStrategy(Kind):
    """Event of events.k8s.io/v1."""

    def default(self, obj: Object) -> None:
        """Fill in what is always shown."""
        for key, value in _NEW_SHOWN.items():
            obj.setdefault(key, dict(value) if isinstance(value, dict) else value)
        if obj["eventTime"]:
            obj["eventTime"] = micro_time(obj["eventTime"])

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Who reports what, when and why."""
        errors = _place_errors(obj, "regarding")
        errors += [
            fields.required(field)
            for field in ("eventTime", "reportingController", "reportingInstance", "action", "reason")
            if not obj.get(field)
        ]
        if obj.get("type") not in {"Normal", "Warning"}:
            errors.append(
                fields.invalid("type", obj.get("type", ""), 'has invalid value: must be "Normal" or "Warning"')
            )
        if len((obj.get("note") or "").encode()) > _LONGEST_NOTE_BYTES:
            errors.append(fields.invalid("note", obj["note"], f"can have at most {_LONGEST_NOTE_BYTES} characters"))
        return errors

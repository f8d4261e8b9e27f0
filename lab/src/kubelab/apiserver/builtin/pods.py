"""Pod: defaults, its first status, rules, and what may still change."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import pod_defaults, pod_rules
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.kind import Kind
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_CONDITION: Final[Object] = {"lastProbeTime": None, "lastTransitionTime": None}
_CONTAINER_STATUS: Final[Object] = {"ready": False, "restartCount": 0, "image": "", "imageID": ""}


class PodStrategy(Kind):
    """Pod (core/v1)."""

    has_generation = True

    def default(self, obj: Object) -> None:
        """Set defaults of the spec, and what a status always shows."""
        pod_defaults.default_pod(obj)
        status = entries(obj.get("status"))
        for condition in items(status.get("conditions")):
            _fill(condition, _CONDITION)
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
            for container in items(status.get(field)):
                _fill(container, _CONTAINER_STATUS)
                container.setdefault("state", {})
                container.setdefault("lastState", {})

    def prepare_create(self, obj: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """A new pod waits."""
        obj["status"] = {"phase": "Pending", "qosClass": pod_defaults.quality_of_service(obj["spec"])}

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:  # noqa: ARG002  # a protocol's arguments
        """The QoS class is the server's to tell."""
        status: Object = dict(entries(obj.get("status")))
        status.setdefault("qosClass", pod_defaults.quality_of_service(obj["spec"]))
        obj["status"] = status

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Rules of the spec."""
        return pod_rules.spec_errors(obj["spec"], "spec")

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Little may change once a pod is made."""
        return pod_rules.update_errors(obj["spec"], old["spec"])


def _fill(obj: Object, defaults: Object) -> None:
    for key, value in defaults.items():
        obj.setdefault(key, value)

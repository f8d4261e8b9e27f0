"""Node: what its status always shows, taints, pod ranges."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.builtin import fields, names, quantities
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.kind import Kind, drop_empty
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.resources import Context
from kubelab.objects import Object

_INFO: Final = (
    "machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion", "kubeletVersion",
    "kubeProxyVersion", "operatingSystem", "architecture",
)  # fmt: skip
_EFFECTS: Final = ["NoSchedule", "PreferNoSchedule", "NoExecute"]


class NodeStrategy(Kind):
    """Node (core/v1)."""

    status_on_create = True

    def default(self, obj: Object) -> None:
        """Fill in what is always shown; what a node can give is what it has, unless it says otherwise."""
        spec: Object = obj.setdefault("spec", {})
        drop_empty(spec, "taints", "podCIDR", "podCIDRs", "providerID")
        if spec.get("podCIDR") and not spec.get("podCIDRs"):
            spec["podCIDRs"] = [spec["podCIDR"]]
        if spec.get("unschedulable") is False:
            del spec["unschedulable"]
        status: Object = obj.setdefault("status", {})
        for field in ("capacity", "allocatable"):
            amounts = entries(status.get(field))
            for name, amount in amounts.items():
                amounts[name] = quantities.canonical(amount)
        if status.get("capacity") and not status.get("allocatable"):
            status["allocatable"] = dict(status["capacity"])
        info: Object = status.setdefault("nodeInfo", {})
        for field in _INFO:
            info.setdefault(field, "")
        endpoints: Object = status.setdefault("daemonEndpoints", {})
        endpoints.setdefault("kubeletEndpoint", {"Port": 0})

    def rules(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Taints are well formed and unique."""
        errors: list[FieldError] = []
        seen: set[tuple[str, str]] = set()
        for number, taint in enumerate(items(obj["spec"].get("taints"))):
            path = f"metadata.taints[{number}]"
            errors += _taint_errors(taint, path)
            key = (taint.get("key", ""), taint.get("effect", ""))
            if key in seen:
                errors.append(fields.duplicate(path, taint))
            seen.add(key)
        return errors

    def update_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """Pod ranges stay once they are set."""
        errors = _address_errors(obj)
        before = items(old["spec"].get("podCIDRs"))
        if before and items(obj["spec"].get("podCIDRs")) != before:
            refused = 'node updates may not change podCIDR except from "" to valid'
            errors.append(fields.forbidden("spec.podCIDRs", refused))
        return errors

    def status_rules(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """An address is there once."""
        return _address_errors(obj)


def _address_errors(node: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: list[Object] = []
    for number, address in enumerate(items(entries(node.get("status")).get("addresses"))):
        shown = {"Type": address.get("type", ""), "Address": address.get("address", "")}
        if shown in seen:
            errors.append(fields.duplicate(f"status.addresses[{number}]", shown))
        seen.append(shown)
    return errors


def _taint_errors(taint: Object, path: str) -> list[FieldError]:
    errors = names.syntax_errors(f"{path}.key", taint.get("key") or "", names.qualified_name)
    if taint.get("value"):
        errors += names.syntax_errors(f"{path}.value", taint["value"], names.label_value)
    effect = taint.get("effect") or ""
    if not effect:
        return [*errors, fields.required(f"{path}.effect")]
    return errors if effect in _EFFECTS else [*errors, fields.unsupported(f"{path}.effect", effect, _EFFECTS)]


def topology_labels(node: Object) -> Object:
    """The labels that a pod takes over from the node it is bound to (KEP-4742): zone and region."""
    wanted = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
    labels = entries(node["metadata"].get("labels"))
    return {name: labels[name] for name in wanted if name in labels}

"""Nodes, namespaces, classes and leases in tables."""

from __future__ import annotations

from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.builtin.printers.ages import age
from kubelab.objects import Json, Object

_ROLE = "node-role.kubernetes.io/"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def _named(obj: Object, now: str, *cells: Json) -> list[Json]:
    return [obj["metadata"]["name"], *cells, age(obj["metadata"].get("creationTimestamp"), now)]


def node(obj: Object, now: str) -> list[Json]:
    """Name, Status, Roles, Age, Version; addresses, OS-Image, Kernel-Version, Container-Runtime."""
    info = entries(entries(obj.get("status")).get("nodeInfo"))
    return [
        *_named(obj, now, _node_status(obj), _node_roles(obj)),
        info.get("kubeletVersion", ""),
        _node_address(obj, "InternalIP"),
        _node_address(obj, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        _node_kernel(info),
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _node_status(obj: Object) -> str:
    conditions = items(entries(obj.get("status")).get("conditions"))
    words = ["Ready" if one.get("status") == "True" else "NotReady" for one in conditions if one.get("type") == "Ready"]
    words = words[-1:] or ["Unknown"]
    if entries(obj.get("spec")).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_kernel(info: Object) -> str:
    kernel, architecture = info.get("kernelVersion") or "<unknown>", info.get("architecture")
    return f"{kernel} ({architecture})" if architecture else kernel


def _node_roles(obj: Object) -> str:
    roles = set()
    for label, value in entries(obj["metadata"].get("labels")).items():
        if label.startswith(_ROLE):
            roles.add(label.removeprefix(_ROLE))
        elif label == "kubernetes.io/role":
            roles.add(value)
    return ",".join(sorted(roles - {""})) or "<none>"


def _node_address(obj: Object, kind: str) -> str:
    addresses = items(entries(obj.get("status")).get("addresses"))
    return next((str(one.get("address")) for one in addresses if one.get("type") == kind), "<none>")


def namespace(obj: Object, now: str) -> list[Json]:
    """Name, Status, Age."""
    return _named(obj, now, entries(obj.get("status")).get("phase", ""))


def priority_class(obj: Object, now: str) -> list[Json]:
    """Name, Value, Global-Default, Age, PreemptionPolicy."""
    cells = _named(obj, now, obj.get("value", 0), obj.get("globalDefault", False))
    return [*cells, obj.get("preemptionPolicy", "")]


def runtime_class(obj: Object, now: str) -> list[Json]:
    """Name, Handler, Age."""
    return _named(obj, now, obj.get("handler", ""))


def storage_class(obj: Object, now: str) -> list[Json]:
    """Name, Provisioner, ReclaimPolicy, VolumeBindingMode, AllowVolumeExpansion, Age."""
    cells = _named(
        obj,
        now,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", ""),
        obj.get("volumeBindingMode", ""),
        obj.get("allowVolumeExpansion", False),
    )
    if entries(obj["metadata"].get("annotations")).get(_DEFAULT_CLASS) == "true":
        cells[0] += " (default)"
    return cells


def lease(obj: Object, now: str) -> list[Json]:
    """Name, Holder, Age."""
    return _named(obj, now, entries(obj.get("spec")).get("holderIdentity") or "")

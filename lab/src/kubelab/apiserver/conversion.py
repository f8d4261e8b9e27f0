"""Between the version an object is stored in and the version a client speaks.

Custom resources convert by changing their apiVersion alone (strategy None), or a webhook converts them, which takes
time: `handlers.converting` does that before anything here is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from kubelab.apiserver.resources import ResourceInfo
from kubelab.objects import Json, Object

_RENAMED: Final = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
"""Fields of `events.k8s.io` events and their names in core events, as which both are stored."""
_BACK: Final = {stored: name for name, stored in _RENAMED.items()}


def _renamed(obj: Object, new_names: Mapping[str, str]) -> Object:
    return {new_names.get(name, name): value for name, value in obj.items()}


def _event_to_stored(obj: Object) -> Object:
    stored = _renamed(obj, _RENAMED)
    stored.setdefault("involvedObject", {})
    return stored


def _event_from_stored(obj: Object) -> Object:
    shown = _renamed(obj, _BACK)
    for name in ("reportingController", "reportingInstance"):
        if not shown.get(name):
            shown.pop(name, None)
    return shown


def _scaler_to_stored(obj: Object) -> Object:
    """autoscaling/v1 to v2: the one target that v1 knows is a resource metric."""
    spec = dict(obj.get("spec") or {})
    percentage: Json = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        target = {"type": "Utilization", "averageUtilization": percentage}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return {**obj, "spec": spec}


def _scaler_from_stored(obj: Object) -> Object:
    spec = dict(obj.get("spec") or {})
    for metric in spec.pop("metrics", None) or ():
        resource = metric.get("resource") or {}
        percentage = (resource.get("target") or {}).get("averageUtilization")
        if resource.get("name") == "cpu" and percentage is not None:
            spec["targetCPUUtilizationPercentage"] = percentage
    spec.pop("behavior", None)
    return {**obj, "spec": spec}


_Pair = tuple[Callable[[Object], Object], Callable[[Object], Object]]
_CONVERSIONS: Final[Mapping[tuple[str, str, str], _Pair]] = {
    ("events.k8s.io", "v1", "Event"): (_event_to_stored, _event_from_stored),
    ("autoscaling", "v1", "HorizontalPodAutoscaler"): (_scaler_to_stored, _scaler_from_stored),
}
_STORED_AS: Final = {
    ("events.k8s.io", "v1", "Event"): "v1",
    ("autoscaling", "v1", "HorizontalPodAutoscaler"): "autoscaling/v2",
}


def stored_api_version(info: ResourceInfo) -> str:
    """The `apiVersion` under which objects of a resource are stored."""
    if info.custom is not None:
        return f"{info.group}/{info.stored_version}"
    return _STORED_AS.get(info.gvk, info.api_version)


def is_renamed(info: ResourceInfo) -> bool:
    """Whether objects look different in this version than as stored (beyond their apiVersion)."""
    return info.gvk in _CONVERSIONS


def is_foreign(info: ResourceInfo) -> bool:
    """Whether a webhook converts the objects of a resource."""
    return info.custom is not None and info.custom.converter is not None


def to_stored(info: ResourceInfo, obj: Object) -> Object:
    """An object of the request's version, as it is stored; one that a webhook converts is taken as it is."""
    version = stored_api_version(info)
    if obj.get("apiVersion") == version or is_foreign(info):
        return obj
    pair = _CONVERSIONS.get(info.gvk)
    return {**(pair[0](obj) if pair else obj), "apiVersion": version}


def from_stored(info: ResourceInfo, obj: Object) -> Object:
    """A stored object in the request's version; one that a webhook converts is taken as it is."""
    if obj.get("apiVersion") == info.api_version or is_foreign(info):
        return obj
    pair = _CONVERSIONS.get(info.gvk)
    return {**(pair[1](obj) if pair else obj), "apiVersion": info.api_version}

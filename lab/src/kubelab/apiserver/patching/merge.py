"""JSON merge patch (RFC 7386)."""

from __future__ import annotations

from kubelab.apiserver.patching import refusals
from kubelab.objects import Json, Object


def apply(obj: Object, patch: Json) -> Object:
    """The object with the patch's fields set, and those removed that are null in the patch.

    Raises:
        ApiError: 400 if the patch is no object.
    """
    if not isinstance(patch, dict):
        raise refusals.undecodable(patch, "map[string]interface {}")
    return _merged(obj, patch)


def _merged(obj: Object, patch: Object) -> Object:
    merged = dict(obj)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = _merged(before if isinstance(before, dict) else {}, value)
        else:
            merged[name] = value
    return merged

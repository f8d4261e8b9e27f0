"""Conditions of a status: find one, set one, leave one out."""

from __future__ import annotations

from collections.abc import Iterable

from kubelab.objects import Object


def find(conditions: Iterable[Object] | None, kind: str) -> Object | None:
    """The condition of a type."""
    return next((condition for condition in conditions or [] if condition.get("type") == kind), None)


def without(conditions: Iterable[Object], kind: str) -> list[Object]:
    """All but the condition of a type."""
    return [condition for condition in conditions if condition.get("type") != kind]


def replaced(conditions: list[Object], condition: Object) -> list[Object]:
    """With a condition in the place of the one of its type, or at the end."""
    if find(conditions, condition["type"]) is None:
        return [*conditions, condition]
    return [condition if other.get("type") == condition["type"] else other for other in conditions]


def patch_of(old: Iterable[Object] | None, *changed: Object) -> Object:
    """A status for a strategic merge patch that sets conditions: known ones keep their place, new ones come last."""
    kinds = dict.fromkeys([str(condition["type"]) for condition in [*(old or []), *changed]])
    return {"$setElementOrder/conditions": [{"type": kind} for kind in kinds], "conditions": list(changed)}

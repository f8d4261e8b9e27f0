"""CEL's functions of lists and sets as Kubernetes has them (apiserver `cel/library/lists`, cel-go `ext.Sets`)."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any, Final

from kubelab.apiserver.cel.overloads import Table, anything, is_list, is_orderable
from kubelab.apiserver.schema.equality import same


def _is_summable(value: Any) -> bool:
    return is_orderable(value) and all(
        isinstance(item, int | float | timedelta) and not isinstance(item, bool) for item in value
    )


def _sum(items: list[Any]) -> Any:
    if items and isinstance(items[0], timedelta):
        return sum(items, timedelta(0))
    return sum(items)


def _least(items: list[Any]) -> Any:
    if not items:
        raise ValueError("min called on empty list")
    return min(items)


def _greatest(items: list[Any]) -> Any:
    if not items:
        raise ValueError("max called on empty list")
    return max(items)


def _index(items: list[Any], wanted: Any) -> int:
    return next((at for at, item in enumerate(items) if same(item, wanted)), -1)


def _last_index(items: list[Any], wanted: Any) -> int:
    return max((at for at, item in enumerate(items) if same(item, wanted)), default=-1)


def _contains(items: list[Any], wanted: list[Any]) -> bool:
    return all(_index(items, one) >= 0 for one in wanted)


TABLE: Final[Table] = {
    "isSorted": [((is_orderable,), lambda items: all(not after < before for before, after in pairwise(items)))],
    "sum": [((_is_summable,), _sum)],
    "min": [((is_orderable,), _least)],
    "max": [((is_orderable,), _greatest)],
    "indexOf": [((is_list, anything), _index)],
    "lastIndexOf": [((is_list, anything), _last_index)],
    "sets_contains": [((is_list, is_list), _contains)],
    "sets_equivalent": [((is_list, is_list), lambda one, other: _contains(one, other) and _contains(other, one))],
    "sets_intersects": [((is_list, is_list), lambda one, other: any(_index(one, item) >= 0 for item in other))],
}
"""Each function with its overloads."""

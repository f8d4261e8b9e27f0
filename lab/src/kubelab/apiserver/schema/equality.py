"""When two JSON values are the same, and which items of two lists are one item before and after."""

from __future__ import annotations

from typing import Any

from kubelab.apiserver.schema.model import MISSING
from kubelab.objects import Json


def same(one: Json, other: Json) -> bool:
    """Equality of JSON: numbers by value, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def correlated(item: Json, candidates: list[Any], keys: tuple[str, ...]) -> Json:
    """The one of `candidates` with the same keys as `item`; MISSING where there is none."""
    if not isinstance(item, dict):
        return MISSING
    wanted = [item.get(key, MISSING) for key in keys]
    for candidate in candidates:
        if isinstance(candidate, dict) and [candidate.get(key, MISSING) for key in keys] == wanted:
            return candidate
    return MISSING

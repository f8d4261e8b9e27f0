"""Functions by name and by the types of their arguments; values of Kubernetes' own types, which CEL keeps as maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

Check = Callable[[Any], bool]
Function = Callable[..., Any]
Overload = tuple[tuple[Check, ...], Function]
Table = Mapping[str, list[Overload]]

TYPE: Final = "kubernetes.io/type"
"""Key that marks a map as a value of one of Kubernetes' types; no field of an object is called so."""


class NoOverload(ValueError):  # noqa: N818  # CEL's own name for it
    """A function was called with arguments of types it does not take."""


def is_text(value: Any) -> bool:
    """Whether a value is a string."""
    return isinstance(value, str)


def is_whole(value: Any) -> bool:
    """Whether a value is an integer."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_list(value: Any) -> bool:
    """Whether a value is a list."""
    return isinstance(value, list)


def is_texts(value: Any) -> bool:
    """Whether a value is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def anything(_: Any) -> bool:
    """Any value."""
    return True


def is_orderable(value: Any) -> bool:
    """Whether a value is a list of values that have an order among themselves."""
    if not isinstance(value, list):
        return False
    kinds = {_order(item) for item in value}
    return len(kinds) <= 1 and "" not in kinds


def _order(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    for kind in (str, bytes, datetime, timedelta):
        if isinstance(value, kind):
            return kind.__name__
    return ""


def opaque(kind: str, value: Any) -> dict[str, Any]:
    """A value of one of Kubernetes' types; equal values are equal maps."""
    return {TYPE: kind, "value": value}


def is_opaque(kind: str) -> Check:
    """The check for one of Kubernetes' types."""
    return lambda value: isinstance(value, dict) and value.get(TYPE) == kind


def dispatcher(overloads: list[Overload]) -> Function:
    """One function for all overloads of a name: the first that takes the arguments answers."""

    def call(*arguments: Any) -> Any:
        for checks, function in overloads:
            if len(checks) == len(arguments) and all(
                check(argument) for check, argument in zip(checks, arguments, strict=True)
            ):
                return function(*arguments)
        raise NoOverload("no such overload")

    return call

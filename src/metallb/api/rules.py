"""The validation rules of the custom resources: each as CEL for the API server, and as Python for whoever has none.

A rule stands at the value that it is about. Both forms give the same verdict; a test compares them.
Source: spec/crds.md 4, 5, 8; apiextensions.k8s.io/v1, "validation rules".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from metallb.api import duration

Holds = Callable[[Any, Any], bool]
"""Whether a value (JSON, right by its schema, with defaults) keeps a rule; the second is the value that it replaces."""

ABSENT: Final = object()
"""Stands for the value that another replaces, where there is none."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        expression: in CEL.
        message: what the API server says when it is broken.
        holds: the same as the expression; never asked without an old value if the expression speaks of `oldSelf`.
    """

    expression: str
    message: str
    holds: Holds

    @property
    def is_transition(self) -> bool:
        """Whether it compares with the value that is replaced."""
        return "oldSelf" in self.expression


def validations(*rules: Rule) -> dict[str, Any]:
    """The part of a schema that states rules."""
    return {"x-kubernetes-validations": [{"rule": rule.expression, "message": rule.message} for rule in rules]}


def fixed(message: str) -> Rule:
    """A value that can't be changed; to set or remove it is no change (spec/crds.md 13.5)."""
    return Rule("self == oldSelf", message, lambda value, old: bool(value == old))


def _not_aggregated(spec: Any, _old: Any) -> bool:
    if not spec.get("serviceSelectors"):
        return True
    lengths = spec.get("aggregationLength", _ALONE[0]), spec.get("aggregationLengthV6", _ALONE[1])
    return lengths == _ALONE


_ALONE: Final = (32, 128)
"""Lengths that announce each address by itself."""
_CONNECT_TIME_MAX_S: Final = 65535


def _possible_connect_time(text: Any, _old: Any) -> bool:
    nanoseconds = _nanoseconds(text)
    return nanoseconds is not None and 1 <= nanoseconds // duration.SECOND <= _CONNECT_TIME_MAX_S


def _whole_seconds(text: Any, _old: Any) -> bool:
    nanoseconds = _nanoseconds(text)
    return nanoseconds is not None and abs(nanoseconds) // 1_000_000 % 1000 == 0


def _nanoseconds(text: str) -> int | None:
    """None: no duration. The rule can't be asked then, which counts as broken."""
    try:
        return duration.parse(text)
    except ValueError:
        return None


NO_AGGREGATION_OF_SELECTED: Final = Rule(
    "!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || "
    "((!has(self.aggregationLength) || self.aggregationLength == 32) && "
    "(!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
    "serviceSelectors need each address announced by itself: aggregationLength 32 and aggregationLengthV6 128, "
    "or neither of them",
    _not_aggregated,
)
CONNECT_TIME_RANGE: Final = Rule(
    "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",
    "connectTime must be between 1 and 65535 seconds",
    _possible_connect_time,
)
CONNECT_TIME_WHOLE: Final = Rule(
    "duration(self).getMilliseconds() % 1000 == 0",
    "connectTime must be a whole number of seconds",
    _whole_seconds,
)
GRACEFUL_RESTART_FIXED: Final = fixed("enableGracefulRestart can't be changed: create the peer anew")
NODE_FIXED: Final = fixed("node can't be changed")
SERVICE_NAME_FIXED: Final = fixed("serviceName can't be changed")
SERVICE_NAMESPACE_FIXED: Final = fixed("serviceNamespace can't be changed")

RULES: Final[Mapping[str, Rule]] = {
    rule.message: rule
    for rule in (
        NO_AGGREGATION_OF_SELECTED,
        CONNECT_TIME_RANGE,
        CONNECT_TIME_WHOLE,
        GRACEFUL_RESTART_FIXED,
        NODE_FIXED,
        SERVICE_NAME_FIXED,
        SERVICE_NAMESPACE_FIXED,
    )
}
"""All of them, by message."""

"""Label selectors: checked once, then matched many times (meta/v1 LabelSelector, spec/crds.md 10.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from metallb.api.core import LabelSelector, LabelSelectorRequirement

Labels = Mapping[str, str]
T = TypeVar("T")

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_NAME = 63
_MAX_PREFIX = 253
_WITH_VALUES = frozenset({"In", "NotIn"})
_WITHOUT_VALUES = frozenset({"Exists", "DoesNotExist"})


class Requirement(NamedTuple):
    """One condition on labels; `values` is sorted."""

    key: str
    operator: str
    values: tuple[str, ...]

    def matches(self, labels: Labels) -> bool:
        """Whether labels meet it. NotIn and DoesNotExist are met by an absent label."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        return (value is not None) == (self.operator == "Exists")


class Selector(NamedTuple):
    """A parsed selector: sorted conditions that labels must all meet; none selects everything."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Labels) -> bool:
        """Whether labels meet every condition."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def any_matches(selectors: Iterable[Selector], labels: Labels) -> bool:
    """Whether one of the selectors matches."""
    return any(selector.matches(labels) for selector in selectors)


def parse(selector: LabelSelector) -> Selector:
    """Checks a selector and brings it into its one canonical form.

    Raises:
        ValueError: says which condition breaks which rule.
    """
    found = [Requirement(key, "In", (value,)) for key, value in selector.match_labels.items()]
    for key, value in selector.match_labels.items():
        _check_key(key)
        _check_value(key, value)
    expressions = [_parse_expression(expression) for expression in selector.match_expressions]
    for duplicate in _duplicates(expressions):
        raise ValueError(f"has the expression on {duplicate.key!r} twice")
    return Selector(tuple(sorted(found + expressions)))


def duplicates(written: Iterable[LabelSelector]) -> list[int]:
    """Positions of selectors that repeat an earlier one as it is written.

    Labels in another order are a repetition, and values in another order; conditions in another order, or a label
    written as a condition, are not (spec/crds.md 11.2).
    """
    seen = set()
    repeated = []
    for position, each in enumerate(written):
        expressions = tuple((e.key, e.operator, tuple(sorted(e.values))) for e in each.match_expressions)
        form = frozenset(each.match_labels.items()), expressions
        if form in seen:
            repeated.append(position)
        seen.add(form)
    return repeated


def _parse_expression(expression: LabelSelectorRequirement) -> Requirement:
    key, operator, values = expression.key, expression.operator, tuple(sorted(expression.values))
    _check_key(key)
    if operator in _WITH_VALUES:
        if not values:
            raise ValueError(f"has the operator {operator} on {key!r} without values")
    elif operator in _WITHOUT_VALUES:
        if values:
            raise ValueError(f"has the operator {operator} on {key!r} with values")
    else:
        raise ValueError(f"has the operator {operator!r} on {key!r}: it must be In, NotIn, Exists or DoesNotExist")
    for value in values:
        _check_value(key, value)
    for repeated in _duplicates(values):
        raise ValueError(f"has the value {repeated!r} of {key!r} twice")
    return Requirement(key, operator, values)


def _duplicates(items: Iterable[T]) -> Iterator[T]:
    seen: set[T] = set()
    for item in items:
        if item in seen:
            yield item
        seen.add(item)


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"has the label key {key!r}: its prefix is no DNS subdomain")
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise ValueError(f"has the label key {key!r}: its name must be 1-63 letters, digits, '-', '_' or '.'")


def _check_value(key: str, value: str) -> None:
    if value and (len(value) > _MAX_NAME or not _NAME.fullmatch(value)):
        raise ValueError(f"has the value {value!r} of {key!r}: it must be up to 63 letters, digits, '-', '_' or '.'")

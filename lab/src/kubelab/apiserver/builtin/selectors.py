"""Label selectors of objects (`matchLabels`, `matchExpressions`): matching, rules, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kubelab.apiserver.builtin import fields, names
from kubelab.apiserver.builtin.fields import entries, items
from kubelab.apiserver.errors import FieldError
from kubelab.objects import Object

_OPERATORS: Final = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})
_NOT_AN_OPERATOR: Final = "not a valid selector operator"


def matches(selector: Object | None, labels: Mapping[str, str]) -> bool:
    """Whether labels are selected: an empty selector selects all, none at all selects nothing."""
    if selector is None:
        return False
    wanted = entries(selector.get("matchLabels"))
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(expression, labels) for expression in items(selector.get("matchExpressions")))


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, operator, values = expression.get("key", ""), expression.get("operator"), items(expression.get("values"))
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) == (operator == "Exists")


def selector_errors(selector: Object | None, path: str) -> list[FieldError]:
    """Every broken rule of a selector; none for an absent one."""
    if selector is None:
        return []
    errors = label_errors(selector.get("matchLabels"), f"{path}.matchLabels")
    for number, expression in enumerate(items(selector.get("matchExpressions"))):
        errors += _expression_errors(expression, f"{path}.matchExpressions[{number}]")
    return errors


def label_errors(labels: Any, path: str) -> list[FieldError]:
    """Every broken rule of a map of labels."""
    errors: list[FieldError] = []
    for key, value in entries(labels).items():
        errors += names.syntax_errors(path, key, names.qualified_name)
        errors += names.syntax_errors(path, value, names.label_value)
    return errors


def _expression_errors(expression: Object, path: str) -> list[FieldError]:
    operator, values = expression.get("operator", ""), items(expression.get("values"))
    errors: list[FieldError] = []
    if operator in {"In", "NotIn"}:
        if not values:
            errors.append(fields.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in _OPERATORS:
        if values:
            refused = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.append(fields.forbidden(f"{path}.values", refused))
    else:
        errors.append(fields.invalid(f"{path}.operator", operator, _NOT_AN_OPERATOR))
    errors += names.syntax_errors(f"{path}.key", expression.get("key", ""), names.qualified_name)
    for number, value in enumerate(values):
        errors += names.syntax_errors(f"{path}.values[{number}]", value, names.label_value)
    return errors


def is_empty(selector: Any) -> bool:
    """Whether a selector selects by nothing."""
    return not entries(selector).get("matchLabels") and not entries(selector).get("matchExpressions")


def shown_labels(labels: Any) -> str:
    """Labels as tables show them: `a=b,c=d`, or `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted(entries(labels).items())) or "<none>"


def shown(selector: Any) -> str:
    """A selector as tables show it, in the syntax of a query."""
    if selector is None or is_empty(selector):
        return "<none>"
    parts = [(key, f"{key}={value}") for key, value in entries(selector.get("matchLabels")).items()]
    parts += [(one.get("key", ""), _shown_expression(one)) for one in items(selector.get("matchExpressions"))]
    return ",".join(text for _, text in sorted(parts))


def _shown_expression(expression: Object) -> str:
    key, operator = expression.get("key", ""), expression.get("operator")
    if operator == "Exists":
        return str(key)
    if operator == "DoesNotExist":
        return f"!{key}"
    word = "in" if operator == "In" else "notin"
    return f"{key} {word} ({','.join(sorted(items(expression.get('values'))))})"

"""What a validation rule must say, before anybody compiles it (KEP-2876)."""

from __future__ import annotations

import re
from typing import Final

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import keywords
from kubelab.apiserver.schema.wording import invalid, required, unsupported
from kubelab.objects import Object

_FIELD: Final = re.compile(r"\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\['(?P<key>(?:[^'\\]|\\.)+)'\]")


def rule_errors(schema: Object, path: str) -> list[FieldError]:
    """Every rule of one node that says too little or the wrong thing."""
    rules = keywords.nodes(schema.get("x-kubernetes-validations"))
    return [
        error
        for at, rule in enumerate(rules)
        for error in _rule(schema, rule, f"{path}.x-kubernetes-validations[{at}]")
    ]


def _rule(schema: Object, rule: Object, path: str) -> list[FieldError]:
    errors = _texts(rule, path)
    if (reason := rule.get("reason")) is not None and reason not in keywords.REASONS:
        errors.append(unsupported(f"{path}.reason", reason, keywords.REASONS))
    field_path = keywords.text(rule.get("fieldPath"))
    where = f"{path}.fieldPath"
    if field_path and not field_path.strip():
        errors.append(invalid(where, field_path, "must be non-empty if specified"))
    if "\n" in field_path or "\r" in field_path:
        errors.append(invalid(where, field_path, "must not contain line breaks"))
    if field_path and not names_a_field(schema, field_path):
        errors.append(invalid(where, field_path, "must be a valid path"))
    return errors


def _texts(rule: Object, path: str) -> list[FieldError]:
    code, message = keywords.text(rule.get("rule")).strip(), keywords.text(rule.get("message"))
    expression = keywords.text(rule.get("messageExpression"))
    errors: list[FieldError] = []
    if not code:
        errors.append(required(f"{path}.rule", "rule is not specified"))
    elif message and not message.strip():
        errors.append(invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif "\n" in message.strip():
        errors.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    elif "\n" in code and not message:
        errors.append(required(f"{path}.message", "message must be specified if rule contains line breaks"))
    if expression and not expression.strip():
        detail = "messageExpression must be non-empty if specified"
        errors.append(required(f"{path}.messageExpression", detail))
    return errors


def names_a_field(schema: Object, field_path: str) -> bool:
    """Whether a path such as `.spec['x.y'].z` leads through objects and maps of the schema."""
    at = 0
    node: Object | None = schema
    while at < len(field_path):
        found = _FIELD.match(field_path, at)
        if found is None or node is None:
            return False
        node = _below(node, found["name"] or found["key"])
        at = found.end()
    return node is not None and bool(field_path)


def _below(node: Object, name: str) -> Object | None:
    properties = keywords.node(node.get("properties"))
    if name in properties:
        return keywords.node(properties[name])
    more = node.get("additionalProperties")
    return more if isinstance(more, dict) else None

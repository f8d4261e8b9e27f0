"""Ask the validation rules of a type about an object, in kube-apiserver's words and order.

Source: apiextensions-apiserver `apiserver/schema/cel/validation`, `apis/apiextensions/validation`; KEP-2876 (rules),
KEP-4008 (a rule that does not look at the old value is not held against what an update leaves as it was).
"""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from kubelab.apiserver.cel import checking, plans, programs
from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.schema import wording
from kubelab.apiserver.schema.equality import correlated, same
from kubelab.apiserver.schema.model import MISSING, Rule, Schema
from kubelab.objects import Json, Object

_KEPT: Final = 512
"""Types whose compiled rules are kept; the one not asked for longest is dropped."""
_LONGEST_MESSAGE: Final = 5120


class RuleEvaluator:
    """Evaluates rules (implements `schema.rules.Evaluator`). Each type is compiled once, when it is first asked for."""

    def __init__(self) -> None:
        self._plans: OrderedDict[int, plans.Plan] = OrderedDict()

    def compile_errors(self, schema: Schema, path: str) -> list[FieldError]:
        """Rules that do not compile, mention what does not exist, or compare with an old value that nobody can tell."""
        root = dataclasses.replace(schema, embedded=True)
        return list(_compile_errors(root, path, ""))

    def evaluate(self, schema: Schema, obj: Object, old: Object | None) -> list[FieldError]:
        """Rules that an object breaks; `old` is the object before an update."""
        errors: list[FieldError] = []
        _ask(self._plan(schema), obj, MISSING if old is None else old, "", errors)
        return errors

    def _plan(self, schema: Schema) -> plans.Plan:
        plan = self._plans.get(id(schema))
        if plan is None:
            plan = plans.plan(schema)
            self._plans[id(schema)] = plan  # the plan holds its schema: the id is not given to another
            if len(self._plans) > _KEPT:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(id(schema))
        return plan


def _ask(plan: plans.Plan, value: Json, old: Json, path: str, errors: list[FieldError]) -> None:
    """Ask the rules of one value, then those of what is in it. Null has no rules."""
    if value is None:
        return
    before = MISSING if old is None else old
    for rule in plan.rules:
        error = _broken(plan, rule, value, before, path)
        if error is not None and (rule.uses_old or before is MISSING or not same(value, before)):
            errors.append(error)
    for part in plan.same_value:
        _ask(part, value, before, path, errors)
    if isinstance(value, dict):
        _ask_fields(plan, value, before, path, errors)
    elif isinstance(value, list) and plan.items is not None:
        for at, item in enumerate(value):
            was = MISSING
            if plan.schema.list_type == "map" and isinstance(before, list):
                was = correlated(item, before, plan.schema.list_keys)
            _ask(plan.items, item, was, f"{path}[{at}]", errors)


def _ask_fields(plan: plans.Plan, value: Object, old: Json, path: str, errors: list[FieldError]) -> None:
    granular = plan.schema.map_type == "granular" and isinstance(old, dict)
    before: Object = old if granular else {}
    for name, part in plan.properties.items():
        if name in value:
            _ask(part, value[name], before.get(name, MISSING), f"{path}.{name}" if path else name, errors)
    if plan.additional is not None:
        for name in sorted(value.keys() - plan.schema.properties.keys()):
            _ask(plan.additional, value[name], before.get(name, MISSING), f"{path}[{name}]", errors)


def _broken(plan: plans.Plan, compiled: plans.CompiledRule, value: Json, old: Json, path: str) -> FieldError | None:
    """The error of a rule that does not hold."""
    rule = compiled.rule
    if compiled.program is None:
        return _error(rule, path, value, f"rule compile error: {compiled.error}")
    variables: dict[str, Any] = {"self": plan.typed(value)}
    if compiled.uses_old:
        if rule.optional_old_self:
            optional = programs.library().OptionalValue
            variables["oldSelf"] = optional.none() if old is MISSING else optional.of(plan.typed(old))
        elif old is MISSING:
            return None
        else:
            variables["oldSelf"] = plan.typed(old)
    try:
        if compiled.program.ask(variables) is True:
            return None
    except programs.EvaluationError as error:
        return wording.invalid(path.removeprefix("."), plan.schema.type, _unanswered(str(error), rule))
    return _error(rule, path + _place(plan.schema, rule), value, _message(compiled, variables))


def _unanswered(error: str, rule: Rule) -> str:
    told = rule.message.strip() or rule.rule.strip()
    if error.startswith("no such overload"):
        end = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{error}': {end}: {told}"
    return f"{error} evaluating rule: {told}"


def _message(compiled: plans.CompiledRule, variables: dict[str, Any]) -> str:
    rule = compiled.rule
    if compiled.message is not None:
        try:
            text = compiled.message.ask(variables)
        except programs.EvaluationError:
            text = ""
        if isinstance(text, str) and text.strip() and "\n" not in text.strip() and len(text) <= _LONGEST_MESSAGE:
            return text.strip()
    return rule.message.strip() or f"failed rule: {rule.rule.strip()}"


def _place(schema: Schema, rule: Rule) -> str:
    """The rest of a field's name that a rule's fieldPath stands for."""
    place = ""
    node: Schema | None = schema
    for name in plans.field_names(rule.field_path):
        known = node is not None and name in node.properties
        place += f".{name}" if known or node is None else f"[{name}]"
        node = None if node is None else node.properties.get(name, node.additional)
    return place


def _error(rule: Rule, path: str, value: Json, detail: str) -> FieldError:
    place = path.removeprefix(".") or wording.NOWHERE
    if rule.reason == "FieldValueForbidden":
        return wording.forbidden(place, detail)
    if rule.reason == "FieldValueRequired":
        return wording.required(place, detail)
    whole = isinstance(value, dict | list)
    if rule.reason == "FieldValueDuplicate":
        return FieldError(
            place, rule.reason, "Duplicate value" if whole else f"Duplicate value: {wording.shown(value)}"
        )
    if whole:
        return FieldError(place, "FieldValueInvalid", f"Invalid value: {detail}")
    return wording.invalid(place, value, detail)


def _compile_errors(schema: Schema, path: str, uncorrelated: str) -> Iterator[FieldError]:
    """Errors of the rules of one node and of those below; `uncorrelated` is where old values are lost."""
    for at, rule in enumerate(schema.rules):
        where = f"{path}.x-kubernetes-validations[{at}]"
        yield from _rule_errors(schema, rule, where, uncorrelated)
    atomic = path if schema.type == "object" and schema.map_type == "atomic" else ""
    below = uncorrelated or atomic
    for name, part in schema.properties.items():
        yield from _compile_errors(part, f"{path}.properties[{name}]", below)
    if schema.additional is not None:
        yield from _compile_errors(schema.additional, f"{path}.additionalProperties", below)
    if schema.items is not None:
        loose = "" if schema.list_type == "map" else path
        yield from _compile_errors(schema.items, f"{path}.items", uncorrelated or loose)
    for at, part in enumerate(schema.all_of):
        yield from _compile_errors(part, f"{path}.allOf[{at}]", uncorrelated)


def _rule_errors(schema: Schema, rule: Rule, path: str, uncorrelated: str) -> Iterator[FieldError]:
    old = None if rule.optional_old_self else schema
    wrong = plans.compile_error(rule.rule, {"self": schema, "oldSelf": old})
    if wrong:
        text = f"Invalid value: {_shown(rule)}: compilation failed: {wrong}"
        yield FieldError(f"{path}.rule", "FieldValueInvalid", text)
        return
    uses_old = "oldSelf" in programs.program(rule.rule).names
    if uses_old and uncorrelated:
        detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {uncorrelated}"
        yield wording.invalid(f"{path}.rule", rule.rule, detail)
    if rule.message_expression:
        scope: checking.Scope = {"self": schema, "oldSelf": old} if uses_old else {"self": schema}
        if wrong := plans.compile_error(rule.message_expression, scope):
            text = f"Invalid value: {_shown(rule)}: messageExpression compilation failed: {wrong}"
            yield FieldError(f"{path}.messageExpression", "FieldValueInvalid", text)


def _shown(rule: Rule) -> str:
    """A rule as an error shows it: Go's JSON of the internal type."""
    parts = {
        "Rule": rule.rule,
        "Message": rule.message,
        "MessageExpression": rule.message_expression,
        "Reason": rule.reason or None,
        "FieldPath": rule.field_path,
        "OptionalOldSelf": rule.optional_old_self or None,
    }
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

"""A type's rules, compiled: a tree of only those parts of the type that have rules in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from kubelab.apiserver.cel import checking, programs, values
from kubelab.apiserver.schema.model import Rule, Schema
from kubelab.apiserver.schema.rules import has_rules

_FIELD: Final = re.compile(r"\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\['(?P<key>(?:[^'\\]|\\.)+)'\]")


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """A rule ready to be asked; without a program where it does not compile."""

    rule: Rule
    program: programs.Program | None
    message: programs.Program | None
    error: str = ""

    @property
    def uses_old(self) -> bool:
        """Whether this is a transition rule: it looks at the value before the update."""
        return self.program is not None and "oldSelf" in self.program.names


@dataclass(slots=True, eq=False)
class Plan:
    """The rules of one node of a type, and the nodes below that have some."""

    schema: Schema
    rules: tuple[CompiledRule, ...] = ()
    convert: values.Convert | None = None
    properties: dict[str, Plan] = field(default_factory=dict)
    additional: Plan | None = None
    items: Plan | None = None
    same_value: tuple[Plan, ...] = ()

    def typed(self, value: Any) -> Any:
        """A value of this node as rules see it."""
        return value if self.convert is None else self.convert(value)


def plan(schema: Schema) -> Plan:
    """Compile the rules of a type. The type is a tree, as those of custom resources are."""
    rules = tuple(_compiled(rule) for rule in schema.rules)
    return Plan(
        schema,
        rules,
        values.converter(schema) if rules else None,
        {name: plan(part) for name, part in sorted(schema.properties.items()) if has_rules(part)},
        _below(schema.additional),
        _below(schema.items),
        tuple(plan(part) for part in schema.all_of if has_rules(part)),
    )


def _below(schema: Schema | None) -> Plan | None:
    return plan(schema) if schema is not None and has_rules(schema) else None


def _compiled(rule: Rule) -> CompiledRule:
    try:
        program = programs.program(rule.rule)
        message = programs.program(rule.message_expression) if rule.message_expression else None
    except programs.CompileError as error:
        return CompiledRule(rule, None, None, str(error))
    return CompiledRule(rule, program, message)


def compile_error(source: str, scope: checking.Scope) -> str:
    """Why a rule or message does not compile where it stands; empty if it does."""
    try:
        programs.program(source)
    except programs.CompileError as error:
        return str(error)
    return checking.name_errors(source, scope)


def field_names(field_path: str) -> Iterator[str]:
    """The names in a path such as `.spec['x.y']`."""
    for found in _FIELD.finditer(field_path):
        yield found["name"] or re.sub(r"\\(.)", r"\1", found["key"])

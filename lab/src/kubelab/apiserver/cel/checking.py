"""Hold the names in a rule against the type it is for: fields, variables and functions that don't exist are errors.

What an expression's type is beyond a path of fields is not worked out: operators on values of wrong types are found
when the rule is asked, not when it is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kubelab.apiserver.cel import functions, values, words
from kubelab.apiserver.cel.words import Word
from kubelab.apiserver.schema.model import Schema

Scope = Mapping[str, Schema | None]
"""What each variable's type is; None for one that may be anything."""

_TYPES: Final = frozenset(
    [
        "bool",
        "bytes",
        "double",
        "dyn",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "type",
        "uint",
        "google",
        "optional",
    ]
)
_META: Final = Schema(type="object", properties={"name": Schema(type="string"), "generateName": Schema(type="string")})
_OBJECT: Final = {"apiVersion": Schema(type="string"), "kind": Schema(type="string"), "metadata": _META}
_STRINGS: Final = {
    "date-time": "timestamp",
    "datetime": "timestamp",
    "date": "timestamp",
    "duration": "duration",
    "byte": "bytes",
}
_SCALARS: Final = {"integer": "int", "number": "double", "boolean": "bool"}


@dataclass(slots=True)
class _Check:
    source: str
    words: list[Word]
    pairs: Mapping[int, int]
    errors: list[tuple[int, str]] = field(default_factory=list)

    def text(self, number: int) -> str:
        """The word at a place that is code; empty at the end and for literals."""
        if number >= len(self.words) or self.words[number].kind in {"text", "number"}:
            return ""
        return self.words[number].text

    def is_name(self, number: int) -> bool:
        """Whether a name stands at a place."""
        return number < len(self.words) and self.words[number].kind == "name"


def name_errors(source: str, scope: Scope) -> str:
    """What is wrong with the names in a rule, as its compiler tells it; empty if nothing is."""
    cut = words.cut(source)
    check = _Check(source, cut, words.closing(cut))
    _span(check, 0, len(cut), scope)
    return "\n".join(_told(source, at, text) for at, text in sorted(set(check.errors)))


def _told(source: str, at: int, text: str) -> str:
    line = source.count("\n", 0, at)
    start = source.rfind("\n", 0, at) + 1
    shown = source.splitlines()[line] if source else ""
    return f"ERROR: <input>:{line + 1}:{at - start + 1}: {text}\n | {shown}\n | {'.' * (at - start)}^"


def _span(check: _Check, at: int, end: int, scope: Scope) -> None:
    """Check the words from `at` up to `end`."""
    while at < end:
        if check.is_name(at) and not words.follows_dot(check.words, at):
            at = _name(check, at, scope)
        elif check.text(at) in {".", ".?"} and check.is_name(at + 1):
            at = _chain(check, at, None, scope)
        else:
            at += 1


def _name(check: _Check, at: int, scope: Scope) -> int:
    """A name that starts an expression; where to go on."""
    word = check.words[at]
    if words.prefixed(check.words, at):
        return at + 3
    if words.is_call(check.words, at):
        if not functions.is_known(word.text):
            check.errors.append((check.words[at + 1].at, f"undeclared reference to '{word.text}' (in container '')"))
        return at + 1
    if word.text in scope:
        return _chain(check, at + 1, scope[word.text], scope)
    if word.text not in _TYPES and word.text not in values.RESERVED:
        check.errors.append((word.at, f"undeclared reference to '{word.text}' (in container '')"))
    return at + 1


def _chain(check: _Check, at: int, schema: Schema | None, scope: Scope) -> int:
    """Fields, methods and indices behind a value of a type; where to go on."""
    while True:
        sign = check.text(at)
        if sign in {".", ".?"} and check.is_name(at + 1):
            if words.is_call(check.words, at + 1):
                at, schema = _method(check, at + 1, schema, scope)
            else:
                schema = _selected(check, at, schema)
                at += 2
        elif sign in {"[", "[?"} and at in check.pairs:
            _span(check, at + 1, check.pairs[at], scope)
            schema = _element(schema)
            at = check.pairs[at] + 1
        else:
            return at


def _method(check: _Check, at: int, schema: Schema | None, scope: Scope) -> tuple[int, Schema | None]:
    """A call on a value: where to go on, and the type of the result if it is known."""
    name, opening = check.words[at].text, at + 1
    if not functions.is_known(name):
        check.errors.append((check.words[opening].at, f"undeclared reference to '{name}' (in container '')"))
    end = check.pairs.get(opening, len(check.words))
    if name in functions.MACROS and check.is_name(opening + 1) and check.text(opening + 2) == ",":
        item = schema.items if schema is not None and schema.type == "array" else None
        _span(check, opening + 3, end, {**scope, check.words[opening + 1].text: item})
    else:
        _span(check, opening + 1, end, scope)
    return end + 1, schema if name == "filter" else None


def _element(schema: Schema | None) -> Schema | None:
    if schema is None:
        return None
    return schema.items if schema.type == "array" else schema.additional


def _selected(check: _Check, at: int, schema: Schema | None) -> Schema | None:
    """The type of a field; what is not there is noted, and may be anything."""
    if schema is None or _is_dynamic(schema):
        return None
    name = check.words[at + 1].text.strip("`")
    if schema.type != "object":
        check.errors.append((check.words[at].at, f"type '{type_name(schema)}' does not support field selection"))
        return None
    fields = {values.escaped(one) or one: part for one, part in schema.properties.items()}
    if schema.embedded:
        fields = {**fields, **_OBJECT}
    if name in fields:
        return fields[name]
    if schema.additional is None:
        check.errors.append((check.words[at].at, f"undefined field '{name}'"))
    return schema.additional


def _is_dynamic(schema: Schema) -> bool:
    free = schema.preserve_unknown and not schema.properties
    return free or schema.type in {"any", "int-or-string", "quantity"}


def type_name(schema: Schema | None) -> str:
    """A type as the compiler calls it."""
    if schema is None or _is_dynamic(schema):
        return "dyn"
    if schema.type == "string":
        return _STRINGS.get(schema.format, "string")
    if schema.type == "array":
        return f"list({type_name(schema.items)})"
    if schema.additional is not None:
        return f"map(string, {type_name(schema.additional)})"
    return _SCALARS.get(schema.type, "object")

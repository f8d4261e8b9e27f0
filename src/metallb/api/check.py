"""Judges an object by the schema of its kind, as the API server does: for those who have none at hand.

First what the schema doesn't know is taken out and defaults are put in (`prune`), then the rest is checked (`check`).
It knows the parts of structural schemas that our kinds use; a test fails when a kind uses another one.
Source: apiextensions.k8s.io/v1, "structural schemas", "defaulting", "validation rules".
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from metallb.api.rules import ABSENT, RULES
from metallb.api.schema import JsonSchema

KEYWORDS: Final = frozenset(
    {
        "additionalProperties",
        "anyOf",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-map-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }
)
"""What may stand in a schema."""

_TYPES: Final[dict[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}
_BITS: Final = {"int32": 32, "int64": 64}
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_SHOWN: Final = 60
_SECRET: Final = frozenset({"password", "passwordSecret"})


class Broken(NamedTuple):
    """A rule of the schema that a value breaks.

    Attributes:
        path: of the value: `spec.addresses[0]`.
        value: the value as JSON, shortened; empty where it is missing, or secret.
        rule: as the rest of a sentence about the value.
        hint: what would mend it; may be empty.
    """

    path: str
    value: str
    rule: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """An object as the API server would store it, and the fields that it has too many."""

    value: Any
    unknown: list[Broken]


def prune(schema: JsonSchema, value: Any, path: str = "") -> Pruned:
    """Takes out unknown fields and nulls, and puts defaults in; the value itself is left as it is."""
    unknown: list[Broken] = []
    return Pruned(_prune(schema, value, path, unknown), unknown)


def _prune(schema: JsonSchema, value: Any, path: str, unknown: list[Broken]) -> Any:
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_prune(items, item, f"{path}[{position}]", unknown) for position, item in enumerate(value)]
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    known, rest = schema.get("properties", {}), schema.get("additionalProperties")
    kept = {}
    for name, item in value.items():
        of = known.get(name, rest)
        if of is None:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else ""
            unknown.append(Broken(_join(path, name), "", "is an unknown field", hint))
        elif item is not None:
            kept[name] = _prune(of, item, _join(path, name), unknown)
    return {name: each["default"] for name, each in known.items() if "default" in each} | kept


def check(schema: JsonSchema, value: Any, old: Any = ABSENT, path: str = "") -> list[Broken]:
    """The rules of a schema that a pruned value breaks; `old` is the value that it replaces, pruned too.

    Validation rules are asked only when all else is right, as the API server does.
    """
    return list(_check(schema, value, path)) or list(_ask_rules(schema, value, old, path))


def _check(schema: JsonSchema, value: Any, path: str) -> Iterator[Broken]:
    wrong = _wrong_type(schema, value)
    if wrong:
        yield Broken(path, _shown(value, path), wrong)
        return
    if isinstance(value, dict):
        yield from _check_object(schema, value, path)
    elif isinstance(value, list):
        yield from _check_list(schema, value, path)
    else:
        for rule in _broken_scalar(schema, value):
            yield Broken(path, _shown(value, path), rule)


def _wrong_type(schema: JsonSchema, value: Any) -> str:
    found = _TYPES[type(value)]
    if schema.get("x-kubernetes-int-or-string"):
        return "" if found in {"integer", "string"} else f"must be an integer or a string, not of type {found}"
    wanted = schema.get("type", found)
    fits = found == wanted or (wanted == "integer" and found == "number" and value.is_integer())
    return "" if fits else f"must be of type {wanted}, not {found}"


def _check_object(schema: JsonSchema, value: dict[str, Any], path: str) -> Iterator[Broken]:
    for name in schema.get("required", ()):
        if name not in value:
            yield Broken(_join(path, name), "", "must be given")
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, item in value.items():
        yield from _check(known.get(name, rest), item, _join(path, name))


def _check_list(schema: JsonSchema, value: list[Any], path: str) -> Iterator[Broken]:
    if len(value) < schema.get("minItems", 0):
        yield Broken(path, _shown(value, path), f"must have at least {schema['minItems']} items")
    for position, item in enumerate(value):
        yield from _check(schema.get("items", {}), item, f"{path}[{position}]")
    if schema.get("x-kubernetes-list-type") == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        yield from _repeated(keys, value, path)


def _repeated(keys: Sequence[str], value: list[Any], path: str) -> Iterator[Broken]:
    found = [tuple(item.get(key) if isinstance(item, dict) else None for key in keys) for item in value]
    for position, key in enumerate(found):
        if key in found[:position]:
            yield Broken(f"{path}[{position}]", _shown(key[0], path), f"repeats the {keys[0]} of an earlier item")


def _broken_scalar(schema: JsonSchema, value: Any) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"must be one of {', '.join(schema['enum'])}"
    if isinstance(value, str):
        yield from _broken_text(schema, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _broken_number(schema, value)


def _broken_number(schema: JsonSchema, value: float) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield f"must be at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield f"must be at most {schema['maximum']}"
    bits = _BITS.get(schema.get("format", ""))
    if bits is not None and not -(1 << bits - 1) <= value < 1 << bits - 1:
        yield f"must fit into {bits} bits"


def _broken_text(schema: JsonSchema, value: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"must have at least {schema['minLength']} characters"
    if len(value) > schema.get("maxLength", len(value)):
        yield f"must have at most {schema['maxLength']} characters"
    if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
        yield f"must match {schema['pattern']}"
    if schema.get("format") == "date-time" and not _DATE_TIME.fullmatch(value):
        yield "must be a time such as 2026-01-31T12:00:00Z"


def _pattern(text: str) -> re.Pattern[str]:
    """A regular expression of Go: `$` is the very end, classes are ASCII. `re` keeps the last few."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", text), re.ASCII)


def _ask_rules(schema: JsonSchema, value: Any, old: Any, path: str) -> Iterator[Broken]:
    """No rule of ours stands in a list, and none changes from one item to another: old values are found by name."""
    for stated in schema.get("x-kubernetes-validations", ()):
        rule = RULES[stated["message"]]
        if (old is not ABSENT or not rule.is_transition) and not rule.holds(value, old):
            yield Broken(path, _shown(value, path), f"is refused: {rule.message}")
    if isinstance(value, dict):
        for name, each in schema.get("properties", {}).items():
            if name in value:
                before = old.get(name, ABSENT) if isinstance(old, dict) else ABSENT
                yield from _ask_rules(each, value[name], before, _join(path, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any, path: str) -> str:
    """What a message says of a value: never a secret, nor pages of text."""
    if path.rpartition(".")[2] in _SECRET:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

"""Values of objects as values of CEL: what a type says more than JSON does (KEP-2876)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kubelab.apiserver.schema.model import Schema

Convert = Callable[[Any], Any]

RESERVED: Final = frozenset(
    {
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)
"""Words of the language: a field of such a name is written `__name__`."""
_ESCAPES: Final = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_ESCAPED: Final = re.compile(r"__|[./-]")
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}


def escaped(name: str) -> str:
    """A field's name as rules write it; empty for names that can't be written."""
    if name in RESERVED:
        return f"__{name}__"
    found = _ESCAPED.sub(lambda match: _ESCAPES[match[0]], name)
    return found if _NAME.fullmatch(found) else ""


def converter(schema: Schema) -> Convert | None:
    """What makes a JSON value of a type a CEL value; None where they are the same."""
    if schema.type == "number":
        return _double
    if schema.type == "string":
        return _FORMATS.get(schema.format)
    if schema.type == "array" and schema.items is not None:
        return _listed(converter(schema.items))
    return _mapped(schema)


def _mapped(schema: Schema) -> Convert | None:
    values = None if schema.additional is None else converter(schema.additional)
    fields = {name: (escaped(name) or name, converter(part)) for name, part in schema.properties.items()}
    changed = {name: how for name, how in fields.items() if how[0] != name or how[1] is not None}
    if values is None and not changed:
        return None
    return lambda value: _object(value, changed, values, schema.properties)


def _object(
    value: Any, changed: Mapping[str, tuple[str, Convert | None]], values: Convert | None, known: Mapping[str, Schema]
) -> Any:
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for name, part in value.items():
        other = None if name in known else values
        called, convert = changed.get(name, (name, other))
        result[called] = part if convert is None else convert(part)
    return result


def _listed(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None
    return lambda value: [convert(item) for item in value] if isinstance(value, list) else value


def _double(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool)
    try:
        return float(value) if whole else value
    except OverflowError:
        return value


def _instant(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return value
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _duration(value: Any) -> Any:
    found = duration(value) if isinstance(value, str) else None
    return value if found is None else found


def duration(text: str) -> timedelta | None:
    """A duration as Go writes it, such as `1h30m` (to the microsecond); None for other text."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return timedelta(0)
    parts = list(_DURATION_PART.finditer(rest))
    if not parts or "".join(part[0] for part in parts) != rest:
        return None
    try:
        return timedelta(seconds=sign * sum(float(part[1]) * _SECONDS[part[2]] for part in parts))
    except OverflowError:
        return None


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value


_FORMATS: Final[Mapping[str, Convert]] = {
    "date-time": _instant,
    "datetime": _instant,
    "date": _instant,
    "duration": _duration,
    "byte": _bytes,
}

"""CEL's functions of strings as Kubernetes has them: cel-go `ext.Strings`, and find/findAll of Kubernetes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kubelab.apiserver.cel.overloads import TYPE, Table, anything, is_list, is_text, is_texts, is_whole
from kubelab.apiserver.schema import patterns
from kubelab.apiserver.schema.wording import number

_CLAUSE: Final = re.compile(r"%(?:\.(?P<precision>\d+))?(?P<verb>.)?", re.DOTALL)
_DIGITS: Final = 6
_MAX_PRECISION: Final = 1000
_RADIX: Final = {"b": "b", "o": "o", "x": "x", "X": "X"}
_MICRO: Final = 1e-6


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise ValueError(f"index out of range: {at}")
    return text[at : at + 1]


def _index(text: str, part: str, start: int = 0) -> int:
    if not 0 <= start <= max(len(text) - 1, 0):
        raise ValueError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index(text: str, part: str, end: int | None = None) -> int:
    if end is None:
        return text.rfind(part)
    if not 0 <= end <= max(len(text) - 1, 0):
        raise ValueError(f"index out of range: {end}")
    return text.rfind(part, 0, end + len(part))


def _ascii(text: str, low: str, high: str, step: int) -> str:
    return "".join(chr(ord(sign) + step) if low <= sign <= high else sign for sign in text)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, max(count, -1))


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if not separator:
        signs = list(text)
        return signs if count < 0 or count > len(signs) else [*signs[: count - 1], "".join(signs[count - 1 :])]
    return text.split(separator, count - 1 if count > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    if not 0 <= start <= len(text):
        raise ValueError(f"index out of range: {start}")
    if end is not None and not 0 <= end <= len(text):
        raise ValueError(f"index out of range: {end}")
    if end is not None and start > end:
        raise ValueError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _find(text: str, pattern: str) -> str:
    found = patterns.compiled(pattern).search(text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in patterns.compiled(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def shown(value: Any) -> str:
    """A value as `string()` makes text of it.

    Raises:
        ValueError: values of its type can't be text.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    for kinds, show in _SHOWN:
        if isinstance(value, kinds):
            return show(value)
    raise ValueError("no such overload")


def _shown_opaque(value: Any) -> str:
    if value.get(TYPE) not in {"ip", "cidr", "url"}:
        raise ValueError("no such overload")
    return str(value["value"])


def _shown_instant(value: datetime) -> str:
    instant = value.astimezone(UTC)
    fraction = f"{instant.microsecond:06d}".rstrip("0")
    return instant.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}Z" if fraction else "Z")


_SHOWN: Final[tuple[tuple[tuple[type, ...], Callable[[Any], str]], ...]] = (
    ((int, float), number),
    ((str,), str),
    ((bytes,), bytes.decode),
    ((timedelta,), lambda value: f"{number(value.total_seconds())}s"),
    ((datetime,), _shown_instant),
    ((dict,), _shown_opaque),
)


def _format(text: str, values: list[Any]) -> str:
    given = iter(values)
    return _CLAUSE.sub(lambda clause: _clause(clause, given), text)


def _clause(clause: re.Match[str], given: Iterator[Any]) -> str:
    verb = clause["verb"] or ""
    if verb == "%":
        return "%"
    precision = _DIGITS if clause["precision"] is None else int(clause["precision"])
    if precision > _MAX_PRECISION:
        raise ValueError(f"precision {precision} is too large")
    try:
        value = next(given)
    except StopIteration:
        raise ValueError("index out of range: not enough arguments for the format") from None
    if verb == "s":
        return _plain(value)
    if verb == "d" and isinstance(value, int | float):
        return shown(value)
    if verb in {"f", "e"} and isinstance(value, int | float):
        return f"{value:.{precision}{verb}}"
    if verb in _RADIX:
        return _radix(value, verb)
    raise ValueError(f'could not parse formatting clause: unrecognized formatting clause "{verb}"')


def _radix(value: Any, verb: str) -> str:
    if isinstance(value, str) and verb in {"x", "X"}:
        value = value.encode()
    if isinstance(value, bytes) and verb in {"x", "X"}:
        return value.hex() if verb == "x" else value.hex().upper()
    if isinstance(value, int):
        return format(value, verb)
    raise ValueError("no such overload")


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(_plain(item) for item in value)}]"
    if isinstance(value, dict) and TYPE not in value:
        pairs = sorted((_plain(name), _plain(part)) for name, part in value.items())
        return "{" + ", ".join(f"{name}: {part}" for name, part in pairs) + "}"
    return shown(value)


TABLE: Final[Table] = {
    "charAt": [((is_text, is_whole), _char_at)],
    "indexOf": [((is_text, is_text), _index), ((is_text, is_text, is_whole), _index)],
    "lastIndexOf": [((is_text, is_text), _last_index), ((is_text, is_text, is_whole), _last_index)],
    "lowerAscii": [((is_text,), lambda text: _ascii(text, "A", "Z", 32))],
    "upperAscii": [((is_text,), lambda text: _ascii(text, "a", "z", -32))],
    "replace": [
        ((is_text, is_text, is_text), _replace),
        ((is_text, is_text, is_text, is_whole), _replace),
    ],
    "split": [((is_text, is_text), _split), ((is_text, is_text, is_whole), _split)],
    "substring": [((is_text, is_whole), _substring), ((is_text, is_whole, is_whole), _substring)],
    "trim": [((is_text,), str.strip)],
    "reverse": [((is_text,), lambda text: text[::-1])],
    "join": [((is_texts,), "".join), ((is_texts, is_text), lambda parts, between: between.join(parts))],
    "find": [((is_text, is_text), _find)],
    "findAll": [((is_text, is_text), _find_all), ((is_text, is_text, is_whole), _find_all)],
    "format": [((is_text, is_list), _format)],
    "strings_quote": [((is_text,), lambda text: json.dumps(text, ensure_ascii=False))],
    "string_": [((anything,), shown)],
}
"""Each function with its overloads."""

"""What a plain (unquoted) scalar of YAML is to kubectl: text, number, truth value or null.

kubectl reads YAML 1.1 without sexagesimal numbers: `65000:100` is text, `on` is true, `010` is eight.
Source: sigs.k8s.io/yaml; a test holds it against recorded answers of kubectl.
"""

from __future__ import annotations

import re
from typing import Final

Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_FIRST: Final = frozenset("+-.0123456789")
_INTEGER: Final = re.compile(
    r"(?P<sign>[-+]?)(?:0[bB](?P<two>[01]+)|0[xX](?P<sixteen>[0-9a-fA-F]+)|0[oO]?(?P<eight>[0-7]+)|(?P<ten>0|[1-9][0-9]*))"
)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES: Final = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}
_LONGEST: Final = 1000
"""Characters of a number; longer ones stay text."""


def read(text: str) -> Scalar:
    """The value of a plain scalar; numbers without a fraction are integers, as in the JSON that is sent."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST or len(text) > _LONGEST:
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    if found := _INTEGER.fullmatch(plain):
        base = found.lastgroup or "ten"
        return int(f"{found['sign']}{found[base]}", _BASES[base])
    if _FLOAT.fullmatch(plain):
        return number(float(plain), text)
    return text


def number(value: float, text: str) -> Scalar:
    """A float as JSON has it: whole ones are integers; what is too large for one stays text."""
    if value in {float("inf"), float("-inf")}:
        return text
    return int(value) if value.is_integer() else value

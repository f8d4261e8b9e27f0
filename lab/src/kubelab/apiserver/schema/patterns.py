"""Regular expressions of schemas: Go's syntax (RE2), matched by Python's engine."""

from __future__ import annotations

import functools
import re
from typing import Final

_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_TOKEN: Final = re.compile(r"\\.|\[:(?P<inside>\w+):\]|\(\?P?<(?P<name>\w+)>|.", re.DOTALL)
_MULTILINE: Final = re.compile(r"\(\?[a-z]*m[a-z]*[):]")
_NOT_IN_GO: Final = re.compile(r"\(\?(?:[=!]|<[=!]|P=|P>|>|\()|(?<!\\)(?:\\\\)*\\[1-9]")


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> re.Pattern[str]:
    r"""The pattern, ready to `search`.

    Go's `$` is the end of the text and never before a last line break; classes such as `\d` are ASCII; look-around
    and back references do not exist.

    Raises:
        ValueError: the pattern is no regular expression in Go's syntax.
    """
    if _NOT_IN_GO.search(pattern):
        raise ValueError(f"invalid or unsupported Perl syntax: `{pattern}`")
    try:
        return re.compile(_translated(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{error}: `{pattern}`") from error


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. A pattern that is no regular expression matches nothing."""
    try:
        return compiled(pattern).search(text) is not None
    except ValueError:
        return False


def _translated(pattern: str) -> str:
    parts: list[str] = []
    in_class = False
    end = "$" if _MULTILINE.search(pattern) else r"\Z"
    for token in _TOKEN.finditer(pattern):
        found = token[0]
        if found == "[" and not in_class:
            in_class = True
        elif found == "]" and in_class and parts[-1] not in {"[", "^"}:
            in_class = False
        elif token["inside"]:
            found = _CLASSES.get(token["inside"], found) if in_class else found
        elif not in_class:
            found = _outside(found, token["name"], end)
        elif found == "[":
            found = r"\["
        parts.append(found)
    return "".join(parts)


def _outside(token: str, group: str | None, end: str) -> str:
    if group:
        return f"(?P<{group}>"
    return {"$": end, r"\z": r"\Z", r"\pL": "[^\\W\\d_]"}.get(token, token)

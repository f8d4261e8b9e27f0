"""Warnings of an answer as its `Warning` headers: code 299, each once, no more of them than a client can bear.

Source: RFC 7234 5.5; apiserver `endpoints/filters/warning.go` (4096 characters in all, then 256 of each).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

_MOST: Final = 4096
"""Characters of all warnings together, beyond which each is cut."""
_MOST_OF_ONE: Final = 256
"""Characters that are left of a warning that is cut."""


def headers(sentences: Iterable[str]) -> list[tuple[str, str]]:
    """The headers, in order. What has control characters (a line's end) can't be in a header and is left out."""
    told = [one for one in dict.fromkeys(sentences) if one and _is_printable(one)]
    if sum(map(len, told)) > _MOST:
        told = _cut(told)
    return [("Warning", f"299 - {quoted(one)}") for one in told]


def _is_printable(text: str) -> bool:
    return all(unicodedata.category(one) != "Cc" and not "\ud800" <= one <= "\udfff" for one in text)


def _cut(sentences: list[str]) -> list[str]:
    written, told = 0, []
    for one in sentences:
        if written >= _MOST:
            break
        told.append(one[:_MOST_OF_ONE])
        written += len(told[-1])
    return told


def quoted(text: str) -> str:
    """A quoted string of an HTTP header (RFC 9110 5.6.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

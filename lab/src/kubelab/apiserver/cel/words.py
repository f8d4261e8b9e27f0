"""Cut CEL text into words, and put what the library has no grammar for into words that it has.

Source: CEL language definition (lexis); Kubernetes "CEL in Kubernetes" (optional fields, function namespaces).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORD: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>(?:[rR][bB]?|[bB][rR])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
    |[bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<name>[A-Za-z_]\w*|`[^`\n]+`)
    |(?P<sign>\.\?|\[\?|&&|\|\||[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_CLOSING: Final = {"(": ")", "[": "]", "[?": "]", "{": "}"}
NAMESPACES: Final = {
    "sets": ("contains", "equivalent", "intersects"),
    "ip": ("isCanonical",),
    "strings": ("quote",),
    "format": (
        "named",
        "dns1123Label",
        "dns1123Subdomain",
        "dns1035Label",
        "qualifiedName",
        "dns1123LabelPrefix",
        "dns1123SubdomainPrefix",
        "dns1035LabelPrefix",
        "labelValue",
        "uri",
        "uuid",
        "byte",
        "date",
        "datetime",
    ),
    "optional": ("of", "none", "ofNonZeroValue"),
}
"""Functions that are called with a prefix such as `sets.`."""
_BUILT_IN_NAMESPACES: Final = {"optional"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its kind (`text`, `number`, `name`, `sign`), itself, and where it starts."""

    kind: str
    text: str
    at: int


def cut(source: str) -> list[Word]:
    """The words of a rule without space and comments."""
    return [
        Word(found.lastgroup or "", found[0], found.start())
        for found in _WORD.finditer(source)
        if found.lastgroup != "space"
    ]


def closing(words: list[Word]) -> dict[int, int]:
    """Where the bracket that opens at a word is closed; brackets that are never closed are left out."""
    pairs: dict[int, int] = {}
    open_: list[int] = []
    for number, word in enumerate(words):
        if word.kind != "sign":
            continue
        if word.text in _CLOSING:
            open_.append(number)
        elif open_ and word.text == _CLOSING[words[open_[-1]].text]:
            pairs[open_.pop()] = number
    return pairs


def is_call(words: list[Word], number: int) -> bool:
    """Whether the name at a place is that of a function being called."""
    return number + 1 < len(words) and words[number + 1].text == "("


def follows_dot(words: list[Word], number: int) -> bool:
    """Whether the name at a place is a field or method of what stands before."""
    return number > 0 and words[number - 1].text in {".", ".?"}


def prefixed(words: list[Word], number: int) -> str:
    """The function's name if a prefixed call such as `sets.contains(` starts at a word, else empty."""
    word = words[number]
    if word.text not in NAMESPACES or follows_dot(words, number) or not is_call(words, number + 2):
        return ""
    name = words[number + 2].text
    return name if words[number + 1].text == "." and name in NAMESPACES[word.text] else ""


def has_optional_syntax(words: list[Word]) -> bool:
    """Whether a rule uses `.?` or `[?`, which the library's grammar does not have."""
    return any(word.kind == "sign" and word.text in {".?", "[?"} for word in words)


def rewritten(words: list[Word]) -> str:
    """The rule in words that the library understands.

    `a.?b.c` becomes calls of `optionalField_`, `a[?b]` of `optionalIndex_`, `optMap` goes by way of a list,
    `sets.contains(` becomes `sets_contains(`, and `string(` a function that knows the types of Kubernetes.
    """
    parts = [word.text for word in words]
    pairs = closing(words)
    for number, word in enumerate(words):
        if word.kind == "name":
            _rewrite_name(words, number, parts, pairs)
        elif word.text == ".?":
            _rewrite_selection(words, number, parts)
        elif word.text == "[?" and number in pairs:
            parts[number], parts[pairs[number]] = ".optionalIndex_(", ")"
    return " ".join(part for part in parts if part)


def _rewrite_name(words: list[Word], number: int, parts: list[str], pairs: dict[int, int]) -> None:
    text, dotted = words[number].text, follows_dot(words, number)
    if text == "string" and is_call(words, number) and not dotted:
        parts[number] = "string_"
    elif name := prefixed(words, number):
        if text not in _BUILT_IN_NAMESPACES:
            parts[number : number + 3] = [f"{text}_{name}", "", ""]
    elif text == "optMap" and dotted and number + 1 in pairs:
        parts[number], parts[pairs[number + 1]] = "optionalToList_().map", ").optionalFromList_()"


def _rewrite_selection(words: list[Word], number: int, parts: list[str]) -> None:
    """`.?name`, and the plain `.name`s after it: those of a value that may not be there may not be there either."""
    at = number
    while at + 1 < len(words) and words[at].text in {".", ".?"} and words[at + 1].kind == "name":
        if is_call(words, at + 1):
            return
        parts[at], parts[at + 1] = "", f".optionalField_('{words[at + 1].text.strip('`')}')"
        at += 2

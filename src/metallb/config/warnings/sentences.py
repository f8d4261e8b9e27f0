"""How warnings are worded: bounded lists of names, bounded sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from heapq import nsmallest
from typing import Final, TypeVar

from metallb.api.net import ServiceKey

Name = TypeVar("Name", str, ServiceKey)

LONGEST: Final = 250
"""Characters of one sentence; API servers may cut after 256."""
LONGEST_TOTAL: Final = 3500
"""Bytes of all together; API servers drop what is over 4,096, and other webhooks may have something to say too."""
NAMED: Final = 5
"""How many of many are named."""
_LONGEST_LIST: Final = 60
_END: Final = 100
"""Characters of the end of a sentence that is too long: there stands what to do."""


def few(names: Collection[Name]) -> str:
    """`a, b, c, d, e and 7 more`: the first ones, in order. What can't be printed is escaped: users wrote it."""
    shown: list[str] = []
    for text in map(str, nsmallest(NAMED, names)):
        name = text if text.isprintable() else repr(text)
        if shown and sum(map(len, shown)) + len(name) > _LONGEST_LIST:
            break
        shown.append(name)
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def count(names: Collection[object], one: str) -> str:
    """`1 Service`, `2 Services`."""
    return f"{len(names)} {one}{'' if len(names) == 1 else 's'}"


def bounded(sentences: Iterable[str]) -> tuple[str, ...]:
    """The sentences, each once, as far as they can be shown; the last one tells how many are left out."""
    every = list(dict.fromkeys(map(_shortened, sentences)))
    room = LONGEST_TOTAL
    for position, sentence in enumerate(every):
        room -= len(sentence.encode())
        if room < 0:
            return (*every[:position], f"{len(every) - position} more warnings are left out")
    return tuple(every)


def _shortened(sentence: str) -> str:
    """A sentence that fits: of a longer one the middle is left out."""
    if len(sentence) <= LONGEST:
        return sentence
    return f"{sentence[: LONGEST - _END - 1]}…{sentence[-_END:]}"

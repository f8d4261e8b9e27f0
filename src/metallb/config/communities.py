"""BGP communities: how they are written, and how they sort (spec/crds.md 7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering

_PARTS_OF_STANDARD = 2
_PARTS_OF_LARGE = 4
_LARGE = "large"
_STANDARD_MAX = (1 << 16) - 1
_LARGE_MAX = (1 << 32) - 1
_LONGEST_NUMBER = 10
"""Digits of a number that are looked at, without leading zeros."""


class FormatError(ValueError):
    """A text that is no community, but may be the name of one: it has neither two nor four parts."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Community:
    """A community: standard (RFC 1997), of two 16-bit numbers, or large (RFC 8092), of three 32-bit numbers."""

    numbers: tuple[int, int] | tuple[int, int, int]

    @property
    def is_large(self) -> bool:
        """Whether it is a large community."""
        return len(self.numbers) > _PARTS_OF_STANDARD

    def __str__(self) -> str:
        """The numbers, as routers show them."""
        return ":".join(map(str, self.numbers))

    def __lt__(self, other: object) -> bool:
        """By number; a standard community counts as the 32-bit number that it is."""
        if not isinstance(other, Community):
            return NotImplemented
        return self._rank < other._rank

    @property
    def _rank(self) -> tuple[int, int, int, bool]:
        first, second, *third = self.numbers
        return (first, second, third[0], True) if third else ((first << 16) + second, 0, 0, False)


def parse(text: str) -> Community:
    """Reads `A:B` or `large:A:B:C`; the text never says its own value, errors already do.

    Raises:
        FormatError: it has neither form, as a name has.
        ValueError: it has one of the forms, with a number that it can't have.
    """
    parts = text.split(":")
    if len(parts) == _PARTS_OF_STANDARD:
        first, second = (_number(part, _STANDARD_MAX) for part in parts)
        return Community((first, second))
    if len(parts) != _PARTS_OF_LARGE:
        raise FormatError("is no community: those are written A:B, or large:A:B:C")
    if parts[0] != _LARGE:
        raise ValueError(f"begins with {parts[0]!r}: only large communities, large:A:B:C, have four parts")
    one, two, three = (_number(part, _LARGE_MAX) for part in parts[1:])
    return Community((one, two, three))


def _number(text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"has the part {text!r}, which is no decimal number")
    digits = text.lstrip("0") or "0"
    if len(digits) > _LONGEST_NUMBER or int(digits) > largest:
        raise ValueError(f"has the part {text!r}, more than {largest}")
    return int(digits)

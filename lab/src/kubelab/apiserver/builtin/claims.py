"""Who holds which number of a range: the shape of all allocators (cluster IPs, node ports).

What is stored is the truth, the table of claims an index on it. A claim whose object was never stored (refused later
on, or lost to a conflict) dies by itself, so nothing has to be rolled back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

Holder: TypeAlias = tuple[str, str]
"""Namespace and name of the object that holds a number."""

_PENDING_S: Final = 60
"""How long a claim may wait for its object to be stored: longer than any request lives."""
_LEAST_BAND: Final = 16


class OutOfRangeError(Exception):
    """The number asked for is not in the range."""


class TakenError(Exception):
    """Somebody else holds the number asked for."""


class FullError(Exception):
    """No number is free."""


class _Claim(NamedTuple):
    holder: Holder
    since: str
    """RFC 3339; empty once the object has been seen in storage."""


def reserved_band(size: int, step: int, most: int) -> int:
    """How many numbers at the start of a range are left to those who ask for one: none in tiny ranges (KEP-3070)."""
    return 0 if size <= _LEAST_BAND else min(max(_LEAST_BAND, size // step), most)


class Claims:
    """Claims on the numbers `first` .. `last`.

    Numbers below `first + band` are left to those who ask for a number, as long as others are free (KEP-3070).
    """

    def __init__(self, first: int, last: int, band: int, held: Callable[[Holder, int], bool]) -> None:
        self._first = first
        self._last = last
        self._band = band
        self._held = held
        self._claims: dict[int, _Claim] = {}

    def confirm(self, number: int, holder: Holder) -> None:
        """Note a claim that is stored."""
        self._claims[number] = _Claim(holder, "")

    def take(self, number: int, holder: Holder, now: str, *, keep: bool = True) -> None:
        """Claim one number; with `keep` false only ask whether one could.

        Raises:
            OutOfRangeError: it is not in the range.
            TakenError: somebody else holds it.
        """
        if not self._first <= number <= self._last:
            raise OutOfRangeError
        if not self._is_free(number, holder, now):
            raise TakenError
        if keep:
            self._claims[number] = _Claim(holder, now)

    def next(self, holder: Holder, now: str, draw: Callable[[int], int], *, keep: bool = True) -> int:
        """Claim any free number: the first free one from a drawn place on.

        Raises:
            FullError: none is free.
        """
        start = self._first + self._band
        number = self._scan(start + draw(self._last - start + 1), start, now)
        if keep:
            self._claims[number] = _Claim(holder, now)
        return number

    def _scan(self, drawn: int, start: int, now: str) -> int:
        for numbers in (range(drawn, self._last + 1), range(start, drawn), range(self._first, start)):
            for number in numbers:
                if self._is_free(number, ("", ""), now):
                    return number
        raise FullError

    def release(self, number: int, holder: Holder) -> None:
        """Give a number back, if the holder has it."""
        claim = self._claims.get(number)
        if claim is not None and claim.holder == holder:
            del self._claims[number]

    def _is_free(self, number: int, holder: Holder, now: str) -> bool:
        claim = self._claims.get(number)
        if claim is None or claim.holder == holder:
            return True
        if self._held(claim.holder, number):
            self._claims[number] = _Claim(claim.holder, "")
            return False
        return not claim.since or _seconds(claim.since, now) > _PENDING_S


def _seconds(since: str, now: str) -> float:
    return (datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds()

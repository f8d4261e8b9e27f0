"""Addresses of a pool as positions 0..n-1, and sets of positions as runs: nothing here walks over addresses.

A /8 or a /64 costs as much as a /32: a few integers. Budget: microseconds per call, whatever the size.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from metallb.api.net import Address, Family, Range

_BLOCK_BITS = 8
_LAST_OCTET = 0xFF
_USABLE = _LAST_OCTET - 1
"""Usable addresses of a /24 where those ending in .0 and .255 are left out."""


def _usable_below(value: int) -> int:
    """How many IPv4 addresses lower than `value` end neither in .0 nor in .255."""
    return (value >> _BLOCK_BITS) * _USABLE + min(max((value & _LAST_OCTET) - 1, 0), _USABLE)


def _usable_at(rank: int) -> int:
    """The IPv4 address that has `rank` usable ones below it."""
    block, offset = divmod(rank, _USABLE)
    return (block << _BLOCK_BITS) + 1 + offset


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """The addresses of one family of a pool, in the pool's order, numbered from 0."""

    family: Family
    ranges: tuple[Range, ...]
    starts: tuple[int, ...]
    skip_buggy: bool
    size: int

    @classmethod
    def of(cls, family: Family, ranges: Sequence[Range], *, skip_buggy: bool = False) -> AddressSpace:
        """The space of the ranges of one family; `skip_buggy` leaves out IPv4 addresses ending in .0 and .255."""
        skip = skip_buggy and family == 4  # noqa: PLR2004  # the family's own number
        kept, starts, size = [], [], 0
        for each in ranges:
            if each.family != family:
                continue
            usable = _usable_below(each.last + 1) - _usable_below(each.first) if skip else each.size
            if usable:
                kept.append(each)
                starts.append(size)
                size += usable
        return cls(family, tuple(kept), tuple(starts), skip, size)

    def address(self, position: int) -> Address:
        """The address at a position.

        Raises:
            IndexError: the position is not in 0..size-1.
        """
        if not 0 <= position < self.size:
            raise IndexError(position)
        index = bisect_right(self.starts, position) - 1
        first, offset = self.ranges[index].first, position - self.starts[index]
        if self.skip_buggy:
            return Address(self.family, _usable_at(_usable_below(first) + offset))
        return Address(self.family, first + offset)

    def position(self, address: Address) -> int | None:
        """Where an address stands; None where the pool does not offer it. A pool's ranges are few: they are scanned."""
        if self.skip_buggy and address.value & _LAST_OCTET in {0, _LAST_OCTET}:
            return None
        for each, start in zip(self.ranges, self.starts, strict=True):
            if address in each:
                if self.skip_buggy:
                    return start + _usable_below(address.value) - _usable_below(each.first)
                return start + address.value - each.first
        return None


@dataclass(slots=True)
class Runs:
    """A set of positions, kept as sorted runs that neither touch nor overlap.

    Addresses are given from the lowest up, so a full pool is one run. Lookups are O(log runs).
    """

    firsts: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    count: int = 0

    def __contains__(self, position: int) -> bool:
        """Whether a position is in the set."""
        index = bisect_right(self.firsts, position) - 1
        return index >= 0 and position <= self.lasts[index]

    def first_gap(self) -> int:
        """The lowest position that is not in the set."""
        return self.lasts[0] + 1 if self.firsts and self.firsts[0] == 0 else 0

    def add(self, position: int) -> None:
        """Puts a position in; it must not be in yet."""
        index = bisect_left(self.firsts, position)
        joins_left = index > 0 and self.lasts[index - 1] == position - 1
        joins_right = index < len(self.firsts) and self.firsts[index] == position + 1
        if joins_left and joins_right:
            self.lasts[index - 1] = self.lasts[index]
            del self.firsts[index], self.lasts[index]
        elif joins_left:
            self.lasts[index - 1] = position
        elif joins_right:
            self.firsts[index] = position
        else:
            self.firsts.insert(index, position)
            self.lasts.insert(index, position)
        self.count += 1

    def remove(self, position: int) -> None:
        """Takes a position out; it must be in."""
        index = bisect_right(self.firsts, position) - 1
        first, last = self.firsts[index], self.lasts[index]
        if first == last:
            del self.firsts[index], self.lasts[index]
        elif position == first:
            self.firsts[index] = position + 1
        elif position == last:
            self.lasts[index] = position - 1
        else:
            self.lasts[index] = position - 1
            self.firsts.insert(index + 1, position + 1)
            self.lasts.insert(index + 1, last)
        self.count -= 1

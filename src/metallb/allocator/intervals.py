"""Addresses of a pool as positions 0..n-1: nothing here walks over addresses, and ranges are found by bisection.

A /8 or a /64 costs as much as a /32: a few integers. Budget: microseconds per call, whatever the size.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from metallb.api.net import Address, Family, Range

_BLOCK_BITS = 8
_LAST_OCTET = 0xFF
_USABLE = _LAST_OCTET - 1
"""Usable addresses of a /24 where those ending in .0 and .255 are left out."""
_BEYOND = 1 << 128
"""More than the value of any address."""


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
    _by_value: tuple[tuple[int, int, int], ...]
    """First and last value of each range and the position of its first address, by value."""

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
        by_value = sorted((each.first, each.last, start) for each, start in zip(kept, starts, strict=True))
        return cls(family, tuple(kept), tuple(starts), skip, size, tuple(by_value))

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
        """Where an address stands; None where the pool does not offer it. Ranges do not overlap."""
        value = address.value
        if self.skip_buggy and value & _LAST_OCTET in {0, _LAST_OCTET}:
            return None
        index = bisect_right(self._by_value, (value, _BEYOND)) - 1
        if index < 0:
            return None
        first, last, start = self._by_value[index]
        if value > last:
            return None
        return start + (_usable_below(value) - _usable_below(first) if self.skip_buggy else value - first)

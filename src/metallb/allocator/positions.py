"""A set of numbers 0..size-1 whose lowest gap is found at once, however large the set and however sparse.

A trie of bitmaps, 256 children a node: a node that is full is kept as one bit of its parent, one that is empty not at
all. So a pool that is filled from the bottom costs a few integers, and every call takes at most one step for each byte
of the largest number: 1 for a /24, 3 for a /8, 8 for a /64. Budget: a microsecond a call.
"""

from __future__ import annotations

from collections.abc import Iterator

_BITS = 8
_CHILDREN = 1 << _BITS
_LAST = _CHILDREN - 1
_FULL = (1 << _CHILDREN) - 1


class Positions:
    """The set. `count` is how many are in it."""

    __slots__ = ("_levels", "count", "size")

    def __init__(self, size: int) -> None:
        steps = max(1, -(-max(size - 1, 0).bit_length() // _BITS))
        self.size = size
        self.count = 0
        self._levels: tuple[dict[int, int], ...] = tuple({} for _ in range(steps))
        """From the leaves up: the bitmaps of nodes that are neither empty nor full, by number; of the root always."""

    def __contains__(self, position: int) -> bool:
        """Whether a position is in the set."""
        return self._covered(0, position)

    def add(self, position: int) -> None:
        """Puts a position in; it must not be in yet."""
        self.count += 1
        root = self._levels[-1]
        for level in self._levels:
            node, child = position >> _BITS, position & _LAST
            bitmap = level.get(node, 0) | 1 << child
            if bitmap != _FULL or level is root:
                level[node] = bitmap
                return
            del level[node]
            position = node

    def remove(self, position: int) -> None:
        """Takes a position out; it must be in."""
        self.count -= 1
        for level in self._levels:
            node, child = position >> _BITS, position & _LAST
            known = level.get(node)
            bitmap = (_FULL if known is None else known) & ~(1 << child)
            if bitmap:
                level[node] = bitmap
            else:
                del level[node]
            if known is not None:
                return
            position = node

    def first_gap(self, start: int = 0) -> int | None:
        """The lowest position from `start` on that is not in the set; None where there is none."""
        position = start
        for height, level in enumerate(self._levels):
            node, child = position >> _BITS, position & _LAST
            bitmap = level.get(node)
            if bitmap is None:
                bitmap = _FULL if self._covered(height + 1, node) else 0
            gap = _lowest_zero(bitmap | (1 << child) - 1)
            if gap < _CHILDREN:
                found = self._descend(height, node << _BITS | gap)
                return found if found < self.size else None
            position = node + 1
        return None

    def gaps(self) -> Iterator[int]:
        """The positions that are not in the set, in order; those put in meanwhile are left out from there on."""
        position = self.first_gap()
        while position is not None:
            yield position
            position = self.first_gap(position + 1)

    def _covered(self, height: int, position: int) -> bool:
        """Whether all numbers under a child of that height are in the set."""
        for level in self._levels[height:]:
            bitmap = level.get(position >> _BITS)
            if bitmap is not None:
                return bool(bitmap >> (position & _LAST) & 1)
            position >>= _BITS
        return False

    def _descend(self, height: int, position: int) -> int:
        """The lowest gap under a child of that height that is not full."""
        for level in reversed(self._levels[:height]):
            position = position << _BITS | _lowest_zero(level.get(position, 0))
        return position


def _lowest_zero(bitmap: int) -> int:
    return (~bitmap & (bitmap + 1)).bit_length() - 1

"""Objects as bits of integers: which of thousands are elder, or share a node, is one operation on two masks.

A mask is an integer whose bit N stands for the object at slot N.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from metallb.config.errors import ObjectName
from metallb.config.parsing import Parsed, Seniority

P = TypeVar("P", bound=Parsed)
Value = TypeVar("Value", bound=Hashable)

_SPARSE = 8
"""From one bit in so many on, a look at each bit is quicker than a search for the next."""


def bits(mask: int) -> Iterator[int]:
    """The slots in a mask, ascending."""
    if mask.bit_count() * _SPARSE > mask.bit_length():
        yield from (slot for slot, bit in enumerate(bin(mask)[:1:-1]) if bit == "1")
        return
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def mask_of(slots: Iterable[int]) -> int:
    """The mask of some slots."""
    mask = 0
    for slot in slots:
        mask |= 1 << slot
    return mask


class Slots(Generic[P]):
    """Gives each object of a kind a bit, and finds it again."""

    def __init__(self) -> None:
        self.all = 0
        """The mask of all objects."""
        self._slot_of: dict[ObjectName, int] = {}
        self._items: list[P | None] = []
        self._free: list[int] = []
        self._by_age: tuple[list[Seniority], list[int]] | None = None

    def put(self, item: P) -> int:
        """Takes in an object that is not there yet; gives its slot."""
        if self._free:
            slot = self._free.pop()
            self._items[slot] = item
        else:
            slot = len(self._items)
            self._items.append(item)
        self._slot_of[item.object] = slot
        self.all |= 1 << slot
        self._by_age = None
        return slot

    def remove(self, item: P) -> int:
        """Forgets an object; gives the slot that it had."""
        slot = self._slot_of.pop(item.object)
        self._items[slot] = None
        self._free.append(slot)
        self.all &= ~(1 << slot)
        self._by_age = None
        return slot

    def slot(self, name: ObjectName) -> int:
        """The slot of an object.

        Raises:
            KeyError: it is not there.
        """
        return self._slot_of[name]

    def bit(self, name: ObjectName) -> int:
        """The mask with only this object; 0: it is not there."""
        slot = self._slot_of.get(name)
        return 0 if slot is None else 1 << slot

    def __getitem__(self, slot: int) -> P:
        item = self._items[slot]
        if item is None:
            raise KeyError(slot)
        return item

    def __iter__(self) -> Iterator[P]:
        return (item for item in self._items if item is not None)

    def __len__(self) -> int:
        return len(self._slot_of)

    def of(self, mask: int) -> list[P]:
        """The objects in a mask, by slot."""
        return [self[slot] for slot in bits(mask)]

    def by_age(self, mask: int) -> list[P]:
        """The objects in a mask, the eldest first."""
        return sorted(self.of(mask), key=lambda item: item.seniority)

    def elders(self, before: Seniority | None) -> int:
        """The mask of objects that are elder; without a limit that of all."""
        if before is None:
            return self.all
        if self._by_age is None:
            order = sorted((item.seniority, slot) for slot, item in enumerate(self._items) if item is not None)
            masks = [0]
            for _, slot in order:
                masks.append(masks[-1] | 1 << slot)
            self._by_age = [age for age, _ in order], masks
        ages, masks = self._by_age
        return masks[bisect_left(ages, before)]


class Groups(dict[Value, int]):
    """Masks of objects by a value that they have; a value that none has is not in it."""

    def put(self, value: Value, slot: int) -> None:
        """Notes that the object at a slot has the value."""
        self[value] = self.get(value, 0) | 1 << slot

    def remove(self, value: Value, slot: int) -> None:
        """Takes back what `put` noted."""
        rest = self.get(value, 0) & ~(1 << slot)
        if rest:
            self[value] = rest
        else:
            self.pop(value, None)

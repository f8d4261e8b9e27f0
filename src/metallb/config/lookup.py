"""Finds among thousands the few that a label, a selector or a range of addresses is about, without trying all."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from metallb.api.net import Family, Range
from metallb.config.selectors import Labels, Requirement, Selector

Key = TypeVar("Key", bound=Hashable)
Name = TypeVar("Name", bound=Hashable)
Pair = tuple[str, str]

_REMEMBERED = 4096
"""Answers kept until labels change."""


class Labelled(Generic[Key]):
    """Things with labels, asked for by selectors."""

    def __init__(self) -> None:
        self._labels: dict[Key, Labels] = {}
        self._by_pair: dict[Pair, set[Key]] = {}
        self._uses_of_key: Counter[str] = Counter()
        self._answers: dict[tuple[Selector, ...], frozenset[Key]] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._labels)

    def __contains__(self, key: object) -> bool:
        return key in self._labels

    @property
    def labels(self) -> Mapping[Key, Labels]:
        """The labels of everything."""
        return self._labels

    def get(self, key: Key) -> Labels | None:
        """The labels of one thing; None: it is unknown."""
        return self._labels.get(key)

    def put(self, key: Key, labels: Labels) -> bool:
        """Takes a thing in or gives it other labels; tells whether anything is new."""
        if self._labels.get(key) == labels:
            return False
        self.remove(key)
        self._labels[key] = labels
        for pair in labels.items():
            self._by_pair.setdefault(pair, set()).add(key)
        self._uses_of_key.update(labels.keys())
        self._answers.clear()
        return True

    def remove(self, key: Key) -> bool:
        """Forgets a thing; tells whether it was there."""
        labels = self._labels.pop(key, None)
        if labels is None:
            return False
        for pair in labels.items():
            _discard(self._by_pair, pair, key)
        self._uses_of_key.subtract(labels.keys())
        self._answers.clear()
        return True

    def has_label(self, key: str) -> bool:
        """Whether any thing has a label of this key."""
        return self._uses_of_key[key] > 0

    def matching(self, selectors: tuple[Selector, ...]) -> frozenset[Key]:
        """What one of the selectors matches; without selectors nothing."""
        found = self._answers.get(selectors)
        if found is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            found = frozenset().union(*map(self._matching, selectors))
            self._answers[selectors] = found
        return found

    def _matching(self, selector: Selector) -> Iterable[Key]:
        if not selector.requirements:
            return self._labels
        candidates: Iterable[Key] = self._labels
        fewest = _narrowest(selector)
        if fewest is not None:
            candidates = set().union(*(self._by_pair.get((fewest.key, value), ()) for value in fewest.values))
        return (key for key in candidates if selector.matches(self._labels[key]))


class Selecting(Generic[Key]):
    """Things that have selectors, asked for by labels."""

    def __init__(self) -> None:
        self._selectors: dict[Key, tuple[Selector, ...]] = {}
        self._by_pair: dict[Pair, set[Key]] = {}
        self._others: set[Key] = set()

    def put(self, key: Key, selectors: tuple[Selector, ...]) -> None:
        """Takes a thing in, which is not there yet."""
        self._selectors[key] = selectors
        for selector in selectors:
            narrowest = _narrowest(selector)
            if narrowest is None:
                self._others.add(key)
            else:
                for value in narrowest.values:
                    self._by_pair.setdefault((narrowest.key, value), set()).add(key)

    def remove(self, key: Key) -> None:
        """Forgets a thing."""
        for selector in self._selectors.pop(key, ()):
            narrowest = _narrowest(selector)
            if narrowest is None:
                self._others.discard(key)
            else:
                for value in narrowest.values:
                    _discard(self._by_pair, (narrowest.key, value), key)

    def matching(self, labels: Labels) -> set[Key]:
        """What has a selector that matches the labels."""
        candidates = self._others.union(*(self._by_pair.get(pair, ()) for pair in labels.items()))
        return {key for key in candidates if any(each.matches(labels) for each in self._selectors[key])}


class Named(Generic[Key]):
    """Things that name others, asked for by such a name."""

    def __init__(self) -> None:
        self._by_name: dict[str, set[Key]] = {}

    def put(self, key: Key, names: Iterable[str]) -> None:
        """Notes that a thing names these."""
        for name in names:
            self._by_name.setdefault(name, set()).add(key)

    def remove(self, key: Key, names: Iterable[str]) -> None:
        """Takes back what `put` noted."""
        for name in names:
            _discard(self._by_name, name, key)

    def __getitem__(self, name: str) -> frozenset[Key]:
        return frozenset(self._by_name.get(name, ()))


class Spans(Generic[Key]):
    """Ranges and whose they are, asked for by a range. Keys can be sorted."""

    def __init__(self) -> None:
        self._of: dict[Key, tuple[Range, ...]] = {}
        self._sorted: list[tuple[Family, int, int, Key]] = []
        self._sizes: dict[Family, Counter[int]] = {4: Counter(), 6: Counter()}

    def of(self, key: Key) -> tuple[Range, ...]:
        """The ranges of one thing."""
        return self._of.get(key, ())

    def put(self, key: Key, ranges: Iterable[Range]) -> None:
        """Takes a thing's ranges in, in place of those it had."""
        self.remove(key)
        if kept := tuple(dict.fromkeys(ranges)):
            self._of[key] = kept
        for each in kept:
            insort(self._sorted, (each.family, each.first, each.last, key))
            self._sizes[each.family][each.size] += 1

    def remove(self, key: Key) -> None:
        """Forgets a thing's ranges."""
        for each in self._of.pop(key, ()):
            del self._sorted[bisect_left(self._sorted, (each.family, each.first, each.last, key))]
            sizes = self._sizes[each.family]
            sizes[each.size] -= 1
            if not sizes[each.size]:
                del sizes[each.size]

    def overlapping(self, wanted: Range) -> Iterator[tuple[Range, Key]]:
        """Every range that shares an address with the wanted one, and whose it is, by first address."""
        for family, first, last, key in self._candidates(wanted):
            if last >= wanted.first:
                yield Range(family, first, last), key

    def owners(self, wanted: Range) -> set[Key]:
        """Whose ranges share an address with the wanted one."""
        return {key for _, _, last, key in self._candidates(wanted) if last >= wanted.first}

    def _candidates(self, wanted: Range) -> list[tuple[Family, int, int, Key]]:
        """All that begin before the wanted range ends, and not so long before it that none could reach it."""
        sizes = self._sizes[wanted.family]
        if not sizes:
            return []
        start = bisect_left(self._sorted, (wanted.family, wanted.first - max(sizes) + 1))
        end = bisect_left(self._sorted, (wanted.family, wanted.last + 1))
        return self._sorted[start:end]


def _narrowest(selector: Selector) -> Requirement | None:
    """The condition that the fewest labels meet; None where only conditions without values are there."""
    demanding = [each for each in selector.requirements if each.operator == "In"]
    return min(demanding, key=lambda each: len(each.values), default=None)


def _discard(groups: dict[Name, set[Key]], name: Name, key: Key) -> None:
    members = groups.get(name)
    if members is not None:
        members.discard(key)
        if not members:
            del groups[name]

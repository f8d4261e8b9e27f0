"""The objects of one kind, by key and by index: pure; says which keys changed, never what happened in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias

from metallb.kube.objects import K, Key, key_of

IndexFunction = Callable[[K], Iterable[str]]
"""Gives the values under which an object is found again in one index."""


FEW: Final = 8
"""So many objects under one value of an index are a tuple: most values have one, and a dict takes 232 bytes."""

_Bucket: TypeAlias = tuple[Key, ...] | dict[Key, None]


@dataclass(frozen=True, slots=True)
class Change(Generic[K]):
    """One object before and after; None: absent."""

    key: Key
    before: K | None
    after: K | None


class Store(Generic[K]):
    """What an informer keeps. Objects are immutable: hold them as long as you like."""

    def __init__(self, indexers: Mapping[str, IndexFunction[K]] | None = None) -> None:
        self._objects: dict[tuple[str, str], K] = {}
        self._indexers = dict(indexers or {})
        self._indices: dict[str, dict[str, _Bucket]] = {name: {} for name in self._indexers}

    def get(self, key: tuple[str, str]) -> K | None:
        """The object, or None where there is none."""
        return self._objects.get(key)

    def values(self) -> list[K]:
        """All objects, in no order that means anything."""
        return list(self._objects.values())

    def keys(self) -> list[Key]:
        """The keys of all objects."""
        return [key_of(item) for item in self._objects.values()]

    def indexed(self, index: str, value: str) -> list[K]:
        """The objects whose index function gave `value`.

        Raises:
            KeyError: there is no index of that name.
        """
        return [self._objects[key] for key in self._indices[index].get(value, ())]

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def __iter__(self) -> Iterator[K]:
        return iter(self.values())

    def put(self, item: K) -> Change[K] | None:
        """Takes an object in its newest state; None: it was known at that version."""
        key = key_of(item)
        before = self._objects.get(key)
        if before is not None and before.metadata.resource_version == item.metadata.resource_version:
            return None
        self._objects[key] = item
        self._index(key, before, item)
        return Change(key, before, item)

    def remove(self, key: Key) -> Change[K] | None:
        """Forgets an object; None: it was not known."""
        before = self._objects.pop(key, None)
        if before is None:
            return None
        self._index(key, before, None)
        return Change(key, before, None)

    def replace(self, items: Iterable[K], keep: Iterable[Key] = ()) -> list[Change[K]]:
        """Takes a whole list as the truth: what it lacks was deleted in the meantime.

        Args:
            items: the list.
            keep: keys that exist but could not be read: their last good state stays.
        """
        changes: list[Change[K] | None] = []
        present = set(keep)
        for item in items:
            present.add(key_of(item))
            changes.append(self.put(item))
        changes += [self.remove(key) for key in self.keys() if key not in present]
        return [change for change in changes if change is not None]

    def _index(self, key: Key, before: K | None, after: K | None) -> None:
        for name, function in self._indexers.items():
            index = self._indices[name]
            for value in () if before is None else function(before):
                if (bucket := index.pop(value, ())) and (left := _without(bucket, key)):
                    index[value] = left
            for value in () if after is None else function(after):
                index[value] = _with(index.get(value, ()), key)


def _with(bucket: _Bucket, key: Key) -> _Bucket:
    if key in bucket:
        return bucket
    if isinstance(bucket, dict):
        bucket[key] = None
        return bucket
    return (*bucket, key) if len(bucket) < FEW else dict.fromkeys((*bucket, key))


def _without(bucket: _Bucket, key: Key) -> _Bucket:
    if isinstance(bucket, dict):
        bucket.pop(key, None)
        return bucket
    return tuple(each for each in bucket if each != key)

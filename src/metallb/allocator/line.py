"""Services in line by age: in, out and on from any place in a few steps, however many there are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import TypeAlias

from metallb.api.net import ServiceKey

Seniority: TypeAlias = tuple[str, ServiceKey]
"""When a Service was created, and its key."""

_LONGEST = 512
"""Services in one stretch of the line; beyond that it is cut in two."""


class Line:
    """The line: sorted stretches, of which the last places are kept to find the right one."""

    __slots__ = ("_lasts", "_stretches")

    def __init__(self) -> None:
        self._stretches: list[list[Seniority]] = []
        self._lasts: list[Seniority] = []

    def __bool__(self) -> bool:
        """Whether anybody is in line."""
        return bool(self._stretches)

    def add(self, place: Seniority) -> None:
        """A Service gets in line; it must not be there yet."""
        if not self._stretches:
            self._stretches.append([place])
            self._lasts.append(place)
            return
        index = min(bisect_left(self._lasts, place), len(self._lasts) - 1)
        stretch = self._stretches[index]
        insort(stretch, place)
        self._lasts[index] = stretch[-1]
        if len(stretch) > _LONGEST:
            half = len(stretch) // 2
            self._stretches.insert(index + 1, stretch[half:])
            del stretch[half:]
            self._lasts[index : index + 1] = [stretch[-1], self._stretches[index + 1][-1]]

    def remove(self, place: Seniority) -> None:
        """A Service leaves the line; it must be there."""
        index = bisect_left(self._lasts, place)
        stretch = self._stretches[index]
        del stretch[bisect_left(stretch, place)]
        if stretch:
            self._lasts[index] = stretch[-1]
        else:
            del self._stretches[index], self._lasts[index]

    def after(self, place: Seniority | None = None) -> Iterator[Seniority]:
        """Those behind a place, the oldest first; everybody without one."""
        if place is None:
            for stretch in self._stretches:
                yield from stretch
            return
        index = bisect_right(self._lasts, place)
        if index < len(self._stretches):
            stretch = self._stretches[index]
            yield from stretch[bisect_right(stretch, place) :]
        for stretch in self._stretches[index + 1 :]:
            yield from stretch

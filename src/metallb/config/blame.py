"""Objects in conflict become errors of the youngest, which name the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from metallb.config.errors import ConfigError, ObjectName

T = TypeVar("T")

MOST = 16
"""Conflicts of one field with so many elder objects are told; the rest follows when those are mended."""


def conflict(blamed: ObjectName, path: str, value: str | int, rule: str, hint: str, *others: ObjectName) -> ConfigError:
    """An error about several objects."""
    return ConfigError(blamed, path, str(value), rule, hint, others)


def each_of(elders: Iterable[T], told: Callable[[T], ConfigError]) -> Iterator[ConfigError]:
    """An error for each elder object or pair, the eldest first, as many as are told."""
    return islice(map(told, elders), MOST)

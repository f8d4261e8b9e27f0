"""Generated names and hashes, in the alphabet that Kubernetes uses for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from kubelab.objects import Json

Draw: TypeAlias = Callable[[int], int]
"""`draw(n)` is a number from 0 to n - 1 by chance."""

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and no characters that look alike (apimachinery `util/rand`)."""

_SUFFIX = 5
_LONGEST = 63
_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619


def suffix(draw: Draw) -> str:
    """Five characters by chance."""
    return "".join(ALPHABET[draw(len(ALPHABET))] for _ in range(_SUFFIX))


def generated(base: str, draw: Draw) -> str:
    """A name that begins with `base` (which usually ends in a dash), as the API server makes from `generateName`."""
    return base[: _LONGEST - _SUFFIX] + suffix(draw)


def fnv32a(data: bytes) -> int:
    """The 32-bit FNV-1a hash."""
    value = _FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return value


def content_hash(value: Json, collisions: int = 0) -> str:
    """A short hash of any JSON value; `collisions` gives another one for the same value.

    Kubernetes hashes Go's own print-out of the structure, so the letters differ from a real cluster's; their alphabet
    and length do not.
    """
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    if collisions:
        data += collisions.to_bytes(4, "little")
    return "".join(ALPHABET[ord(digit) % len(ALPHABET)] for digit in str(fnv32a(data)))

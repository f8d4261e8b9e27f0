"""Hashes as parts of names, in the alphabet that Kubernetes uses for them."""

from __future__ import annotations

import json

from kubelab.objects import Json

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and no characters that look alike (apimachinery `util/rand`)."""

_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619


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

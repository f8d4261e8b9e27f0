"""What can be wrong with a sign of life."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class DecodeError(Exception):
    """The bytes are no sign of life; `code` is short and stable, for counters."""

    code: str
    offset: int

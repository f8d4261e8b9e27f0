"""What can be wrong with a Neighbour Discovery frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class DecodeError(Exception):
    """The frame is no valid Neighbour Solicitation or Advertisement; `code` is short and stable, for counters."""

    code: str
    offset: int

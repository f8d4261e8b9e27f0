"""What can be wrong with a datagram or a stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class DecodeError(Exception):
    """Bytes that are no message; `code` is short and stable, for counters, `offset` is in the part that was read."""

    code: str
    offset: int = 0

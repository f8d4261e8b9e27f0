"""What can be wrong with an ARP frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class DecodeError(Exception):
    """The frame is no ARP message for IPv4 over Ethernet; `code` is short and stable, for counters."""

    code: str
    offset: int

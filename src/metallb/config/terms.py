"""What a pool gives beside its addresses: what it allows, remembers and asks for.

Written as annotations, as upstream's CRD prunes fields that it does not know. Without them a pool is as upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metallb.config.parsing import Problems

DRAIN = "metallb.io/drain"
QUOTA = "metallb.io/quota-per-namespace"
PROBE = "metallb.io/probe"
SPREAD = "metallb.io/spread"
STICKY = "metallb.io/sticky-seconds"
ANNOTATIONS = (DRAIN, PROBE, QUOTA, SPREAD, STICKY)
MOST_ADDRESSES = 2**31 - 1
LONGEST_S = 366 * 24 * 3600
"""A year: the longest that addresses are remembered."""

_MOST_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Terms:
    """Limits of a pool, and how its addresses are announced.

    Attributes:
        draining: it gives nothing new; what it gave stays.
        quota: the most addresses that the Services of one namespace may hold together; None means no limit. A shared
            address counts once.
        sticky_s: seconds for which the addresses of a deleted Service are remembered for one of the same namespace and
            name; 0 means that they are not.
        spread: layer 2 spreads its addresses evenly over nodes.
        probes: before layer 2 announces a new address it asks the network whether another host has it.
    """

    draining: bool = False
    quota: int | None = None
    sticky_s: int = 0
    spread: bool = False
    probes: bool = True


FREE = Terms()
"""No limits."""


def written(annotations: Mapping[str, str]) -> tuple[str | None, ...]:
    """What is written of them, read or not: two objects with equal ones have equal terms."""
    return tuple(annotations.get(name) for name in ANNOTATIONS)


def parse(annotations: Mapping[str, str], problems: Problems) -> Terms:
    """Reads a pool's annotations; notes what can't be read, which then counts as absent."""
    return Terms(
        draining=_parse_flag(DRAIN, annotations.get(DRAIN), problems),
        quota=_parse_number(QUOTA, annotations.get(QUOTA), MOST_ADDRESSES, problems),
        sticky_s=_parse_number(STICKY, annotations.get(STICKY), LONGEST_S, problems) or 0,
        spread=_parse_flag(SPREAD, annotations.get(SPREAD), problems),
        probes=_parse_flag(PROBE, annotations.get(PROBE), problems, absent=True),
    )


def _parse_flag(name: str, text: str | None, problems: Problems, *, absent: bool = False) -> bool:
    if text in {"true", "false"}:
        return text == "true"
    if text is not None:
        problems.add(_path(name), text, "must be 'true' or 'false'")
    return absent


def _parse_number(name: str, text: str | None, most: int, problems: Problems) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) <= most:
        return int(text)
    problems.add(_path(name), text, f"must be a whole number from 0 to {most}")
    return None


def _path(name: str) -> str:
    return f"metadata.annotations[{name}]"

"""Which node announces an address: every node computes the same winner alone (spec/speaker.md 2.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256

from metallb.api.net import Address, NodeName


def draws(address: Address) -> Callable[[NodeName], bytes]:
    """Gives each node's draw for an address: SHA-256 of `node#address`. Both sides of a migration must agree on it."""
    ending = f"#{address}".encode()
    return lambda node: sha256(node.encode() + ending).digest()


def elect(candidates: Iterable[NodeName], address: Address, scores: Mapping[NodeName, int]) -> NodeName | None:
    """The candidate with the highest score; among equals the one with the lowest draw. None without candidates."""
    draw = draws(address)
    return min(candidates, key=lambda node: (-scores.get(node, 0), draw(node)), default=None)


def order(candidates: Iterable[NodeName], address: Address) -> list[NodeName]:
    """The candidates by their draws: the winner, who would win without it, and so on."""
    return sorted(candidates, key=draws(address))

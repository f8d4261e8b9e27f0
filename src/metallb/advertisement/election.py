"""Which node announces an address: every node computes the same winner alone (spec/speaker.md 2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from metallb.api.net import Address, NodeName


def rank(node: NodeName, address: Address) -> bytes:
    """The node's draw for an address: SHA-256 of `node#address`. Both sides of a migration must agree on it."""
    return sha256(f"{node}#{address}".encode()).digest()


def elect(candidates: Iterable[NodeName], address: Address, scores: Mapping[NodeName, int]) -> NodeName | None:
    """The candidate with the highest score; among equals the one with the lowest draw. None without candidates."""
    return min(candidates, key=lambda node: (-scores.get(node, 0), rank(node, address)), default=None)

"""Addresses spread evenly over nodes: an election in which no node takes more than its share.

    spread = Spread()
    owners = spread.plan(claims)

The owner of an address is the first node of the election's order (`election.order`) that has room left. So most
addresses are where they are without spreading, and what moves when a node goes is what it had and what has to make room
for that. Nothing is remembered that matters: equal claims give equal owners on every node, in whatever order they come.

Hot path: a plan of 5,000 addresses on 100 nodes takes some 20 ms, what is remembered 0.1 ms once for each address.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from metallb.advertisement.election import draws, order
from metallb.api.net import Address, NodeName

SLACK_PERCENT: Final = 25
"""A node takes up to so much more than the average: the less, the more has to move when nodes come and go.

All speakers have to agree on it, as on all else here.
"""

_FEW = 8
"""So many new nodes are put into the orders that are known; for more it is cheaper to make these anew."""

_STRANGERS = 100
"""So many nodes that are gone are remembered, or as many as there are others: they may come back."""


class Claim(NamedTuple):
    """An address that has to be announced by one of these nodes, at least one. Equal claims count once."""

    address: Address
    candidates: frozenset[NodeName]


class _Line(NamedTuple):
    """What is remembered of an address: its turn among the addresses, and the nodes in the election's order."""

    turn: bytes
    nodes: list[NodeName]


class Spread:
    """Makes plans; remembers what is dear to compute."""

    def __init__(self) -> None:
        """Nothing is remembered."""
        self._lines: dict[Address, _Line] = {}
        self._known: frozenset[NodeName] = frozenset()

    def plan(self, claims: Iterable[Claim]) -> dict[Claim, NodeName]:
        """Who announces what.

        Who has the least choice goes first; of those chance decides, the same on every node. Where all candidates have
        their share already, the one that is least above it takes the address.
        """
        wanted = frozenset(claims)
        self._remember(wanted)
        room = shares(wanted)
        names = {candidates: sorted(candidates) for candidates in {claim.candidates for claim in wanted}}
        turns = sorted(
            (len(claim.candidates), self._lines[claim.address].turn, names[claim.candidates], claim) for claim in wanted
        )
        owners: dict[Claim, NodeName] = {}
        for *_, claim in turns:
            owner = self._first_with_room(claim, room)
            room[owner] -= 1
            owners[claim] = owner
        return owners

    def _first_with_room(self, claim: Claim, room: Mapping[NodeName, int]) -> NodeName:
        nodes, candidates = self._lines[claim.address].nodes, claim.candidates
        for node in nodes:
            if node in candidates and room[node] > 0:
                return node
        return max((node for node in nodes if node in candidates), key=room.__getitem__)

    def _remember(self, claims: Iterable[Claim]) -> None:
        """Forgets addresses that are gone, and nodes once they are many; gets to know new ones."""
        nodes = frozenset[NodeName]().union(*{claim.candidates for claim in claims})
        added, known = nodes - self._known, nodes | self._known
        if len(added) > _FEW or len(known) > len(nodes) + max(len(nodes), _STRANGERS):
            self._lines, added, known = {}, frozenset(), nodes
        before, self._known = self._lines, known
        self._lines = {}
        for address in {claim.address for claim in claims}:
            line = before.get(address)
            if line is None:
                line = _Line(sha256(str(address).encode()).digest(), order(known, address))
            elif added:
                draw = draws(address)
                for node in added:
                    insort(line.nodes, node, key=draw)
            self._lines[address] = line


def shares(claims: Iterable[Claim]) -> dict[NodeName, int]:
    """How many addresses each node takes at most.

    A claim counts in equal parts at each of its candidates. So there is room for all, and a node where few may go is
    no reason for others to take more.
    """
    groups = Counter(claim.candidates for claim in claims)
    unit = math.lcm(*map(len, groups))
    parts: Counter[NodeName] = Counter()
    for candidates, count in groups.items():
        part = count * unit // len(candidates)
        for node in candidates:
            parts[node] += part
    return {node: share(part, unit) for node, part in parts.items()}


def share(addresses: int, nodes: int) -> int:
    """The most that one of equal nodes takes: the average and a quarter, rounded down; at least the average."""
    return max(-(-addresses // nodes), addresses * (100 + SLACK_PERCENT) // (100 * nodes))

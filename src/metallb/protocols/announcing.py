"""What ARP and NDP have in common here: the table of addresses an interface answers for, and bursts of announcements.

An address is an integer: 32 bits for ARP, 128 for NDP.

A burst is five rounds, 1.1 s apart, the first at once (spec/speaker.md 2.4); it restarts when an address is announced
anew. A node that stops announcing sends nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from metallb.protocols.ethernet import Mac

ROUNDS = 5
ROUND_INTERVAL_S = 1.1
BATCH = 64
"""So many addresses are announced at once; the next ones follow after `BATCH_INTERVAL_S`: 5,000 in 0.4 s."""
BATCH_INTERVAL_S = 0.005
_NEVER = float("inf")

Counter = Literal["requests_received", "responses_sent", "gratuitous_sent", "probes_sent"]


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A frame arrived at the interface, Ethernet header included."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class TableChanged:
    """From now on the interface answers for exactly these addresses.

    `renewed` are those to announce again although they were in the table before; `unproven` those to answer for only
    once it is known that no other host has them (`probing.py`). One that is answered for already stays so.
    """

    addresses: frozenset[int]
    renewed: frozenset[int] = frozenset()
    unproven: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class InterfaceChanged:
    """The interface has another Ethernet address, or its link came back: everything is announced again."""

    mac: Mac


Input: TypeAlias = FrameReceived | TableChanged | InterfaceChanged


@dataclass(frozen=True, slots=True)
class Send:
    """A frame to put on the wire. `counter` is counted for `address` when it could be sent."""

    frame: bytes
    address: int
    counter: Counter


@dataclass(frozen=True, slots=True)
class Count:
    """Something to count that sends nothing."""

    address: int
    counter: Counter


@dataclass(frozen=True, slots=True)
class Drop:
    """A frame that is not answered, by reason, for the drop counter."""

    reason: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another host says that an address is its own which is ours here: `mac` is its Ethernet address.

    Seen for a moment wherever an address moves from node to node; where it lasts, one of the two has to give way.
    """

    address: int
    mac: Mac


@dataclass(frozen=True, slots=True)
class Held:
    """Another host, of this Ethernet address, has an unproven address, which is therefore not announced."""

    address: int
    mac: Mac


@dataclass(frozen=True, slots=True)
class Proven:
    """No other host has an unproven address (any more): it is announced from now on."""

    address: int


@dataclass(frozen=True, slots=True)
class JoinGroup:
    """Listen to a multicast address from now on."""

    group: int


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """Stop listening to a multicast address."""

    group: int


Effect: TypeAlias = Send | Count | Drop | Conflict | Held | Proven | JoinGroup | LeaveGroup


@dataclass(slots=True)
class Bursts:
    """When which address is announced next. `frames` makes the frames of one round of an address.

    With the last round goes a probe, which `probe` makes: whoever has the address too and says nothing by itself
    answers that. Not earlier, as a node that announced it before may need a moment to give way.

    A node that takes over thousands of addresses sends them in batches: more at once than a socket's send buffer and
    the receivers' queues take would be lost, round after round the same ones.
    """

    frames: Callable[[int], Iterable[bytes]]
    probe: Callable[[int], bytes] | None = None
    _due: dict[int, tuple[float, int]] = field(default_factory=dict)
    _line: list[tuple[float, int]] = field(default_factory=list)
    _next_batch: float = float("-inf")

    def start(self, addresses: Iterable[int], now: float) -> list[Effect]:
        """Begins a burst for each address; the first round goes out at once."""
        for address in addresses:
            self._schedule(address, now, ROUNDS)
        return self.tick(now)

    def follow(self, before: frozenset[int], change: TableChanged, now: float) -> list[Effect]:
        """A table has changed: what went is announced no more, what came or is renewed begins its burst."""
        self.stop(before - change.addresses)
        return self.start(sorted((change.addresses - before) | (change.addresses & change.renewed)), now)

    def stop(self, addresses: Iterable[int]) -> None:
        """No further round of these addresses."""
        for address in addresses:
            self._due.pop(address, None)

    def tick(self, now: float) -> list[Effect]:
        """The rounds that fell due by now, the longest due first; a late tick sends one round, not those missed."""
        effects: list[Effect] = []
        sent = 0
        while now >= self._next_batch and self._head() <= now:
            _, address = heapq.heappop(self._line)
            _, rounds = self._due.pop(address)
            effects += [Send(frame, address, "gratuitous_sent") for frame in self.frames(address)]
            if rounds > 1:
                self._schedule(address, now + ROUND_INTERVAL_S, rounds - 1)
            elif self.probe is not None:
                effects.append(Send(self.probe(address), address, "probes_sent"))
            sent += 1
            if sent == BATCH:
                self._next_batch = now + BATCH_INTERVAL_S
        return effects

    def deadline(self) -> float | None:
        """When the next round is due."""
        head = self._head()
        return None if head == _NEVER else max(head, self._next_batch)

    def _schedule(self, address: int, at: float, rounds: int) -> None:
        self._due[address] = (at, rounds)
        heapq.heappush(self._line, (at, address))

    def _head(self) -> float:
        """When the first in line is due; those that were stopped or begun anew meanwhile are taken out."""
        while self._line:
            at, address = self._line[0]
            if address in self._due and self._due[address][0] == at:
                return at
            heapq.heappop(self._line)
        return _NEVER

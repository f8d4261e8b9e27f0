"""What ARP and NDP have in common here: the table of addresses an interface answers for, and bursts of announcements.

An address is an integer: 32 bits for ARP, 128 for NDP.

A burst is five rounds, 1.1 s apart, the first at once (spec/speaker.md 2.4); it restarts when an address is announced
anew. A node that stops announcing sends nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
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
class Line:
    """Addresses in the order in which something falls due for each of them.

    A node that takes over thousands of addresses sends for them in batches: more at once than a socket's send buffer
    and the receivers' queues take would be lost, round after round the same ones.
    """

    _due: dict[int, float] = field(default_factory=dict)
    _heap: list[tuple[float, int]] = field(default_factory=list)
    _next_batch: float = float("-inf")
    _sent: int = 0

    def put(self, address: int, due: float) -> None:
        """It falls due then, and not when it would have before."""
        self._due[address] = due
        heapq.heappush(self._heap, (due, address))

    def drop(self, address: int) -> None:
        """It does not fall due any more."""
        self._due.pop(address, None)

    def take(self, now: float) -> Iterator[int]:
        """Those that fell due by now, the longest due first, until a batch was sent for (`sent`)."""
        self._sent = 0
        while now >= self._next_batch and self._head() <= now:
            _, address = heapq.heappop(self._heap)
            del self._due[address]
            yield address

    def sent(self, now: float) -> None:
        """Something was sent for the address that was taken last."""
        self._sent += 1
        if self._sent == BATCH:
            self._next_batch = now + BATCH_INTERVAL_S

    def deadline(self) -> float | None:
        """When `take` gives something next."""
        head = self._head()
        return None if head == _NEVER else max(head, self._next_batch)

    def _head(self) -> float:
        """When the first falls due; those that were dropped or put anew meanwhile are taken out."""
        while self._heap:
            due, address = self._heap[0]
            if self._due.get(address) == due:
                return due
            heapq.heappop(self._heap)
        return _NEVER


@dataclass(slots=True)
class Bursts:
    """When which address is announced next. `frames` makes the frames of one round of an address.

    With the last round goes a probe, which `probe` makes: whoever has the address too and says nothing by itself
    answers that. Not earlier, as a node that announced it before may need a moment to give way.
    """

    frames: Callable[[int], Iterable[bytes]]
    probe: Callable[[int], bytes] | None = None
    _rounds: dict[int, int] = field(default_factory=dict)
    _line: Line = field(default_factory=Line)

    def start(self, addresses: Iterable[int], now: float) -> list[Effect]:
        """Begins a burst for each address; the first round goes out at once."""
        for address in addresses:
            self._rounds[address] = ROUNDS
            self._line.put(address, now)
        return self.tick(now)

    def follow(self, before: frozenset[int], change: TableChanged, now: float) -> list[Effect]:
        """A table has changed: what went is announced no more, what came or is renewed begins its burst."""
        self.stop(before - change.addresses)
        return self.start(sorted((change.addresses - before) | (change.addresses & change.renewed)), now)

    def stop(self, addresses: Iterable[int]) -> None:
        """No further round of these addresses."""
        for address in addresses:
            self._rounds.pop(address, None)
            self._line.drop(address)

    def tick(self, now: float) -> list[Effect]:
        """The rounds that fell due by now, the longest due first; a late tick sends one round, not those missed."""
        effects: list[Effect] = []
        for address in self._line.take(now):
            rounds = self._rounds.pop(address)
            effects += [Send(frame, address, "gratuitous_sent") for frame in self.frames(address)]
            if rounds > 1:
                self._rounds[address] = rounds - 1
                self._line.put(address, now + ROUND_INTERVAL_S)
            elif self.probe is not None:
                effects.append(Send(self.probe(address), address, "probes_sent"))
            self._line.sent(now)
        return effects

    def deadline(self) -> float | None:
        """When the next round is due."""
        return self._line.deadline()

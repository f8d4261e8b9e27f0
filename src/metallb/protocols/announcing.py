"""What ARP and NDP have in common here: the table of addresses an interface answers for, and bursts of announcements.

An address is an integer: 32 bits for ARP, 128 for NDP.

A burst is five rounds, 1.1 s apart, the first at once (spec/speaker.md 2.4); it restarts when an address is announced
anew. A node that stops announcing sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from metallb.protocols.ethernet import Mac

ROUNDS = 5
ROUND_INTERVAL_S = 1.1

Counter = Literal["requests_received", "responses_sent", "gratuitous_sent"]


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A frame arrived at the interface, Ethernet header included."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class TableChanged:
    """From now on the interface answers for exactly these addresses.

    `renewed` are those to announce again although they were in the table before.
    """

    addresses: frozenset[int]
    renewed: frozenset[int] = frozenset()


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
class JoinGroup:
    """Listen to a multicast address from now on."""

    group: int


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """Stop listening to a multicast address."""

    group: int


Effect: TypeAlias = Send | Count | Drop | JoinGroup | LeaveGroup


@dataclass(slots=True)
class Bursts:
    """When which address is announced next. `frames` makes the frames of one round of an address."""

    frames: Callable[[int], Iterable[bytes]]
    _due: dict[int, tuple[float, int]] = field(default_factory=dict)

    def start(self, addresses: Iterable[int], now: float) -> list[Effect]:
        """Begins a burst for each address; the first round goes out at once."""
        for address in addresses:
            self._due[address] = (now, ROUNDS)
        return self.tick(now)

    def stop(self, addresses: Iterable[int]) -> None:
        """No further round of these addresses."""
        for address in addresses:
            self._due.pop(address, None)

    def tick(self, now: float) -> list[Effect]:
        """The rounds that fell due by now, oldest address first; a late tick sends one round, not those missed."""
        effects: list[Effect] = []
        for address, (due, rounds) in sorted(self._due.items()):
            if due > now:
                continue
            effects += [Send(frame, address, "gratuitous_sent") for frame in self.frames(address)]
            if rounds > 1:
                self._due[address] = (now + ROUND_INTERVAL_S, rounds - 1)
            else:
                del self._due[address]
        return effects

    def deadline(self) -> float | None:
        """When the next round is due."""
        return min((due for due, _ in self._due.values()), default=None)

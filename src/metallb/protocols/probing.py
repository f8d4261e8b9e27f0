"""Asks whether another host has an address before it is announced: what ARP and NDP have in common here.

Source: RFC 5227 2.1 (address conflict detection for IPv4) and RFC 4862 5.4 (duplicate address detection). Their waits
are for hosts that start all at once on networks of 2008; an administrator who makes a Service waits for its address.
So three probes go out 0.1 s apart and answers are waited for 0.15 s after the last: 0.35 s in all, instead of 5 s. A
host on the same network answers within milliseconds; three probes are for those that get lost.

An address that is held is asked for again and again, ever more seldom. Whoever probes for the address at the same time
does not have it yet: our announcement, which comes first, tells them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from metallb.protocols.announcing import BATCH, BATCH_INTERVAL_S, Effect, Held, Proven, Send
from metallb.protocols.ethernet import Mac

PROBES: Final = 3
PROBE_INTERVAL_S: Final = 0.1
ANNOUNCE_WAIT_S: Final = 0.15
PROOF_S: Final = (PROBES - 1) * PROBE_INTERVAL_S + ANNOUNCE_WAIT_S
"""How long it takes to find out that nobody has an address."""

AGAIN_FIRST_S: Final = 1.0
AGAIN_LAST_S: Final = 15.0
"""An address that another host has is asked for again after `AGAIN_FIRST_S`, then after twice as long each time."""


@dataclass(slots=True)
class _Step:
    """Where an address stands. `sent`: probes since the last answer; `holder`: who answered last."""

    due: float
    sent: int = 0
    again_s: float = AGAIN_FIRST_S
    holder: Mac | None = None


@dataclass(slots=True)
class Probing:
    """The addresses that are asked for. `probe` makes the frame that asks for one."""

    probe: Callable[[int], bytes]
    _steps: dict[int, _Step] = field(default_factory=dict)
    _line: list[tuple[float, int]] = field(default_factory=list)
    _next_batch: float = float("-inf")

    def __contains__(self, address: int) -> bool:
        """Whether it is asked for."""
        return address in self._steps

    @property
    def addresses(self) -> AbstractSet[int]:
        """All that are asked for."""
        return self._steps.keys()

    def follow(self, wanted: frozenset[int], now: float) -> None:
        """From now on exactly these are asked for: the new ones at the next tick."""
        for address in self._steps.keys() - wanted:
            del self._steps[address]
        for address in sorted(wanted - self._steps.keys()):
            self._schedule(address, _Step(now))

    def restart(self, now: float) -> None:
        """Asks for all of them anew: the interface has another Ethernet address, or another network."""
        for address, step in self._steps.items():
            self._schedule(address, _Step(now, holder=step.holder))

    def heard(self, address: int, mac: Mac, now: float) -> list[Effect]:
        """Another host says that it has an address that is asked for."""
        step = self._steps[address]
        known, step.holder = step.holder == mac, mac
        if step.sent:
            step.sent = 0
            self._schedule(address, _Step(now + step.again_s, 0, min(2 * step.again_s, AGAIN_LAST_S), mac))
        return [] if known else [Held(address, mac)]

    def tick(self, now: float) -> list[Effect]:
        """Sends the probes that are due; tells of addresses that nobody has, which are asked for no more."""
        effects: list[Effect] = []
        sent = 0
        while now >= self._next_batch and self._head() <= now:
            _, address = heapq.heappop(self._line)
            step = self._steps[address]
            if step.sent == PROBES:
                del self._steps[address]
                effects.append(Proven(address))
                continue
            effects.append(Send(self.probe(address), address, "probes_sent"))
            step.sent += 1
            step.due = now + (PROBE_INTERVAL_S if step.sent < PROBES else ANNOUNCE_WAIT_S)
            heapq.heappush(self._line, (step.due, address))
            sent += 1
            if sent == BATCH:
                self._next_batch = now + BATCH_INTERVAL_S
        return effects

    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        head = self._head()
        return None if head == float("inf") else max(head, self._next_batch)

    def _schedule(self, address: int, step: _Step) -> None:
        self._steps[address] = step
        heapq.heappush(self._line, (step.due, address))

    def _head(self) -> float:
        """When the first in line is due; what was given up or begun anew meanwhile is taken out."""
        while self._line:
            due, address = self._line[0]
            if address in self._steps and self._steps[address].due == due:
                return due
            heapq.heappop(self._line)
        return float("inf")


def earliest(first: float | None, second: float | None) -> float | None:
    """The earlier of two deadlines; None: never."""
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)

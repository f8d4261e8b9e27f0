"""Asks whether another host has an address before it is announced: what ARP and NDP have in common here.

Source: RFC 5227 2.1 (address conflict detection for IPv4) and RFC 4862 5.4 (duplicate address detection). Their waits
are for hosts that start all at once on networks of 2008; an administrator who makes a Service waits for its address.
So three probes go out 0.1 s apart and answers are waited for 0.15 s after the last: 0.35 s in all, instead of 5 s. A
host on the same network answers within milliseconds; three probes are for those that get lost.

An address that is held is asked for again and again, ever more seldom. Whoever probes for the address at the same time
does not have it yet: our announcement, which comes first, tells them.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from metallb.protocols.announcing import Effect, Held, Line, Proven, Send
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

    sent: int = 0
    again_s: float = AGAIN_FIRST_S
    holder: Mac | None = None


@dataclass(slots=True)
class Probing:
    """The addresses that are asked for. `probe` makes the frame that asks for one."""

    probe: Callable[[int], bytes]
    _steps: dict[int, _Step] = field(default_factory=dict)
    _line: Line = field(default_factory=Line)

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
            self._line.drop(address)
        for address in sorted(wanted - self._steps.keys()):
            self._schedule(address, _Step(), now)

    def restart(self, now: float) -> None:
        """Asks for all of them anew: the interface has another Ethernet address, or another network."""
        for address, step in self._steps.items():
            self._schedule(address, _Step(holder=step.holder), now)

    def heard(self, address: int, mac: Mac, now: float) -> list[Effect]:
        """Another host says that it has an address that is asked for."""
        step = self._steps[address]
        known, step.holder = step.holder == mac, mac
        if step.sent:
            self._schedule(address, _Step(0, min(2 * step.again_s, AGAIN_LAST_S), mac), now + step.again_s)
        return [] if known else [Held(address, mac)]

    def tick(self, now: float) -> list[Effect]:
        """Sends the probes that are due; tells of addresses that nobody has, which are asked for no more."""
        effects: list[Effect] = []
        for address in self._line.take(now):
            step = self._steps[address]
            if step.sent == PROBES:
                del self._steps[address]
                effects.append(Proven(address))
                continue
            effects.append(Send(self.probe(address), address, "probes_sent"))
            step.sent += 1
            self._line.put(address, now + (PROBE_INTERVAL_S if step.sent < PROBES else ANNOUNCE_WAIT_S))
            self._line.sent(now)
        return effects

    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        return self._line.deadline()

    def _schedule(self, address: int, step: _Step, due: float) -> None:
        self._steps[address] = step
        self._line.put(address, due)

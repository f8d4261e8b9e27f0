"""How long a suspect has to object: the more members suspect it, too, the shorter (Lifeguard, spec/speaker.md 3.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from metallb.protocols.swim.settings import Settings


def shortest_timeout_s(settings: Settings, members: int) -> float:
    """The time that a suspect has at least, among so many members."""
    return settings.suspicion_mult * max(1.0, math.log10(max(1, members))) * settings.probe_interval_s


def timeout_s(confirmations: int, wanted: int, shortest: float, longest: float) -> float:
    """The time that a suspect has, from the first suspicion on.

    Args:
        confirmations: how many others suspect it, too.
        wanted: how many of them bring it down to the shortest time; 0: that holds at once.
        shortest: seconds.
        longest: seconds.
    """
    if wanted < 1:
        return shortest
    share = math.log(confirmations + 1) / math.log(wanted + 1)
    return max(shortest, math.floor(1000 * (longest - share * (longest - shortest))) / 1000)


@dataclass(slots=True)
class Suspicion:
    """One member under suspicion.

    Attributes:
        since: monotonic seconds.
        wanted: how many confirmations matter.
        shortest, longest: seconds.
        accusers: who suspects it.
    """

    since: float
    wanted: int
    shortest: float
    longest: float
    accusers: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, settings: Settings, members: int, accuser: str, now: float) -> Suspicion:
        """A first suspicion, among so many members."""
        wanted = settings.suspicion_mult - 2
        if members - 2 < wanted:
            wanted = 0
        shortest = shortest_timeout_s(settings, members)
        longest = settings.suspicion_max_timeout_mult * shortest
        return cls(now, wanted, shortest, longest, {accuser})

    @property
    def deadline(self) -> float:
        """When it is dead, in monotonic seconds."""
        return self.since + timeout_s(len(self.accusers) - 1, self.wanted, self.shortest, self.longest)

    def confirm(self, accuser: str) -> bool:
        """Somebody suspects it, too; says whether that is news which matters."""
        if len(self.accusers) > self.wanted or accuser in self.accusers:
            return False
        self.accusers.add(accuser)
        return True

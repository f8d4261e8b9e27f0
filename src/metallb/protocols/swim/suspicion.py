"""How long a suspect has to object: the more members suspect it, too, the shorter (Lifeguard, spec/speaker.md 3.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from metallb.protocols.swim.settings import Settings

LOOKS: Final = 10
"""So often at least a suspect is asked itself before it is taken for dead (beyond upstream).

From then on it is asked until its time is up: a late confirmation can end that at once.
"""

LOOK_SHARE: Final = 0.4
"""The time between two such questions, in probe intervals."""


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
        look_s: seconds between two questions to itself, before its time is up.
        accusers: who suspects it.
        questions: numbers of the pings that it was sent since: whoever answers one of them lives.
        looked: when it was asked last.
        deadline: when it is dead, in monotonic seconds.
        due: when there is something to do: to ask it, or to take it for dead.
    """

    since: float
    wanted: int
    shortest: float
    longest: float
    look_s: float
    accusers: set[str] = field(default_factory=set)
    questions: set[int] = field(default_factory=set)
    looked: float = -math.inf
    deadline: float = field(init=False)
    due: float = field(init=False)

    def __post_init__(self) -> None:
        """Times are asked for again and again: they are worked out when they change only."""
        self._reckon()

    @classmethod
    def of(cls, settings: Settings, members: int, accuser: str, now: float) -> Suspicion:
        """A first suspicion, among so many members."""
        wanted = settings.suspicion_mult - 2
        if members - 2 < wanted:
            wanted = 0
        shortest = shortest_timeout_s(settings, members)
        longest = settings.suspicion_max_timeout_mult * shortest
        return cls(now, wanted, shortest, longest, LOOK_SHARE * settings.probe_interval_s, {accuser})

    def confirm(self, accuser: str) -> bool:
        """Somebody suspects it, too; says whether that is news which matters."""
        if len(self.accusers) > self.wanted or accuser in self.accusers:
            return False
        self.accusers.add(accuser)
        self._reckon()
        return True

    def look(self, question: int, now: float) -> None:
        """It is asked itself, under this number."""
        self.questions.add(question)
        self.looked = now
        self._reckon()

    def _reckon(self) -> None:
        self.deadline = self.since + timeout_s(len(self.accusers) - 1, self.wanted, self.shortest, self.longest)
        next_look = max(self.looked, self.since + self.shortest - (LOOKS + 1) * self.look_s) + self.look_s
        self.due = min(self.deadline, next_look)

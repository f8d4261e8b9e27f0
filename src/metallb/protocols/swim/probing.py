"""Questions that wait for an answer: the round in which one member is probed, and the pings sent for others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from metallb.protocols.swim.packet import IndirectPing
from metallb.protocols.swim.roster import Endpoint


@dataclass(slots=True)
class Round:
    """One member is asked; then, while `is_direct` is off, others are asked to ask it.

    Attributes:
        name: whom.
        sequence: number of the question.
        direct_until: how long its own answer is waited for, in monotonic seconds.
        until: when it is under suspicion.
        is_direct: whether only itself was asked so far.
        nacks_wanted: how many helpers would say that it is silent.
        nacks: how many did.
    """

    name: str
    sequence: int
    direct_until: float
    until: float
    is_direct: bool = True
    nacks_wanted: int = 0
    nacks: int = 0

    @property
    def deadline(self) -> float:
        """When something falls due."""
        return min(self.direct_until, self.until) if self.is_direct else self.until


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants to know, under which number."""

    endpoint: Endpoint
    sequence: int
    nack: bool
    until: float


@dataclass(slots=True)
class Relays:
    """Pings for others, by our own number."""

    _asked: dict[int, Asker] = field(default_factory=dict)

    def add(self, sequence: int, asked: IndirectPing, asker: Endpoint, until: float) -> None:
        """A ping was sent for somebody; the answer is theirs until then."""
        self._asked[sequence] = Asker(asker, asked.sequence, asked.nack, until)

    def acknowledged(self, sequence: int) -> Asker | None:
        """Who has to hear of an answer."""
        return self._asked.pop(sequence, None)

    def expire(self, now: float) -> list[Asker]:
        """Who has to hear that there was none."""
        due = [sequence for sequence, asker in self._asked.items() if asker.until <= now]
        return [asker for asker in map(self._asked.pop, due) if asker.nack]

    def deadline(self) -> float:
        """When the next one expires; infinity: never."""
        return min((asker.until for asker in self._asked.values()), default=math.inf)

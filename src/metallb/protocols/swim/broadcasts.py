"""News that waits to be sent: one message for each member, a bounded number of times (spec/speaker.md 3.7)."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Final

_SMALLEST: Final = 20
"""No message is as small as that."""

_Place = tuple[int, int, int]
"""How often a message was sent, its length and its age, both negative. The smallest goes first."""


@dataclass(slots=True)
class Broadcasts:
    """The queue. What was sent least goes first; of those the longest, which is hardest to place; then the newest.

    It stays in order: where thousands of members lose much, hundreds of news wait, and a datagram takes a dozen.
    """

    retransmit_mult: int
    _news: dict[str, _Place] = field(default_factory=dict)
    _line: list[tuple[_Place, str, bytes]] = field(default_factory=list)
    _count: int = 0

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._line)

    def __contains__(self, subject: str) -> bool:
        """Whether something about this member still waits."""
        return subject in self._news

    def put(self, subject: str, message: bytes) -> None:
        """News about a member: takes the place of older news."""
        before = self._news.get(subject)
        if before is not None:
            del self._line[bisect_left(self._line, (before,))]
        self._count += 1
        self._stand(subject, message, (0, -len(message), -self._count))

    def take(self, room: int, overhead: int, members: int) -> list[bytes]:
        """Messages for one datagram; those that were sent often enough by that are gone.

        Args:
            room: bytes for all of them.
            overhead: bytes that each takes beside its own.
            members: how many there are: the more, the more often news is sent.
        """
        limit = self.retransmit_mult * math.ceil(math.log10(members + 1))
        taken = []
        for number, (place, _, _) in enumerate(self._line):
            if room < _SMALLEST + overhead:
                break
            needed = overhead - place[1]
            if needed <= room:
                room -= needed
                taken.append(number)
        messages = [self._line[number] for number in taken]
        for number in reversed(taken):
            del self._line[number]
        for (sent, length, age), subject, message in messages:
            if sent + 1 < limit:
                self._stand(subject, message, (sent + 1, length, age))
            else:
                del self._news[subject]
        return [message for _, _, message in messages]

    def _stand(self, subject: str, message: bytes, place: _Place) -> None:
        self._news[subject] = place
        insort(self._line, (place, subject, message))

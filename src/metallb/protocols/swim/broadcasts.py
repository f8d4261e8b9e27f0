"""News that waits to be sent: one message for each member, a bounded number of times (spec/speaker.md 3.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

_SMALLEST: Final = 20
"""No message is as small as that."""


@dataclass(slots=True)
class _News:
    """`order`: how often it was sent; its length and its age, both negative. The smallest goes first."""

    subject: str
    message: bytes
    order: tuple[int, int, int]


@dataclass(slots=True)
class Broadcasts:
    """The queue. What was sent least goes first; of those the longest, which is hardest to place; then the newest."""

    retransmit_mult: int
    _news: dict[str, _News] = field(default_factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._news)

    def __contains__(self, subject: str) -> bool:
        """Whether something about this member still waits."""
        return subject in self._news

    def put(self, subject: str, message: bytes) -> None:
        """News about a member: takes the place of older news."""
        self._count += 1
        self._news[subject] = _News(subject, message, (0, -len(message), -self._count))

    def take(self, room: int, overhead: int, members: int) -> list[bytes]:
        """Messages for one datagram; those that were sent often enough by that are gone.

        Args:
            room: bytes for all of them.
            overhead: bytes that each takes beside its own.
            members: how many there are: the more, the more often news is sent.
        """
        limit = self.retransmit_mult * math.ceil(math.log10(members + 1))
        taken = []
        for news in sorted(self._news.values(), key=attrgetter("order")):
            if room < _SMALLEST + overhead:
                break
            needed = len(news.message) + overhead
            if needed > room:
                continue
            room -= needed
            taken.append(news.message)
            sent, length, age = news.order
            news.order = (sent + 1, length, age)
            if sent + 1 >= limit:
                del self._news[news.subject]
        return taken

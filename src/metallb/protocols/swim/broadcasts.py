"""News that waits to be sent: one message for each member, a bounded number of times (spec/speaker.md 3.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True)
class _News:
    message: bytes
    age: int
    sent: int = 0


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
        self._news[subject] = _News(message, self._count)

    def take(self, room: int, overhead: int, members: int) -> list[bytes]:
        """Messages for one datagram; those that were sent often enough by that are gone.

        Args:
            room: bytes for all of them.
            overhead: bytes that each takes beside its own.
            members: how many there are: the more, the more often news is sent.
        """
        limit = self.retransmit_mult * math.ceil(math.log10(members + 1))
        taken = []
        for subject, news in sorted(self._news.items(), key=_order):
            needed = len(news.message) + overhead
            if needed > room:
                continue
            room -= needed
            taken.append(news.message)
            news.sent += 1
            if news.sent >= limit:
                del self._news[subject]
        return taken


def _order(item: tuple[str, _News]) -> tuple[int, int, int]:
    news = item[1]
    return news.sent, -len(news.message), -news.age

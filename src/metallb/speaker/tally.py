"""What happens on the wire, counted until somebody asks."""

from __future__ import annotations

from collections import Counter

from metallb.protocols import announcing
from metallb.speaker.orders import Family, Heard, Probed


class Tally:
    """Counts by what is counted; taken as one report, they begin anew."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self.counts: Counter[tuple[announcing.Counter, Family, int]] = Counter()
        self.passed: Counter[tuple[str, str]] = Counter()
        self.dropped: Counter[tuple[str, str, str]] = Counter()
        self.conflicts: Counter[tuple[str, Family, int, bytes]] = Counter()
        self.probed: list[Probed] = []

    def take(self, at: float) -> Heard:
        """All since the last call; `at` is whose question is answered with it."""
        report = Heard(
            at,
            tuple((*key, amount) for key, amount in self.counts.items()),
            tuple((*key, amount) for key, amount in self.passed.items()),
            tuple((*key, amount) for key, amount in self.dropped.items()),
            tuple((*key, amount) for key, amount in self.conflicts.items()),
        )
        for counted in (self.counts, self.passed, self.dropped, self.conflicts):
            counted.clear()
        return report

    def take_probed(self) -> list[Probed]:
        """What was found out about unproven addresses since the last call."""
        report, self.probed = self.probed, []
        return report

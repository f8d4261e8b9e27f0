"""Notices that the process stood still: stopped by a signal, frozen with its machine, or starved of processor time.

Whatever comes from the network asks `look` before it is taken in: frames that waited meanwhile reach the process before
any timer does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, NoReturn

PULSE_S: Final = 0.1
"""How often the clock is looked at when nothing else does."""

LIMIT_S: Final = 0.5
"""Beyond this a gap is a standstill: others take a speaker that is silent for so long for dead."""


def wall_of_kernel() -> float:
    """Seconds that also count while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Standstill:
    """Looks at the clock; calls back with the length of each gap, in seconds."""

    def __init__(self, stood_still: Callable[[float], None], clock: Callable[[], float] = wall_of_kernel) -> None:
        """The first look is now."""
        self._stood_still = stood_still
        self._clock = clock
        self._last = clock()

    def look(self) -> bool:
        """Looks at the clock now; says whether there was a gap, once the callback is done."""
        now = self._clock()
        gap_s, self._last = now - self._last, now
        if gap_s <= LIMIT_S:
            return False
        self._stood_still(gap_s)
        return True

    async def run(self) -> NoReturn:
        """Looks again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(PULSE_S)

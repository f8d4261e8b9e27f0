"""How long to wait after the n-th failure in a row: exponential, capped, spread by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first_s`, doubling up to `limit_s`, each spread evenly over its upper half.

    Attributes:
        first_s: after the first failure.
        limit_s: never longer.
    """

    first_s: float
    limit_s: float

    def delay_s(self, failures: int, draw: Callable[[], float]) -> float:
        """Seconds to wait after `failures` >= 1 failures in a row; `draw` gives a number in [0, 1)."""
        doublings = min(max(failures - 1, 0), 62)  # beyond that the limit holds for any parameters
        full = min(self.limit_s, self.first_s * (1 << doublings))
        return full * (0.5 + draw() / 2)

"""What a piece of the soak comes to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Result:
    """Figures, and what is not as promised: nothing, if all is well."""

    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def want(self, good: bool, problem: str) -> None:  # noqa: FBT001  # an assertion that does not end the run
        """Notes a problem unless this is so."""
        if not good:
            self.problems.append(problem)
            say(f"PROBLEM {problem}")


Piece = Callable[[float], Result | Coroutine[Any, Any, Result]]
"""Takes minutes."""


def say(text: str) -> None:
    """Tells a person how it goes."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

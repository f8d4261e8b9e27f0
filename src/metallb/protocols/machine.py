"""The one shape of everything that lives in time: one driver runs it on the clock, one simulator on virtual time."""

from __future__ import annotations

from typing import Protocol, TypeVar

Input_contra = TypeVar("Input_contra", contravariant=True)
Effect = TypeVar("Effect")


class Machine(Protocol[Input_contra, Effect]):
    """Is told what happened and what time it is; answers what to do. It never waits, reads a clock or raises."""

    def feed(self, event: Input_contra, now: float) -> list[Effect]:
        """Something happened: a frame, a message, a new table. `now` is monotonic seconds."""
        ...

    def tick(self, now: float) -> list[Effect]:
        """Does whatever fell due by now."""
        ...

    def deadline(self) -> float | None:
        """When `tick` is wanted next, in monotonic seconds; None: never."""
        ...

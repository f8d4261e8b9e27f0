"""Runs a machine on the event loop's clock: feeds it, performs its effects, wakes it at its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from metallb.protocols.machine import Machine

Input = TypeVar("Input")
Effect = TypeVar("Effect")


class Driver(Generic[Input, Effect]):
    """One machine and its timer. Must be used from one event loop's thread."""

    def __init__(self, machine: Machine[Input, Effect], perform: Callable[[Effect], None]) -> None:
        """`perform` does one effect; it must not raise."""
        self._machine = machine
        self._perform = perform
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._due: float | None = None  # a handle of uvloop that is due at once does not know when

    def start(self, begin: Callable[[float], Iterable[Effect]]) -> None:
        """Does what a machine wants at its beginning; `begin` is told the time."""
        self._do(begin(self._loop.time()))

    def feed(self, event: Input) -> None:
        """Tells the machine what happened and does what it answers."""
        self._do(self._machine.feed(event, self._loop.time()))

    def close(self) -> None:
        """No further tick."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self._do(self._machine.tick(self._loop.time()))

    def _do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._perform(effect)
        deadline = self._machine.deadline()
        if self._timer is not None:
            if deadline == self._due:
                return
            self._timer.cancel()
        self._due = deadline
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._tick)

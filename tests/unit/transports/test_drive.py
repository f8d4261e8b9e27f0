"""The driver: effects in order, one timer, always at the machine's own deadline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import uvloop

from metallb.transports.drive import Driver


@dataclass
class Alarm:
    """A machine that answers every input with itself, and does what falls due at the times that it is told."""

    due: list[float] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)

    def feed(self, event: float | str, now: float) -> list[str]:
        if isinstance(event, str):
            self.due.clear()
            return [event]
        self.due = sorted({*self.due, now + event})
        return [f"in {event}"]

    def tick(self, now: float) -> list[str]:
        self.ticks.append(now)
        fell_due = [each for each in self.due if each <= now]
        self.due = [each for each in self.due if each > now]
        return ["due"] * len(fell_due)

    def deadline(self) -> float | None:
        return self.due[0] if self.due else None


def driver(done: list[str]) -> tuple[Driver[float | str, str], Alarm]:
    machine = Alarm()
    return Driver(machine, done.append), machine


async def until(done: list[str], what: str, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while done.count(what) < count:  # noqa: ASYNC110  # what is waited for is the loop's own clock
            await asyncio.sleep(0.001)


async def test_effects_are_done_at_once_and_ticks_come_when_they_are_due() -> None:
    done: list[str] = []
    made, machine = driver(done)
    began = asyncio.get_running_loop().time()
    made.feed(0.02)
    assert done == ["in 0.02"]
    await until(done, "due")
    assert machine.ticks[0] >= began + 0.02
    assert len(machine.ticks) == 1


async def test_an_earlier_deadline_moves_the_timer_and_a_later_one_does_not() -> None:
    done: list[str] = []
    made, machine = driver(done)
    made.feed(30.0)
    made.feed(0.01)
    made.feed(20.0)
    await until(done, "due")
    assert len(machine.ticks) == 1
    made.close()


async def test_no_deadline_no_timer() -> None:
    done: list[str] = []
    made, machine = driver(done)
    made.feed(0.005)
    made.feed("never mind")
    await asyncio.sleep(0.02)
    assert machine.ticks == []
    assert done == ["in 0.005", "never mind"]


async def test_a_deadline_that_has_passed_is_served_at_once() -> None:
    done: list[str] = []
    made, _ = driver(done)
    made.feed(-1.0)
    await until(done, "due")


async def test_after_closing_nothing_ticks() -> None:
    done: list[str] = []
    made, machine = driver(done)
    made.feed(0.005)
    made.close()
    made.close()
    await asyncio.sleep(0.02)
    assert machine.ticks == []


def test_a_deadline_that_has_passed_already_is_met_on_the_loop_of_our_processes() -> None:
    """uvloop gives another kind of handle then."""

    async def feed_twice() -> list[str]:
        done: list[str] = []
        made, _ = driver(done)
        made.feed(-1.0)
        made.feed(-2.0)
        await until(done, "due", 2)
        return done

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(feed_twice()) == ["in -1.0", "in -2.0", "due", "due"]

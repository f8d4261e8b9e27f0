"""Thousands of members that lose a fifth of all packets, on virtual time: nobody healthy dies, every death is known."""

from __future__ import annotations

import gc
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from tests.soak.result import Result, say
from tests.worlds.membership import World, names

SIZE: Final = int(os.environ.get("SOAK_MEMBERS", "2000"))
LOSS: Final = 0.2
QUIET_S: Final = 20.0
DEATH_S: Final = 40.0
"""Virtual seconds."""

KILLED: Final = 5
STILL: Final = 5
STILL_S: Final = 2.0


@dataclass
class Story:
    """What came of one seed."""

    virtual_s: float
    datagrams: int
    problems: list[str]


def run(minutes: float) -> Result:
    """As many seeds at a time as there are processors, until the time is over; those that have begun are finished."""
    result, began = (
        Result({"members": SIZE, "loss": LOSS, "seeds": 0, "virtual_s": 0, "datagrams": 0}),
        time.monotonic(),
    )
    at_once, first = os.cpu_count() or 1, 1
    with ProcessPoolExecutor(at_once) as pool:
        while first == 1 or time.monotonic() - began < 60 * minutes:
            for story in pool.map(tell, range(first, first + at_once)):
                result.figures["seeds"] += 1
                result.figures["virtual_s"] += round(story.virtual_s)
                result.figures["datagrams"] += story.datagrams
                result.problems += story.problems
            first += at_once
    return result


def tell(seed: int, size: int = SIZE) -> Story:
    """Some time in which nobody dies, then some die and some stand still."""
    world, seen = World.acquainted(size, seed, loss=LOSS), Result()
    gc.freeze()  # millions of objects, and no circles worth looking for
    gc.disable()
    pass_time(world, QUIET_S, f"seed {seed}")
    seen.want(not world.deaths(), f"seed {seed}: healthy members were taken for dead: {world.deaths()[:5]}")
    drawn = world.chance.sample(range(size), KILLED + STILL)
    killed, still = drawn[:KILLED], drawn[KILLED:]
    for number in killed:
        world.kill(number)
    for number in still:
        world.pause(number)
    pass_time(world, STILL_S, f"seed {seed}, {STILL} stand still")
    for number in still:
        world.resume(number)
    pass_time(world, DEATH_S, f"seed {seed}, {KILLED} are dead")
    dead = {f"n{number}" for number in killed}
    healthy = [each for each in world.deaths() if each[2] not in dead]
    seen.want(not healthy, f"seed {seed}: healthy members were taken for dead: {healthy[:5]}")
    wrong = sum(view != names(size) - dead for view in world.views())
    seen.want(not wrong, f"seed {seed}: {wrong} members don't know who is dead after {DEATH_S} s")
    gc.enable()
    return Story(world.now, world.sent, seen.problems)


def pass_time(world: World, seconds: float, what: str) -> None:
    end = world.now + seconds
    while world.now < end:
        world.run(min(2.0, end - world.now))
        say(f"members: {what}: {world.now:.0f} virtual s, {world.sent} datagrams, {world.suspicions} suspicions")

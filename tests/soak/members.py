"""Thousands of members that lose a fifth of all packets, on virtual time: nobody healthy dies, every death is known."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

from tests.soak.result import Result, say
from tests.worlds.membership import World, names

SIZE: Final = int(os.environ.get("SOAK_MEMBERS", "2000"))
LOSS: Final = 0.2
QUIET_S: Final = 20.0
DEATH_S: Final = 60.0
"""Virtual seconds; a death has to be known to all within the latter."""

KILLED: Final = 5
STILL: Final = 5
APART: Final = 5
STILL_S: Final = 4.0
"""For so long some stand still and some are cut off: less than a suspect has to object, among thousands."""


@dataclass
class Story:
    """What came of one seed; `known_s`: so long after they died all the dead were known to all."""

    virtual_s: float
    datagrams: int
    known_s: float
    problems: list[str]


def run(minutes: float) -> Result:
    """As many seeds at a time as there are processors, until the time is over; those that have begun are finished."""
    result, began = (
        Result({"members": SIZE, "loss": LOSS, "seeds": 0, "virtual_s": 0, "datagrams": 0, "deaths_known_s": 0}),
        time.monotonic(),
    )
    at_once, first = os.cpu_count() or 1, 1
    with ProcessPoolExecutor(at_once) as pool:
        while first == 1 or time.monotonic() - began < 60 * minutes:
            for story in pool.map(tell, range(first, first + at_once)):
                result.figures["seeds"] += 1
                result.figures["virtual_s"] += round(story.virtual_s)
                result.figures["datagrams"] += story.datagrams
                result.figures["deaths_known_s"] = max(result.figures["deaths_known_s"], round(story.known_s))
                result.problems += story.problems
            first += at_once
    return result


def tell(seed: int, size: int = SIZE) -> Story:
    """Some time in which nobody dies; then some die while others stand still or are cut off for a moment."""
    world, seen = World.acquainted(size, seed, loss=LOSS), Result()
    gc.freeze()  # millions of objects, and no circles worth looking for
    gc.disable()
    pass_time(world, QUIET_S, f"seed {seed}")
    seen.want(not world.deaths(), f"seed {seed}: healthy members were taken for dead: {world.deaths()[:5]}")
    drawn = world.chance.sample(range(size), KILLED + STILL + APART)
    killed, still, apart = drawn[:KILLED], drawn[KILLED : KILLED + STILL], drawn[KILLED + STILL :]
    dead = {f"n{number}" for number in killed}
    for number in killed:
        world.kill(number)
    for number in still:
        world.pause(number)
    world.part(apart)
    pass_time(world, STILL_S, f"seed {seed}, {STILL} stand still, {APART} are cut off")
    for number in still:
        world.resume(number)
    world.heal()
    known = pass_time(world, DEATH_S, f"seed {seed}, {KILLED} are dead", lambda: ignorant(world, dead) == 0)
    healthy = [each for each in world.deaths() if each[2] not in dead]
    seen.want(not healthy, f"seed {seed}: healthy members were taken for dead: {healthy[:5]}")
    wrong = ignorant(world, dead)
    seen.want(not wrong, f"seed {seed}: {wrong} members don't know who is dead after {STILL_S + DEATH_S} s")
    gc.enable()
    return Story(world.now, world.sent, STILL_S + known, seen.problems)


def ignorant(world: World, dead: set[str]) -> int:
    """How many members don't see all that live, and only those."""
    living = names(len(world.hosts)) - dead
    return sum(view != living for view in world.views())


def pass_time(world: World, seconds: float, what: str, enough: Callable[[], bool] = lambda: False) -> float:
    """Lets virtual time pass until it is enough, no more than so many seconds; says how many."""
    began = world.now
    while (left_s := began + seconds - world.now) > 0 and not enough():
        world.run(min(2.0, left_s))
        say(f"members: {what}: {world.now:.0f} virtual s, {world.sent} datagrams, {world.suspicions} suspicions")
    return world.now - began

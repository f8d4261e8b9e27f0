"""Thousands of members that lose a fifth of all packets, on virtual time: nobody healthy dies, every death is known."""

from __future__ import annotations

import os
import time
from itertools import count
from typing import Final

from tests.soak.result import Result, say
from tests.worlds.membership import World, names

SIZE: Final = int(os.environ.get("SOAK_MEMBERS", "2000"))
LOSS: Final = 0.2
QUIET_S: Final = 30.0
DEATH_S: Final = 60.0
"""Virtual seconds."""

KILLED: Final = 5
STILL: Final = 5
STILL_S: Final = 2.0


def run(minutes: float) -> Result:
    """One seed after the other, until the time is over."""
    result, began = (
        Result({"members": SIZE, "loss": LOSS, "seeds": 0, "virtual_s": 0.0, "datagrams": 0}),
        time.monotonic(),
    )
    for seed in count(1):
        one(seed, result)
        if time.monotonic() - began > 60 * minutes:
            break
    return result


def one(seed: int, result: Result) -> None:
    world = World.acquainted(SIZE, seed, loss=LOSS)
    pass_time(world, QUIET_S, f"seed {seed}")
    result.want(not world.deaths(), f"seed {seed}: healthy members were taken for dead: {world.deaths()[:5]}")
    killed = [world.chance.randrange(SIZE) for _ in range(KILLED)]
    still = [number for number in (world.chance.randrange(SIZE) for _ in range(STILL)) if number not in killed]
    for number in killed:
        world.kill(number)
    for number in still:
        world.pause(number)
    pass_time(world, STILL_S, f"seed {seed}, some stand still")
    for number in still:
        world.resume(number)
    pass_time(world, DEATH_S, f"seed {seed}, {len(set(killed))} are dead")
    dead = {f"n{number}" for number in killed}
    healthy = [each for each in world.deaths() if each[2] not in dead]
    result.want(not healthy, f"seed {seed}: healthy members were taken for dead: {healthy[:5]}")
    wrong = sum(view != names(SIZE) - dead for view in world.views())
    result.want(not wrong, f"seed {seed}: {wrong} members don't know who is dead after {DEATH_S} s")
    result.figures["seeds"] += 1
    result.figures["virtual_s"] += round(world.now)
    result.figures["datagrams"] += world.sent


def pass_time(world: World, seconds: float, what: str) -> None:
    end = world.now + seconds
    while world.now < end:
        world.run(min(2.0, end - world.now))
        say(f"members: {what}: {world.now:.0f} virtual s, {world.sent} datagrams, {world.suspicions} suspicions")

"""The queue of keys: no key twice at a time, none lost, failures retried more and more slowly."""

from __future__ import annotations

import asyncio

from kubelab.apiclient import ApiFailure
from kubelab.controllers.run.workqueue import WorkQueue, work


async def test_a_key_waits_only_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert (await queue.get(), await queue.get(), len(queue)) == ("a", "b", 0)


async def test_a_key_added_while_it_is_worked_on_comes_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"


async def test_the_earliest_of_several_delays_holds() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 3000)
    queue.add_after("a", 0.02)
    queue.add_after("a", 2000)
    assert await asyncio.wait_for(queue.get(), 60) == "a"
    queue.close()


async def test_work_that_fails_is_done_again_and_others_go_on() -> None:
    queue: WorkQueue[str] = WorkQueue()
    done: list[str] = []
    finished = asyncio.Event()

    async def sync(key: str) -> float | None:
        done.append(key)
        if key == "bad" and done.count("bad") < 3:
            raise ApiFailure(409, "Conflict", "changed")
        if done.count("bad") == 3 and "good" in done:
            finished.set()
        return None

    queue.add("bad")
    queue.add("good")
    task = asyncio.create_task(work("test", queue, sync, 2))
    await asyncio.wait_for(finished.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (done.count("bad"), done.count("good")) == (3, 1)


async def test_an_unforeseen_error_stops_nobody() -> None:
    queue: WorkQueue[str] = WorkQueue()
    again = asyncio.Event()
    calls = 0

    async def sync(_: str) -> float | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise KeyError("surprise")
        again.set()
        return None

    queue.add("a")
    task = asyncio.create_task(work("test", queue, sync, 1))
    await asyncio.wait_for(again.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_answer_of_the_work_says_when_to_come_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    twice = asyncio.Event()
    calls = 0

    async def sync(_: str) -> float | None:
        nonlocal calls
        calls += 1
        if calls == 2:
            twice.set()
            return None
        return 0.01

    queue.add("a")
    task = asyncio.create_task(work("test", queue, sync, 1))
    await asyncio.wait_for(twice.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

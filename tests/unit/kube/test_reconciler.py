from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from metallb.kube.backoff import Backoff
from metallb.kube.errors import ConflictError, InvalidError, UnavailableError
from metallb.kube.observed import outcomes_of
from metallb.kube.reconciler import Again, Done, Failed, Outcome, Reconciler
from metallb.telemetry.metrics import OPERATOR, RECONCILES, Metrics

QUICK = Backoff(0.001, 0.01)


async def work(reconcile: Callable[[str], Awaitable[Outcome]], *keys: str, **options: Any) -> Reconciler[str]:
    """Runs a reconciler until it is idle."""
    reconciler = Reconciler("test", reconcile, backoff=QUICK, **options)
    for key in keys:
        reconciler.add(key)
    task = asyncio.create_task(reconciler.run())
    async with asyncio.timeout(60):
        await reconciler.idle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return reconciler


async def test_each_key_is_worked_on_once() -> None:
    seen: list[str] = []

    async def reconcile(key: str) -> Outcome:
        seen.append(key)
        return Done()

    reconciler = await work(reconcile, "a", "b", "a")
    assert seen == ["a", "b"]
    assert reconciler.counts.done == 2


@pytest.mark.parametrize(
    ("first", "runs", "failed", "conflicts"),
    [
        (Failed("x"), 2, 1, 0),
        (Failed("x", retry=False), 1, 1, 0),
        (Again(0.001), 2, 0, 0),
        (UnavailableError("GET /", "down"), 2, 1, 0),
        (ConflictError("PUT /", "changed"), 2, 0, 1),
        (InvalidError("PUT /", "wrong"), 1, 1, 0),
        (RuntimeError("mistake"), 2, 1, 0),
    ],
    ids=["failed", "failed for good", "again", "unavailable", "conflict", "invalid", "mistake"],
)
async def test_an_outcome_decides_what_comes_next(first: Any, runs: int, failed: int, conflicts: int) -> None:
    outcomes: list[Outcome | Exception] = [first, Done()]
    count = 0

    async def reconcile(_key: str) -> Outcome:
        nonlocal count
        count += 1
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    reconciler = await work(reconcile, "a")
    assert count == runs
    assert (reconciler.counts.failed, reconciler.counts.conflicts) == (failed, conflicts)


async def test_a_key_is_never_worked_on_by_two_and_a_change_meanwhile_is_not_lost() -> None:
    busy: set[str] = set()
    runs = 0
    reconciler: Reconciler[str]

    async def reconcile(key: str) -> Outcome:
        nonlocal runs
        assert key not in busy
        busy.add(key)
        runs += 1
        if runs == 1:
            reconciler.add(key)
        await asyncio.sleep(0.005)
        busy.discard(key)
        return Done()

    reconciler = Reconciler("test", reconcile, workers=4)
    reconciler.add("a")
    task = asyncio.create_task(reconciler.run())
    async with asyncio.timeout(60):
        await reconciler.idle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert runs == 2


async def test_as_many_keys_as_workers_are_under_way_at_once() -> None:
    gate = asyncio.Event()
    under_way = 0
    most = 0

    async def reconcile(_key: str) -> Outcome:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 3:
            gate.set()
        await gate.wait()
        under_way -= 1
        return Done()

    await work(reconcile, *"abcdef", workers=3)
    assert most == 3


async def test_outcomes_are_counted_in_the_metrics() -> None:
    metrics = Metrics(OPERATOR, process=False)
    outcomes: list[Outcome] = [Failed("x"), Again(0.001), Done()]

    async def reconcile(_key: str) -> Outcome:
        return outcomes.pop(0)

    await work(reconcile, "a", observe=outcomes_of(metrics, "pool"))
    counted = {result: metrics.value(RECONCILES, "pool", result) for result in ("success", "requeue_after", "error")}
    assert counted == {"success": 1, "requeue_after": 1, "error": 1}


async def test_cancelling_stops_the_work_under_way() -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def reconcile(_key: str) -> Outcome:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return Done()

    reconciler = Reconciler("test", reconcile)
    reconciler.add("a")
    task = asyncio.create_task(reconciler.run())
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert stopped.is_set()

from __future__ import annotations

from typing import Any

import pytest

from metallb.kube.backoff import Backoff
from metallb.kube.workqueue import Add, AddAfter, Finished, WorkQueue


def queue(workers: int = 1) -> WorkQueue[str]:
    return WorkQueue(workers=workers, draw=lambda: 1.0, backoff=Backoff(1.0, 8.0))


@pytest.mark.parametrize(
    ("workers", "steps", "started"),
    [
        (1, [(0, Add("a"))], ["a"]),
        (1, [(0, Add("a")), (0, Add("a")), (0, Add("a"))], ["a"]),
        (1, [(0, Add("a")), (0, Add("b"))], ["a"]),
        (2, [(0, Add("a")), (0, Add("b"))], ["a", "b"]),
        (2, [(0, Add("a")), (0, Add("a")), (0, Finished("a"))], ["a", "a"]),
        (1, [(0, Add("a")), (0, Add("b")), (0, Add("a")), (0, Finished("a"))], ["a", "b"]),
        (1, [(0, AddAfter("a", 5))], []),
        (1, [(0, AddAfter("a", 5)), (5, None)], ["a"]),
        (1, [(0, AddAfter("a", 5)), (1, AddAfter("a", 1)), (2, None), (5, None)], ["a"]),
        (1, [(0, AddAfter("a", 5)), (1, AddAfter("a", 9)), (5, None)], ["a"]),
        (1, [(0, AddAfter("a", 5)), (1, Add("a")), (1, Finished("a")), (5, None)], ["a"]),
        (1, [(0, Add("a")), (0, Finished("a", retry=True))], ["a"]),
        (1, [(0, Add("a")), (0, Finished("a", retry=True)), (1, None)], ["a", "a"]),
        (1, [(0, Add("a")), (0, Add("a")), (0, Finished("a", retry=True))], ["a", "a"]),
        (1, [(0, Add("a")), (0, Finished("a", retry=True, not_before_s=7)), (6, None)], ["a"]),
        (1, [(0, Add("a")), (0, Finished("a", retry=True, not_before_s=7)), (7, None)], ["a", "a"]),
    ],
    ids=[
        "an added key starts",
        "a key stands in line once",
        "one worker works on one key",
        "two workers work on two",
        "a key that changes under way starts once more",
        "and takes its place behind the others",
        "a later key waits",
        "until it is due",
        "the earliest time counts",
        "a later time changes nothing",
        "now replaces later",
        "a failed key waits",
        "for its back-off",
        "unless it changed meanwhile",
        "and as long as the server asks",
        "but not longer",
    ],
)
def test_which_keys_start(workers: int, steps: list[tuple[float, Any]], started: list[str]) -> None:
    machine = queue(workers)
    got: list[str] = []
    for now, event in steps:
        got += machine.tick(now) if event is None else machine.feed(event, now)
    assert got == started


def test_a_row_of_failures_waits_longer_each_time_and_a_success_ends_it() -> None:
    machine = queue()
    waits = []
    now = 0.0
    machine.feed(Add("a"), now)
    for _ in range(5):
        machine.feed(Finished("a", retry=True), now)
        due = machine.deadline()
        assert due is not None
        waits.append(due - now)
        now = due
        assert machine.tick(now) == ["a"]
    assert waits == [1, 2, 4, 8, 8]
    machine.feed(Finished("a"), now)
    assert machine.failures("a") == 0
    assert machine.deadline() is None
    assert machine.idle


def test_the_deadline_forgets_times_that_were_overtaken() -> None:
    machine = queue()
    machine.feed(AddAfter("a", 5), 0)
    machine.feed(Add("a"), 0)
    assert machine.deadline() is None

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from metallb.kube.backoff import Backoff
from metallb.kube.workqueue import Add, AddAfter, Event, Finished, WorkQueue

KEYS = st.sampled_from("abcde")
WORKERS = 2


class Queue(RuleBasedStateMachine):
    """A model beside the machine: which keys owe work since when, and which are under way."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue: WorkQueue[str] = WorkQueue(workers=WORKERS, draw=lambda: 0.5, backoff=Backoff(1.0, 4.0))
        self.under_way: set[str] = set()
        self.owed: set[str] = set()  # changed since their work last started
        self.later: dict[str, float] = {}

    def take(self, started: list[str]) -> None:
        for key in [key for key, due in self.later.items() if due <= self.now]:
            del self.later[key]
            self.owed.add(key)
        for key in started:
            assert key not in self.under_way, "a key is worked on by one at once"
            assert key in self.owed, "nothing starts without a reason"
            self.owed.discard(key)
            self.under_way.add(key)

    def feed(self, event: Event[str]) -> None:
        self.take(self.queue.feed(event, self.now))

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.owed.add(key)
        self.later.pop(key, None)
        self.feed(Add(key))

    @rule(key=KEYS, delay=st.floats(0.1, 10))
    def add_after(self, key: str, delay: float) -> None:
        if key not in self.owed:
            self.later[key] = min(self.later.get(key, float("inf")), self.now + delay)
        self.feed(AddAfter(key, delay))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), retry=st.booleans())
    def finish(self, data: Any, retry: bool) -> None:  # noqa: FBT001  # drawn
        key = data.draw(st.sampled_from(sorted(self.under_way)))
        self.under_way.discard(key)
        started = self.queue.feed(Finished(key, retry=retry), self.now)
        if retry and key not in self.owed:
            due = self.queue._due.get(key)
            assert due is not None, "a failed key is tried again"
            assert self.now < due <= self.now + 4.0 or due == self.later.get(key)
            self.later[key] = due
        self.take(started)

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.queue.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.take(self.queue.tick(self.now))
        self.now = end

    @invariant()
    def workers_are_busy_while_there_is_work(self) -> None:
        assert len(self.under_way) <= WORKERS
        waiting = self.owed - self.under_way
        assert not waiting or len(self.under_way) == WORKERS

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if self.queue.idle:
            assert not self.owed
            assert not self.later
            assert not self.under_way

    def teardown(self) -> None:
        for _ in range(200):  # finishing everything ends in an idle queue
            for key in sorted(self.under_way):
                self.under_way.discard(key)
                self.take(self.queue.feed(Finished(key), self.now))
            due = self.queue.deadline()
            if due is not None:
                self.now = max(self.now, due)
                self.take(self.queue.tick(self.now))
            if self.queue.idle:
                return
        raise AssertionError("the queue never gets idle")


TestQueue = Queue.TestCase

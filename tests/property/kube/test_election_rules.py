"""Candidates on virtual time: clocks that drift, requests that are slow or lost, processes that die."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from metallb.kube.election import (
    Effect,
    Election,
    Ended,
    Failed,
    Follow,
    Get,
    Input,
    Lead,
    Read,
    Record,
    Refused,
    Stop,
    Timing,
    Write,
    Written,
)


@dataclass
class Server:
    """A Lease with optimistic concurrency."""

    record: Record | None = None
    version: int = 0

    def get(self) -> Input:
        return Read(self.record, str(self.version) if self.record else "")

    def write(self, request: Write, stamp: str) -> Input:
        if request.version != (str(self.version) if self.record else ""):
            return Refused()
        wanted = request.record
        self.version += 1
        self.record = Record(wanted.holder, wanted.duration_s, wanted.transitions, wanted.acquired or stamp, stamp)
        return Written(self.record, str(self.version))


@dataclass
class World:
    """Real time, a server behind a network from a seed, and candidates whose clocks run at rates of their own."""

    seed: int
    loss: float
    slowest_s: float
    rates: list[float]
    now: float = 0.0
    server: Server = field(default_factory=Server)
    agenda: list[tuple[float, int, Any]] = field(default_factory=list)
    count: int = 0
    led: list[tuple[float, int]] = field(default_factory=list)
    cuts: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.candidates = [Election(f"c{i}", Timing(), self.random.random) for i in range(len(self.rates))]
        self.alive = [True for _ in self.rates]
        self.leads = [False for _ in self.rates]
        for i in range(len(self.rates)):
            self.at(self.random.uniform(0, 5), lambda i=i: self.tick(i))

    def at(self, delay: float, action: Any) -> None:
        self.count += 1
        heapq.heappush(self.agenda, (self.now + delay, self.count, action))

    def clock(self, i: int) -> float:
        return 1000.0 * i + self.now * self.rates[i]

    def tick(self, i: int) -> None:
        if self.alive[i]:
            self.carry_out(i, self.candidates[i].tick(self.clock(i)))

    def feed(self, i: int, event: Input) -> None:
        if self.alive[i]:
            self.carry_out(i, self.candidates[i].feed(event, self.clock(i)))

    def carry_out(self, i: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Lead():
                    self.leads[i] = True
                    self.led.append((self.now, i))
                case Follow():
                    self.leads[i] = False
                case Get() | Write():
                    self.send(i, effect)
                case Ended():
                    self.alive[i] = False
        assert sum(self.leads) <= 1, f"two lead at {self.now}"
        deadline = self.candidates[i].deadline()
        if self.alive[i] and deadline is not None:
            self.at(max(0.0, (deadline - self.clock(i)) / self.rates[i]), lambda: self.tick(i))

    def send(self, i: int, request: Get | Write) -> None:
        there, back = self.random.uniform(0, self.slowest_s), self.random.uniform(0, self.slowest_s)
        leader_is_cut_off = self.leads[i] and any(start <= self.now < end for start, end in self.cuts)
        if leader_is_cut_off or self.random.random() < self.loss:
            self.at(there + back, lambda: self.feed(i, Failed()))
            return

        def arrive() -> None:
            answer = self.server.get() if isinstance(request, Get) else self.server.write(request, f"{self.now:.6f}")
            lost = self.random.random() < self.loss
            self.at(back, lambda: self.feed(i, Failed() if lost else answer))

        self.at(there, arrive)

    def run(self, until: float) -> None:
        while self.agenda and self.agenda[0][0] <= until:
            self.now, _, action = heapq.heappop(self.agenda)
            action()
        self.now = until

    def die(self, i: int) -> None:
        self.alive[i] = False
        self.leads[i] = False


RATES = st.lists(st.floats(0.85, 1.15), min_size=2, max_size=4)  # 1.15 / 0.85 < 15 / 10


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.3), slowest=st.floats(0, 6), rates=RATES)
def test_two_never_lead_at_once(seed: int, loss: float, slowest: float, rates: list[float]) -> None:
    """Every 50 s whoever leads is cut off from the server for 30 s, and finds out by itself."""
    world = World(seed, loss, slowest, rates, cuts=[(start, start + 30.0) for start in range(40, 400, 50)])
    world.run(400.0)  # carry_out asserts it at every step
    assert len(world.led) > 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rates=RATES)
def test_a_leader_that_dies_is_replaced(seed: int, rates: list[float]) -> None:
    world = World(seed, 0.0, 0.05, rates)
    world.run(10.0)
    (leader,) = [i for i, leads in enumerate(world.leads) if leads]
    world.die(leader)
    world.run(10.0 + 15.0 / 0.85 + 2.4 / 0.85 + 1.0)
    assert sum(world.leads) == 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rates=RATES)
def test_a_leader_that_stops_hands_over_within_3_seconds(seed: int, rates: list[float]) -> None:
    world = World(seed, 0.0, 0.02, rates)
    world.run(10.0)
    (leader,) = [i for i, leads in enumerate(world.leads) if leads]
    world.feed(leader, Stop())
    world.run(13.0)
    assert sum(world.leads) == 1
    assert not world.leads[leader]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), slowest=st.floats(0, 1), rates=RATES)
def test_a_leader_stays_leader_while_the_server_answers(seed: int, slowest: float, rates: list[float]) -> None:
    world = World(seed, 0.0, slowest, rates)
    world.run(300.0)
    assert len(world.led) == 1
    assert sum(world.leads) == 1

"""Bursts of announcements: five rounds for each address, in batches, whatever starts and stops in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metallb.protocols.announcing import BATCH, BATCH_INTERVAL_S, ROUND_INTERVAL_S, ROUNDS, Bursts, Effect, Send


def bursts() -> Bursts:
    return Bursts(lambda address: [address.to_bytes(4)])


def sent(effects: list[Effect]) -> list[int]:
    return [effect.address for effect in effects if isinstance(effect, Send)]


def run(made: Bursts, effects: list[Effect], now: float) -> dict[int, list[float]]:
    """When each address was announced, until nothing is due."""
    found: dict[int, list[float]] = defaultdict(list)
    while True:
        for address in sent(effects):
            found[address].append(now)
        deadline = made.deadline()
        if deadline is None:
            return found
        assert deadline >= now
        now = deadline
        effects = made.tick(now)


def test_thousands_are_announced_in_batches_and_each_in_all_its_rounds() -> None:
    made = bursts()
    first = made.start(range(5000), 10.0)
    assert sent(first) == list(range(BATCH))
    times = run(made, first, 10.0)
    assert len(times) == 5000
    assert {len(each) for each in times.values()} == {ROUNDS}
    assert max(each[0] for each in times.values()) <= 10.0 + 5000 / BATCH * BATCH_INTERVAL_S + 1e-6
    assert max(Counter(at for each in times.values() for at in each).values()) == BATCH
    gaps = [after - before for each in times.values() for before, after in pairwise(each)]
    assert min(gaps) >= ROUND_INTERVAL_S - 1e-9


def test_the_longest_due_goes_first() -> None:
    made = bursts()
    made.start(range(BATCH), 0.0)
    assert made.start([BATCH + 1], 0.001) == [], "a batch has just gone out"
    assert made.start([BATCH], 0.002) == []
    assert sent(made.tick(BATCH_INTERVAL_S)) == [BATCH + 1, BATCH]


def test_a_new_start_begins_the_rounds_anew() -> None:
    made = bursts()
    made.start([1], 0.0)
    again = made.start([1], 0.5)
    assert [round(at, 3) for at in run(made, again, 0.5)[1]] == [0.5, 1.6, 2.7, 3.8, 4.9]


def test_a_late_tick_sends_one_round_not_those_missed() -> None:
    made = bursts()
    made.start([1], 0.0)
    assert sent(made.tick(60.0)) == [1]
    assert made.deadline() == 60.0 + ROUND_INTERVAL_S


@given(st.lists(st.tuples(st.sampled_from(["start", "stop", "tick"]), st.integers(0, 3), st.floats(0, 2)), max_size=30))
def test_only_what_was_started_and_not_stopped_is_announced(steps: list[tuple[str, int, float]]) -> None:
    made, now, wanted = bursts(), 0.0, set[int]()
    for what, address, wait in steps:
        now += wait
        effects: list[Effect] = []
        if what == "start":
            effects = made.start([address], now)
            wanted.add(address)
        elif what == "stop":
            made.stop([address])
            wanted.discard(address)
        else:
            effects = made.tick(now)
        assert set(sent(effects)) <= wanted
        deadline = made.deadline()
        assert deadline is None or deadline > now or wanted
    assert set(run(made, made.tick(now), now)) <= wanted
    assert made.deadline() is None

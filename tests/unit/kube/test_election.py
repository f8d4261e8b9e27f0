from __future__ import annotations

import pytest

from metallb.kube.election import (
    Election,
    Ended,
    Failed,
    Follow,
    Get,
    Lead,
    Read,
    Record,
    Refused,
    Stop,
    Timing,
    Write,
    Written,
)

OTHER = Record("other", 15, 3, "then", "1")
OURS = Record("us", 15, 4, "now", "now")


def election() -> Election:
    return Election("us", Timing(), lambda: 0.0)


def leader(now: float = 0.0, *, answered: float = 0.0) -> Election:
    """One that wrote at `now` and got its answer at `answered`."""
    machine = election()
    assert machine.tick(now) == [Get()]
    assert machine.feed(Read(None), now) == [Write(Record("us", 15), "")]
    machine.feed(Written(Record("us", 15, 0, "a", "r"), "1"), answered)
    return machine


def test_an_absent_lease_is_created_at_once() -> None:
    machine = leader()
    assert machine.leading
    assert machine.deadline() == 2.0


@pytest.mark.parametrize(
    ("found", "written"),
    [
        (Record("", 1, 3, "then", "1"), Record("us", 15, 4, "")),
        (Record("us", 15, 3, "then", "1"), Record("us", 15, 3, "then")),
    ],
    ids=["a released lease", "a lease that is ours already"],
)
def test_a_free_lease_is_taken_at_once(found: Record, written: Record) -> None:
    machine = election()
    machine.tick(0)
    assert machine.feed(Read(found, "7"), 0) == [Write(written, "7")]


def test_a_lease_of_another_is_taken_when_it_has_not_changed_for_its_duration() -> None:
    machine = election()
    now = 100.0
    assert machine.tick(now) == [Get()]
    while now < 115:
        assert machine.feed(Read(OTHER, "7"), now) == []
        due = machine.deadline()
        assert due is not None
        now = due
        assert machine.tick(now) == [Get()]
    assert now == 115.0
    assert machine.feed(Read(OTHER, "7"), now) == [Write(Record("us", 15, 4, ""), "7")]


def test_a_renewed_lease_is_waited_for_anew() -> None:
    machine = election()
    machine.tick(0)
    machine.feed(Read(OTHER, "7"), 0)
    machine.tick(14.9)
    assert machine.feed(Read(Record("other", 15, 3, "then", "2"), "8"), 14.9) == []
    machine.tick(29)
    assert machine.feed(Read(Record("other", 15, 3, "then", "2"), "8"), 29) == []


def test_a_lease_counts_from_when_it_was_asked_for_not_from_the_answer() -> None:
    machine = leader(0, answered=9)
    assert machine.leading
    assert Follow() not in machine.tick(9.99)
    assert machine.feed(Failed(), 10) == [Follow()]
    assert not machine.leading


def test_an_answer_that_comes_too_late_is_worth_nothing() -> None:
    assert not leader(0, answered=10).leading


def test_a_leader_renews_without_reading_and_keeps_since_when_it_leads() -> None:
    machine = leader()
    assert machine.tick(2) == [Write(Record("us", 15, 0, "a"), "1")]


def test_a_refused_renewal_reads_again_and_meets_the_winner() -> None:
    machine = leader()
    machine.tick(2)
    assert machine.feed(Refused(), 2) == [Get()]
    assert machine.feed(Read(OTHER, "9"), 2) == [Follow()]


def test_a_renewal_whose_answer_was_lost_is_found_by_reading() -> None:
    machine = leader()
    machine.tick(2)
    assert machine.feed(Failed(), 3) == []
    assert machine.tick(5) == [Write(Record("us", 15, 0, "a"), "1")]
    assert machine.feed(Refused(), 5) == [Get()]
    assert machine.feed(Read(OURS, "2"), 5) == [Write(Record("us", 15, 4, "now"), "2")]
    assert machine.leading


def test_a_leader_that_stops_releases_the_lease() -> None:
    machine = leader()
    assert machine.feed(Stop(), 1) == [Follow(), Write(Record("", 1, 0, "a"), "1")]
    assert machine.feed(Written(Record("", 1, 0, "a", "z"), "2"), 1) == [Ended()]
    assert machine.deadline() is None
    assert machine.tick(100) == []


def test_stopping_waits_for_the_request_under_way() -> None:
    machine = leader()
    machine.tick(2)
    assert machine.feed(Stop(), 2) == []
    assert machine.feed(Written(Record("us", 15, 0, "a", "r2"), "2"), 3) == [
        Follow(),
        Write(Record("", 1, 0, "a"), "2"),
    ]


def test_a_follower_that_stops_writes_nothing() -> None:
    machine = election()
    machine.tick(0)
    assert machine.feed(Stop(), 0) == []
    assert machine.feed(Read(None), 0) == [Ended()]


@pytest.mark.parametrize("timing", [(10, 10.0, 2.0), (15, 2.0, 2.0), (15, 10.0, 0.0)])
def test_a_timing_under_which_two_could_lead_is_refused(timing: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError):
        Timing(*timing)


def test_leading_is_said_once() -> None:
    machine = election()
    machine.tick(0)
    machine.feed(Read(None), 0)
    assert machine.feed(Written(OURS, "1"), 0) == [Lead()]
    machine.tick(2)
    assert machine.feed(Written(OURS, "2"), 2) == []

"""Pods that are refused for a DaemonSet are told by events only: which counts, and for how long."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from metallb.operator.conditions import Progressing, WorkloadStatus, readiness
from metallb.operator.refusals import LASTS, CreationRefused, latest

NOW = dt.datetime.fromisoformat("2026-01-01T00:30:00Z")
WORDS = 'pods "speaker-" is forbidden: no PriorityClass with name nosuch was found'


def event(minute: int, message: str = WORDS, *, kind: str = "DaemonSet", name: str = "speaker", **fields: Any) -> Any:
    body = {
        "metadata": {"name": f"{name}.{minute}", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "involvedObject": {"kind": kind, "name": name},
        "message": f"Error creating: {message}",
        "lastTimestamp": f"2026-01-01T00:{minute:02}:00Z",
        **fields,
    }
    return msgspec.convert(body, CreationRefused)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        pytest.param([], "", id="none"),
        pytest.param([event(20)], WORDS, id="one"),
        pytest.param([event(25, "new"), event(20, "old")], "new", id="the latest"),
        pytest.param([event(20, kind="ReplicaSet"), event(20, name="other")], "", id="of others"),
        pytest.param([event(9)], "", id="over"),
        pytest.param([event(0, lastTimestamp=None, eventTime="2026-01-01T00:20:00.5Z")], WORDS, id="newer kind"),
        pytest.param([event(0, lastTimestamp=None)], "", id="only its age is known"),
    ],
)
def test_the_latest_about_the_object_counts_while_it_is_fresh(events: list[CreationRefused], text: str) -> None:
    assert latest(events, "DaemonSet", "speaker", NOW) == text


def test_it_lasts_longer_than_the_longest_pause_between_two_tries() -> None:
    assert dt.timedelta(seconds=1000) < LASTS


def test_it_is_told_only_while_pods_are_missing() -> None:
    missing = WorkloadStatus(observed_generation=1, desired_number_scheduled=4, current_number_scheduled=3)
    controller = (1, 0, WorkloadStatus(observed_generation=1))
    told = "DaemonSet speaker: 0 of 4 pods are ready, 0 are up to date"
    assert readiness((1, missing), controller, refused=WORDS) == Progressing(f"{told}: {WORDS}")
    there = replace(missing, current_number_scheduled=4)
    assert readiness((1, there), controller, refused=WORDS) == Progressing(told)

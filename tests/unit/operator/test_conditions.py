"""Conditions of a MetalLB resource: what each state raises, when times move, and that the API server takes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from metallb.api.core import Condition
from metallb.api.kinds import METALLB
from metallb.api.schema import object_schema
from metallb.api.v1beta1 import MetalLBSpec
from metallb.operator.backend import backend_of, refusal
from metallb.operator.conditions import (
    NO_SPEAKERS,
    TYPES,
    Available,
    Degraded,
    Progressing,
    State,
    WorkloadStatus,
    conditions,
    readiness,
    same,
    written,
    wrong_name,
)

SCHEMA = jsonschema.Draft7Validator(object_schema(METALLB))
T1, T2 = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
STATES: list[State] = [Available(), Progressing("1 of 2"), Degraded("FailedToSync", "no"), wrong_name("other")]
READY = WorkloadStatus(
    observed_generation=3,
    desired_number_scheduled=2,
    current_number_scheduled=2,
    number_ready=2,
    updated_number_scheduled=2,
)
REFUSED = Condition("ReplicaFailure", "True", "FailedCreate", "no PriorityClass with name x was found")
SERVING = WorkloadStatus(observed_generation=5, replicas=1, ready_replicas=1, updated_replicas=1)


def statuses(found: tuple[Condition, ...]) -> dict[str, str]:
    return {each.type: each.status for each in found}


@pytest.mark.parametrize(
    ("state", "true", "reason", "message"),
    [
        pytest.param(Available(), ["Available", "Upgradeable"], "Available", "", id="available"),
        pytest.param(Progressing("wait"), ["Progressing"], "Progressing", "wait", id="progressing"),
        pytest.param(Degraded("Why", "do x"), ["Degraded"], "Why", "do x", id="degraded"),
        pytest.param(
            wrong_name("other"),
            ["Degraded"],
            "IncorrectMetalLBResourceName",
            "Incorrect MetalLB resource name: other; it must be 'metallb'",
            id="another name",
        ),
    ],
)
def test_a_state_raises_its_conditions_and_lowers_the_others(
    state: State, true: list[str], reason: str, message: str
) -> None:
    found = conditions(state, (), 7, T1)
    assert tuple(each.type for each in found) == TYPES
    assert [each.type for each in found if each.status == "True"] == true
    raised = next(each for each in found if each.type == true[0])
    assert (raised.reason, raised.message) == (reason, message)
    assert {(each.reason, each.message) for each in found if each.status == "False"} <= {(t, "") for t in TYPES}
    assert {(each.observed_generation, each.last_transition_time) for each in found} == {(7, T1)}


def test_statuses_and_reasons_are_upstreams(recorded: Callable[[str], Any]) -> None:
    """Recorded while it was progressing; upstream neither says what it waits for nor for which generation."""
    upstream = recorded("operands/native-empty.json")["conditions"]
    ours = conditions(Progressing("x"), (), 1, T1)
    fields = [(each["type"], each["status"], each["reason"]) for each in upstream]
    assert [(each.type, each.status, each.reason) for each in ours] == fields


@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=6))
def test_a_time_moves_exactly_when_a_status_does(states: list[State]) -> None:
    before: tuple[Condition, ...] = ()
    for second, state in enumerate(states):
        now = f"2026-01-01T00:00:{second:02}Z"
        after = conditions(state, before, 1, now)
        for each in after:
            old = next((b for b in before if b.type == each.type), None)
            moved = old is None or old.status != each.status
            assert each.last_transition_time == (now if moved else old and old.last_transition_time)
        before = after


def test_foreign_and_incomplete_conditions_are_replaced() -> None:
    odd = (Condition("Available", "True"), Condition("Strange", "True", last_transition_time=T1))
    found = conditions(Available(), odd, 1, T2)
    assert tuple(each.type for each in found) == TYPES
    assert {each.last_transition_time for each in found} == {T2}


@pytest.mark.parametrize("state", STATES)
def test_the_second_look_writes_nothing(state: State) -> None:
    first = conditions(state, (), 1, T1)
    assert same(first, conditions(state, first, 1, T2))
    assert not same(first, conditions(state, first, 2, T2))
    assert not same((), first)


@given(st.sampled_from(STATES) | st.builds(Degraded, st.from_regex(r"\A[A-Z][A-Za-z]{0,20}\Z"), st.text(max_size=50)))
def test_the_api_server_takes_what_is_written(state: State) -> None:
    """Upstream's reason `internal error` is refused by its own schema, so nobody ever sees it."""
    status = {"conditions": written(conditions(state, (), 1, T1))}
    SCHEMA.validate({"status": status})
    assert all(re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", c["reason"]) for c in status["conditions"])  # type: ignore[call-overload]  # text


@pytest.mark.parametrize(
    ("speaker", "controller", "waiting"),
    [
        pytest.param((3, READY), (5, 1, SERVING), "", id="all there"),
        pytest.param((3, READY), (5, 0, WorkloadStatus(observed_generation=5)), "", id="scaled to none"),
        pytest.param(None, (5, 1, SERVING), "DaemonSet speaker: what was applied is not seen yet", id="no DaemonSet"),
        pytest.param((3, READY), None, "Deployment controller: what was applied is not seen yet", id="no Deployment"),
        pytest.param(
            (4, READY), (5, 1, SERVING), "DaemonSet speaker: its status is not up to date yet", id="speaker is behind"
        ),
        pytest.param(
            (3, READY),
            (6, 1, SERVING),
            "Deployment controller: its status is not up to date yet",
            id="controller is behind",
        ),
        pytest.param(
            (3, replace(READY, number_ready=1)),
            (5, 1, SERVING),
            "DaemonSet speaker: 1 of 2 pods are ready, 2 are up to date",
            id="one is not ready",
        ),
        pytest.param(
            (3, replace(READY, updated_number_scheduled=1)),
            (5, 1, SERVING),
            "DaemonSet speaker: 2 of 2 pods are ready, 1 are up to date",
            id="one is old",
        ),
        pytest.param(
            (3, replace(READY, current_number_scheduled=1)),
            (5, 1, SERVING),
            "DaemonSet speaker: 2 of 2 pods are ready, 2 are up to date",
            id="one is not scheduled",
        ),
        pytest.param(
            (3, READY),
            (5, 2, SERVING),
            "Deployment controller: 1 of 2 pods are ready, 1 are up to date",
            id="scaled up",
        ),
        pytest.param(
            (3, READY),
            (5, 1, replace(SERVING, updated_replicas=0, conditions=(REFUSED,))),
            "Deployment controller: 1 of 1 pods are ready, 0 are up to date, 1 of before are left: "
            "no PriorityClass with name x was found",
            id="a pod is refused",
        ),
        pytest.param(
            (3, READY),
            (5, 1, replace(SERVING, replicas=2)),
            "Deployment controller: 1 of 1 pods are ready, 1 are up to date, 1 of before are left",
            id="the new one is not ready, the old one is",
        ),
        pytest.param(
            None,
            None,
            "DaemonSet speaker: what was applied is not seen yet; "
            "Deployment controller: what was applied is not seen yet",
            id="nothing",
        ),
    ],
)
def test_readiness(
    speaker: tuple[int, WorkloadStatus] | None, controller: tuple[int, int, WorkloadStatus] | None, waiting: str
) -> None:
    assert readiness(speaker, controller) == (Progressing(waiting) if waiting else Available())


def test_no_speaker_at_all_is_available_as_upstream_has_it_and_said() -> None:
    state = readiness((3, WorkloadStatus(observed_generation=3)), (5, 1, SERVING))
    assert state == Available(NO_SPEAKERS)
    found = {each.type: each for each in conditions(state, (), 1, T1)}
    assert (found["Available"].status, found["Available"].message) == ("True", NO_SPEAKERS)
    assert found["Upgradeable"].message == ""


@pytest.mark.parametrize(
    ("backend", "effective", "reason"),
    [
        ("", "native", None),
        ("native", "native", None),
        ("frr", "frr", "BackendNotSupported"),
        ("frr-k8s", "frr-k8s", "BackendNotSupported"),
        ("frr-k8s-external", "frr-k8s-external", "BackendNotSupported"),
        ("bird", "bird", None),
    ],
)
def test_backends(backend: str, effective: str, reason: str | None) -> None:
    spec = MetalLBSpec(bgp_backend=backend)
    found = refusal(spec)
    assert backend_of(spec) == effective
    assert (found.reason if found else None) == reason
    assert found is None or repr(backend) in found.message

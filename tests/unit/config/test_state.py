"""What a ConfigurationState object says after an evaluation, and when there is nothing to write (spec/crds.md 9)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import v1beta1
from metallb.api.core import Condition, ObjectMeta, OwnerReference
from metallb.api.kinds import CONFIGURATION_STATE
from metallb.api.net import NodeName
from metallb.api.schema import object_schema
from metallb.api.v1beta1_states import ConfigurationState, ConfigurationStateStatus
from metallb.config.build import Snapshot
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.state import (
    CONTROLLER,
    MESSAGE_LIMIT,
    Evaluation,
    Reading,
    describe,
    desired_metadata,
    desired_status,
    evaluate,
    metadata_shows,
    speaker_on,
    status_body,
    status_shows,
)

POOL = ObjectName("IPAddressPool", "metallb-system", "p")
FIRST = ConfigError(POOL, "spec.addresses[0]", "x", "is no CIDR", "write 10.0.0.0/24")
SECOND = ConfigError(POOL, "spec.addresses[1]", "y", "is no CIDR")
WAITS = ConfigError(
    ObjectName("BGPPeer", "metallb-system", "far"), "spec.passwordSecret.name", "s", "is not there", transient=True
)
UNREAD = "bgppeers.metallb.io can't be read: no right"
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
POD = OwnerReference("v1", "Pod", "controller-1", "u-1")


def present(evaluation: Evaluation, at: str = EARLY, **metadata: Any) -> ConfigurationState:
    """The object after an evaluation."""
    return ConfigurationState(ObjectMeta(**metadata), desired_status(CONTROLLER, evaluation, None, at))


@pytest.mark.parametrize(
    ("evaluation", "result", "condition"),
    [
        pytest.param(Evaluation(), "Valid", ("True", "Reconciled", ""), id="valid"),
        pytest.param(
            Evaluation((FIRST, SECOND)),
            "Invalid",
            ("False", "ConfigurationError", f"configuration error: {FIRST}\n{SECOND}"),
            id="all errors",
        ),
        pytest.param(Evaluation(unread=(UNREAD,)), "Unknown", ("Unknown", "InfraError", UNREAD), id="unread"),
        pytest.param(
            Evaluation((FIRST,), (UNREAD,)),
            "Invalid",
            ("False", "ConfigurationError", f"configuration error: {FIRST}\n{UNREAD}"),
            id="errors beside what is unread",
        ),
    ],
)
def test_an_evaluation_is_a_condition_and_a_summary(
    evaluation: Evaluation, result: str, condition: tuple[str, str, str]
) -> None:
    found = desired_status(CONTROLLER, evaluation, None, EARLY)
    assert found.result == result
    assert found.error_summary == condition[2]
    assert found.conditions == (Condition("poolReconcilerValid", *condition, EARLY),)
    written = msgspec.json.decode(msgspec.json.encode(status_body(found)))
    document = {"apiVersion": "metallb.io/v1beta1", "kind": "ConfigurationState", "status": written}
    assert list(jsonschema.Draft7Validator(object_schema(CONFIGURATION_STATE)).iter_errors(document)) == []
    assert msgspec.convert(written, ConfigurationStateStatus) == found


def test_what_waits_for_another_object_says_that_it_needs_nobody() -> None:
    assert "by itself" in describe(WAITS)
    assert describe(WAITS) in desired_status(CONTROLLER, Evaluation((WAITS,)), None, EARLY).error_summary
    assert describe(FIRST) == str(FIRST)


@pytest.mark.parametrize(
    ("before", "after", "since"),
    [
        pytest.param(Evaluation(), Evaluation(), EARLY, id="valid as before"),
        pytest.param(Evaluation((FIRST,)), Evaluation((SECOND,)), EARLY, id="another error"),
        pytest.param(Evaluation((FIRST,)), Evaluation((FIRST,), (UNREAD,)), EARLY, id="something unread beside errors"),
        pytest.param(Evaluation(), Evaluation((FIRST,)), LATE, id="it breaks"),
        pytest.param(Evaluation((FIRST,)), Evaluation(), LATE, id="it is mended"),
        pytest.param(Evaluation(), Evaluation(unread=(UNREAD,)), LATE, id="a right is taken"),
    ],
)
def test_the_time_of_transition_moves_only_with_the_status(before: Evaluation, after: Evaluation, since: str) -> None:
    found = desired_status(CONTROLLER, after, present(before), LATE)
    assert found.conditions[0].last_transition_time == since


class TestNothingIsWritten:
    @pytest.mark.parametrize("evaluation", [Evaluation(), Evaluation((FIRST,)), Evaluation(unread=(UNREAD,))])
    def test_when_it_is_there_already(self, evaluation: Evaluation) -> None:
        shown = present(evaluation)
        assert status_shows(CONTROLLER, desired_status(CONTROLLER, evaluation, shown, LATE), shown)

    def test_because_of_conditions_of_others(self) -> None:
        shown = present(Evaluation())
        others = replace_status(shown, conditions=(*shown.status.conditions, Condition("other", "False")))
        assert status_shows(CONTROLLER, desired_status(CONTROLLER, Evaluation(), others, LATE), others)

    @pytest.mark.parametrize(
        "change",
        [
            {"result": "Unknown"},
            {"error_summary": "x"},
            {"conditions": ()},
            {"conditions": (Condition("poolReconcilerValid", "True", "Reconciled", "x", EARLY),)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_unless_somebody_changed_it(self, change: dict[str, Any]) -> None:
        shown = replace_status(present(Evaluation()), **change)
        assert not status_shows(CONTROLLER, desired_status(CONTROLLER, Evaluation(), shown, LATE), shown)

    @pytest.mark.parametrize(
        ("labels", "owners", "shows"),
        [
            (CONTROLLER.labels, (POD,), True),
            ({**CONTROLLER.labels, "more": "x"}, (OwnerReference(uid="u-0"), POD), True),
            ({}, (POD,), False),
            (CONTROLLER.labels, (), False),
            (CONTROLLER.labels, (OwnerReference("v1", "Pod", "controller-1", "u-0"),), False),
        ],
    )
    def test_when_labels_and_owner_are_there(
        self,
        labels: dict[str, str],
        owners: tuple[OwnerReference, ...],
        shows: bool,  # noqa: FBT001  # a column
    ) -> None:
        shown = present(Evaluation(), labels=dict(labels), owner_references=owners)
        assert metadata_shows(CONTROLLER, POD, shown) is shows


def replace_status(state: ConfigurationState, **change: Any) -> ConfigurationState:
    return msgspec.structs.replace(state, status=msgspec.structs.replace(state.status, **change))


def test_the_owner_is_no_controller_and_may_be_missing() -> None:
    assert desired_metadata(CONTROLLER, "metallb-system", POD) == {
        "name": "controller",
        "namespace": "metallb-system",
        "labels": {"metallb.io/component-type": "controller"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "controller-1", "uid": "u-1"}],
    }
    assert "ownerReferences" not in desired_metadata(CONTROLLER, "metallb-system", None)


class TestNames:
    def test_a_node_gives_the_object_its_name_and_labels(self) -> None:
        found = speaker_on(NodeName("node-a.example"))
        assert (found.name, found.condition, found.manager) == (
            "speaker-node-a.example",
            "configReconcilerValid",
            "configReconciler",
        )
        assert found.labels == {"metallb.io/component-type": "speaker", "metallb.io/node-name": "node-a.example"}

    @given(
        st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){0,6}", fullmatch=True)
    )
    def test_every_node_has_an_object_and_labels_that_the_api_takes(self, node: str) -> None:
        found = speaker_on(NodeName(node[:253].rstrip(".-")))
        label = found.labels["metallb.io/node-name"]
        assert len(found.name) <= 253
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", found.name)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", label)

    def test_two_long_names_that_begin_alike_stay_apart(self) -> None:
        one, two = (speaker_on(NodeName("n" * 250 + end)) for end in ("abc", "abd"))
        assert one.name != two.name
        assert one.labels["metallb.io/node-name"] != two.labels["metallb.io/node-name"]


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=60))
def test_a_message_never_outgrows_a_condition_and_says_what_it_left_out(lengths: list[int]) -> None:
    errors = tuple(replace(FIRST, field=f"f{number}", value="v" * length) for number, length in enumerate(lengths))
    message = desired_status(CONTROLLER, Evaluation(errors), None, EARLY).error_summary
    assert len(message) <= MESSAGE_LIMIT
    lines = message.split("\n")
    if len("\n".join(map(str, errors))) + len("configuration error: ") <= MESSAGE_LIMIT:
        assert len(lines) == len(errors)
    else:
        assert lines[-1] == f"... and {len(errors) - len(lines) + 1} more"


class TestEvaluating:
    def test_a_valid_reading_is_a_configuration(self) -> None:
        config, evaluation = evaluate(Reading(Snapshot([pool("10.0.0.0/24")]), unread=(UNREAD,)))
        assert config is not None
        assert evaluation == Evaluation(unread=(UNREAD,))

    def test_an_object_that_does_not_decode_is_an_error_beside_the_others(self) -> None:
        config, evaluation = evaluate(Reading(Snapshot([pool("10.0.0.0/33")]), (FIRST,)))
        assert config is None
        assert evaluation.errors[0] == FIRST
        assert len(evaluation.errors) == 2
        assert evaluate(Reading(Snapshot([pool("10.0.0.0/24")]), (FIRST,))) == (None, Evaluation((FIRST,)))


def pool(*addresses: str) -> v1beta1.IPAddressPool:
    metadata = ObjectMeta(name="p", namespace="metallb-system")
    return v1beta1.IPAddressPool(metadata=metadata, spec=v1beta1.IPAddressPoolSpec(addresses=addresses))

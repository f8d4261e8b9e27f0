"""Rules that MetalLB's types carry, with the verdicts of the recorded API server on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.schema.structural import schema_of
from kubelab.objects import Object

Ask = Callable[..., list[str]]
STRING: Object = {"type": "string"}
SELECTORS: Object = {"type": "array", "items": {"type": "object"}}
CONNECT_TIME = {
    "type": "string",
    "x-kubernetes-validations": [
        {
            "rule": "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",
            "message": "connect time should be between 1 seconds to 65535",
        },
        {
            "rule": "duration(self).getMilliseconds() % 1000 == 0",
            "message": "connect time should contain a whole number of seconds",
        },
    ],
}
GRACEFUL_RESTART = {
    "type": "boolean",
    "x-kubernetes-validations": [
        {"rule": "self == oldSelf", "message": "EnableGracefulRestart cannot be changed after creation"}
    ],
}
PEER: Object = {
    "type": "object",
    "properties": {"connectTime": CONNECT_TIME, "enableGracefulRestart": GRACEFUL_RESTART, "vrf": STRING},
}
ADVERTISEMENT: Object = {
    "type": "object",
    "properties": {
        "aggregationLength": {"type": "integer", "default": 32, "minimum": 1},
        "aggregationLengthV6": {"type": "integer", "default": 128},
        "serviceSelectors": SELECTORS,
    },
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.serviceSelectors) || size(self.serviceSelectors) == 0"
            " || ((!has(self.aggregationLength) || self.aggregationLength == 32)"
            " && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
            "message": "serviceSelectors excludes aggregation",
        }
    ],
}
IMMUTABLE: Object = {
    **STRING,
    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "Value is immutable"}],
}
STATUS: Object = {
    "type": "object",
    "properties": {"node": IMMUTABLE, "serviceName": IMMUTABLE, "serviceNamespace": IMMUTABLE, "interfaces": SELECTORS},
}
RANGE = "connect time should be between 1 seconds to 65535"
AGGREGATED = "spec: Invalid value: serviceSelectors excludes aggregation"
WHOLE = "connect time should contain a whole number of seconds"


@pytest.mark.parametrize("schema", [PEER, ADVERTISEMENT, STATUS])
def test_the_rules_compile(evaluator: RuleEvaluator, schema: Object) -> None:
    assert evaluator.compile_errors(schema_of({"type": "object", "properties": {"spec": schema}}), "root") == []


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("10s", []),
        ("1s", []),
        ("65535s", []),
        ("18h12m15s", []),
        ("1m", []),
        ("0s", [RANGE]),
        ("65536s", [RANGE]),
        ("-5s", [RANGE]),
        ("1500ms", [WHOLE]),
        ("10ms", [RANGE, WHOLE]),
    ],
)
def test_connect_time_is_whole_seconds_in_bounds(ask: Ask, time: str, told: list[str]) -> None:
    assert ask(PEER, {"connectTime": time}) == [f'spec.connectTime: Invalid value: "{time}": {one}' for one in told]


def test_a_connect_time_that_is_no_duration_is_refused(ask: Ask) -> None:
    found = ask(PEER, {"connectTime": "soon"})
    assert len(found) == 2
    assert all(line.startswith('spec.connectTime: Invalid value: "string": ') for line in found)
    assert all(" evaluating rule: connect time should" in line for line in found)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, {"enableGracefulRestart": True}, []),
        ({"enableGracefulRestart": True}, {"enableGracefulRestart": True, "vrf": "blue"}, []),
        (
            {"enableGracefulRestart": True},
            {"enableGracefulRestart": False},
            [
                "spec.enableGracefulRestart: Invalid value: false: EnableGracefulRestart cannot be changed after creation"
            ],
        ),
        ({}, {"enableGracefulRestart": True}, []),
    ],
)
def test_graceful_restart_stays_as_it_was_made(ask: Ask, old: Any, new: Any, told: list[str]) -> None:
    assert ask(PEER, new, old) == told


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, []),
        ({"serviceSelectors": [{}]}, []),
        ({"serviceSelectors": [{}], "aggregationLength": 32, "aggregationLengthV6": 128}, []),
        ({"serviceSelectors": [], "aggregationLength": 24}, []),
        ({"aggregationLength": 24, "aggregationLengthV6": 64}, []),
        ({"serviceSelectors": [{}], "aggregationLength": 24}, [AGGREGATED]),
        ({"serviceSelectors": [{}], "aggregationLengthV6": 64}, [AGGREGATED]),
    ],
)
def test_service_selectors_exclude_aggregation(ask: Ask, spec: Object, told: list[str]) -> None:
    assert ask(ADVERTISEMENT, spec) == told


@pytest.mark.parametrize("field", ["node", "serviceName", "serviceNamespace"])
def test_whom_a_status_is_about_does_not_change(ask: Ask, field: str) -> None:
    old = {"node": "a", "serviceName": "a", "serviceNamespace": "a", "interfaces": []}
    assert ask(STATUS, old, {}) == []
    assert ask(STATUS, old | {"interfaces": [{"name": "eth0"}]}, old) == []
    assert ask(STATUS, old | {field: "b"}, old) == [f'spec.{field}: Invalid value: "b": Value is immutable']

"""Each validation rule says the same in CEL, as the lab's API server evaluates it, and in Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.cel.evaluator import RuleEvaluator
from kubelab.apiserver.schema import structural
from metallb.api import duration, kinds
from metallb.api.check import check, prune
from metallb.api.rules import ABSENT, RULES
from metallb.api.schema import JsonSchema, object_schema

SCHEMAS = {kind.plural: object_schema(kind) for kind in kinds.KINDS}
COMPILED = {plural: structural.schema_of(schema) for plural, schema in SCHEMAS.items()}
EVALUATOR = RuleEvaluator()


def rules(schema: JsonSchema) -> Iterator[dict[str, str]]:
    yield from schema.get("x-kubernetes-validations", ())
    inner = [
        *schema.get("properties", {}).values(),
        *(schema[x] for x in ("items", "additionalProperties") if x in schema),
    ]
    for each in inner:
        yield from rules(each)


def by_cel(plural: str, value: Any, old: Any) -> list[str]:
    before = None if old is ABSENT else prune(SCHEMAS[plural], old).value
    return sorted(
        error.field for error in EVALUATOR.evaluate(COMPILED[plural], prune(SCHEMAS[plural], value).value, before)
    )


def by_twin(plural: str, value: Any, old: Any) -> list[str]:
    before = ABSENT if old is ABSENT else prune(SCHEMAS[plural], old).value
    return sorted(each.path for each in check(SCHEMAS[plural], prune(SCHEMAS[plural], value).value, before))


def test_every_rule_of_the_kinds_has_a_twin_and_every_twin_is_used() -> None:
    stated = [rule for kind in kinds.KINDS for rule in rules(object_schema(kind))]
    assert {rule["message"] for rule in stated} == set(RULES)
    assert all(RULES[rule["message"]].expression == rule["rule"] for rule in stated)


DURATIONS = (
    st.sampled_from(
        ["1s", "0s", "0", "-1s", "65535s", "65536s", "1.5s", "999ms", "1000ms", "1s1ns", "1ms1us", "x", "", "1"]
    )
    | st.integers(-(10**14), 10**14).map(
        lambda each: duration.render(each).replace("µ", "u")
    )  # the lab's CEL reads ASCII only
    | st.from_regex(r"-?([0-9]{1,5}(\.[0-9]{1,4})?(h|m|s|ms|us|ns)){1,3}", fullmatch=True)
)
LENGTHS = st.sampled_from([None, 1, 24, 32, 33])
LENGTHS_V6 = st.sampled_from([None, 64, 128, 129])
SELECTORS: st.SearchStrategy[Any] = st.sampled_from([None, [], [{}], [{"matchLabels": {"a": "b"}}]])
MAYBE = st.sampled_from([None, True, False])
TEXT = st.sampled_from([None, "", "a", "b"])


@given(DURATIONS)
def test_connect_times(text: str) -> None:
    value = {"spec": {"myASN": 1, "connectTime": text}}
    assert by_cel("bgppeers", value, ABSENT) == by_twin("bgppeers", value, ABSENT)


@given(SELECTORS, LENGTHS, LENGTHS_V6)
def test_aggregation(selectors: Any, length: Any, length_v6: Any) -> None:
    spec = {"serviceSelectors": selectors, "aggregationLength": length, "aggregationLengthV6": length_v6}
    assert by_cel("bgpadvertisements", {"spec": spec}, ABSENT) == by_twin("bgpadvertisements", {"spec": spec}, ABSENT)


@given(MAYBE, MAYBE)
def test_graceful_restart(new: Any, old: Any) -> None:
    value = {"spec": {"myASN": 1, "enableGracefulRestart": new}}
    before = {"spec": {"myASN": 1, "enableGracefulRestart": old}}
    assert by_cel("bgppeers", value, before) == by_twin("bgppeers", value, before)


@pytest.mark.parametrize("plural", ["servicel2statuses", "servicebgpstatuses"])
@given(new=st.tuples(TEXT, TEXT, TEXT), old=st.tuples(TEXT, TEXT, TEXT))
def test_whom_a_status_is_about(plural: str, new: tuple[Any, ...], old: tuple[Any, ...]) -> None:
    names = ("node", "serviceName", "serviceNamespace")
    value, before = ({"status": dict(zip(names, each, strict=True))} for each in (new, old))
    assert by_cel(plural, value, before) == by_twin(plural, value, before)

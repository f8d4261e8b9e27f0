"""A pool's annotations, value by value."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import v1beta1
from metallb.api.core import ObjectMeta
from metallb.config.parsing import Problems
from metallb.config.pools import parse_pool
from metallb.config.terms import DRAIN, FREE, LONGEST_S, QUOTA, SPREAD, STICKY, Terms, parse, written


def problems() -> Problems:
    return Problems.of("IPAddressPool", ObjectMeta(name="p", namespace="metallb-system"))


@pytest.mark.parametrize(
    ("annotations", "terms"),
    [
        ({}, FREE),
        ({"metallb.io/another": "1"}, FREE),
        ({DRAIN: "true"}, Terms(draining=True)),
        ({DRAIN: "false"}, FREE),
        ({QUOTA: "0"}, Terms(quota=0)),
        ({QUOTA: "12"}, Terms(quota=12)),
        ({STICKY: "0"}, FREE),
        ({STICKY: "3600"}, Terms(sticky_s=3600)),
        ({STICKY: str(LONGEST_S)}, Terms(sticky_s=LONGEST_S)),
        ({SPREAD: "true"}, Terms(spread=True)),
        ({SPREAD: "false"}, FREE),
        ({DRAIN: "true", QUOTA: "1", STICKY: "2", SPREAD: "true"}, Terms(True, 1, 2, True)),
    ],
)
def test_what_is_written_is_read(annotations: dict[str, str], terms: Terms) -> None:
    found = problems()
    assert parse(annotations, found) == terms
    assert found.found == []


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        (DRAIN, "yes", "must be 'true' or 'false'"),
        (DRAIN, "", "must be 'true' or 'false'"),
        (DRAIN, "True", "must be 'true' or 'false'"),
        (SPREAD, "evenly", "must be 'true' or 'false'"),
        (QUOTA, "", "must be a whole number from 0 to 2147483647"),
        (QUOTA, "-1", "must be a whole number from 0 to 2147483647"),
        (QUOTA, "2147483648", "must be a whole number from 0 to 2147483647"),
        (QUOTA, "٣", "must be a whole number from 0 to 2147483647"),
        (QUOTA, "1" * 5000, "must be a whole number from 0 to 2147483647"),
        (STICKY, "1h", f"must be a whole number from 0 to {LONGEST_S}"),
        (STICKY, str(LONGEST_S + 1), f"must be a whole number from 0 to {LONGEST_S}"),
    ],
)
def test_what_can_not_be_read_is_named_with_its_rule(name: str, value: str, rule: str) -> None:
    found = problems()
    assert parse({name: value}, found) == FREE
    assert [(error.field, error.value, error.rule) for error in found.found] == [
        (f"metadata.annotations[{name}]", value, rule)
    ]


def test_they_are_part_of_the_pool_and_of_its_errors(make_pool: Callable[..., v1beta1.IPAddressPool]) -> None:
    plain = make_pool("p", "10.0.0.0/24")
    assert parse_pool(plain, {}).pool.terms == FREE
    annotations = {DRAIN: "true", QUOTA: "many"}
    limited = msgspec.structs.replace(plain, metadata=msgspec.structs.replace(plain.metadata, annotations=annotations))
    found = parse_pool(limited, {})
    assert found.pool.terms == Terms(draining=True)
    assert [str(error) for error in found.errors] == [
        (
            "IPAddressPool metallb-system/p: metadata.annotations[metallb.io/quota-per-namespace]: 'many' "
            "must be a whole number from 0 to 2147483647"
        )
    ]


@given(st.dictionaries(st.sampled_from([DRAIN, QUOTA, SPREAD, STICKY, "other"]), st.text(max_size=5)))
def test_equal_annotations_are_equal_terms_and_no_text_crashes(annotations: dict[str, str]) -> None:
    again = {**annotations, "other": "another"}
    assert written(again) == written(annotations)
    assert parse(again, problems()) == parse(annotations, problems())

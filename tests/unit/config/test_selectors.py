"""Label selectors against a model that is nothing but the words of the Kubernetes documentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api.core import LabelSelector, LabelSelectorRequirement
from metallb.config.selectors import any_matches, duplicates, parse

KEYS, VALUES = ("a", "b", "c.d/e"), ("", "x", "y")
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
requirements = st.one_of(
    st.builds(
        LabelSelectorRequirement,
        st.sampled_from(KEYS),
        st.sampled_from(("In", "NotIn")),
        st.lists(st.sampled_from(VALUES), min_size=1, unique=True).map(tuple),
    ),
    st.builds(LabelSelectorRequirement, st.sampled_from(KEYS), st.sampled_from(("Exists", "DoesNotExist"))),
)
selectors = st.builds(
    LabelSelector,
    match_labels=labels,
    match_expressions=st.lists(
        requirements, max_size=3, unique_by=lambda each: (each.key, each.operator, frozenset(each.values))
    ).map(tuple),
)


def meets(requirement: LabelSelectorRequirement, on: dict[str, str]) -> bool:
    there = requirement.key in on
    return {
        "In": there and on.get(requirement.key) in requirement.values,
        "NotIn": not (there and on.get(requirement.key) in requirement.values),
        "Exists": there,
        "DoesNotExist": not there,
    }[requirement.operator]


@given(selectors, labels)
def test_a_selector_means_what_it_says(selector: LabelSelector, on: dict[str, str]) -> None:
    expected = all(on.get(key) == value for key, value in selector.match_labels.items()) and all(
        meets(requirement, on) for requirement in selector.match_expressions
    )
    assert parse(selector).matches(on) is expected


@given(st.lists(selectors, max_size=3), labels)
def test_one_of_several_is_enough(several: list[LabelSelector], on: dict[str, str]) -> None:
    parsed = [parse(each) for each in several]
    assert any_matches(parsed, on) is any(each.matches(on) for each in parsed)


@given(selectors, st.randoms(use_true_random=False))
def test_the_order_of_labels_conditions_and_values_means_nothing(selector: LabelSelector, draw: object) -> None:
    assert hasattr(draw, "sample")
    shuffled = LabelSelector(
        match_labels=dict(reversed(selector.match_labels.items())),
        match_expressions=tuple(
            LabelSelectorRequirement(each.key, each.operator, tuple(draw.sample(each.values, len(each.values))))
            for each in draw.sample(selector.match_expressions, len(selector.match_expressions))
        ),
    )
    assert parse(shuffled) == parse(selector)
    assert hash(parse(shuffled)) == hash(parse(selector))


@given(st.lists(selectors, max_size=4))
def test_repetitions_are_those_written_alike(several: list[LabelSelector]) -> None:
    alike = [
        (
            each.match_labels,
            [(e.key, e.operator, sorted(e.values)) for e in each.match_expressions],
        )
        for each in several
    ]
    assert duplicates(several) == [n for n, each in enumerate(alike) if each in alike[:n]]


@pytest.mark.parametrize("key", ["a", "A", "0", "a-b_c.d", "example.org/a", "x" * 63, f"{'y' * 253}/a"])
def test_good_keys(key: str) -> None:
    assert parse(LabelSelector(match_labels={key: "v"})).matches({key: "v"})


@pytest.mark.parametrize(
    "key",
    ["", "-a", "a-", "a b", "a\n", "a/b/c", "a/", "/a", "Example.org/a", "x" * 64, f"{'y' * 254}/a", "é", "a.-b/c"],
)
def test_bad_keys(key: str) -> None:
    with pytest.raises(ValueError, match="has the label key"):
        parse(LabelSelector(match_labels={key: "v"}))


@pytest.mark.parametrize("value", ["-a", "a-", "a b", "a\n", "x" * 64, "é"])
def test_bad_values(value: str) -> None:
    with pytest.raises(ValueError, match="it must be up to 63"):
        parse(LabelSelector(match_labels={"a": value}))

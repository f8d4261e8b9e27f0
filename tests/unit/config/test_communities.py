"""How communities are written and sorted, and the names that Community objects give them (spec/crds.md 7, 10.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.config.build import Snapshot, build
from metallb.config.communities import Community, FormatError, parse

Said = list[tuple[str, str, str, str]]
FORM = "is no community: those are written A:B, or large:A:B:C"

standard = st.tuples(*[st.integers(0, 0xFFFF)] * 2).map(Community)
large = st.tuples(*[st.integers(0, 0xFFFFFFFF)] * 3).map(Community)


class TestGrammar:
    @pytest.mark.parametrize(
        ("text", "numbers"),
        [
            ("65535:65535", (65535, 65535)),
            ("0:0", (0, 0)),
            ("007:000000000000000000001", (7, 1)),
            ("large:4294967295:1:2", (4294967295, 1, 2)),
            ("large:0:0:0", (0, 0, 0)),
        ],
    )
    def test_accepts(self, text: str, numbers: tuple[int, ...]) -> None:
        assert parse(text).numbers == numbers

    @pytest.mark.parametrize("text", ["", "nope", "large:1:2", "1:2:3", "1:2:3:4:5", "no-export"])
    def test_refuses_as_format(self, text: str) -> None:
        with pytest.raises(FormatError, match="is no community"):
            parse(text)

    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("65536:1", "has the part '65536', more than 65535"),
            ("1:-1", "has the part '-1', which is no decimal number"),
            ("+1:1", "has the part '+1', which is no decimal number"),
            ("x:1", "has the part 'x', which is no decimal number"),
            (":", "has the part '', which is no decimal number"),
            ("1:²", "has the part '²', which is no decimal number"),
            ("1_0:1", "has the part '1_0', which is no decimal number"),
            ("1: 2", "has the part ' 2', which is no decimal number"),
            ("Large:1:2:3", "begins with 'Large': only large communities, large:A:B:C, have four parts"),
            ("1:2:3:4", "begins with '1': only large communities, large:A:B:C, have four parts"),
            ("large:4294967296:1:1", "has the part '4294967296', more than 4294967295"),
            (f"1:{'9' * 5000}", f"has the part '{'9' * 5000}', more than 65535"),
        ],
    )
    def test_refuses_as_value(self, text: str, rule: str) -> None:
        with pytest.raises(ValueError) as refused:
            parse(text)
        assert (str(refused.value), type(refused.value)) == (rule, ValueError)

    @given(standard | large)
    def test_reads_what_it_writes(self, community: Community) -> None:
        assert parse(f"large:{community}" if community.is_large else str(community)) == community

    @given(st.text())
    def test_refuses_with_words_or_accepts(self, text: str) -> None:
        try:
            parse(text)
        except ValueError as error:
            assert str(error)


def test_they_sort_by_number() -> None:
    texts = ["large:1:0:0", "0:2", "1:0", "large:65536:0:1", "0:1", "large:0:5:0"]
    in_order = ["large:0:5:0", "0:1", "large:1:0:0", "0:2", "1:0", "large:65536:0:1"]
    assert sorted(map(parse, texts)) == list(map(parse, in_order))


@given(st.lists(standard | large, max_size=4), st.data())
def test_their_order_is_one_whatever_it_was_before(found: list[Community], data: st.DataObject) -> None:
    assert sorted(found) == sorted(data.draw(st.permutations(found)))


class TestAliases:
    @pytest.mark.parametrize(
        ("value", "rule"),
        [
            ("nope", FORM),
            ("vpn", FORM),
            ("1:2:3", FORM),
            ("65536:1", "has the part '65536', more than 65535"),
        ],
    )
    def test_of_bad_values_are_refused(
        self, make_community: Callable[..., Any], said: Callable[..., Said], value: str, rule: str
    ) -> None:
        found = said(communities=(make_community("names", ("good", "1:2"), ("vpn", value)),))
        assert found == [("Community names", "spec.communities[1].value", value, rule)]

    def test_twice_in_one_object_are_refused(
        self, make_community: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        found = said(communities=(make_community("names", ("a", "1:2"), ("b", "1:2"), ("a", "1:2")),))
        assert found == [("Community names", "spec.communities[2].name", "a", "is there twice")]

    def test_of_the_younger_of_two_objects_are_refused(self, make_community: Callable[..., Any]) -> None:
        old = make_community("z", ("a", "1:2"), created="2026-01-01T00:00:00Z")
        young = make_community("a", ("b", "1:2"), ("a", "1:2"), created="2026-01-02T00:00:00Z")
        (error,) = build(Snapshot(communities=(young, old))).errors
        assert (str(error.object), error.field, error.value) == (
            "Community metallb-system/a",
            "spec.communities[1].name",
            "a",
        )
        assert error.rule == "is given by Community metallb-system/z already"
        assert list(map(str, error.others)) == ["Community metallb-system/z"]

    def test_that_are_large_are_refused_by_native(
        self, make_community: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        names = make_community("names", ("a", "large:1:2:3"))
        rule = "is a large community, which backend native can't announce"
        assert said(communities=(names,), backend="native") == [
            ("Community names", "spec.communities[0].value", "large:1:2:3", rule)
        ]
        assert said(communities=(names,)) == []


class TestEntriesOfAdvertisements:
    def found(self, bgp: Any, pool: Any, *communities: Any, **rest: Any) -> tuple[Community, ...]:
        snapshot = Snapshot(
            pools=(pool,), bgp_advertisements=(bgp,), communities=communities, **{"backend": "frr", **rest}
        )
        built = build(snapshot)
        assert built.errors == ()
        assert built.config is not None
        return built.config.pools[0].bgp[0].communities

    def test_are_looked_up_as_names_first(
        self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any], make_community: Callable[..., Any]
    ) -> None:
        names = make_community("names", ("vpn", "1:2"), ("3:4", "5:6"), ("a:b:c", "7:8"), ("", "9:9"))
        bgp = make_bgp(communities=("vpn", "3:4", "a:b:c", "0:1", "large:1:1:1", ""))
        found = self.found(bgp, make_pool("p", "10.0.0.0/24"), names)
        assert list(map(str, found)) == ["0:1", "1:1:1", "1:2", "5:6", "7:8", "9:9"]

    def test_that_come_to_the_same_count_once(
        self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any], make_community: Callable[..., Any]
    ) -> None:
        bgp = make_bgp(communities=("vpn", "1:2", "01:2"))
        found = self.found(bgp, make_pool("p", "10.0.0.0/24"), make_community("names", ("vpn", "1:2")))
        assert found == (Community((1, 2)),)

    @pytest.mark.parametrize("text", ["vpn", "", "no-export"])
    def test_that_look_like_names_wait_for_their_alias(self, make_bgp: Callable[..., Any], text: str) -> None:
        (error,) = build(Snapshot(bgp_advertisements=(make_bgp(communities=("1:2", text)),))).errors
        assert (error.field, error.value, error.transient) == ("spec.communities[1]", text, True)

    @pytest.mark.parametrize("text", ["1:2:3", "large:1:2", "65536:1", "Large:1:2:3", "x:1", ":"])
    def test_with_a_colon_are_refused_at_once(self, make_bgp: Callable[..., Any], text: str) -> None:
        (error,) = build(Snapshot(bgp_advertisements=(make_bgp(communities=(text,)),))).errors
        assert (error.field, error.value, error.transient) == ("spec.communities[0]", text, False)

    def test_that_are_large_are_refused_by_native(
        self, make_bgp: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        bgp = make_bgp(communities=("large:1:2:3",))
        rule = "is a large community, which backend native can't announce"
        assert said(bgp_advertisements=(bgp,), backend="native") == [
            ("BGPAdvertisement routes", "spec.communities[0]", "large:1:2:3", rule)
        ]
        assert said(bgp_advertisements=(bgp,)) == []

    def test_whose_alias_is_bad_are_not_blamed_for_it(
        self, make_bgp: Callable[..., Any], make_community: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        found = said(
            bgp_advertisements=(make_bgp(communities=("vpn",)),), communities=(make_community("c", ("vpn", "x")),)
        )
        assert [where for where, *_ in found] == ["Community c"]

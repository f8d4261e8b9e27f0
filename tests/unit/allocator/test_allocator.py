"""Limits of a pool, remembered addresses, and room among very many companions: example by example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metallb.allocator.allocator import Allocation, Allocator
from metallb.allocator.reasons import LONGEST, NothingLeft, PoolDraining, PoolExhausted, QuotaReached, Reason
from metallb.allocator.request import ALONE, Port, Request, Sharing
from metallb.allocator.reservations import Reservation
from metallb.api.net import Address, Family, Range, ServiceKey
from metallb.config.model import Pool, ServiceAllocation
from metallb.config.terms import FREE, Terms

SHARED = Sharing("k")


def request(name: str, *, families: tuple[Family, ...] = (4,), port: int = 80, **more: Any) -> Request:
    namespace, _, short = name.rpartition("/")
    settings = {"both_required": False, "sharing": ALONE} | more
    settings["addresses"] = tuple(map(Address.parse, settings.get("addresses", ())))
    return Request(
        ServiceKey(namespace or "a", short), {}, families=families, ports=frozenset({Port("TCP", port)}), **settings
    )


def allocator(terms: Terms = FREE, *ranges: str) -> Allocator:
    found = Allocator()
    pool = Pool("p", tuple(map(Range.parse, ranges or ("10.0.0.0/30", "2001:db8::/126"))), terms=terms)
    found.replace_pools([pool])
    return found


def given(outcome: Allocation | Reason) -> list[str]:
    assert isinstance(outcome, Allocation), str(outcome)
    return [str(address) for address in outcome.addresses]


class TestDrain:
    @pytest.fixture
    def drained(self) -> Allocator:
        found = allocator()
        given(found.allocate(request("old", sharing=SHARED)))
        found.replace_pools([replace(found.pools["p"].pool, terms=Terms(draining=True))])
        return found

    @pytest.mark.parametrize("more", [{}, {"addresses": ("10.0.0.1",)}, {"pool": "p"}, {"sharing": SHARED, "port": 81}])
    def test_gives_nothing_new(self, drained: Allocator, more: dict[str, Any]) -> None:
        outcome = drained.allocate(request("new", **more))
        named = outcome.ruled_out if isinstance(outcome, NothingLeft) else (outcome,)
        assert named == (PoolDraining("p"),)

    def test_takes_nothing_away(self, drained: Allocator) -> None:
        again = request("old", sharing=SHARED, port=99)
        assert given(drained.assign(again, (Address.parse("10.0.0.0"),))) == ["10.0.0.0"]
        fresh = allocator(Terms(draining=True))
        assert given(fresh.assign(again, (Address.parse("10.0.0.0"),))) == ["10.0.0.0"]

    def test_gives_no_second_family_and_no_other_address(self, drained: Allocator) -> None:
        assert drained.extend(request("old", families=(4, 6))) == PoolDraining("p")
        assert drained.allocate(request("old", addresses=("10.0.0.1",))) == PoolDraining("p")
        assert drained.usage("p")[4].in_use == 1


class TestQuota:
    def test_counts_a_namespaces_addresses_and_nobody_elses(self) -> None:
        found = allocator(Terms(quota=2))
        assert given(found.allocate(request("a/1"))) == ["10.0.0.0"]
        assert given(found.allocate(request("a/2"))) == ["10.0.0.1"]
        refused = found.allocate(request("a/3"))
        assert isinstance(refused, NothingLeft)
        assert refused.ruled_out == (QuotaReached("p", "a", 2),)
        assert found.allocate(request("a/3", pool="p")) == QuotaReached("p", "a", 2)
        assert found.allocate(request("a/3", addresses=("10.0.0.3",))) == QuotaReached("p", "a", 2)
        assert given(found.allocate(request("b/1"))) == ["10.0.0.2"]

    def test_both_families_count_and_who_prefers_two_gets_what_is_left(self) -> None:
        found = allocator(Terms(quota=1))
        assert isinstance(found.allocate(request("a/1", families=(6, 4), both_required=True)), NothingLeft)
        assert given(found.allocate(request("a/1", families=(6, 4)))) == ["2001:db8::"]
        assert found.extend(request("a/1", families=(6, 4))) == QuotaReached("p", "a", 1)

    def test_a_place_on_an_address_that_the_namespace_has_costs_nothing(self) -> None:
        found = allocator(Terms(quota=1))
        given(found.allocate(request("b/1", sharing=SHARED)))
        given(found.allocate(request("a/1", sharing=SHARED, port=81)))
        assert given(found.allocate(request("a/2", sharing=SHARED, port=82))) == ["10.0.0.0"]
        assert isinstance(found.allocate(request("a/3", sharing=SHARED, port=82)), NothingLeft)

    def test_moving_within_the_pool_needs_no_room(self) -> None:
        found = allocator(Terms(quota=1))
        given(found.allocate(request("a/1")))
        assert given(found.allocate(request("a/1", addresses=("10.0.0.3",)))) == ["10.0.0.3"]

    def test_one_that_is_set_or_lowered_later_takes_nothing_away(self) -> None:
        found = allocator()
        for name in ("a/1", "a/2"):
            given(found.allocate(request(name)))
        assert found.replace_pools([replace(found.pools["p"].pool, terms=Terms(quota=1))]) == frozenset()
        assert given(found.assign(request("a/2"), (Address.parse("10.0.0.1"),))) == ["10.0.0.1"]
        found.release(request("a/1").key)
        assert isinstance(found.allocate(request("a/1")), NothingLeft)
        found.release(request("a/2").key)
        given(found.allocate(request("a/1")))


class TestSticky:
    @pytest.fixture
    def found(self) -> Allocator:
        """One came and went; its address is remembered until 110."""
        found = allocator(Terms(sticky_s=10))
        given(found.allocate(request("gone", families=(4, 6))))
        found.retire(request("gone").key, 100.0)
        return found

    def test_who_comes_back_in_time_gets_the_same(self, found: Allocator) -> None:
        given(found.allocate(request("other", families=(4, 6))))
        found.expire(109.9)
        assert given(found.allocate(request("gone", families=(6, 4)))) == ["10.0.0.0", "2001:db8::"]
        assert list(found.reservations) == []

    def test_others_get_other_addresses_first(self, found: Allocator) -> None:
        order = [given(found.allocate(request(f"s{n}")))[0] for n in range(4)]
        assert order == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.0"], "it is a preference, nobody waits for it"
        assert isinstance(found.allocate(request("gone")), NothingLeft)

    def test_one_of_the_families_is_enough(self, found: Allocator) -> None:
        assert given(found.allocate(request("gone", families=(6,)))) == ["2001:db8::"]
        assert given(found.allocate(request("new"))) == ["10.0.0.0"], "the rest is forgotten"

    def test_after_its_time_it_is_forgotten(self, found: Allocator) -> None:
        found.expire(110.0)
        assert given(found.allocate(request("new", families=(4, 6)))) == ["10.0.0.0", "2001:db8::"]

    def test_who_asks_for_it_gets_it(self, found: Allocator) -> None:
        assert given(found.allocate(request("new", addresses=("10.0.0.0",)))) == ["10.0.0.0"]
        assert given(found.allocate(request("gone", families=(4, 6)))) == ["10.0.0.1", "2001:db8::"]

    @pytest.mark.parametrize("terms", [Terms(), Terms(draining=True, sticky_s=10)])
    def test_a_pool_that_does_not_remember_any_more_gives_it_to_the_next(self, found: Allocator, terms: Terms) -> None:
        found.replace_pools([replace(found.pools["p"].pool, terms=terms)])
        found.replace_pools([replace(found.pools["p"].pool, terms=FREE)])
        assert list(found.reservations) == []
        assert given(found.allocate(request("new"))) == ["10.0.0.0"]

    def test_it_survives_a_restart_and_changed_ranges(self, found: Allocator) -> None:
        kept = list(found.reservations)
        addresses = (Address.parse("10.0.0.0"), Address.parse("2001:db8::"))
        assert kept == [Reservation(request("gone").key, addresses, 110.0)]
        fresh = allocator(Terms(sticky_s=10), "10.0.0.0/29", "2001:db8::/64")
        for each in kept:
            fresh.reservations.add(each)
        assert given(fresh.allocate(request("new"))) == ["10.0.0.1"]
        ranges = (Range.parse("2001:db8::/60"), Range.parse("10.0.0.0/28"))
        fresh.replace_pools([Pool("q", ranges, terms=Terms(sticky_s=10))])
        assert given(fresh.allocate(request("newer"))) == ["10.0.0.2"]
        assert given(fresh.allocate(request("gone", families=(4, 6)))) == ["10.0.0.0", "2001:db8::"]

    def test_a_shared_address_is_set_aside_when_the_last_one_leaves(self) -> None:
        found = allocator(Terms(sticky_s=10))
        for port, name in enumerate(("first", "last")):
            given(found.allocate(request(name, sharing=SHARED, port=port + 1)))
        found.retire(request("first").key, 100.0)
        assert given(found.allocate(request("first", sharing=SHARED, port=1))) == ["10.0.0.0"]
        found.retire(request("first").key, 100.0)
        found.release(request("last").key)
        assert given(found.allocate(request("new"))) == ["10.0.0.1"]

    def test_without_the_setting_nothing_is_remembered(self) -> None:
        found = allocator()
        given(found.allocate(request("gone")))
        found.retire(request("gone").key, 100.0)
        assert list(found.reservations) == []
        assert given(found.allocate(request("new"))) == ["10.0.0.0"]


class TestCompanions:
    def test_room_among_very_many_is_found_again_when_somebody_leaves(self) -> None:
        found = allocator(Terms(), "10.0.0.0/26")
        for number in range(64):
            for port in (80, 443):
                given(found.allocate(request(f"{port}-{number}", sharing=SHARED, port=port)))
        assert isinstance(found.allocate(request("new", sharing=SHARED)), NothingLeft)
        for number in (40, 20, 30):
            found.release(request(f"80-{number}").key)
        assert given(found.allocate(request("new", sharing=SHARED))) == ["10.0.0.20"]

    def test_no_room_names_the_one_in_the_way(self) -> None:
        found = allocator(Terms(), "10.0.0.0/32")
        given(found.allocate(request("first", sharing=SHARED)))
        outcome = found.allocate(request("new", sharing=SHARED))
        assert str(outcome) == (
            "no available IPs for IPv4 (all IPv4 in use: p; 10.0.0.0 is in use by a/first: it uses port tcp/80 there)"
        )


class TestReasons:
    def test_each_pool_is_named_with_what_ruled_it_out(self) -> None:
        pools = [
            Pool("full", (Range.parse("10.0.0.0/32"),)),
            Pool("theirs", (Range.parse("10.0.1.0/32"),), allocation=ServiceAllocation(1, frozenset({"b"}), ())),
            Pool("asked-only", (Range.parse("10.0.2.0/32"),), auto_assign=False),
            Pool("six", (Range.parse("2001:db8::/64"),)),
            Pool("drained", (Range.parse("10.0.3.0/32"),), terms=Terms(draining=True)),
            Pool("limited", (Range.parse("10.0.4.0/31"),), terms=Terms(quota=1)),
        ]
        found = Allocator()
        found.replace_pools(pools)
        for name in ("1", "2"):
            given(found.allocate(request(name)))
        assert str(found.allocate(request("new"))) == (
            "no available IPs for IPv4 (all IPv4 in use: full; its namespace has its quota: limited; "
            "without IPv6: six; autoAssign: false: asked-only; drained: drained; not open to its namespace: theirs)"
        ).replace("without IPv6: six", "without IPv4: six")

    def test_it_is_bounded_however_many_pools_there_are_and_however_long_their_names(self) -> None:
        found = Allocator()
        found.replace_pools(Pool(f"{n:0253}", (Range.parse(f"10.0.{n}.0/32"),)) for n in range(100))
        for number in range(100):
            given(found.allocate(request(f"s{number}")))
        text = str(found.allocate(request("new")))
        assert len(text) <= LONGEST
        assert text.endswith("; and 97 more pools)")
        assert str(found.allocate(request("newer"))) == text

    def test_it_does_not_change_when_nothing_that_matters_does(self) -> None:
        found = allocator(Terms(), "10.0.0.0/32")
        given(found.allocate(request("holder")))
        first = found.allocate(request("waits"))
        found.release(request("holder").key)
        given(found.allocate(request("another")))
        assert found.allocate(request("waits")) == first == NothingLeft((4,), (PoolExhausted("p", (4,)),))

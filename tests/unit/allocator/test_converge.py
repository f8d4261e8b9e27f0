"""What becomes of one Service, row by row (spec/controller.md 8, 10, 18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metallb.allocator import reasons
from metallb.allocator.allocator import Allocator
from metallb.allocator.converge import Assign, Decision, Keep, Pending, Release, adopt, converge
from metallb.api.core import Service
from metallb.config.build import Snapshot, build

V4 = ("198.18.128.5",)
V6 = ("2001:db8:300::5",)
DUAL = (*V4, *V6)
DUAL_V6_FIRST = (*V6, *V4)
REQUIRE, PREFER = "RequireDualStack", "PreferDualStack"


@pytest.fixture
def pools(make_pool: Callable[..., Any]) -> Allocator:
    """The pools of spec/controller.md 18."""
    return allocator_of(
        make_pool("p1", "1.2.3.0/31"),
        make_pool("p2", "3.4.5.6/32", auto_assign=False),
        make_pool("p3", "1000::/127"),
        make_pool("p5", "1.2.3.2/31", "1000::2/127"),
    )


def allocator_of(*pools: Any) -> Allocator:
    built = build(Snapshot(pools))
    assert built.config is not None, built.errors
    allocator = Allocator()
    allocator.replace_pools(built.config.pools)
    return allocator


def ips(decision: Decision) -> list[str]:
    return [str(address) for address in decision.allocation.addresses] if isinstance(decision, Keep | Assign) else []


def annotated(**named: str) -> dict[str, str]:
    names = {"pool": "address-pool", "ips": "loadBalancerIPs", "key": "allow-shared-ip"}
    return {f"metallb.io/{names[name]}": value for name, value in named.items()}


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        pytest.param({}, ["1.2.3.0"], id="plain v4 takes the lowest free one"),
        pytest.param({"ips": ("2.3.4.5",)}, ["1.2.3.0"], id="a foreign address is replaced"),
        pytest.param({"ips": ("2.3.4.5",), "hostname": "a.example"}, ["1.2.3.0"], id="a hostname entry is dropped"),
        pytest.param({"requested": "3.4.5.6"}, ["3.4.5.6"], id="a request ignores autoAssign"),
        pytest.param({"annotations": annotated(ips="1.2.3.1")}, ["1.2.3.1"], id="request by annotation"),
        pytest.param(
            {"annotations": {"metallb.universe.tf/loadBalancerIPs": "1.2.3.1"}}, ["1.2.3.1"], id="deprecated annotation"
        ),
        pytest.param(
            {"annotations": annotated(pool="p2"), "ips": ("1.2.3.0",)}, ["3.4.5.6"], id="another pool is asked for"
        ),
        pytest.param({"cluster_ips": V6}, ["1000::"], id="plain v6"),
        pytest.param(
            {"cluster_ips": DUAL_V6_FIRST, "policy": REQUIRE}, ["1.2.3.2", "1000::2"], id="dual: v4 stands first"
        ),
        pytest.param(
            {"cluster_ips": DUAL, "policy": PREFER, "annotations": annotated(pool="p1")},
            ["1.2.3.0"],
            id="prefer dual, the named pool has one family",
        ),
        pytest.param({"cluster_ips": V4, "policy": PREFER}, ["1.2.3.0"], id="prefer dual with one cluster IP"),
        pytest.param(
            {"cluster_ips": DUAL, "policy": PREFER, "ips": ("1.2.3.3",)},
            ["1.2.3.3", "1000::2"],
            id="prefer dual holds one, gains the other from the same pool",
        ),
        pytest.param(
            {"cluster_ips": DUAL, "policy": PREFER, "ips": ("1.2.3.1",)}, ["1.2.3.1"], id="its pool has no v6"
        ),
        pytest.param({"ips": ("1.2.3.2", "1000::2")}, ["1.2.3.2"], id="dual to single keeps the family that stays"),
        pytest.param(
            {"cluster_ips": DUAL, "policy": REQUIRE, "ips": ("1.2.3.3",)},
            ["1.2.3.3", "1000::2"],
            id="single to dual keeps the address it has",
        ),
        pytest.param(
            {"cluster_ips": DUAL, "policy": REQUIRE, "ips": ("1.2.3.0",)},
            ["1.2.3.2", "1000::2"],
            id="single to dual, its pool can't: both from another",
        ),
        pytest.param({"ips": ("1.2.3.1",)}, ["1.2.3.1"], id="what it has it keeps"),
        pytest.param({"ips": ("1.2.3.0", "1.2.3.1")}, ["1.2.3.0"], id="two of one family in the status"),
        pytest.param(
            {"annotations": annotated(ips="nonsense"), "ips": ("1.2.3.1",)}, ["1.2.3.1"], id="a malformed request keeps"
        ),
        pytest.param(
            {"annotations": annotated(ips="9.9.9.9"), "ips": ("1.2.3.1",)},
            ["1.2.3.1"],
            id="an impossible request keeps",
        ),
        pytest.param(
            {"annotations": annotated(ips="1.2.3.0"), "ips": ("1.2.3.1",)}, ["1.2.3.0"], id="a possible request moves"
        ),
        pytest.param(
            {
                "annotations": annotated(ips="1000::3,1.2.3.3"),
                "cluster_ips": DUAL,
                "policy": PREFER,
                "ips": ("1.2.3.3", "1000::3"),
            },
            ["1.2.3.3", "1000::3"],
            id="the same addresses in another order move nothing",
        ),
    ],
)
def test_service_gets(
    pools: Allocator, make_service: Callable[..., Service], service: dict[str, Any], expected: list[str]
) -> None:
    assert ips(converge(make_service(**service), pools)) == expected


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        pytest.param({"annotations": annotated(ips="1.2.3.0,1.2.3.1")}, reasons.RequestMalformed, id="two of a family"),
        pytest.param(
            {"annotations": annotated(ips="1.2.3.0"), "requested": "1.2.3.0"}, reasons.RequestMalformed, id="both forms"
        ),
        pytest.param({"requested": "1.2.3.0", "cluster_ips": V6}, reasons.FamilyMismatch, id="v4 asked, v6 Service"),
        pytest.param({"requested": "1000::", "cluster_ips": V4}, reasons.FamilyMismatch, id="v6 asked, v4 Service"),
        pytest.param({"annotations": annotated(pool="nope")}, reasons.PoolUnknown, id="unknown pool"),
        pytest.param(
            {"annotations": annotated(pool="p2", ips="1.2.3.0")}, reasons.NotInPool, id="address of another pool"
        ),
        pytest.param({"requested": "9.9.9.9"}, reasons.NotInOnePool, id="address of no pool"),
        pytest.param({"cluster_ips": ()}, reasons.NoClusterAddress, id="no cluster IP"),
        pytest.param({"cluster_ips": ("None",)}, reasons.NoClusterAddress, id="headless"),
        pytest.param(
            {"cluster_ips": V4, "policy": REQUIRE}, reasons.FamiliesUnclear, id="dual required, one cluster IP"
        ),
        pytest.param({"cluster_ips": DUAL}, reasons.FamiliesUnclear, id="two cluster IPs of a single-stack Service"),
    ],
)
def test_service_waits(
    pools: Allocator, make_service: Callable[..., Service], service: dict[str, Any], reason: type
) -> None:
    decision = converge(make_service(**service), pools)
    assert isinstance(decision, Pending)
    assert isinstance(decision.reason, reason)
    assert pools.allocations == {}


def test_reasons_are_sentences_that_name_what_is_wrong(pools: Allocator, make_service: Callable[..., Service]) -> None:
    decision = converge(make_service(annotations=annotated(ips="1.2.3.x")), pools)
    assert isinstance(decision, Pending)
    assert str(decision.reason) == "metallb.io/loadBalancerIPs: '1.2.3.x' must be IP addresses, separated by commas"


def test_without_pools_a_service_waits_and_says_so(make_service: Callable[..., Service]) -> None:
    decision = converge(make_service(ips=("1.2.3.0",)), Allocator())
    assert isinstance(decision, Pending)
    assert str(decision.reason) == "there is no address pool: create an IPAddressPool"


def test_another_type_releases(pools: Allocator, make_service: Callable[..., Service]) -> None:
    converge(make_service(), pools)
    assert converge(make_service(kind="ClusterIP"), pools) == Release()
    assert pools.allocations == {}


def test_a_reservation_survives_a_stale_view_of_the_service(
    pools: Allocator, make_service: Callable[..., Service]
) -> None:
    """Between the write and its event the cache still shows a Service without an address."""
    converge(make_service("first"), pools)
    given = ips(converge(make_service("second"), pools))
    converge(make_service("first", kind="ClusterIP"), pools)
    assert ips(converge(make_service("second"), pools)) == given


def test_adopted_addresses_are_not_given_to_others(pools: Allocator, make_service: Callable[..., Service]) -> None:
    adopt(make_service("holder", ips=("1.2.3.0",)), pools)
    assert ips(converge(make_service("newcomer"), pools)) == ["1.2.3.1"]
    assert ips(converge(make_service("holder", ips=("1.2.3.0",)), pools)) == ["1.2.3.0"]


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        pytest.param({}, {}, False, id="no key"),
        pytest.param({"annotations": annotated(key="k")}, {"annotations": annotated(key="k")}, False, id="same port"),
        pytest.param(
            {"annotations": annotated(key="k")},
            {"annotations": annotated(key="k"), "ports": (("TCP", 443),)},
            True,
            id="same key, other port",
        ),
        pytest.param(
            {"annotations": annotated(key="k")},
            {"annotations": annotated(key="k"), "ports": (("UDP", 80),)},
            True,
            id="same key, other protocol",
        ),
        pytest.param(
            {"annotations": annotated(key="k")},
            {"annotations": annotated(key="other"), "ports": (("TCP", 443),)},
            False,
            id="other key",
        ),
        pytest.param(
            {"annotations": annotated(key="k"), "traffic": "Local"},
            {"annotations": annotated(key="k"), "ports": (("TCP", 443),), "traffic": "Local", "selector": {"app": "b"}},
            False,
            id="Local with other pods",
        ),
        pytest.param(
            {"annotations": annotated(key="k"), "traffic": "Local"},
            {"annotations": annotated(key="k"), "ports": (("TCP", 443),), "traffic": "Local"},
            True,
            id="Local with the same pods",
        ),
        pytest.param(
            {"annotations": annotated(key="k"), "traffic": "Local"},
            {"annotations": annotated(key="k"), "ports": (("TCP", 443),)},
            False,
            id="Local and Cluster",
        ),
    ],
)
def test_sharing(
    pools: Allocator,
    make_service: Callable[..., Service],
    first: dict[str, Any],
    second: dict[str, Any],
    shared: bool,  # noqa: FBT001  # a column of the table
) -> None:
    one = ips(converge(make_service("one", **first), pools))
    other = ips(converge(make_service("other", **second), pools))
    assert (one == other) is shared
    assert one
    assert other


def test_a_sharer_that_takes_a_port_in_use_has_to_move(pools: Allocator, make_service: Callable[..., Service]) -> None:
    key = annotated(key="k")
    converge(make_service("one", annotations=key), pools)
    converge(make_service("other", annotations=key, ports=(("TCP", 443),)), pools)
    decision = converge(make_service("other", annotations=key, ips=("1.2.3.0",)), pools)
    assert isinstance(decision, Assign)
    assert ips(decision) == ["1.2.3.1"]
    assert isinstance(decision.dropped, reasons.AddressTaken)


class TestPools:
    def test_the_lowest_priority_value_is_tried_first_and_names_break_ties(
        self, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        allocator = allocator_of(
            make_pool("b8", "10.0.8.0/32", priority=8, namespaces=("default",)),
            make_pool("a10", "10.0.10.0/32", priority=10, namespaces=("default",)),
            make_pool("b5", "10.0.5.2/32", priority=5, namespaces=("default",)),
            make_pool("a5", "10.0.5.1/32", priority=5, namespaces=("default",)),
            make_pool("zero", "10.0.0.0/32", namespaces=("default",)),
            make_pool("open", "10.0.99.0/32"),
        )
        order = [ips(converge(make_service(f"s{n}"), allocator))[0] for n in range(6)]
        assert order == ["10.0.5.1", "10.0.5.2", "10.0.8.0", "10.0.10.0", "10.0.0.0", "10.0.99.0"]
        last = converge(make_service("s6"), allocator)
        assert isinstance(last, Pending)
        assert str(last.reason).startswith("no available IPs for IPv4 (all IPv4 in use: a5, b5, b8, a10, zero, open)")

    def test_selectors_that_match_no_namespace_open_the_pool_to_nobody(
        self, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        allocator = allocator_of(make_pool("tenant", "10.0.0.0/24", namespace_selectors=({"tenant": "a"},)))
        assert isinstance(converge(make_service(), allocator), Pending)
        asked = converge(make_service(annotations=annotated(pool="tenant")), allocator)
        assert isinstance(asked, Pending)
        assert isinstance(asked.reason, reasons.PoolClosed)
        by_address = converge(make_service(requested="10.0.0.7"), allocator)
        assert isinstance(by_address, Pending)

    def test_a_renamed_pool_moves_nothing(
        self, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        allocator = allocator_of(make_pool("old", "10.0.0.0/24"))
        converge(make_service(), allocator)
        renamed = build(Snapshot((make_pool("new", "10.0.0.0/23"),))).config
        assert renamed is not None
        assert allocator.replace_pools(renamed.pools) == frozenset()
        decision = converge(make_service(ips=("10.0.0.0",)), allocator)
        assert isinstance(decision, Keep)
        assert decision.allocation.pool == "new"

    def test_an_address_that_no_pool_offers_any_more_is_replaced(
        self, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        allocator = allocator_of(make_pool("old", "10.0.0.0/24"))
        converge(make_service(), allocator)
        other = build(Snapshot((make_pool("old", "10.9.0.0/24"),))).config
        assert other is not None
        assert allocator.replace_pools(other.pools) == {make_service().key}
        decision = converge(make_service(ips=("10.0.0.0",)), allocator)
        assert isinstance(decision, Assign)
        assert ips(decision) == ["10.9.0.0"]
        assert str(decision.dropped) == "10.0.0.0 is not offered by any pool"

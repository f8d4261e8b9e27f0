"""Every rule of BGPAdvertisements, row by row (spec/crds.md 4, 10.6), and which pools and peers they are for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from metallb.api.core import LabelSelector, LabelSelectorRequirement
from metallb.config.blame import MOST
from metallb.config.build import Snapshot, build
from metallb.config.errors import ObjectName
from metallb.config.model import BGPAdvertisement
from metallb.config.selectors import parse

Said = list[tuple[str, str, str, str]]
A_IS_B = LabelSelector(match_labels={"a": "b"})
MALFORMED = LabelSelector(match_expressions=(LabelSelectorRequirement("a", "In"),))
NODES = {name: {"kubernetes.io/hostname": name} for name in ("one", "two")}
OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("spec", "field", "value", "rule"),
    [
        pytest.param(
            {"ip_address_pools": ("p", "p")}, "ipAddressPools[1]", "p", "is there twice", id="A1 ipAddressPools"
        ),
        pytest.param(
            {"communities": ("1:2", "1:3", "1:2")}, "communities[2]", "1:2", "is there twice", id="A1 communities"
        ),
        pytest.param({"peers": ("x", "x")}, "peers[1]", "x", "is there twice", id="A1 peers"),
        *(
            pytest.param({name: (A_IS_B, A_IS_B)}, f"{path}[1]", "a=b", "repeats an earlier selector", id=f"A1 {path}")
            for name, path in (
                ("ip_address_pool_selectors", "ipAddressPoolSelectors"),
                ("node_selectors", "nodeSelectors"),
                ("service_selectors", "serviceSelectors"),
            )
        ),
        pytest.param(
            {"node_selectors": (MALFORMED,)},
            "nodeSelectors[0]",
            "a In []",
            "has the operator In on 'a' without values",
            id="a malformed selector",
        ),
        pytest.param({"aggregation_length": 33}, "aggregationLength", "33", "must be from 1 to 32", id="A2"),
        pytest.param({"aggregation_length": 0}, "aggregationLength", "0", "must be from 1 to 32", id="A2 0"),
        pytest.param({"aggregation_length_v6": 129}, "aggregationLengthV6", "129", "must be from 0 to 128", id="A2 v6"),
        pytest.param(
            {"aggregation_length_v6": -1}, "aggregationLengthV6", "-1", "must be from 0 to 128", id="A2 v6 -1"
        ),
        pytest.param(
            {"service_selectors": (A_IS_B,), "aggregation_length": 24},
            "aggregationLength",
            "24",
            "aggregates, and serviceSelectors choose single addresses",
            id="A4",
        ),
        pytest.param(
            {"service_selectors": (A_IS_B,), "aggregation_length_v6": 64},
            "aggregationLengthV6",
            "64",
            "aggregates, and serviceSelectors choose single addresses",
            id="A4 v6",
        ),
        pytest.param({"local_pref": -1}, "localPref", "-1", "must be from 0 to 4294967295", id="localPref"),
        pytest.param(
            {"local_pref": 1 << 32}, "localPref", "4294967296", "must be from 0 to 4294967295", id="a large localPref"
        ),
    ],
)
def test_what_is_refused(
    make_bgp: Callable[..., Any], said: Callable[..., Said], spec: dict[str, Any], field: str, value: str, rule: str
) -> None:
    assert said(bgp_advertisements=(make_bgp(**spec),)) == [("BGPAdvertisement routes", f"spec.{field}", value, rule)]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"ip_address_pools": ("nosuch",), "peers": ("nosuch",)}, id="A9 what is not there"),
        pytest.param({"service_selectors": (A_IS_B,), "aggregation_length": 32}, id="A4 lengths as by default"),
        pytest.param({"local_pref": (1 << 32) - 1}, id="the largest localPref"),
        pytest.param({"aggregation_length": 1, "aggregation_length_v6": 0}, id="the smallest lengths"),
    ],
)
def test_what_is_accepted(make_bgp: Callable[..., Any], said: Callable[..., Said], spec: dict[str, Any]) -> None:
    assert said(bgp_advertisements=(make_bgp(**spec),)) == []


class TestAggregation:
    """Row A3."""

    @pytest.mark.parametrize(
        ("addresses", "shortest"),
        [
            pytest.param(("10.0.0.0/16",), 16, id="a CIDR"),
            pytest.param(("3.3.3.2-3.3.3.254",), 26, id="a range: its widest block"),
            pytest.param(("10.0.0.0/16", "10.1.0.0/24"), 24, id="the item with the smallest"),
            pytest.param(("10.0.0.4-10.0.0.4",), 32, id="one address"),
            pytest.param(("10.0.0.1-10.0.0.2",), 32, id="two addresses that make no block"),
            pytest.param(("10.0.0.0-10.0.0.255",), 24, id="a range that is a block"),
            pytest.param(("2001:db8::/64", "10.0.0.0/20"), 20, id="IPv6 does not count"),
        ],
    )
    def test_must_not_be_wider_than_the_pools_blocks(
        self,
        make_bgp: Callable[..., Any],
        make_pool: Callable[..., Any],
        said: Callable[..., Said],
        addresses: tuple[str, ...],
        shortest: int,
    ) -> None:
        pool = make_pool("p", *addresses)
        accepted = [
            length
            for length in range(1, 33)
            if not said(pools=(pool,), bgp_advertisements=(make_bgp(aggregation_length=length),))
        ]
        assert accepted == list(range(shortest, 33))

    @pytest.mark.parametrize(
        ("addresses", "shortest"),
        [(("fc00::/64",), 64), (("fc00::1-fc00::ffff",), 113), (("10.0.0.0/24",), 0), (("::/0",), 0)],
    )
    def test_of_ipv6_too(
        self,
        make_bgp: Callable[..., Any],
        make_pool: Callable[..., Any],
        said: Callable[..., Said],
        addresses: tuple[str, ...],
        shortest: int,
    ) -> None:
        pool = make_pool("p", *addresses)
        accepted = [
            length
            for length in range(129)
            if not said(pools=(pool,), bgp_advertisements=(make_bgp(aggregation_length_v6=length),))
        ]
        assert accepted == list(range(shortest, 129))

    def test_blames_the_younger_advertisement(
        self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any]
    ) -> None:
        pools = (make_pool("p", "10.1.0.0/16", "10.0.0.0/24"), make_pool("q", "10.2.0.0/24"))
        snapshot = Snapshot(pools, bgp_advertisements=(make_bgp(aggregation_length=20),))
        name = ObjectName("BGPAdvertisement", "metallb-system", "routes")
        found = build(snapshot, youngest=name).errors
        assert [(error.object, error.field, error.value) for error in found] == [
            (name, "spec.aggregationLength", "20")
        ] * 2
        assert [error.rule for error in found] == [
            "is wider than '10.0.0.0/24' of IPAddressPool metallb-system/p, whose widest block is a /24",
            "is wider than '10.2.0.0/24' of IPAddressPool metallb-system/q, whose widest block is a /24",
        ]
        assert [error.others for error in found] == [
            (ObjectName("IPAddressPool", "metallb-system", each),) for each in "pq"
        ]

    def test_blames_the_younger_pool(self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any]) -> None:
        snapshot = Snapshot(
            (make_pool("p", "10.1.0.0/16", "10.0.0.0/24"),), bgp_advertisements=(make_bgp(aggregation_length=20),)
        )
        (error,) = build(snapshot).errors
        assert (str(error.object), error.field, error.value) == (
            "IPAddressPool metallb-system/p",
            "spec.addresses[1]",
            "10.0.0.0/24",
        )
        assert error.rule == (
            "has no block as wide as aggregationLength 20 of BGPAdvertisement metallb-system/routes: "
            "its widest is a /24"
        )

    def test_counts_only_for_pools_that_are_reached(
        self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        pools = (make_pool("p", "10.0.0.0/24"), make_pool("q", "10.1.0.0/16", labels={"a": "b"}))
        for choice in ({"ip_address_pools": ("q",)}, {"ip_address_pool_selectors": (A_IS_B,)}):
            assert said(pools=pools, bgp_advertisements=(make_bgp(aggregation_length=16, **choice),)) == []


class TestLocalPreference:
    """Row A5."""

    @pytest.fixture
    def conflict(self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any]) -> Callable[..., bool]:
        def found(one: dict[str, Any], other: dict[str, Any], *addresses: str, nodes: Any = NODES) -> bool:
            pools = (make_pool("p", *(addresses or ("10.0.0.0/16",)), labels={"a": "b"}), make_pool("q", "10.1.0.0/16"))
            advertisements = (
                make_bgp("x", **({"local_pref": 100} | one)),
                make_bgp("y", **({"local_pref": 200} | other)),
            )
            built = build(Snapshot(pools, bgp_advertisements=advertisements, nodes=nodes, backend="frr"))
            return bool(built.errors)

        return found

    @pytest.mark.parametrize(
        ("one", "other", "refused"),
        [
            pytest.param({}, {}, True, id="the same peers and nodes"),
            pytest.param({"local_pref": 200}, {}, False, id="one preference"),
            pytest.param({"peers": ("a",)}, {"peers": ("b",)}, False, id="disjoint peers"),
            pytest.param({"peers": ("a", "b")}, {"peers": ("b", "c")}, True, id="a common peer"),
            pytest.param({"peers": ("a",)}, {}, True, id="all peers overlap some"),
            pytest.param({"on": ("one",)}, {"on": ("two",)}, False, id="disjoint nodes"),
            pytest.param({"on": ("one",)}, {"on": ("one", "two")}, True, id="a common node"),
            pytest.param({"on": ("one",)}, {}, True, id="all nodes overlap some"),
            pytest.param({"on": ("nosuch",)}, {}, False, id="no node"),
            pytest.param({"aggregation_length": 24}, {}, False, id="other lengths"),
            pytest.param({"aggregation_length_v6": 64}, {}, True, id="other lengths of the other family"),
            pytest.param({"service_selectors": (A_IS_B,)}, {}, False, id="one chooses Services"),
            pytest.param({}, {"service_selectors": (A_IS_B,)}, False, id="the other chooses Services"),
            pytest.param({"ip_address_pools": ("p",)}, {"ip_address_pools": ("q",)}, False, id="other pools"),
            pytest.param(
                {"ip_address_pools": ("p",)}, {"ip_address_pool_selectors": (A_IS_B,)}, True, id="a common pool"
            ),
            pytest.param({"ip_address_pools": ("nosuch",)}, {"ip_address_pools": ("nosuch",)}, False, id="no pool"),
        ],
    )
    def test_is_one_for_the_same_routes(
        self, conflict: Callable[..., bool], one: dict[str, Any], other: dict[str, Any], *, refused: bool
    ) -> None:
        one, other = {"local_pref": 100} | one, {"local_pref": 200} | other
        assert conflict(one, other) is refused
        assert conflict(other, one) is refused

    @pytest.mark.parametrize(
        ("v4", "v6", "addresses", "refused"),
        [
            pytest.param(False, False, ("10.0.0.0/24", "fc00::/64"), True, id="dual: both lengths the same"),
            pytest.param(True, False, ("10.0.0.0/24", "fc00::/64"), True, id="dual: IPv6 lengths the same"),
            pytest.param(False, True, ("10.0.0.0/24", "fc00::/64"), True, id="dual: IPv4 lengths the same"),
            pytest.param(True, True, ("10.0.0.0/24", "fc00::/64"), False, id="dual: both differ"),
            pytest.param(True, False, ("fc00::/64",), True, id="IPv6 only: its lengths count"),
            pytest.param(False, True, ("fc00::/64",), False, id="IPv6 only: they differ"),
            pytest.param(False, True, ("10.0.0.0/24",), True, id="IPv4 only: its lengths count"),
        ],
    )
    def test_compares_the_lengths_of_the_pools_families(
        self, conflict: Callable[..., bool], addresses: tuple[str, ...], *, v4: bool, v6: bool, refused: bool
    ) -> None:
        one = {"ip_address_pools": ("p",), "aggregation_length": 28 if v4 else 32}
        one["aggregation_length_v6"] = 100 if v6 else 128
        assert conflict(one, {"ip_address_pools": ("p",)}, *addresses) is refused

    @pytest.mark.parametrize(
        ("one", "other", "refused"),
        [
            ({}, {}, True),
            ({"on": ("one",)}, {}, True),
            ({"on": ("one",)}, {"on": ("two",)}, False),
            ({"on": ("one", "two")}, {"on": ("two",)}, True),
            ({"on": ("one",)}, {"node_selectors": (LabelSelector(),)}, True),
        ],
    )
    def test_is_compared_by_selectors_where_nodes_are_unknown(
        self, conflict: Callable[..., bool], one: dict[str, Any], other: dict[str, Any], *, refused: bool
    ) -> None:
        assert conflict(one, other, nodes=None) is refused

    def test_blames_the_younger_advertisement(
        self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any]
    ) -> None:
        advertisements = (
            make_bgp("a", local_pref=100, created=YOUNG),
            make_bgp("b", local_pref=200, created=OLD),
            make_bgp("c", local_pref=200, created=OLD),
        )
        pools = (make_pool("p", "10.0.0.0/24"),)
        (error, *others) = build(
            Snapshot(pools, bgp_advertisements=advertisements, backend="frr"),
            youngest=ObjectName("BGPAdvertisement", "metallb-system", "a"),
        ).errors
        assert (error.object.name, error.field, error.value) == ("a", "spec.localPref", "100")
        assert error.rule == (
            "differs from 200 of BGPAdvertisement metallb-system/b for the same blocks, peers and nodes"
        )
        assert [other.others[0].name for other in others] == ["c"]

    def test_hundreds_that_a_pool_brings_together_are_told_of_in_no_time(
        self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any]
    ) -> None:
        """Each pool comes between each two of them; only the eldest pairs are looked for."""
        count = 150
        advertisements = [make_bgp(f"a{n:03}", local_pref=n, created=OLD) for n in range(count)]
        pools = [make_pool(f"p{n:03}", f"10.0.{n}.0/24") for n in range(count)]
        start = time.process_time()
        errors = build(Snapshot(pools, bgp_advertisements=advertisements, backend="frr")).errors
        assert time.process_time() - start < 15
        first = [error for error in errors if error.object.name == "p000"]
        assert len(first) == MOST
        assert {error.others[0].name for error in first} == {"a000"}
        assert sorted(error.others[1].name for error in first) == [f"a{n:03}" for n in range(1, MOST + 1)]

    def test_blames_a_younger_pool_that_brings_two_together(
        self, make_bgp: Callable[..., Any], make_pool: Callable[..., Any]
    ) -> None:
        advertisements = (
            make_bgp("a", local_pref=100, ip_address_pools=("p",), created=OLD),
            make_bgp("b", local_pref=200, ip_address_pools=("p",), created=YOUNG),
            make_bgp("c", local_pref=200, ip_address_pools=("q",), created=YOUNG),
        )
        (error,) = build(Snapshot((make_pool("p", "10.0.0.0/24"),), bgp_advertisements=advertisements)).errors
        assert (str(error.object), error.field, error.value) == ("IPAddressPool metallb-system/p", "metadata.name", "p")
        assert [other.name for other in error.others] == ["a", "b"]


class TestReach:
    @pytest.mark.parametrize(
        ("spec", "reached"),
        [
            pytest.param({}, ["p", "q"], id="all"),
            pytest.param({"ip_address_pools": ("p",)}, ["p"], id="by name"),
            pytest.param({"ip_address_pool_selectors": (A_IS_B,)}, ["q"], id="by label"),
            pytest.param({"ip_address_pools": ("p",), "ip_address_pool_selectors": (A_IS_B,)}, ["p", "q"], id="both"),
            pytest.param({"ip_address_pools": ("q",), "ip_address_pool_selectors": (A_IS_B,)}, ["q"], id="once"),
            pytest.param({"ip_address_pools": ("nosuch",)}, [], id="none"),
        ],
    )
    def test_of_pools(
        self, make_pool: Callable[..., Any], make_bgp: Callable[..., Any], spec: dict[str, Any], reached: list[str]
    ) -> None:
        pools = (make_pool("p", "10.0.0.0/24"), make_pool("q", "10.0.1.0/24", labels={"a": "b"}))
        built = build(Snapshot(pools, bgp_advertisements=(make_bgp(**spec),)))
        assert built.config is not None
        assert [each.name for each in built.config.pools for _ in each.bgp] == reached

    def test_a_selector_that_cannot_be_read_does_not_reach_all(
        self, make_pool: Callable[..., Any], make_bgp: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        bgp = make_bgp(ip_address_pool_selectors=(MALFORMED,), aggregation_length=8)
        found = said(pools=(make_pool("p", "10.0.0.0/24"),), bgp_advertisements=(bgp,))
        assert [field for _, field, *_ in found] == ["spec.ipAddressPoolSelectors[0]"]

    def test_equal_ones_all_count(self, make_pool: Callable[..., Any], make_bgp: Callable[..., Any]) -> None:
        built = build(Snapshot((make_pool("p", "10.0.0.0/24"),), bgp_advertisements=(make_bgp("b"), make_bgp("a"))))
        assert built.config is not None
        assert [each.name for each in built.config.pools[0].bgp] == ["a", "b"]


def test_what_becomes_of_an_advertisement(make_pool: Callable[..., Any], make_bgp: Callable[..., Any]) -> None:
    bgp = make_bgp(
        aggregation_length=28,
        aggregation_length_v6=100,
        local_pref=100,
        node_selectors=(A_IS_B,),
        peers=("y", "x"),
    )
    built = build(Snapshot((make_pool("p", "10.0.0.0/24"),), bgp_advertisements=(bgp,)))
    assert built.config is not None
    (found,) = built.config.pools[0].bgp
    assert found == BGPAdvertisement(
        "routes", 28, 100, 100, node_selectors=(parse(A_IS_B),), peers=frozenset({"x", "y"})
    )
    assert (found.selects_peer("x"), found.selects_peer("z")) == (True, False)
    assert (found.selects_node({"a": "b"}), found.selects_node({})) == (True, False)
    assert found.selects_service({})


def test_without_choices_it_is_for_everything() -> None:
    everything = BGPAdvertisement("all")
    assert everything.selects_peer("any")
    assert everything.selects_node({})
    assert everything.selects_service({})
    for_some = BGPAdvertisement("some", service_selectors=(parse(A_IS_B),))
    assert (for_some.selects_service({"a": "b"}), for_some.selects_service({})) == (True, False)

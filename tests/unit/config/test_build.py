"""Every rule of a configuration, row by row (spec/crds.md 10.1, 10.2, 10.6), and what holds for all of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import v1beta1
from metallb.api.core import LabelSelector, LabelSelectorRequirement, ObjectMeta
from metallb.api.net import BITS, Address, InterfaceName, Range
from metallb.config.build import Build, Snapshot, build
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.model import Config, NodePreference, Pool
from metallb.config.pools import shortest_prefix
from metallb.config.selectors import parse

POOL = ObjectName("IPAddressPool", "metallb-system", "first")
ADVERTISEMENT = ObjectName("L2Advertisement", "metallb-system", "all")
ALLOCATION = "spec.serviceAllocation"
EXAMPLE = "write 192.0.2.0/24 or 192.0.2.10-192.0.2.20"
A_IS_B = LabelSelector(match_labels={"a": "b"})


def expression(key: str = "a", operator: str = "In", *values: str) -> LabelSelector:
    return LabelSelector(match_expressions=(LabelSelectorRequirement(key, operator, values),))


def pool(name: str = "first", *addresses: str, **allocation: Any) -> v1beta1.IPAddressPool:
    spec = v1beta1.ServiceAllocation(**allocation) if allocation else None
    return v1beta1.IPAddressPool(
        metadata=ObjectMeta(name=name, namespace="metallb-system"),
        spec=v1beta1.IPAddressPoolSpec(addresses=addresses or ("10.0.0.0/24",), service_allocation=spec),
    )


def only_pool(*pools: v1beta1.IPAddressPool, **rest: Any) -> Pool:
    built = build(Snapshot(pools, **rest))
    assert built.errors == ()
    assert built.config is not None
    return built.config.pools[0]


SELECTOR_ERRORS = [
    pytest.param(
        [A_IS_B, expression("c", "Exists"), A_IS_B], 2, "a=b", "repeats an earlier selector", id="the same twice"
    ),
    pytest.param(
        [expression("a", "In"), A_IS_B, A_IS_B], 2, "a=b", "repeats an earlier selector", id="twice after a bad one"
    ),
    pytest.param(
        [expression("a", "In", "x", "y"), expression("a", "In", "y", "x")],
        1,
        "a In ['y', 'x']",
        "repeats an earlier selector",
        id="values in another order",
    ),
    pytest.param(
        [expression("a", "In", "x", "x")], 0, "a In ['x', 'x']", "has the value 'x' of 'a' twice", id="a value twice"
    ),
    pytest.param(
        [
            LabelSelector(
                match_expressions=(
                    LabelSelectorRequirement("a", "In", ("x", "y")),
                    LabelSelectorRequirement("a", "In", ("y", "x")),
                )
            )
        ],
        0,
        "a In ['x', 'y'], a In ['y', 'x']",
        "has the expression on 'a' twice",
        id="an expression twice",
    ),
    pytest.param([expression("a", "In")], 0, "a In []", "has the operator In on 'a' without values", id="In, none"),
    pytest.param(
        [expression("a", "NotIn")], 0, "a NotIn []", "has the operator NotIn on 'a' without values", id="NotIn, none"
    ),
    pytest.param(
        [expression("a", "Exists", "x")], 0, "a Exists ['x']", "has the operator Exists on 'a' with values", id="Exists"
    ),
    pytest.param(
        [expression("a", "DoesNotExist", "x")],
        0,
        "a DoesNotExist ['x']",
        "has the operator DoesNotExist on 'a' with values",
        id="DoesNotExist with values",
    ),
    pytest.param(
        [expression("a", "Gt", "1")],
        0,
        "a Gt ['1']",
        "has the operator 'Gt' on 'a': it must be In, NotIn, Exists or DoesNotExist",
        id="an operator of node selectors",
    ),
    pytest.param(
        [expression("", "Exists")],
        0,
        " Exists []",
        "has the label key '': its name must be 1-63 letters, digits, '-', '_' or '.'",
        id="no key",
    ),
    pytest.param(
        [LabelSelector(match_labels={"A_/b": "c"})],
        0,
        "A_/b=c",
        "has the label key 'A_/b': its prefix is no DNS subdomain",
        id="a bad prefix",
    ),
    pytest.param(
        [LabelSelector(match_labels={"/b": "c"})],
        0,
        "/b=c",
        "has the label key '/b': its prefix is no DNS subdomain",
        id="an empty prefix",
    ),
    pytest.param(
        [LabelSelector(match_labels={"b": "-c"})],
        0,
        "b=-c",
        "has the value '-c' of 'b': it must be up to 63 letters, digits, '-', '_' or '.'",
        id="a bad value",
    ),
    pytest.param(
        [expression("b", "In", "c" * 64)],
        0,
        f"b In ['{'c' * 64}']",
        f"has the value '{'c' * 64}' of 'b': it must be up to 63 letters, digits, '-', '_' or '.'",
        id="a long value",
    ),
]


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "rule", "hint"),
        [
            pytest.param(
                "10.0.0.1",
                "is neither a CIDR (192.0.2.0/24) nor a range (192.0.2.10-192.0.2.20)",
                "for one address write 10.0.0.1/32",
                id="P3 a bare address",
            ),
            pytest.param("10.1.0.0/33", "has the prefix length 33, more than 32", EXAMPLE, id="P3 a bad length"),
            pytest.param(
                " 1.2.3.0/24", "has the address ' 1.2.3.0', which is no IP address", EXAMPLE, id="P3 a space before"
            ),
            pytest.param("1.2.3.0/24 ", "has the prefix length '24 ', which is not a number", EXAMPLE, id="P3 after"),
            pytest.param(
                "01.2.3.0/24", "has the address '01.2.3.0', which is no IP address", EXAMPLE, id="P3 a leading zero"
            ),
            pytest.param("1.2.3.256/24", "has the address '1.2.3.256', which is no IP address", EXAMPLE, id="P3 octet"),
            pytest.param("1.2.3.0/+4", "has the prefix length '+4', which is not a number", EXAMPLE, id="P3 a sign"),
            pytest.param("a-b", "has the end 'a', which is no IP address", EXAMPLE, id="P5 no addresses"),
            pytest.param(
                "1.2.3.0/24-1.2.4.0/24", "has the end '1.2.3.0/24', which is no IP address", EXAMPLE, id="P5 two CIDRs"
            ),
            pytest.param(
                "fe80::1%eth0-fe80::2%eth0",
                "has the end 'fe80::1%eth0', which is no IP address",
                EXAMPLE,
                id="P5 zones",
            ),
            pytest.param(
                "10.0.0.9-10.0.0.1",
                "starts at 10.0.0.9, after its end 10.0.0.1",
                "write 10.0.0.1-10.0.0.9",
                id="P6",
            ),
            pytest.param("10.0.0.1-fd00::1", "goes from IPv4 to IPv6", "write a range for each family", id="P7 up"),
            pytest.param("fd00::1-10.0.0.1", "goes from IPv6 to IPv4", "write a range for each family", id="P7 down"),
        ],
    )
    def test_of_addresses(self, text: str, rule: str, hint: str) -> None:
        found = build(Snapshot((pool("first", "192.0.2.0/24", text),)))
        assert found == Build(None, (ConfigError(POOL, "spec.addresses[1]", text, rule, hint),))

    def test_of_no_addresses(self) -> None:
        resource = msgspec.structs.replace(pool(), spec=v1beta1.IPAddressPoolSpec(addresses=()))
        rule, hint = "must name at least one CIDR or range", "add one, or delete the pool"
        assert build(Snapshot((resource,))).errors == (ConfigError(POOL, "spec.addresses", "[]", rule, hint),)

    def test_of_names(self, make_l2: Callable[..., Any]) -> None:
        found = build(Snapshot((pool(""),), (make_l2(""),)))
        assert [(error.object.kind, error.field, error.rule) for error in found.errors] == [
            ("IPAddressPool", "metadata.name", "must not be empty"),
            ("L2Advertisement", "metadata.name", "must not be empty"),
        ]

    def test_of_namespaces(self) -> None:
        found = build(Snapshot((pool(namespaces=("a", "b", "a")),)))
        error = ConfigError(POOL, f"{ALLOCATION}.namespaces[2]", "a", "is there twice", "remove one")
        assert found == Build(None, (error,))

    def test_of_pool_names_in_an_advertisement(self, make_l2: Callable[..., Any]) -> None:
        found = build(Snapshot((), (make_l2(ip_address_pools=("p", "q", "p")),)))
        error = ConfigError(ADVERTISEMENT, "spec.ipAddressPools[2]", "p", "is there twice", "remove one")
        assert found == Build(None, (error,))

    @pytest.mark.parametrize("field", ["namespaceSelectors", "serviceSelectors"])
    @pytest.mark.parametrize(("selectors", "position", "value", "rule"), SELECTOR_ERRORS)
    def test_of_selectors_in_a_pool(
        self, field: str, selectors: list[LabelSelector], position: int, value: str, rule: str
    ) -> None:
        name = {"namespaceSelectors": "namespace_selectors", "serviceSelectors": "service_selectors"}[field]
        found = build(Snapshot((pool(**{name: tuple(selectors)}),)))
        assert (f"{ALLOCATION}.{field}[{position}]", value, rule) in [(e.field, e.value, e.rule) for e in found.errors]

    @pytest.mark.parametrize("field", ["ip_address_pool_selectors", "node_selectors", "service_selectors"])
    @pytest.mark.parametrize(("selectors", "position", "value", "rule"), SELECTOR_ERRORS)
    def test_of_selectors_in_an_advertisement(
        self,
        make_l2: Callable[..., Any],
        field: str,
        selectors: list[LabelSelector],
        position: int,
        value: str,
        rule: str,
    ) -> None:
        path = {
            "ip_address_pool_selectors": "ipAddressPoolSelectors",
            "node_selectors": "nodeSelectors",
            "service_selectors": "serviceSelectors",
        }[field]
        found = build(Snapshot((), (make_l2(**{field: tuple(selectors)}),)))
        assert (f"spec.{path}[{position}]", value, rule) in [(e.field, e.value, e.rule) for e in found.errors]

    @pytest.mark.parametrize("weight", [0, 101, -1])
    def test_of_weights(self, make_l2: Callable[..., Any], weight: int) -> None:
        preference = v1beta1.NodePreference(weight=weight, preference=A_IS_B)
        found = build(Snapshot((), (make_l2(preferred_node_selectors=(preference,)),)))
        field = "spec.preferredNodeSelectors[0].weight"
        assert found.errors == (ConfigError(ADVERTISEMENT, field, str(weight), "must be from 1 to 100"),)

    def test_of_preferences(self, make_l2: Callable[..., Any]) -> None:
        preference = v1beta1.NodePreference(weight=1, preference=expression("a", "In"))
        found = build(Snapshot((), (make_l2(preferred_node_selectors=(preference,)),)))
        rule = "has the operator In on 'a' without values"
        field = "spec.preferredNodeSelectors[0].preference"
        assert found.errors == (ConfigError(ADVERTISEMENT, field, "a In []", rule),)

    def test_are_all_there_sorted_by_object_and_field(self, make_l2: Callable[..., Any]) -> None:
        found = build(
            Snapshot(
                (pool("z", "nope", "10.0.0.0/8", "x-y"), pool("a", "10.0.0.0/24", namespaces=("n", "n"))),
                (make_l2(ip_address_pools=("p", "p"), node_selectors=(A_IS_B, A_IS_B)),),
            )
        )
        assert found.config is None
        assert [(error.object.name, error.field) for error in found.errors] == [
            ("a", "spec.serviceAllocation.namespaces[1]"),
            ("z", "spec.addresses[0]"),
            ("z", "spec.addresses[1]"),
            ("z", "spec.addresses[2]"),
            ("all", "spec.ipAddressPools[1]"),
            ("all", "spec.nodeSelectors[1]"),
        ]

    def test_read_as_one_sentence(self) -> None:
        error = ConfigError(POOL, "spec.addresses[0]", "x", "is no CIDR", "write 10.0.0.0/24")
        assert str(error) == f"{POOL}: spec.addresses[0]: 'x' is no CIDR; write 10.0.0.0/24"


class TestAccepted:
    def test_nothing_at_all_is_a_configuration(self) -> None:
        assert build(Snapshot()) == Build(Config())

    def test_references_to_pools_that_are_not_there(self, make_l2: Callable[..., Any]) -> None:
        assert only_pool(pool(), l2_advertisements=(make_l2(ip_address_pools=("nosuch",)),)).l2 == ()

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("1.2.3.0/24", "1.2.3.0/24"),
            ("fc00:f853::/64", "fc00:f853::/64"),
            ("1.2.3.10-1.2.3.20", "1.2.3.10-1.2.3.20"),
            ("1.2.3.10 - 1.2.3.20", "1.2.3.10-1.2.3.20"),
            ("1.2.3.4-1.2.3.4", "1.2.3.4/32"),
            ("10.0.0.7/24", "10.0.0.0/24"),
            ("::ffff:1.2.3.0/120", "1.2.3.0/24"),
        ],
    )
    def test_addresses_as_users_write_them(self, text: str, shown: str) -> None:
        assert list(map(str, only_pool(pool("first", text)).ranges)) == [shown]

    def test_ranges_keep_their_order_and_host_bits_go(self) -> None:
        ranges = only_pool(pool("first", "10.0.9.7/24", "2001:db8::/126", "10.0.1.0/24")).ranges
        assert list(map(str, ranges)) == ["10.0.9.0/24", "2001:db8::/126", "10.0.1.0/24"]

    @pytest.mark.parametrize(
        "selectors",
        [
            pytest.param((A_IS_B, expression("a", "In", "b")), id="a label, and the same as a condition"),
            pytest.param((expression("a", "In", "b", "c"), expression("a", "In", "b")), id="one within another"),
            pytest.param(
                tuple(
                    LabelSelector(match_expressions=tuple(LabelSelectorRequirement(key, "Exists") for key in keys))
                    for keys in ("ab", "ba")
                ),
                id="conditions in another order",
            ),
            pytest.param((LabelSelector(),), id="everything"),
            pytest.param((LabelSelector(match_labels={"a.b/c": ""}),), id="an empty value"),
            pytest.param((LabelSelector(match_labels={"x" * 63: "y" * 63}),), id="the longest"),
        ],
    )
    def test_selectors_that_differ_in_writing(self, selectors: tuple[LabelSelector, ...]) -> None:
        assert build(Snapshot((pool(service_selectors=selectors),))).errors == ()

    def test_equal_preferences_add_up(self, make_l2: Callable[..., Any]) -> None:
        twice = (v1beta1.NodePreference(weight=1, preference=A_IS_B),) * 2
        found = only_pool(pool(), l2_advertisements=(make_l2(preferred_node_selectors=twice),)).l2[0]
        assert found.preferences == (NodePreference(1, parse(A_IS_B)),) * 2
        assert found.score({"a": "b"}) == 2
        assert found.score({}) == 0


class TestOverlaps:
    @pytest.mark.parametrize(
        ("pools", "blamed"),
        [
            pytest.param([("a", ["10.0.0.0/24", "10.0.0.0/24"])], [("a", 1, "10.0.0.0/24", "")], id="equal"),
            pytest.param([("a", ["10.0.200.0/24", "10.0.0.0/16"])], [("a", 1, "10.0.200.0/24", "")], id="nested"),
            pytest.param(
                [("b", ["10.0.0.0/24"]), ("a", ["10.0.0.0/24"])],
                [("b", 0, "10.0.0.0/24", "a")],
                id="equal in two pools: the later name is blamed",
            ),
            pytest.param(
                [("a", ["10.0.0.0/16"]), ("b", ["10.0.200.0-10.0.200.9"])],
                [("b", 0, "10.0.0.0/16", "a")],
                id="nested in another pool",
            ),
            pytest.param(
                [("a", ["10.0.0.0-10.0.0.10"]), ("b", ["10.0.0.5-10.0.0.15"]), ("c", ["10.0.0.15 - 10.0.0.20"])],
                [("b", 0, "10.0.0.0-10.0.0.10", "a"), ("c", 0, "10.0.0.5-10.0.0.15", "b")],
                id="a chain",
            ),
            pytest.param(
                [("a", ["10.0.1.0/24"]), ("b", ["10.0.2.0/24"]), ("c", ["10.1.0.0/16", "10.0.0.7/16"])],
                [("c", 1, "10.0.1.0/24", "a"), ("c", 1, "10.0.2.0/24", "b")],
                id="two within one",
            ),
            pytest.param(
                [("a", ["10.0.0.0/24"]), ("b", ["::ffff:10.0.0.7-::ffff:10.0.0.7"])],
                [("b", 0, "10.0.0.0/24", "a")],
                id="mapped",
            ),
            pytest.param(
                [("a", ["2001:db8::/64", "10.0.0.0/24"]), ("b", ["2001:db8::1/128"])],
                [("b", 0, "2001:db8::/64", "a")],
                id="IPv6",
            ),
            pytest.param([("a", ["10.0.0.0/24", "10.0.1.0/24"]), ("b", ["10.0.2.0-10.0.2.0"])], [], id="neighbours"),
            pytest.param([("a", ["0.0.0.0/0"]), ("b", ["::/0"])], [], id="all of both families"),
            pytest.param([("a", ["0.0.0.1-0.0.0.9"]), ("b", ["::1-::9"])], [], id="equal numbers of other families"),
        ],
    )
    def test_are_refused_naming_both(
        self, pools: list[tuple[str, list[str]]], blamed: list[tuple[str, int, str, str]]
    ) -> None:
        found = build(Snapshot([pool(name, *addresses) for name, addresses in pools]))
        written = dict(pools)
        assert found.errors == tuple(
            ConfigError(
                ObjectName("IPAddressPool", "metallb-system", name),
                f"spec.addresses[{position}]",
                written[name][position],
                f"overlaps {other} of {f'IPAddressPool metallb-system/{holder}' if holder else 'the same pool'}",
                "an address may belong to one pool only" if holder else "remove one",
                (ObjectName("IPAddressPool", "metallb-system", holder),) if holder else (),
            )
            for name, position, other, holder in blamed
        )

    @given(
        st.lists(
            st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)), min_size=1, max_size=3), min_size=1, max_size=4
        )
    )
    def test_are_found_exactly_where_an_address_is_in_two_ranges(self, drawn: list[list[tuple[int, int]]]) -> None:
        ranges = [[Range(4, first, first + more) for first, more in each] for each in drawn]
        pools = [
            pool(f"p{n}", *(f"{Address(4, r.first)}-{Address(4, r.last)}" for r in each))
            for n, each in enumerate(ranges)
        ]
        everything = [value for each in ranges for r in each for value in range(r.first, r.last + 1)]
        assert (build(Snapshot(pools)).config is None) is (len(everything) != len(set(everything)))


@given(st.sampled_from([4, 6]), st.data())
def test_the_widest_block_is_that_of_the_fewest_that_make_up_a_range(
    family: Literal[4, 6], data: st.DataObject
) -> None:
    largest = (1 << BITS[family]) - 1
    first = data.draw(st.integers(0, largest) | st.integers(0, 300))
    last = data.draw(st.integers(first, min(first + 300, largest)) | st.integers(first, largest))
    ends = [ipaddress.ip_address(str(Address(family, each))) for each in (first, last)]
    networks: Any = ipaddress.summarize_address_range(*ends)  # type: ignore[type-var]
    assert shortest_prefix(Range(family, first, last)) == min(each.prefixlen for each in networks)


class TestServiceAllocation:
    def test_absent_admits_everybody(self) -> None:
        found = only_pool(pool())
        assert found.allocation is None
        assert found.admits("any", {})

    def test_a_priority_alone_admits_everybody(self) -> None:
        found = only_pool(pool(priority=3))
        assert found.allocation is not None
        assert found.allocation.priority == 3
        assert found.admits("any", {})

    def test_names_and_selectors_of_namespaces_are_united(self) -> None:
        resource = pool(namespaces=("a",), namespace_selectors=(A_IS_B,))
        found = only_pool(resource, namespaces={"a": {}, "b": {"a": "b"}, "c": {"a": "c"}})
        assert [name for name in "abc" if found.admits(name, {})] == ["a", "b"]

    def test_selectors_that_match_no_namespace_admit_nobody(self) -> None:
        found = only_pool(pool(namespace_selectors=(A_IS_B,)), namespaces={"c": {}})
        assert not found.admits("c", {})

    def test_namespaces_and_services_must_both_fit(self) -> None:
        found = only_pool(pool(namespaces=("a",), service_selectors=(A_IS_B, expression("c", "Exists"))))
        assert found.admits("a", {"a": "b"})
        assert found.admits("a", {"c": ""})
        assert not found.admits("a", {})
        assert not found.admits("b", {"a": "b"})


class TestL2Advertisements:
    @pytest.mark.parametrize(
        ("spec", "reached"),
        [
            pytest.param({}, ["p", "q"], id="all"),
            pytest.param({"ip_address_pools": ("p",)}, ["p"], id="by name"),
            pytest.param({"ip_address_pool_selectors": (A_IS_B,)}, ["q"], id="by label"),
            pytest.param({"ip_address_pools": ("p",), "ip_address_pool_selectors": (A_IS_B,)}, ["p", "q"], id="both"),
            pytest.param(
                {"ip_address_pools": ("q",), "ip_address_pool_selectors": (A_IS_B,)}, ["q"], id="twice is once"
            ),
            pytest.param({"ip_address_pools": ("nosuch",)}, [], id="none"),
        ],
    )
    def test_reach_pools(
        self, make_pool: Callable[..., Any], make_l2: Callable[..., Any], spec: dict[str, Any], reached: list[str]
    ) -> None:
        pools = (make_pool("p", "10.0.0.0/24"), make_pool("q", "10.0.1.0/24", labels={"a": "b"}))
        built = build(Snapshot(pools, (make_l2(**spec),)))
        assert built.config is not None
        assert [each.name for each in built.config.pools for _ in each.l2] == reached

    def test_equal_ones_count_once_whatever_their_names_and_order(self, make_l2: Callable[..., Any]) -> None:
        selectors = (A_IS_B, expression("c", "Exists"))
        equal = (
            make_l2("z", interfaces=("eth1", "eth0"), node_selectors=selectors, service_selectors=selectors),
            make_l2(
                "a", interfaces=("eth0", "eth1"), node_selectors=selectors[::-1], service_selectors=selectors[::-1]
            ),
        )
        assert [each.name for each in only_pool(pool(), l2_advertisements=equal).l2] == ["a"]

    @pytest.mark.parametrize(
        "change",
        [{"interfaces": ("eth0",)}, {"node_selectors": (A_IS_B,)}, {"service_selectors": (A_IS_B,)}],
    )
    def test_others_stay_apart(self, make_l2: Callable[..., Any], change: dict[str, Any]) -> None:
        both = (make_l2("one"), make_l2("two", **change))
        assert [each.name for each in only_pool(pool(), l2_advertisements=both).l2] == ["one", "two"]

    def test_preferences_keep_equal_ones_apart(self, make_l2: Callable[..., Any]) -> None:
        preferring = {"preferred_node_selectors": (v1beta1.NodePreference(weight=4, preference=A_IS_B),)}
        found = only_pool(pool(), l2_advertisements=(make_l2("one", **preferring), make_l2("two", **preferring))).l2
        assert sum(each.score({"a": "b"}) for each in found) == 8

    def test_a_preference_scores_only_nodes_that_may_announce(self, make_l2: Callable[..., Any]) -> None:
        spec = {
            "preferred_node_selectors": (v1beta1.NodePreference(weight=4, preference=LabelSelector()),),
            "node_selectors": (A_IS_B,),
        }
        found = only_pool(pool(), l2_advertisements=(make_l2(**spec),)).l2[0]
        assert (found.score({"a": "b"}), found.score({})) == (4, 0)

    def test_interfaces_are_a_set(self, make_l2: Callable[..., Any]) -> None:
        found = only_pool(pool(), l2_advertisements=(make_l2(interfaces=("eth0", "eth0")),)).l2[0]
        assert found.interfaces == frozenset({InterfaceName("eth0")})


texts = st.sampled_from(["10.0.0.0/30", "10.0.0.4-10.0.0.9", "10.0.0.8/29", "2001:db8::/126", "nope", "10.0.0.1"])
few_selectors = st.lists(st.sampled_from([A_IS_B, expression("a", "In"), expression("a", "Exists")]), max_size=2).map(
    tuple
)
pool_lists = st.lists(st.tuples(st.lists(texts, max_size=2), few_selectors, st.booleans()), max_size=4).map(
    lambda drawn: [
        v1beta1.IPAddressPool(
            metadata=ObjectMeta(name=f"p{n}", namespace="metallb-system", labels={"a": "b"} if labelled else {}),
            spec=v1beta1.IPAddressPoolSpec(
                addresses=tuple(addresses),
                service_allocation=v1beta1.ServiceAllocation(namespace_selectors=selectors) if selectors else None,
            ),
        )
        for n, (addresses, selectors, labelled) in enumerate(drawn)
    ]
)
l2_lists = st.lists(st.tuples(st.lists(st.sampled_from(["p0", "p1"]), max_size=2), few_selectors), max_size=4).map(
    lambda drawn: [
        v1beta1.L2Advertisement(
            metadata=ObjectMeta(name=f"l{n}", namespace="metallb-system"),
            spec=v1beta1.L2AdvertisementSpec(ip_address_pools=tuple(names), node_selectors=selectors),
        )
        for n, (names, selectors) in enumerate(drawn)
    ]
)


@given(pool_lists, l2_lists, st.data())
def test_the_order_of_objects_means_nothing(
    pools: list[v1beta1.IPAddressPool], advertisements: list[v1beta1.L2Advertisement], data: st.DataObject
) -> None:
    namespaces = {"x": {"a": "b"}, "y": {}}
    first = build(Snapshot(pools, advertisements, namespaces=namespaces))
    again = build(
        Snapshot(
            data.draw(st.permutations(pools)),
            data.draw(st.permutations(advertisements)),
            namespaces=dict(data.draw(st.permutations(list(namespaces.items())))),
        )
    )
    assert first == again
    assert (first.config is None) is bool(first.errors)

"""What is removed leaves no trace: who was in conflict with it is not any more, nor with what takes its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metallb.api.core import LabelSelector
from metallb.config.together import Together, parse

NODES = {name: {"kubernetes.io/hostname": name} for name in ("one", "two")}
A_IS_B = LabelSelector(match_labels={"a": "b"})

Make = Callable[[str, dict[str, Any]], Any]
Written = tuple[str, str, dict[str, Any]]
"""Kind, name and what else is given."""


def pool(name: str, *addresses: str, **rest: Any) -> Written:
    return "pool", name, {"addresses": addresses, **rest}


def bgp(name: str, **spec: Any) -> Written:
    return "bgp", name, spec


def peer(name: str, **spec: Any) -> Written:
    return "peer", name, spec


def profile(name: str, **spec: Any) -> Written:
    return "profile", name, spec


def names(name: str, *aliases: tuple[str, str]) -> Written:
    return "names", name, {"aliases": aliases}


ECHO = profile("fast", echo_mode=True)
V6 = pool("v6", "fc00::/64")
ROWS = [
    pytest.param(
        "frr", pool("a", "10.0.0.0/24"), pool("b", "10.0.0.7/32"), pool("c", "10.9.0.0/24"), [], id="overlaps"
    ),
    pytest.param(
        "frr", pool("a", "10.0.0.0/26"), bgp("b", aggregation_length=24), pool("c", "10.0.0.0/24"), [], id="needs"
    ),
    pytest.param(
        "frr", bgp("a", aggregation_length=24), pool("b", "10.0.0.0/26"), bgp("c"), [], id="aggregation lengths"
    ),
    pytest.param("native", V6, bgp("b"), pool("c", "10.0.0.0/24"), [], id="IPv6 in pools"),
    pytest.param("native", bgp("a"), V6, bgp("c", ip_address_pools=("other",)), [], id="all pools"),
    pytest.param(
        "native",
        bgp("a", ip_address_pools=("v6",)),
        V6,
        bgp("c", ip_address_pools=("other",)),
        [],
        id="pools by name",
    ),
    pytest.param(
        "native",
        bgp("a", ip_address_pool_selectors=(A_IS_B,)),
        pool("v6", "fc00::/64", labels={"a": "b"}),
        bgp("c", ip_address_pools=("other",)),
        [],
        id="pools by label",
    ),
    pytest.param(
        "native",
        pool("v6", "fc00::/64", labels={"a": "b"}),
        bgp("b", ip_address_pool_selectors=(A_IS_B,)),
        pool("c", "fc00::/64"),
        [],
        id="labels of pools",
    ),
    pytest.param(
        "native",
        pool("v6", "fc00::/64"),
        bgp("b", ip_address_pools=("v6",)),
        pool("c", "fc00::/64"),
        [],
        id="names of pools",
    ),
    pytest.param(
        "frr",
        bgp("a", local_pref=100),
        bgp("b", local_pref=200),
        bgp("c", local_pref=200),
        [pool("p", "10.0.0.0/24")],
        id="preferences",
    ),
    pytest.param(
        "frr",
        bgp("a", local_pref=100, peers=("x",)),
        bgp("b", local_pref=200, peers=("x",)),
        bgp("c", local_pref=100, peers=("y",)),
        [pool("p", "10.0.0.0/24")],
        id="peers of advertisements",
    ),
    pytest.param(
        "frr",
        bgp("a", local_pref=100),
        bgp("b", local_pref=200, peers=("x",)),
        bgp("c", local_pref=100, peers=("y",)),
        [pool("p", "10.0.0.0/24")],
        id="all peers",
    ),
    pytest.param(
        "frr",
        bgp("a", local_pref=100, on=("one",)),
        bgp("b", local_pref=200, on=("one",)),
        bgp("c", local_pref=100, on=("two",)),
        [pool("p", "10.0.0.0/24")],
        id="nodes of advertisements",
    ),
    pytest.param(
        "frr",
        bgp("a", local_pref=100),
        bgp("b", local_pref=200),
        bgp("c", local_pref=100, aggregation_length=28),
        [pool("p", "10.0.0.0/24")],
        id="lengths of rivals",
    ),
    pytest.param(
        "frr",
        bgp("a", local_pref=100),
        pool("p", "10.0.0.0/24"),
        bgp("c", local_pref=200),
        [bgp("b", local_pref=200)],
        id="rivals on a pool",
    ),
    pytest.param("frr", peer("a"), peer("b"), peer("c", peer_address="192.0.2.9"), [], id="neighbors"),
    pytest.param(
        "frr", peer("a", on=("one",)), peer("b", on=("one",)), peer("c", on=("two",)), [], id="nodes of peers"
    ),
    pytest.param(
        "frr",
        peer("a", router_id="1.1.1.1"),
        peer("b", peer_address="192.0.2.2"),
        peer("c", peer_address="192.0.2.3"),
        [],
        id="router IDs",
    ),
    pytest.param(
        "frr",
        peer("a", my_asn=64999),
        peer("b", peer_address="192.0.2.2"),
        peer("c", peer_address="192.0.2.3"),
        [],
        id="AS numbers",
    ),
    pytest.param(
        "frr",
        peer("a", my_asn=64999),
        peer("b", peer_address="192.0.2.2"),
        peer("c", my_asn=64999, vrf="red"),
        [],
        id="VRFs",
    ),
    pytest.param(
        "frr",
        ECHO,
        V6,
        profile("slow"),
        [peer("p", bfd_profile="fast"), peer("q", peer_address="192.0.2.9", bfd_profile="slow"), bgp("b")],
        id="echo",
    ),
    pytest.param("frr", peer("p", bfd_profile="fast"), V6, peer("q"), [ECHO, bgp("b")], id="users of a profile"),
    pytest.param(
        "frr",
        peer("p", bfd_profile="fast"),
        V6,
        peer("q", bfd_profile="fast"),
        [ECHO, bgp("b", peers=("p",))],
        id="names of peers",
    ),
    pytest.param(
        "frr", V6, ECHO, pool("c", "10.0.0.0/24"), [peer("p", bfd_profile="fast"), bgp("b")], id="echo's pool"
    ),
    pytest.param(
        "frr", names("a", ("vpn", "1:2")), names("b", ("vpn", "1:2")), names("c", ("other", "1:2")), [], id="aliases"
    ),
]


@pytest.fixture
def make(
    make_pool: Callable[..., Any],
    make_bgp: Callable[..., Any],
    make_peer: Callable[..., Any],
    make_profile: Callable[..., Any],
    make_community: Callable[..., Any],
) -> Callable[[Written, Any], Any]:
    """The parsed object."""
    factories: dict[str, Callable[..., Any]] = {
        "pool": lambda name, addresses, **rest: make_pool(name, *addresses, **rest),
        "bgp": make_bgp,
        "peer": make_peer,
        "profile": make_profile,
        "names": lambda name, aliases: make_community(name, *aliases),
    }

    def parsed(written: Written, backend: Any) -> Any:
        kind, name, rest = written
        found = parse(factories[kind](name, **rest), {}, backend)
        assert found.errors == ()
        return found

    return parsed


@pytest.mark.parametrize("first", [True, False], ids=["there before", "there after"])
@pytest.mark.parametrize(("backend", "removed", "other", "successor", "world"), ROWS)
def test_what_is_removed_leaves_no_trace(
    make: Callable[[Written, Any], Any],
    backend: Any,
    removed: Written,
    other: Written,
    successor: Written,
    world: list[Written],
    *,
    first: bool,
) -> None:
    together = Together(NODES, backend)
    for each in world:
        together.put(make(each, backend))
    going, staying, coming = (make(each, backend) for each in (removed, other, successor))
    for each in (going, staying) if first else (staying, going):
        together.put(each)
    assert together.check(staying)
    assert together.check(going)
    together.remove(going)
    assert together.check(staying) == []
    together.put(coming)
    assert together.check(staying) == []
    assert together.check(coming) == []
    together.remove(staying)
    together.remove(coming)
    together.put(going)
    assert together.check(going) == []
    together.put(staying)
    assert together.check(staying)


def test_a_pool_that_comes_later_is_found_by_its_labels(make: Callable[[Written, Any], Any]) -> None:
    together = Together(NODES, "native")
    advertisement = make(bgp("b", ip_address_pool_selectors=(A_IS_B,)), "native")
    together.put(advertisement)
    assert together.check(advertisement) == []
    together.put(make(pool("four", "10.0.0.0/24", labels={"a": "b"}), "native"))
    assert together.check(advertisement) == []
    together.put(make(pool("six", "fc00::/64", labels={"a": "b"}), "native"))
    assert [error.others[0].name for error in together.check(advertisement)] == ["six"]

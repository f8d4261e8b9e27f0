"""What each backend refuses, row by row (spec/crds.md 10.8): with the line of the table it is refused, without it not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metallb.api.core import LabelSelector, LabelSelectorRequirement
from metallb.config import backends
from metallb.config.backends import REFUSED, Backend, Feature, refuses
from metallb.config.blame import MOST
from metallb.config.build import Snapshot, build
from metallb.config.errors import ObjectName

Said = list[tuple[str, str, str, str]]
BACKENDS: tuple[Backend, ...] = ("native", "frr", "frr-k8s")
NODES = {name: {"kubernetes.io/hostname": name} for name in ("one", "two")}
OF_A_PEER: list[tuple[Feature, dict[str, Any], str, str]] = [
    (Feature.PEER_BFD, {"bfd_profile": "fast"}, "bfdProfile", "fast"),
    (Feature.PEER_KEEPALIVE_TIME, {"keepalive_time": "10s"}, "keepaliveTime", "10s"),
    (Feature.PEER_VRF, {"vrf": "red"}, "vrf", "red"),
    (Feature.PEER_CONNECT_TIME, {"connect_time": "10s"}, "connectTime", "10s"),
    (Feature.PEER_GRACEFUL_RESTART, {"enable_graceful_restart": True}, "enableGracefulRestart", "true"),
    (Feature.PEER_DISABLE_MP, {"disable_mp": True}, "disableMP", "true"),
    (Feature.PEER_DUAL_STACK, {"dual_stack_address_family": True}, "dualStackAddressFamily", "true"),
    (Feature.PEER_DYNAMIC_ASN, {"dynamic_asn": "internal", "peer_asn": 0}, "dynamicASN", "internal"),
    (Feature.PEER_INTERFACE, {"interface": "eth0", "peer_address": ""}, "interface", "eth0"),
    (Feature.PEER_LOCAL_ASN, {"local_asn": 64999}, "localASN", "64999"),
]


@pytest.mark.parametrize(("feature", "spec", "field", "value"), OF_A_PEER, ids=[each[0].name for each in OF_A_PEER])
def test_of_a_peer_native_alone_refuses(
    make_peer: Callable[..., Any],
    said: Callable[..., Said],
    feature: Feature,
    spec: dict[str, Any],
    field: str,
    value: str,
) -> None:
    rule = f"asks for {feature.value}, which backend native can't do"
    found = said(peers=(make_peer(**spec),), backend="native")
    assert ("BGPPeer router", f"spec.{field}", value, rule) in found
    for backend in ("frr", "frr-k8s", "of-tomorrow"):
        others = said(peers=(make_peer(**spec),), backend=backend)
        assert [each for each in others if "backend" in each[3]] == []


def test_every_feature_of_a_peer_has_its_row() -> None:
    assert {each[0] for each in OF_A_PEER} == {each for each in Feature if each.name.startswith("PEER_")}


@pytest.mark.parametrize(
    "spec",
    [
        {"keepalive_time": "0s"},
        {"hold_time": "90s"},
        {"enable_graceful_restart": False},
        {"peer_address": "2001:db8::1"},
        {"ebgp_multi_hop": True, "password": "x", "source_address": "192.0.2.7", "router_id": "192.0.2.7"},
    ],
)
def test_of_a_peer_native_accepts(
    make_peer: Callable[..., Any], said: Callable[..., Said], spec: dict[str, Any]
) -> None:
    assert said(peers=(make_peer(**spec),), backend="native") == []


def test_a_line_that_is_deleted_is_a_feature(
    make_peer: Callable[..., Any], said: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    less = {**REFUSED, "native": REFUSED["native"] - {Feature.PEER_VRF}}
    monkeypatch.setattr(backends, "REFUSED", less)
    assert said(peers=(make_peer(vrf="red"),), backend="native") == []


def test_profiles_are_refused_by_native_alone(make_profile: Callable[..., Any], said: Callable[..., Said]) -> None:
    assert said(bfd_profiles=(make_profile("fast"),), backend="native") == [
        ("BFDProfile fast", "metadata.name", "fast", "is there, and backend native can't do BFD")
    ]
    assert said(bfd_profiles=(make_profile("fast"),)) == []


class TestIPv6:
    @pytest.mark.parametrize(
        ("spec", "refused"),
        [
            pytest.param(None, False, id="without advertisements there is no check"),
            pytest.param({}, True, id="all pools"),
            pytest.param({"ip_address_pools": ("six",)}, True, id="by name"),
            pytest.param({"ip_address_pools": ("four",)}, False, id="another pool"),
            pytest.param({"ip_address_pool_selectors": (LabelSelector(match_labels={"a": "b"}),)}, True, id="by label"),
        ],
    )
    def test_in_a_pool_that_is_announced_by_bgp_is_refused_by_native(
        self,
        make_pool: Callable[..., Any],
        make_bgp: Callable[..., Any],
        said: Callable[..., Said],
        spec: dict[str, Any] | None,
        *,
        refused: bool,
    ) -> None:
        pools = (make_pool("four", "10.0.0.0/24"), make_pool("six", "10.1.0.0/24", "fc00::/64", labels={"a": "b"}))
        advertisements = () if spec is None else (make_bgp(**spec),)
        assert bool(said(pools=pools, bgp_advertisements=advertisements, backend="native")) is refused
        assert said(pools=pools, bgp_advertisements=advertisements) == []

    @pytest.mark.parametrize(
        ("youngest", "field", "value"),
        [
            (ObjectName("IPAddressPool", "metallb-system", "six"), "spec.addresses[0]", "fc00::/64"),
            (ObjectName("BGPAdvertisement", "metallb-system", "routes"), "spec.ipAddressPools", "all pools"),
        ],
    )
    def test_is_blamed_on_the_younger(
        self,
        make_pool: Callable[..., Any],
        make_bgp: Callable[..., Any],
        youngest: ObjectName,
        field: str,
        value: str,
    ) -> None:
        snapshot = Snapshot((make_pool("six", "fc00::/64"),), bgp_advertisements=(make_bgp(),))
        (error,) = build(snapshot, youngest=youngest).errors
        assert (error.object, error.field, error.value) == (youngest, field, value)
        assert "backend native can't announce IPv6 by BGP" in error.rule
        assert len(error.others) == 1


class TestPeersThatShareANode:
    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize(
        ("one", "other", "refused"),
        [
            pytest.param({}, {"peer_address": "192.0.2.2"}, "", id="two routers"),
            pytest.param({}, {}, "spec.peerAddress", id="one router twice"),
            pytest.param(
                {"peer_address": "2001:db8::1"},
                {"peer_address": "2001:DB8:0::1"},
                "spec.peerAddress",
                id="written apart",
            ),
            pytest.param({}, {"vrf": "red"}, "", id="one address in two VRFs"),
            pytest.param(
                {"peer_address": "", "interface": "eth0"},
                {"peer_address": "", "interface": "eth0"},
                "spec.interface",
                id="one interface twice",
            ),
            pytest.param(
                {"peer_address": "", "interface": "eth0"}, {"peer_address": "", "interface": "eth1"}, "", id="two"
            ),
            pytest.param(
                {}, {"peer_address": "192.0.2.2", "my_asn": 64999}, "spec.myASN", id="two numbers of the cluster"
            ),
            pytest.param({}, {"peer_address": "192.0.2.2", "my_asn": 64999, "vrf": "red"}, "", id="in two VRFs"),
            pytest.param({}, {"peer_address": "192.0.2.2", "local_asn": 64999}, "", id="one shown in place"),
            pytest.param(
                {"router_id": "1.1.1.1"},
                {"peer_address": "192.0.2.2", "router_id": "2.2.2.2"},
                "spec.routerID",
                id="two router IDs",
            ),
            pytest.param(
                {"router_id": "1.1.1.1"}, {"peer_address": "192.0.2.2"}, "spec.routerID", id="one router ID and none"
            ),
            pytest.param(
                {"router_id": "1.1.1.1"},
                {"peer_address": "192.0.2.2", "router_id": "2.2.2.2", "vrf": "red"},
                "spec.routerID",
                id="in two VRFs too",
            ),
            pytest.param(
                {"router_id": "::ffff:1.1.1.1"},
                {"peer_address": "192.0.2.2", "router_id": "1.1.1.1"},
                "",
                id="the same ID",
            ),
        ],
    )
    def test_are_one_router_for_frr(
        self,
        make_peer: Callable[..., Any],
        said: Callable[..., Said],
        backend: Backend,
        one: dict[str, Any],
        other: dict[str, Any],
        refused: str,
    ) -> None:
        peers = (make_peer("a", **one), make_peer("b", **other))
        found = [(name, field) for name, field, _, rule in said(peers=peers, backend=backend) if "BGPPeer" in rule]
        assert found == ([("BGPPeer b", refused)] if refused and backend != "native" else [])

    @pytest.mark.parametrize(
        ("one", "other", "nodes", "refused"),
        [
            pytest.param(("one",), ("two",), NODES, False, id="on other nodes"),
            pytest.param(("one",), ("one", "two"), NODES, True, id="on one node"),
            pytest.param((), ("two",), NODES, True, id="on all nodes and one"),
            pytest.param(("nosuch",), (), NODES, False, id="on no node"),
            pytest.param(("one",), ("two",), None, True, id="nodes are unknown"),
            pytest.param(("one",), ("two",), {}, True, id="there are no nodes"),
        ],
    )
    def test_share_it_by_their_selectors(
        self,
        make_peer: Callable[..., Any],
        said: Callable[..., Said],
        one: tuple[str, ...],
        other: tuple[str, ...],
        nodes: Any,
        *,
        refused: bool,
    ) -> None:
        peers = (make_peer("a", on=one), make_peer("b", on=other))
        assert bool(said(peers=peers, nodes=nodes)) is refused

    def test_a_selector_that_cannot_be_read_selects_no_node(
        self, make_peer: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        malformed = LabelSelector(match_expressions=(LabelSelectorRequirement("a", "In"),))
        peers = (make_peer("a"), make_peer("b", node_selectors=(malformed,)))
        assert [field for _, field, *_ in said(peers=peers, nodes=NODES)] == ["spec.nodeSelectors[0]"]

    def test_the_younger_is_blamed_and_names_every_elder(self, make_peer: Callable[..., Any]) -> None:
        peers = (
            make_peer("a", created="2026-01-03T00:00:00Z"),
            make_peer("b", created="2026-01-02T00:00:00Z"),
            make_peer("c", created="2026-01-01T00:00:00Z"),
        )
        found = build(Snapshot(peers=peers, backend="frr")).errors
        assert [(each.object.name, [other.name for other in each.others]) for each in found] == [
            ("a", ["b"]),
            ("a", ["c"]),
            ("b", ["c"]),
        ]
        assert found[0].rule == (
            "is the router of BGPPeer metallb-system/b too, and backend frr has one session with it on a node"
        )

    def test_many_conflicts_of_one_field_are_told_in_part(self, make_peer: Callable[..., Any]) -> None:
        found = build(Snapshot(peers=tuple(make_peer(f"peer{n:02}") for n in range(30)), backend="frr")).errors
        last = [error.others[0].name for error in found if error.object.name == "peer29"]
        assert last == [f"peer{n:02}" for n in range(MOST)]


def test_a_backend_that_is_unknown_refuses_nothing() -> None:
    unknown: Any = "of-tomorrow"
    assert not any(refuses(unknown, feature) for feature in Feature)

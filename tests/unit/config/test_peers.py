"""Every rule of BGPPeers and their timers, row by row (spec/crds.md 10.3), and what becomes of a valid one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.api import duration, v1beta2
from metallb.api.core import LabelSelector, LabelSelectorRequirement, ObjectMeta, Secret
from metallb.api.net import Address
from metallb.config.build import Snapshot, build, for_node
from metallb.config.model import Peer
from metallb.config.selectors import parse

Said = list[tuple[str, str, str, str]]
NO_ADDRESS = "is no IP address"
A_IS_B = LabelSelector(match_labels={"a": "b"})


def only_peer(peer: v1beta2.BGPPeer, **rest: Any) -> Peer:
    built = build(Snapshot(peers=(peer,), **{"backend": "frr", **rest}))
    assert built.errors == ()
    assert built.config is not None
    return built.config.peers[0]


@pytest.mark.parametrize(
    ("spec", "field", "value", "rule"),
    [
        pytest.param({"my_asn": 0}, "myASN", "0", "must be from 1 to 4294967295", id="B1"),
        pytest.param({"my_asn": 1 << 32}, "myASN", "4294967296", "must be from 1 to 4294967295", id="B1 too large"),
        pytest.param({"peer_asn": 0}, "peerASN", "0", "is missing, and so is dynamicASN", id="B2 neither"),
        pytest.param({"dynamic_asn": "external"}, "dynamicASN", "external", "stands beside peerASN", id="B2 both"),
        pytest.param({"peer_asn": -1}, "peerASN", "-1", "must be from 1 to 4294967295", id="B2 negative"),
        pytest.param(
            {"peer_asn": 0, "dynamic_asn": "other"},
            "dynamicASN",
            "other",
            "must be internal or external",
            id="B3",
        ),
        pytest.param(
            {"peer_asn": 64500, "ebgp_multi_hop": True},
            "ebgpMultiHop",
            "true",
            "is for routers of another autonomous system, and peerASN equals myASN",
            id="B4",
        ),
        pytest.param({"peer_address": ""}, "peerAddress", "", "is missing, and so is interface", id="B5 neither"),
        pytest.param({"interface": "eth0"}, "interface", "eth0", "stands beside peerAddress", id="B5 both"),
        pytest.param({"peer_address": "nope"}, "peerAddress", "nope", NO_ADDRESS, id="B6 peerAddress"),
        pytest.param({"peer_address": "192.0.2.1/32"}, "peerAddress", "192.0.2.1/32", NO_ADDRESS, id="B6 a CIDR"),
        pytest.param({"peer_address": "fe80::1%eth0"}, "peerAddress", "fe80::1%eth0", NO_ADDRESS, id="B6 a zone"),
        pytest.param({"router_id": "7"}, "routerID", "7", NO_ADDRESS, id="B6 routerID"),
        pytest.param({"source_address": "192.0.2.01"}, "sourceAddress", "192.0.2.01", NO_ADDRESS, id="B6 source"),
        pytest.param(
            {"password": "x", "password_secret": v1beta2.SecretReference("s")},
            "password",
            "***",
            "stands beside passwordSecret",
            id="B10",
        ),
        pytest.param({"local_asn": 0}, "localASN", "0", "must be from 1 to 4294967295", id="localASN"),
        pytest.param({"peer_port": 0}, "peerPort", "0", "must be from 1 to 16384", id="a small port"),
        pytest.param({"peer_port": 16385}, "peerPort", "16385", "must be from 1 to 16384", id="a large port"),
        pytest.param(
            {"node_selectors": (A_IS_B, A_IS_B)}, "nodeSelectors[1]", "a=b", "repeats an earlier selector", id="B9"
        ),
        pytest.param(
            {"node_selectors": (LabelSelector(match_expressions=(LabelSelectorRequirement("a", "In"),)),)},
            "nodeSelectors[0]",
            "a In []",
            "has the operator In on 'a' without values",
            id="B9 malformed",
        ),
        pytest.param({"hold_time": "90"}, "holdTime", "90", "is no duration such as 90s, 1m30s or 500ms", id="no unit"),
        pytest.param(
            {"keepalive_time": "x"}, "keepaliveTime", "x", "is no duration such as 90s, 1m30s or 500ms", id="none"
        ),
        pytest.param(
            {"connect_time": "1.5s"}, "connectTime", "1.5s", "must be whole seconds, from 1s to 65535s", id="half"
        ),
        pytest.param(
            {"connect_time": "0s"}, "connectTime", "0s", "must be whole seconds, from 1s to 65535s", id="zero"
        ),
        pytest.param(
            {"connect_time": "65536s"}, "connectTime", "65536s", "must be whole seconds, from 1s to 65535s", id="long"
        ),
    ],
)
def test_what_is_refused(
    make_peer: Callable[..., Any], said: Callable[..., Said], spec: dict[str, Any], field: str, value: str, rule: str
) -> None:
    assert said(peers=(make_peer(**spec),)) == [("BGPPeer router", f"spec.{field}", value, rule)]


def test_a_peer_without_a_spec_is_refused(said: Callable[..., Said]) -> None:
    peer = v1beta2.BGPPeer(metadata=ObjectMeta(name="p", namespace="metallb-system"))
    assert said(peers=(peer,)) == [("BGPPeer p", "spec", "", "is missing")]


def test_a_password_is_never_shown(make_peer: Callable[..., Any]) -> None:
    secret = v1beta2.SecretReference("name")
    built = build(Snapshot(peers=(make_peer(password="hunter2", password_secret=secret, hold_time="1s"),)))
    assert "hunter2" not in str(built)
    assert "hunter2" not in repr(only_peer(make_peer(password="hunter2")))


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"peer_asn": 0, "dynamic_asn": "internal", "ebgp_multi_hop": True}, id="B4 compares numbers only"),
        pytest.param({"peer_asn": 64500}, id="a router of the same autonomous system"),
        pytest.param({"peer_asn": 4294967295, "my_asn": 4294967295, "local_asn": 1}, id="the largest numbers"),
        pytest.param({"peer_address": "2001:db8::1", "router_id": "2001:db8::9"}, id="IPv6"),
        pytest.param({"peer_address": "", "interface": "eth 0/weird"}, id="an interface is not looked at"),
        pytest.param({"password_secret": v1beta2.SecretReference("", "other"), "password": "x"}, id="no Secret named"),
        pytest.param({"connect_time": "65535s"}, id="the longest time between attempts"),
        pytest.param({"connect_time": "1m0.0s"}, id="whole seconds however they are written"),
        pytest.param({"disable_mp": True}, id="disableMP has no effect"),
        pytest.param({"peer_port": 16384}, id="the largest port"),
    ],
)
def test_what_is_accepted(make_peer: Callable[..., Any], said: Callable[..., Said], spec: dict[str, Any]) -> None:
    assert said(peers=(make_peer(**spec),)) == []


class TestTimers:
    @pytest.mark.parametrize(
        ("hold", "keepalive", "completed"),
        [
            (None, None, (None, None)),
            ("90s", None, ("1m30s", "30s")),
            (None, "20s", ("1m0s", "20s")),
            ("0s", "0s", ("0s", "0s")),
            ("0", None, ("0s", "0s")),
            ("500ms", None, ("500ms", "166.666666ms")),
            ("3s", "3s", ("3s", "3s")),
            ("3.9s", None, ("3.9s", "1.3s")),
            ("65535s", None, ("18h12m15s", "6h4m5s")),
            (None, "0s", ("0s", "0s")),
        ],
    )
    def test_are_completed(
        self, make_peer: Callable[..., Any], hold: str | None, keepalive: str | None, completed: tuple[str | None, ...]
    ) -> None:
        found = only_peer(make_peer(hold_time=hold, keepalive_time=keepalive))
        assert (
            tuple(
                None if each is None else duration.render(each)
                for each in (found.hold_time_ns, found.keepalive_time_ns)
            )
            == completed
        )

    @pytest.mark.parametrize(
        ("hold", "keepalive", "field", "value", "rule"),
        [
            pytest.param("2s", None, "holdTime", "2s", "must be 0s, or from 3s to 65535s", id="B7"),
            pytest.param("2.9s", None, "holdTime", "2.9s", "must be 0s, or from 3s to 65535s", id="B7 is cut off"),
            pytest.param("65536s", None, "holdTime", "65536s", "must be 0s, or from 3s to 65535s", id="RFC 4271 4.2"),
            pytest.param("-90s", None, "holdTime", "-90s", "is negative", id="a negative hold time"),
            pytest.param("9s", "-1s", "keepaliveTime", "-1s", "is negative", id="a negative keepalive time"),
            pytest.param(
                None,
                "500ms",
                "keepaliveTime",
                "500ms",
                "makes a hold time of 1.5s, which must be 0s, or from 3s to 65535s",
                id="B7 by completion",
            ),
            pytest.param("0s", "10s", "keepaliveTime", "10s", "is longer than the hold time 0s", id="B8 off"),
            pytest.param("90s", "91s", "keepaliveTime", "91s", "is longer than the hold time 90s", id="B8"),
        ],
    )
    def test_are_refused(
        self,
        make_peer: Callable[..., Any],
        said: Callable[..., Said],
        hold: str | None,
        keepalive: str | None,
        field: str,
        value: str,
        rule: str,
    ) -> None:
        found = said(peers=(make_peer(hold_time=hold, keepalive_time=keepalive),))
        assert found == [("BGPPeer router", f"spec.{field}", value, rule)]


class TestReferences:
    def test_a_missing_profile_may_yet_come(self, make_peer: Callable[..., Any]) -> None:
        (error,) = build(Snapshot(peers=(make_peer(bfd_profile="fast"),), backend="frr")).errors
        assert (error.field, error.value, error.transient) == ("spec.bfdProfile", "fast", True)
        assert error.rule == "is no BFDProfile of this namespace"

    def test_a_profile_that_is_there_is_found(
        self, make_peer: Callable[..., Any], make_profile: Callable[..., Any], said: Callable[..., Said]
    ) -> None:
        assert said(peers=(make_peer(bfd_profile="fast"),), bfd_profiles=(make_profile("fast"),)) == []

    def test_a_missing_secret_may_yet_come(self, make_peer: Callable[..., Any]) -> None:
        peer = make_peer(password_secret=v1beta2.SecretReference("s", "elsewhere"))
        (error,) = build(Snapshot(peers=(peer,), secrets={})).errors
        assert (error.field, error.value, error.transient) == ("spec.passwordSecret.name", "s", True)
        assert error.rule == "is no Secret of this namespace"

    @pytest.mark.parametrize(
        ("secret", "rule"),
        [
            pytest.param(
                Secret(type="Opaque", data={"password": b"x"}),
                "is a Secret of type 'Opaque', and must be of kubernetes.io/basic-auth",
                id="B12 type",
            ),
            pytest.param(
                Secret(type="kubernetes.io/basic-auth", data={"username": b"x"}),
                "is a Secret without the key 'password'",
                id="B12 key",
            ),
        ],
    )
    def test_a_wrong_secret_is_refused(self, make_peer: Callable[..., Any], secret: Secret, rule: str) -> None:
        peer = make_peer(password_secret=v1beta2.SecretReference("s"))
        (error,) = build(Snapshot(peers=(peer,), secrets={"s": secret})).errors
        assert (error.field, error.value, error.rule, error.transient) == (
            "spec.passwordSecret.name",
            "s",
            rule,
            False,
        )

    def test_the_secret_holds_the_password(self, make_peer: Callable[..., Any]) -> None:
        secret = msgspec.json.decode(
            b'{"type": "kubernetes.io/basic-auth", "data": {"password": "aHVudGVyMg=="}}', type=Secret
        )
        peer = make_peer(password_secret=v1beta2.SecretReference("s"))
        assert only_peer(peer, secrets={"s": secret}).password == b"hunter2"

    def test_references_are_handed_on_where_secrets_are_not_looked_up(self, make_peer: Callable[..., Any]) -> None:
        found = only_peer(make_peer(password_secret=v1beta2.SecretReference("s")))
        assert (found.password, found.password_secret) == (b"", "s")


def test_what_becomes_of_a_peer(make_peer: Callable[..., Any], make_profile: Callable[..., Any]) -> None:
    peer = make_peer(
        "p",
        local_asn=64999,
        peer_asn=0,
        dynamic_asn="external",
        peer_address="2001:DB8::1",
        source_address="2001:db8::2",
        router_id="192.0.2.9",
        peer_port=1179,
        hold_time="90s",
        connect_time="10s",
        node_selectors=(A_IS_B,),
        password="x",
        bfd_profile="fast",
        enable_graceful_restart=True,
        ebgp_multi_hop=True,
        vrf="red",
        dual_stack_address_family=True,
    )
    assert only_peer(peer, bfd_profiles=(make_profile("fast"),)) == Peer(
        name="p",
        my_asn=64500,
        local_asn=64999,
        dynamic_asn="external",
        address=Address.parse("2001:db8::1"),
        source_address=Address.parse("2001:db8::2"),
        router_id=Address.parse("192.0.2.9"),
        port=1179,
        hold_time_ns=90 * duration.SECOND,
        keepalive_time_ns=30 * duration.SECOND,
        connect_time_ns=10 * duration.SECOND,
        node_selectors=(parse(A_IS_B),),
        password=b"x",
        bfd_profile="fast",
        graceful_restart=True,
        ebgp_multi_hop=True,
        vrf="red",
        dual_stack=True,
    )


def test_what_is_left_out_is_the_backends_choice(make_peer: Callable[..., Any]) -> None:
    found = only_peer(make_peer("p"))
    assert found == Peer(name="p", my_asn=64500, peer_asn=64501, address=Address.parse("192.0.2.1"))
    assert found.selects_node({})
    assert not only_peer(make_peer("p", node_selectors=(A_IS_B,))).selects_node({})


def test_peers_are_sorted_by_name(make_peer: Callable[..., Any]) -> None:
    peers = tuple(make_peer(name, peer_address=f"192.0.2.{n}") for n, name in enumerate("cab"))
    built = build(Snapshot(peers=peers))
    assert built.config is not None
    assert [each.name for each in built.config.peers] == ["a", "b", "c"]


def test_a_node_looks_at_what_selects_it_and_at_what_cannot_be_read(
    make_peer: Callable[..., Any], make_bgp: Callable[..., Any]
) -> None:
    malformed = (LabelSelector(match_expressions=(LabelSelectorRequirement("a", "In"),)),)
    chosen = {"none": (), "ours": (A_IS_B,), "theirs": (LabelSelector(match_labels={"a": "c"}),), "bad": malformed}
    snapshot = Snapshot(
        peers=[
            *(make_peer(name, node_selectors=selectors) for name, selectors in chosen.items()),
            v1beta2.BGPPeer(metadata=ObjectMeta(name="empty")),
        ],
        bgp_advertisements=[make_bgp(name, node_selectors=selectors) for name, selectors in chosen.items()],
    )
    seen = for_node(snapshot, {"a": "b"})
    assert [each.metadata.name for each in seen.peers] == ["none", "ours", "bad", "empty"]
    assert [each.metadata.name for each in seen.bgp_advertisements] == ["none", "ours", "bad"]

"""What administrators are told before a change bites, row by row; and what is not worth a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api.core import Node, Secret, Service
from metallb.api.net import ServiceKey
from metallb.api.v1beta1 import IPAddressPool, L2Advertisement
from metallb.api.v1beta1_bgp import BFDProfile, BGPAdvertisement, Community
from metallb.api.v1beta2 import BGPPeer
from metallb.config.build import Snapshot
from metallb.config.change import Change
from metallb.config.surroundings import NodeFacts, ServiceFacts, Surroundings
from metallb.config.tables import Tables
from metallb.config.together import Resource
from metallb.config.warnings import bounded, foresee

MODELS: Mapping[str, Any] = {
    "IPAddressPool": IPAddressPool,
    "L2Advertisement": L2Advertisement,
    "BGPAdvertisement": BGPAdvertisement,
    "BGPPeer": BGPPeer,
    "BFDProfile": BFDProfile,
    "Community": Community,
}
POOL, L2, BGP, PEER = "IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer"
HOST = "kubernetes.io/hostname"
ON_NODE_1: dict[str, Any] = {"nodeSelectors": [{"matchLabels": {HOST: "node-1"}}]}
ON_NO_NODE: dict[str, Any] = {"nodeSelectors": [{"matchLabels": {HOST: "node-9"}}]}
PEER_SPEC: dict[str, Any] = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}
TEAM_A = [{"matchLabels": {"team": "a"}}]


def make(kind: str, name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Any:
    metadata = {"name": name, "namespace": "metallb-system", "labels": dict(labels or {})}
    return msgspec.convert({"metadata": metadata, "spec": spec}, MODELS[kind])


def pool(*addresses: str, name: str = "first", labels: Mapping[str, str] | None = None, **spec: Any) -> Any:
    return make(POOL, name, labels, addresses=list(addresses), **spec)


def service(*held: str, team: str = "a", cluster_ip: str = "198.18.128.5") -> ServiceFacts:
    ingress = [{"ip": each} for each in held]
    written = {
        "metadata": {"labels": {"team": team}},
        "spec": {"type": "LoadBalancer", "clusterIPs": [cluster_ip]},
        "status": {"loadBalancer": {"ingress": ingress}},
    }
    return ServiceFacts.of(msgspec.convert(written, Service))


def services(**held: str) -> dict[ServiceKey, ServiceFacts]:
    return {ServiceKey("shop", name): service(address) for name, address in held.items()}


def node(address: str, *pods: str) -> NodeFacts:
    written = {
        "spec": {"podCIDRs": list(pods)},
        "status": {"addresses": [{"type": "Hostname", "address": "x"}, {"type": "InternalIP", "address": address}]},
    }
    return NodeFacts.of(msgspec.convert(written, Node))


NODES = {"node-1": {HOST: "node-1"}, "node-2": {HOST: "node-2"}}
FACTS = {"node-1": node("198.51.100.11", "198.18.1.0/24"), "node-2": node("198.51.100.12", "198.18.2.0/24")}
EVERYWHERE = make(L2, "everywhere")
BY_BGP = make(BGP, "by-bgp")
ROUTER = make(PEER, "router", **PEER_SPEC)


def told(
    before: Resource | None,
    after: Resource | None,
    *others: Resource,
    held: Mapping[ServiceKey, ServiceFacts] | None = None,
    secrets: Mapping[str, Secret] | None = None,
    nodes: Mapping[str, Mapping[str, str]] | None = NODES,
    namespaces: Mapping[str, Mapping[str, str]] | None = None,
) -> list[str]:
    """The warnings, without the name of the object in front, which each has."""
    subject = after or before
    assert subject is not None
    kind = type(subject).__name__
    present = [*others, *([before] if before else [])]

    def of(model: str) -> list[Any]:
        return [each for each in present if isinstance(each, MODELS[model])]

    tables = Tables(
        Snapshot(
            pools=of(POOL),
            l2_advertisements=of(L2),
            bgp_advertisements=of(BGP),
            peers=of(PEER),
            bfd_profiles=of("BFDProfile"),
            communities=of("Community"),
            namespaces={"shop": {"team": "a"}} if namespaces is None else namespaces,
            nodes=nodes,
        ),
        Surroundings(FACTS, held or {}, secrets),
    )
    name = subject.metadata.name
    found = foresee(tables, Change(kind, "metallb-system", name, before, after))
    assert foresee(tables, Change(kind, "metallb-system", name, before, after)) == found
    start = f"{kind} metallb-system/{name}: "
    assert all(each.startswith(start) for each in found)
    return [each.removeprefix(start) for each in found]


THREE = services(a="10.0.0.1", b="10.0.0.2", c="10.0.0.200")
MANY = {ServiceKey("shop", f"s{n:02}"): service(f"10.0.0.{n}") for n in range(1, 13)}

OF_POOLS = [
    pytest.param(
        None,
        pool("10.0.0.0/24"),
        (),
        {},
        ["no advertisement announces this pool yet; create an L2Advertisement or a BGPAdvertisement"],
        id="a pool before its advertisement",
    ),
    pytest.param(None, pool("10.0.0.0/24"), (EVERYWHERE,), {}, [], id="a pool that is announced"),
    pytest.param(None, pool("10.0.0.0/24"), (BY_BGP,), {}, [], id="a pool that is announced by BGP"),
    pytest.param(
        pool("10.0.0.0/24"),
        pool("10.0.0.0/25"),
        (EVERYWHERE,),
        {"held": THREE},
        ["1 Service would lose their address: shop/c; move them first"],
        id="a pool that shrinks",
    ),
    pytest.param(
        pool("10.0.0.0/24"),
        pool("10.0.0.0-10.0.0.199", "10.0.0.201-10.0.0.255"),
        (EVERYWHERE,),
        {"held": THREE},
        ["1 Service would lose their address: shop/c; move them first"],
        id="a pool that gets a hole",
    ),
    pytest.param(
        pool("10.0.0.0/24"), pool("10.0.0.0/25", "10.0.0.128/25"), (EVERYWHERE,), {"held": THREE}, [], id="written anew"
    ),
    pytest.param(
        pool("10.0.0.0/24"),
        None,
        (EVERYWHERE,),
        {"held": MANY},
        [
            (
                "12 Services would lose their address: shop/s01, shop/s02, shop/s03, shop/s04, shop/s05 and 7 more; move "
                "them first"
            )
        ],
        id="a pool that goes",
    ),
    pytest.param(pool("10.0.0.0/24"), None, (EVERYWHERE,), {}, [], id="a pool that nobody uses goes"),
    pytest.param(
        pool("10.0.0.0/24"),
        pool("10.0.0.0/24", serviceAllocation={"serviceSelectors": [{"matchLabels": {"team": "b"}}]}),
        (EVERYWHERE,),
        {"held": services(a="10.0.0.1")},
        [
            (
                "1 Service would lose their address, no longer admitted by spec.serviceAllocation: shop/a; go on to admit "
                "them, or move them first"
            )
        ],
        id="a pool that stops admitting",
    ),
    pytest.param(
        pool("10.0.0.0/24", serviceAllocation={"namespaces": ["other"]}),
        pool("10.0.1.0/24", serviceAllocation={"namespaces": ["shop"]}),
        (EVERYWHERE,),
        {"held": services(a="10.0.0.1")},
        [],
        id="who was not admitted anyway",
    ),
    pytest.param(
        pool("10.0.0.0/24"),
        pool("10.0.0.0/24", avoidBuggyIPs=True),
        (EVERYWHERE,),
        {"held": services(a="10.0.0.0", b="10.0.0.1")},
        ["1 Service would lose their address: shop/a; move them first"],
        id="addresses that are avoided from now on",
    ),
    pytest.param(
        pool("10.0.0.0/24", labels={"a": "b"}),
        pool("10.0.0.0/24"),
        (make(L2, "by-label", ipAddressPoolSelectors=[{"matchLabels": {"a": "b"}}]),),
        {"held": services(a="10.0.0.1")},
        [
            "no pool would be left for L2Advertisement by-label; delete what is not needed, or let it select other pools",
            "no advertisement announces this pool any more; create an L2Advertisement or a BGPAdvertisement for 1 Service",
        ],
        id="a pool that loses the label it is announced by",
    ),
    pytest.param(
        pool("10.0.0.0/24"),
        None,
        (make(L2, "l2", ipAddressPools=["first"]), make(BGP, "bgp", ipAddressPools=["first"]), EVERYWHERE),
        {},
        [
            (
                "no pool would be left for BGPAdvertisement bgp, L2Advertisement l2; delete what is not needed, or let it "
                "select other pools"
            )
        ],
        id="advertisements without a pool",
    ),
    pytest.param(
        None,
        pool("198.51.100.10-198.51.100.20", "198.18.0.0/16"),
        (EVERYWHERE,),
        {"held": services(a="10.0.0.1")},
        [
            (
                "the pool has addresses of nodes: node-1 (198.51.100.11), node-2 (198.51.100.12), whose traffic a Service "
                "with that address would take; leave them out of spec.addresses"
            ),
            (
                "the pool has addresses of pods: node-1 (198.18.1.0/24), node-2 (198.18.2.0/24), whose traffic a Service "
                "with that address would take; leave them out of spec.addresses"
            ),
            (
                "the pool has cluster IPs of Services: shop/a (198.18.128.5), whose traffic a Service with that address "
                "would take; leave them out of spec.addresses"
            ),
        ],
        id="addresses that others have",
    ),
    pytest.param(
        None,
        pool("10.0.0.0/24", serviceAllocation={"namespaces": ["shop", "gone"], "namespaceSelectors": TEAM_A}),
        (EVERYWHERE,),
        {},
        ["spec.serviceAllocation.namespaces: there is no namespace gone"],
        id="a namespace that does not exist",
    ),
    pytest.param(
        None,
        pool("10.0.0.0/24", serviceAllocation={"namespaceSelectors": [{"matchLabels": {"team": "z"}}]}),
        (EVERYWHERE,),
        {},
        ["spec.serviceAllocation.namespaceSelectors match no namespace; no Service may use the pool"],
        id="no namespace",
    ),
    pytest.param(
        None,
        pool("10.0.0.0/24", serviceAllocation={"namespaces": ["gone"]}),
        (EVERYWHERE,),
        {"namespaces": {}},
        [],
        id="unknown namespaces",
    ),
]

OF_ADVERTISEMENTS = [
    pytest.param(
        None,
        make(L2, "early"),
        (),
        {},
        ["there is no IPAddressPool yet that it could announce; create one"],
        id="an advertisement before its pool",
    ),
    pytest.param(
        None,
        make(L2, "named", ipAddressPools=["second", "third"]),
        (pool("10.0.0.0/24"),),
        {},
        ["it selects no pool: there is no IPAddressPool second, third; create the pool, or name another"],
        id="names of pools that are not there",
    ),
    pytest.param(
        None,
        make(L2, "both", ipAddressPools=["second"], ipAddressPoolSelectors=TEAM_A),
        (pool("10.0.0.0/24"),),
        {},
        [
            (
                "it selects no pool: there is no IPAddressPool second, and spec.ipAddressPoolSelectors match none; create "
                "the pool, or name another"
            )
        ],
        id="names and labels of pools that are not there",
    ),
    pytest.param(
        None,
        make(L2, "half", ipAddressPools=["first", "second"]),
        (pool("10.0.0.0/24"),),
        {},
        ["spec.ipAddressPools: there is no IPAddressPool second; create it, or take the name out"],
        id="one name of a pool that is not there",
    ),
    pytest.param(
        None,
        make(L2, "nowhere", **ON_NO_NODE),
        (pool("10.0.0.0/24"),),
        {},
        ["spec.nodeSelectors selects no node: it is announced by none; label a node, or correct the selector"],
        id="no node",
    ),
    pytest.param(
        None,
        make(L2, "nowhere", nodeSelectors=[{"matchLabels": {"rack": "1"}}]),
        (pool("10.0.0.0/24"),),
        {},
        [
            (
                "spec.nodeSelectors selects no node (no node has the label rack): it is announced by none; label a node, or "
                "correct the selector"
            )
        ],
        id="a label that no node has",
    ),
    pytest.param(
        None,
        make(L2, "half", nodeSelectors=[{"matchLabels": {"rack": "1"}}, {"matchLabels": {HOST: "node-1"}}]),
        (pool("10.0.0.0/24"),),
        {},
        ["spec.nodeSelectors: no node has the label rack; label a node, or correct the selector"],
        id="one label that no node has",
    ),
    pytest.param(
        None, make(L2, "unknown", **ON_NO_NODE), (pool("10.0.0.0/24"),), {"nodes": None}, [], id="unknown nodes"
    ),
    pytest.param(
        None,
        make(
            L2,
            "prefers",
            preferredNodeSelectors=[{"weight": 1, "preference": {"matchLabels": {HOST: "node-9"}}}],
        ),
        (pool("10.0.0.0/24"),),
        {},
        [
            "spec.preferredNodeSelectors[0] selects no node: it prefers none; label a node, or correct the selector",
        ],
        id="no preferred node",
    ),
    pytest.param(
        make(L2, "last"),
        None,
        (pool("10.0.0.0/24"), pool("10.0.1.0/24", name="second"), make(BGP, "b", ipAddressPools=["second"])),
        {"held": THREE},
        ["no advertisement would be left for IPAddressPool first with 3 Services; create another one first"],
        id="the last advertisement of a pool goes",
    ),
    pytest.param(
        make(L2, "last"),
        make(L2, "last", ipAddressPools=["second"]),
        (pool("10.0.0.0/24"), pool("10.0.1.0/24", name="second"), pool("10.0.2.0/24", name="third")),
        {},
        ["no advertisement would be left for IPAddressPools first, third; create another one first"],
        id="the last advertisement of pools looks elsewhere",
    ),
    pytest.param(make(L2, "last"), None, (pool("10.0.0.0/24"), BY_BGP), {}, [], id="one of two advertisements goes"),
    pytest.param(
        None,
        make(BGP, "alone"),
        (pool("10.0.0.0/24"),),
        {},
        ["there is no BGPPeer yet to announce to; create one"],
        id="a BGPAdvertisement before its peer",
    ),
    pytest.param(
        None,
        make(BGP, "wrong", peers=["nobody"]),
        (pool("10.0.0.0/24"), ROUTER),
        {},
        ["spec.peers: there is no BGPPeer nobody and so it is for nobody; create it, or take the name out"],
        id="only peers that are not there",
    ),
    pytest.param(
        None,
        make(BGP, "wrong", peers=["a\nb\x1b", "router"]),
        (pool("10.0.0.0/24"), ROUTER),
        {},
        ["spec.peers: there is no BGPPeer 'a\\nb\\x1b'; create it, or take the name out"],
        id="a name that can't be printed",
    ),
    pytest.param(
        None,
        make(BGP, "wrong", peers=["nobody", "router"]),
        (pool("10.0.0.0/24"), ROUTER),
        {},
        ["spec.peers: there is no BGPPeer nobody; create it, or take the name out"],
        id="one peer that is not there",
    ),
]

ON_NODE_2: dict[str, Any] = {"nodeSelectors": [{"matchLabels": {HOST: "node-2"}}]}
OF_ADVERTISEMENTS += [
    pytest.param(
        None,
        make(BGP, "apart", **ON_NODE_1),
        (pool("10.0.0.0/24"), make(PEER, "router", **PEER_SPEC, **ON_NODE_2)),
        {},
        ["none of its nodes connects to a BGPPeer that it is for; let both select a common node"],
        id="nodes without a session",
    ),
    pytest.param(
        None,
        make(BGP, "common", **ON_NODE_1),
        (pool("10.0.0.0/24"), make(PEER, "router", **PEER_SPEC, **ON_NODE_2), make(PEER, "second", **PEER_SPEC)),
        {},
        [],
        id="a node with a session",
    ),
]

SECRETS = {
    "good": Secret(type="kubernetes.io/basic-auth", data={"password": b"x"}),
    "typed": Secret(type="Opaque", data={"password": b"x"}),
    "keyed": Secret(type="kubernetes.io/basic-auth", data={"username": b"x"}),
}


def with_secret(name: str) -> Any:
    return make(PEER, "router", **PEER_SPEC, passwordSecret={"name": name})


OF_PEERS = [
    pytest.param(
        None,
        ROUTER,
        (),
        {},
        ["no BGPAdvertisement is for this peer yet: it is told nothing; create one"],
        id="a peer before its advertisement",
    ),
    pytest.param(None, ROUTER, (BY_BGP,), {}, [], id="a peer that is used"),
    pytest.param(
        None,
        make(PEER, "router", **PEER_SPEC, **ON_NODE_1),
        (make(BGP, "apart", **ON_NODE_2),),
        {},
        ["no BGPAdvertisement for this peer selects a node that connects to it; let both select one"],
        id="a peer of other nodes than its advertisement",
    ),
    pytest.param(None, ROUTER, (make(BGP, "b", peers=["router"]),), {}, [], id="a peer that is named"),
    pytest.param(
        None,
        make(PEER, "router", **PEER_SPEC, **ON_NO_NODE),
        (BY_BGP,),
        {},
        ["spec.nodeSelectors selects no node: none connects to the peer; label a node, or correct the selector"],
        id="a peer of no node",
    ),
    pytest.param(
        None,
        make(PEER, "router", **PEER_SPEC, disableMP=True),
        (BY_BGP,),
        {},
        ["spec.disableMP is deprecated and has no effect; take it out"],
        id="a deprecated field",
    ),
    pytest.param(None, with_secret("good"), (BY_BGP,), {"secrets": SECRETS}, [], id="a good secret"),
    pytest.param(None, with_secret("none"), (BY_BGP,), {"secrets": None}, [], id="unknown secrets"),
    pytest.param(
        None,
        with_secret("none"),
        (BY_BGP,),
        {"secrets": SECRETS},
        [
            (
                "spec.passwordSecret.name: the Secret none does not exist in namespace metallb-system; create it with type "
                "kubernetes.io/basic-auth and a password"
            )
        ],
        id="no secret",
    ),
    pytest.param(
        None,
        with_secret("typed"),
        (BY_BGP,),
        {"secrets": SECRETS},
        [
            (
                "spec.passwordSecret.name: the Secret typed is of type Opaque; it must be of type kubernetes.io/basic-auth: "
                "create it anew"
            )
        ],
        id="a secret of another type",
    ),
    pytest.param(
        None,
        with_secret("keyed"),
        (BY_BGP,),
        {"secrets": SECRETS},
        ["spec.passwordSecret.name: the Secret keyed has no key password; add it"],
        id="a secret without a password",
    ),
    pytest.param(
        ROUTER,
        None,
        (make(BGP, "b", peers=["router"]), make(BGP, "c", peers=["router", "other"]), BY_BGP),
        {},
        ["no BGPPeer would be left for BGPAdvertisements b, by-bgp, c; delete what is not needed"],
        id="the last peer of advertisements",
    ),
]


def community(*names: str) -> Any:
    return make("Community", "names", communities=[{"name": name, "value": "1:2"} for name in names])


USER = make(BGP, "user", communities=["vpn", "3:4"])
OF_COMMUNITIES = [
    pytest.param(None, community("vpn"), (USER,), {}, [], id="an alias comes"),
    pytest.param(
        community("vpn", "x"),
        community("x"),
        (USER,),
        {},
        ["BGPAdvertisement user would be left with the unknown alias vpn; change them first"],
        id="an alias in use goes",
    ),
    pytest.param(community("x"), None, (USER,), {}, [], id="an unused alias goes"),
    pytest.param(
        community("vpn"),
        None,
        (USER, make(BGP, "second", communities=["vpn"])),
        {},
        ["BGPAdvertisements second, user would be left with the unknown alias vpn; change them first"],
        id="the Community of an alias in use goes",
    ),
]


@pytest.mark.parametrize(
    ("before", "after", "others", "around", "expected"), OF_POOLS + OF_ADVERTISEMENTS + OF_PEERS + OF_COMMUNITIES
)
def test_a_change_is_told_by_what_it_does(
    before: Resource | None,
    after: Resource | None,
    others: tuple[Resource, ...],
    around: dict[str, Any],
    expected: list[str],
) -> None:
    assert told(before, after, *others, **around) == expected


def test_services_of_another_class_hold_nothing_of_ours() -> None:
    written = {
        "spec": {"type": "LoadBalancer", "loadBalancerClass": "other", "clusterIP": "198.18.128.5"},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
    }
    read = msgspec.convert(written, Service)
    assert ServiceFacts.of(read).held == ()
    assert len(ServiceFacts.of(read, "other").held) == len(ServiceFacts.of(read).cluster_ips) == 1


def test_hostnames_and_unreadable_texts_are_no_addresses() -> None:
    assert node("nope", "nope") == NodeFacts()
    assert service("nope", cluster_ip="None") == ServiceFacts({"team": "a"})


@given(st.lists(st.text(max_size=600), max_size=40))
def test_sentences_always_fit_into_an_admission_response(sentences: list[str]) -> None:
    shown = bounded(sentences)
    assert all(len(each) <= 256 for each in shown)
    assert sum(len(each.encode()) for each in shown) <= 4096
    assert len(shown) == len(set(shown))
    if sum(len(each.encode()) for each in sentences) < 3000 and all(len(each) <= 250 for each in sentences):
        assert shown == tuple(dict.fromkeys(sentences))


def test_what_is_left_out_is_counted() -> None:
    shown = bounded(f"{n} {'x' * 200}" for n in range(30))
    assert shown[-1] == "13 more warnings are left out"
    assert len(shown) == 18


def test_what_to_do_survives_however_many_are_named() -> None:
    nodes = {f"worker-{n}": node(f"2001:db8:100::{n:x}") for n in range(16, 32)}
    tables = Tables(Snapshot(nodes={name: {} for name in nodes}), Surroundings(nodes=nodes))
    found = foresee(tables, Change(POOL, "metallb-system", "first", None, pool("2001:db8:100::/64")))
    (shown,) = [each for each in bounded(found) if "addresses of nodes" in each]
    assert "worker-16 (2001:db8:100::10), worker-17 (2001:db8:100::11) and 14 more, whose traffic" in shown
    assert shown.endswith("leave them out of spec.addresses")
    long = f"L2Advertisement metallb-system/first: it selects no pool: there is no IPAddressPool {'x' * 300}; create it"
    assert bounded([long])[0].endswith("x; create it")
    assert bounded([long])[0].startswith("L2Advertisement metallb-system/first: it selects no pool")

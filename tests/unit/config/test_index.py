"""Verdicts on changes: what is refused, what is not, and whom an error blames."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from metallb.api.core import Node, Secret, Service
from metallb.api.net import ServiceKey
from metallb.api.v1beta1 import IPAddressPool
from metallb.api.v1beta1_bgp import BFDProfile, BGPAdvertisement, Community
from metallb.api.v1beta2 import BGPPeer
from metallb.config.change import Change, Verdict
from metallb.config.errors import ObjectName
from metallb.config.index import Index
from metallb.config.together import Resource

MODELS: dict[str, Any] = {
    "IPAddressPool": IPAddressPool,
    "BGPAdvertisement": BGPAdvertisement,
    "BGPPeer": BGPPeer,
    "BFDProfile": BFDProfile,
    "Community": Community,
}
PEER: dict[str, Any] = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}


def make(kind: str, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> Any:
    named = {"name": name, "namespace": "metallb-system", **metadata}
    return msgspec.convert({"metadata": named, "spec": spec or {}}, MODELS[kind])


def pool(name: str, *addresses: str, **metadata: Any) -> Any:
    return make("IPAddressPool", name, {"addresses": list(addresses)}, **metadata)


def ask(index: Index, before: Resource | None, after: Resource | None) -> Verdict:
    subject = after or before
    assert subject is not None
    metadata = subject.metadata
    return index.judge(Change(type(subject).__name__, metadata.namespace, metadata.name, before, after))


def filled(*resources: Resource, backend: Any = "frr") -> Index:
    index = Index(backend)
    for each in resources:
        index.put(each)
    return index


def told(verdict: Verdict) -> list[str]:
    return list(map(str, verdict.errors))


OLD = pool("zz-old", "10.0.0.0/24", creationTimestamp="2026-01-01T00:00:00Z")
NEW = pool("aa-new", "10.0.0.128/25", creationTimestamp="2025-01-01T00:00:00Z")


def test_the_object_that_is_asked_for_is_to_blame_and_names_the_earlier_one() -> None:
    verdict = ask(filled(OLD), None, NEW)
    assert not verdict.allowed
    assert verdict.warnings == ()
    (error,) = verdict.errors
    assert error.object == ObjectName("IPAddressPool", "metallb-system", "aa-new")
    assert error.others == (ObjectName("IPAddressPool", "metallb-system", "zz-old"),)
    assert error.field == "spec.addresses[0]"


def test_the_older_of_two_in_conflict_is_to_blame_when_it_is_changed() -> None:
    elsewhere = pool("zz-old", "10.0.1.0/24")
    assert ask(filled(elsewhere, NEW), elsewhere, OLD).errors[0].others == (
        ObjectName("IPAddressPool", "metallb-system", "aa-new"),
    )


def test_what_is_bad_already_can_be_edited_as_long_as_it_gets_no_worse() -> None:
    index = filled(OLD, NEW)
    assert ask(index, NEW, msgspec.structs.replace(NEW, metadata=NEW.metadata)).allowed
    better = pool("aa-new", "10.0.0.128/25", "10.0.2.0/24")
    assert ask(index, NEW, better).allowed
    worse = pool("aa-new", "10.0.0.128/25", "10.0.0.0/30")
    assert [error.field for error in ask(index, NEW, worse).errors] == ["spec.addresses[1]"]


def test_what_is_wrong_elsewhere_stops_nobody() -> None:
    assert ask(filled(OLD, NEW), None, pool("third", "10.0.3.0/24")).allowed


def test_every_error_is_told_at_once() -> None:
    verdict = ask(filled(OLD), None, pool("new", "10.0.0.1", "10.0.0.9-10.0.0.1", "10.0.0.4/30"))
    assert [error.field for error in verdict.errors] == [f"spec.addresses[{n}]" for n in range(3)]


def test_what_is_being_deleted_may_change_whatever_it_looks_like() -> None:
    leaving = pool("aa-new", "nonsense", deletionTimestamp="2026-01-01T00:00:00Z")
    assert ask(filled(OLD), NEW, leaving) == Verdict()


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_an_object_outside_of_the_namespace_is_not_created(kind: str) -> None:
    spec = {"IPAddressPool": {"addresses": ["10.0.0.0/24"]}, "BGPPeer": PEER}.get(kind, {})
    lost = make(kind, "lost", spec, namespace="default")
    assert told(ask(Index("frr"), None, lost)) == [
        (
            f"{kind} default/lost: metadata.namespace: 'default' is not the namespace of MetalLB, metallb-system: the object "
            "would have no effect; create it in namespace metallb-system"
        )
    ]
    assert ask(Index("frr"), lost, lost) == Verdict(
        (),
        (
            (
                f"{kind} default/lost: it has no effect outside of namespace metallb-system; create it in namespace "
                "metallb-system"
            ),
        ),
    )
    assert ask(Index("frr"), lost, None) == Verdict()


def test_objects_outside_of_the_namespace_count_for_nothing() -> None:
    index = filled(pool("lost", "10.0.0.0/24", namespace="default"))
    assert ask(index, None, OLD).allowed


def test_a_profile_stays_as_long_as_peers_name_it() -> None:
    profile = make("BFDProfile", "fast")
    peers = [
        make("BGPPeer", f"r{n}", {**PEER, "peerAddress": f"192.0.2.{n}", "bfdProfile": "fast"}) for n in range(1, 8)
    ]
    verdict = ask(filled(profile, *peers), profile, None)
    assert told(verdict) == [
        (
            "BFDProfile metallb-system/fast: metadata.name: 'fast' is the profile of BGPPeers r1, r2, r3, r4, r5 and 2 more; "
            "take it out of their bfdProfile"
        )
    ]
    assert verdict.errors[0].others == tuple(ObjectName("BGPPeer", "metallb-system", f"r{n}") for n in range(1, 8))
    assert ask(filled(profile, make("BGPPeer", "other", {**PEER, "bfdProfile": "slow"})), profile, None).allowed


def test_other_deletions_are_never_refused() -> None:
    names = make("Community", "names", {"communities": [{"name": "65536:1", "value": "1:2"}]})
    user = make("BGPAdvertisement", "user", {"communities": ["65536:1"]})
    verdict = ask(filled(names, user), names, None)
    assert verdict.allowed
    assert verdict.warnings == (
        (
            "Community metallb-system/names: BGPAdvertisement user would be left with the unknown alias 65536:1; change them "
            "first"
        ),
    )


def test_an_alias_is_not_taken_away_by_an_edit_where_its_name_is_no_community() -> None:
    before = make("Community", "names", {"communities": [{"name": "65536:1", "value": "1:2"}]})
    user = make("BGPAdvertisement", "user", {"communities": ["65536:1"]})
    verdict = ask(filled(before, user), before, make("Community", "names"))
    assert [error.object.name for error in verdict.errors] == ["user"]


WAITING = [
    pytest.param(make("BGPPeer", "r", {**PEER, "bfdProfile": "fast"}), "spec.bfdProfile: 'fast'", id="a profile"),
    pytest.param(make("BGPAdvertisement", "b", {"communities": ["vpn"]}), "spec.communities[0]: 'vpn'", id="an alias"),
    pytest.param(make("BGPAdvertisement", "b", {"ipAddressPools": ["p"]}), "there is no IPAddressPool p", id="a pool"),
    pytest.param(make("BGPAdvertisement", "b", {"peers": ["r"]}), "there is no BGPPeer r", id="a peer"),
    pytest.param(make("BGPPeer", "r", {**PEER, "passwordSecret": {"name": "s"}}), "the Secret s", id="a secret"),
]


@pytest.mark.parametrize(("waiting", "words"), WAITING)
def test_what_waits_for_another_object_is_let_in_with_a_warning(waiting: Resource, words: str) -> None:
    verdict = ask(Index("frr", reads_secrets=True), None, waiting)
    assert verdict.allowed
    assert sum(words in each for each in verdict.warnings) == 1


@pytest.mark.parametrize("text", ["1:2:3", "large:1:2"])
def test_what_has_colons_is_meant_to_be_a_community(text: str) -> None:
    user = make("BGPAdvertisement", "user", {"communities": [text]})
    assert [error.value for error in ask(Index("frr"), None, user).errors] == [text]
    named = make("Community", "names", {"communities": [{"name": text, "value": "1:2"}]})
    assert ask(filled(named), None, user).allowed


def test_the_index_follows_nodes_services_namespaces_and_secrets() -> None:
    index = Index("frr", lb_class="ours", reads_secrets=True)
    node = msgspec.convert(
        {
            "metadata": {"name": "node-1", "labels": {"rack": "1"}},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]},
        },
        Node,
    )
    service = msgspec.convert(
        {
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "ours", "clusterIP": "10.0.0.2"},
            "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.3"}]}},
        },
        Service,
    )
    secret = msgspec.convert({"metadata": {"name": "s", "namespace": "metallb-system"}, "type": "Opaque"}, Secret)
    wanted = make(
        "IPAddressPool", "p", {"addresses": ["10.0.0.0/24"], "serviceAllocation": {"namespaces": ["shop", "lab"]}}
    )
    peer = make(
        "BGPPeer",
        "r",
        {**PEER, "passwordSecret": {"name": "s"}, "nodeSelectors": [{"matchLabels": {"rack": "1"}}]},
    )

    def words() -> set[str]:
        found = [
            *ask(index, None, wanted).warnings,
            *ask(index, wanted, None).warnings,
            *ask(index, None, peer).warnings,
        ]
        told = ["cluster IPs", "of nodes", "no namespace", "lose their address", "does not exist", "of type", "no node"]
        return {each for each in told if any(each in warning for warning in found)}

    assert words() == {"does not exist"}
    index.put_node(node)
    index.put_service(service)
    index.put_namespace("shop", {})
    index.put_secret(secret)
    assert words() == {"cluster IPs", "of nodes", "no namespace", "lose their address", "of type"}
    index.put_namespace("lab", {})
    assert "no namespace" not in words()
    index.put_node(msgspec.structs.replace(node, metadata=msgspec.structs.replace(node.metadata, labels={})))
    assert "no node" in words()
    index.remove_node("node-1")
    index.remove_service(ServiceKey("shop", "web"))
    index.remove_namespace("shop")
    index.remove_namespace("lab")
    index.remove_secret("metallb-system", "s")
    assert words() == {"does not exist"}


def test_peers_that_share_a_node_conflict_only_as_long_as_they_do() -> None:
    index = filled(make("BGPPeer", "first", {**PEER, "nodeSelectors": [{"matchLabels": {"rack": "1"}}]}))
    second = make("BGPPeer", "second", {**PEER, "nodeSelectors": [{"matchLabels": {"rack": "2"}}]})
    assert not ask(index, None, second).allowed, "nodes are unknown"
    index.put_node(msgspec.convert({"metadata": {"name": "a", "labels": {"rack": "1"}}}, Node))
    assert ask(index, None, second).allowed
    index.put_node(msgspec.convert({"metadata": {"name": "a", "labels": {"rack": "2"}}}, Node))
    assert ask(index, None, second).allowed
    everywhere = make("BGPPeer", "first", PEER)
    index.put(everywhere)
    assert not ask(index, None, second).allowed
    index.remove("BGPPeer", "metallb-system", "first")
    assert ask(index, None, second).allowed

"""Who tells people of an error, when, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import v1beta1_bgp, v1beta2
from metallb.api.core import LabelSelector, ObjectMeta
from metallb.api.net import NodeName
from metallb.config.build import Snapshot
from metallb.config.errors import ConfigError, ObjectName
from metallb.config.telling import PATIENCE_S, Telling, witness

NAMESPACE = "metallb-system"
A, B, C = map(NodeName, ("node-a", "node-b", "node-c"))
NODES: dict[str, dict[str, str]] = {A: {"rack": "1"}, B: {"rack": "2"}, C: {"rack": "2"}}


def error(name: str = "x", kind: str = "BGPPeer", *others: str, value: str = "v") -> ConfigError:
    of_others = tuple(ObjectName(kind, NAMESPACE, other) for other in others)
    return ConfigError(ObjectName(kind, NAMESPACE, name), "spec", value, "is wrong", others=of_others)


class TestTelling:
    def test_an_error_is_told_once_when_it_has_lasted(self) -> None:
        telling = Telling()
        assert telling.observe([error()], 10.0) == (error(),)
        assert telling.deadline() == 10.0 + PATIENCE_S
        assert telling.take_due(11.0) == ()
        assert telling.observe([error()], 11.0) == ()
        assert telling.take_due(10.0 + PATIENCE_S) == (error(),)
        assert telling.take_due(100.0) == ()
        assert telling.deadline() is None

    def test_one_that_goes_in_time_is_told_to_nobody(self) -> None:
        telling = Telling()
        telling.observe([error()], 10.0)
        telling.observe([], 11.0)
        assert (telling.take_due(100.0), telling.deadline()) == ((), None)

    def test_one_that_changes_is_another(self) -> None:
        telling = Telling()
        telling.observe([error(value="1")], 0.0)
        telling.take_due(PATIENCE_S)
        assert telling.observe([error(value="2")], 50.0) == (error(value="2"),)
        assert telling.take_due(100.0) == (error(value="2"),)

    def test_one_that_comes_back_is_told_again(self) -> None:
        telling = Telling()
        for start in (0.0, 100.0):
            telling.observe([error()], start)
            assert telling.take_due(start + 50) == (error(),)
            telling.observe([], start + 60)

    @given(st.lists(st.sets(st.integers(0, 4)), max_size=12))
    def test_between_coming_and_going_nothing_is_told_twice(self, history: list[set[int]]) -> None:
        telling, told, before = Telling(), set[int](), set[int]()
        for step, present in enumerate(history):
            now = step * 1.5
            telling.observe([error(str(each)) for each in sorted(present)], now)
            told &= before & present
            due = {int(each.object.name) for each in telling.take_due(now)}
            assert due <= present
            assert not due & told
            told |= due
            before = present


def selecting(**labels: str) -> tuple[LabelSelector, ...]:
    return (LabelSelector(match_labels=labels),) if labels else ()


def peer(name: str, **labels: str) -> v1beta2.BGPPeer:
    spec = v1beta2.BGPPeerSpec(
        my_asn=64500, peer_asn=64501, peer_address="192.0.2.1", node_selectors=selecting(**labels)
    )
    return v1beta2.BGPPeer(metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=spec)


def advertisement(name: str, **labels: str) -> v1beta1_bgp.BGPAdvertisement:
    spec = v1beta1_bgp.BGPAdvertisementSpec(node_selectors=selecting(**labels))
    return v1beta1_bgp.BGPAdvertisement(metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=spec)


SNAPSHOT = Snapshot(
    peers=[peer("everywhere"), peer("one", rack="1"), peer("two", rack="2"), peer("nowhere", rack="9")],
    bgp_advertisements=[advertisement("two", rack="2")],
)


@pytest.mark.parametrize(
    ("found", "live", "expected"),
    [
        pytest.param(error("p", "L2Advertisement"), {A, B, C}, A, id="of a kind that concerns all: the first"),
        pytest.param(error("p", "L2Advertisement"), {B, C}, B, id="the first that has a speaker"),
        pytest.param(error("everywhere"), {A, B, C}, A, id="a peer of all nodes"),
        pytest.param(error("two"), {A, B, C}, B, id="a peer of some nodes"),
        pytest.param(error("two"), {A, C}, C, id="a peer of some nodes, of which one has no speaker"),
        pytest.param(error("everywhere", "BGPPeer", "two"), {A, B}, B, id="two peers: where both are"),
        pytest.param(error("one", "BGPPeer", "two"), {A, B, C}, None, id="two peers that meet nowhere"),
        pytest.param(error("nowhere"), {A, B, C}, None, id="a peer that selects no node"),
        pytest.param(error("two", "BGPAdvertisement"), {A, B}, B, id="an advertisement"),
        pytest.param(error("two"), set(), None, id="no speaker at all"),
    ],
)
def test_of_all_who_come_to_an_error_one_tells(found: ConfigError, live: Any, expected: NodeName | None) -> None:
    assert witness(found, SNAPSHOT, NODES, live) == expected

"""BGPPeers from one version to the other (spec/crds.md 5), beside what upstream's webhook was recorded to answer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.api import v1beta1_bgp, v1beta2
from metallb.api.conversion import KEPT_FIELDS, ConversionError, convert

OLD, NEW = "metallb.io/v1beta1", "metallb.io/v1beta2"
TIMERS = {"holdTime", "keepaliveTime"}


def peer(version: str, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"apiVersion": version, "kind": "BGPPeer"}
    found["metadata"] = {"name": "a", "namespace": "metallb-system", "uid": "1", "finalizers": ["x/y"], **metadata}
    return found | ({} if spec is None else {"spec": spec})


def test_an_older_client_sees_what_upstream_shows_it(recorded: Callable[[str], Any]) -> None:
    """Save for timers: upstream writes them anew, and absent ones as `0s`, which turns them off."""
    for row in recorded("crds/conversion.jsonl"):
        old = convert(peer(NEW, row["v1beta2"]), OLD)["spec"]
        assert {k: v for k, v in old.items() if k not in TIMERS} == {
            k: v for k, v in row["v1beta1"].items() if k not in TIMERS
        }
        for timer in TIMERS:
            assert old.get(timer) == row["v1beta2"].get(timer)


def test_what_an_older_client_writes_keeps_all_of_it() -> None:
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}
    spec = {"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "peerPort": 180, "nodeSelectors": [selector, {}]}
    old = peer(OLD, spec, labels={"a": "b"}, annotations={"c": "d"})
    assert convert(old, NEW) == old | {"apiVersion": NEW}


def test_what_v1beta1_lacks_travels_in_an_annotation() -> None:
    new = peer(NEW, {"myASN": 1, "dynamicASN": "internal", "interface": "eth0", "vrf": "red", "disableMP": False})
    old = convert(new, OLD)
    assert old["spec"] == {"myASN": 1, "peerASN": 0, "peerAddress": ""}
    text = '{"dynamicASN":"internal","interface":"eth0","vrf":"red"}'
    assert old["metadata"] == new["metadata"] | {"annotations": {KEPT_FIELDS: text}}


def test_a_change_by_an_older_client_keeps_what_it_can_not_see() -> None:
    old = convert(peer(NEW, {"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1", "vrf": "red"}), OLD)
    old["spec"]["peerAddress"] = "192.0.2.2"
    found = convert(old, NEW)
    assert found["spec"] == {"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.2", "vrf": "red"}
    assert "annotations" not in found["metadata"]


def test_the_annotation_belongs_to_the_conversion() -> None:
    new = peer(NEW, {"myASN": 1, "peerASN": 2, "peerAddress": "x"}, annotations={KEPT_FIELDS: "nonsense", "c": "d"})
    assert convert(new, OLD)["metadata"]["annotations"] == {"c": "d"}


@pytest.mark.parametrize("version", [OLD, NEW])
def test_the_same_version_is_the_same_object(version: str) -> None:
    given = peer(version, {"myASN": 1}, annotations={KEPT_FIELDS: "{}"})
    assert convert(given, version) == given


@pytest.mark.parametrize(("one", "other"), [(OLD, NEW), (NEW, OLD)])
def test_a_peer_without_spec_or_metadata(one: str, other: str) -> None:
    assert convert({"apiVersion": one, "kind": "BGPPeer"}, other) == {"apiVersion": other, "kind": "BGPPeer"}
    assert convert(peer(one), other) == peer(other)
    assert convert(peer(one) | {"spec": None}, other) == peer(other) | {"spec": None}


@pytest.mark.parametrize(
    ("given", "version", "rule"),
    [
        (peer(OLD) | {"kind": "Community"}, NEW, "metallb-system/a: kind 'Community' has one version only"),
        (peer("metallb.io/v1"), NEW, "BGPPeer metallb-system/a: there is no version 'metallb.io/v1'"),
        (peer(NEW), "v1beta1", "BGPPeer metallb-system/a: there is no version 'v1beta1'"),
        ({"kind": "BGPPeer"}, NEW, "BGPPeer /: there is no version None"),
        (peer(OLD, {}, annotations={KEPT_FIELDS: "{"}), NEW, "BGPPeer metallb-system/a: annotation metallb.io/v1beta2"),
        (peer(OLD, {}, annotations={KEPT_FIELDS: '{"vrf": 5}'}), NEW, "Expected `str`, got `int` - at `$.vrf`"),
        (peer(OLD, {}, annotations={KEPT_FIELDS: '{"myASN": 5}'}), NEW, "unknown field `myASN`"),
        (peer(OLD, {}, annotations={KEPT_FIELDS: "[]"}), NEW, "Expected `object`, got `array`"),
    ],
)
def test_what_can_not_be_converted_is_named(given: dict[str, Any], version: str, rule: str) -> None:
    before = copy.deepcopy(given)
    with pytest.raises(ConversionError) as caught:
        convert(given, version)
    assert rule in str(caught.value)
    assert given == before


def test_every_field_is_in_both_versions_or_kept() -> None:
    old = {each.encode_name for each in msgspec.structs.fields(v1beta1_bgp.BGPPeerSpec)}
    new = {each.encode_name for each in msgspec.structs.fields(v1beta2.BGPPeerSpec)}
    assert old < new
    full = convert(peer(NEW, dict.fromkeys(new, "x")), OLD)
    assert set(full["spec"]) == old
    assert set(msgspec.json.decode(full["metadata"]["annotations"][KEPT_FIELDS])) == new - old

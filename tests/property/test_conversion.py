"""BGPPeers go to the other version and back without a loss (spec/crds.md 5, 13 (2))."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import kinds, v1beta2
from metallb.api.conversion import KEPT_FIELDS, convert
from metallb.api.schema import object_schema

OLD, NEW = "metallb.io/v1beta1", "metallb.io/v1beta2"

texts = st.text("ab.:1", max_size=5)
asns = st.integers(0, 4294967295)
labels = st.dictionaries(texts, texts, max_size=2)


def sometimes(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def selectors(least: int) -> st.SearchStrategy[list[Any]]:
    values = st.lists(texts, min_size=least, max_size=2)
    expression = st.fixed_dictionaries({"key": texts, "operator": texts, "values": values})
    return st.lists(sometimes(matchLabels=labels, matchExpressions=st.lists(expression, max_size=2)), max_size=2)


SHARED = {
    "sourceAddress": texts,
    "peerPort": st.integers(1, 16384),
    "holdTime": texts,
    "keepaliveTime": texts,
    "routerID": texts,
    "password": texts,
    "bfdProfile": texts,
    "ebgpMultiHop": st.booleans(),
}
old_specs = st.builds(
    lambda must, may: must | may,
    st.fixed_dictionaries({"myASN": asns, "peerASN": asns, "peerAddress": texts}),
    sometimes(**SHARED, nodeSelectors=selectors(1)),
)
new_specs = st.builds(
    lambda must, may: must | may,
    st.fixed_dictionaries({"myASN": asns}),
    sometimes(
        **SHARED,
        nodeSelectors=selectors(0),
        peerASN=asns,
        peerAddress=texts,
        localASN=st.integers(1, 4294967295),
        dynamicASN=st.sampled_from(["internal", "external"]),
        interface=texts,
        connectTime=texts,
        passwordSecret=sometimes(name=texts, namespace=texts),
        enableGracefulRestart=st.booleans(),
        vrf=texts,
        disableMP=st.just(value=True),
        dualStackAddressFamily=st.just(value=True),
    ),
)
metadata = sometimes(
    name=texts,
    namespace=texts,
    uid=texts,
    labels=labels,
    annotations=st.dictionaries(texts, texts, min_size=1, max_size=2),
    managedFields=st.lists(labels, max_size=1),
)


def peer(version: str, spec: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": "BGPPeer", "metadata": meta, "spec": spec, "status": {}}


def canonical(found: dict[str, Any]) -> dict[str, Any]:
    """In v1beta2 no ASN is 0 and no address is empty: that is what absent means."""
    spec = dict(found["spec"])
    for name, empty in (("peerASN", 0), ("peerAddress", "")):
        if spec.get(name) == empty:
            del spec[name]
    return found | {"spec": spec}


@given(new_specs, metadata)
def test_a_stored_peer_survives_the_older_version(spec: dict[str, Any], meta: dict[str, Any]) -> None:
    given_peer = peer(NEW, spec, meta)
    before = copy.deepcopy(given_peer)
    old = convert(given_peer, OLD)
    assert given_peer == before
    assert convert(old, NEW) == canonical(given_peer)
    assert convert(convert(old, NEW), OLD) == old


@given(old_specs, metadata)
def test_an_older_peer_survives_being_stored(spec: dict[str, Any], meta: dict[str, Any]) -> None:
    given_peer = peer(OLD, spec, meta)
    assert convert(convert(given_peer, NEW), OLD) == given_peer


@given(old_specs, metadata)
def test_an_older_peer_is_valid_once_it_is_stored(spec: dict[str, Any], meta: dict[str, Any]) -> None:
    found = convert(peer(OLD, spec, meta), NEW)
    assert list(jsonschema.Draft7Validator(object_schema(kinds.BGP_PEER)).iter_errors(found)) == []
    assert isinstance(msgspec.convert(found, v1beta2.BGPPeer), v1beta2.BGPPeer)


@given(new_specs, metadata)
def test_only_labels_and_annotations_may_change_in_the_metadata(spec: dict[str, Any], meta: dict[str, Any]) -> None:
    """The API server refuses anything else (apiextensions.k8s.io/v1 ConversionReview)."""
    found = convert(peer(NEW, spec, meta), OLD)["metadata"]
    assert {k: v for k, v in found.items() if k != "annotations"} == {
        k: v for k, v in meta.items() if k != "annotations"
    }
    kept = {name: value for name, value in found.get("annotations", {}).items() if name != KEPT_FIELDS}
    assert kept == meta.get("annotations", {})

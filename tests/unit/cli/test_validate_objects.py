"""One object of a manifest gets the verdict that a real API server gave it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api import v1beta1, v1beta2
from metallb.cli.documents import Document, read_text
from metallb.cli.objects import Reader, Written
from metallb.config.errors import ObjectName

Json = dict[str, Any]
NAMESPACE = "default"

# What kubectl makes of an unknown field is an error (it asks for strict validation), what was recorded is a warning:
# the requests were sent without it.
STRICTER = (
    'MetalLB v1beta1 {"nope": 1}',
    'MetalLB v1beta1 {"speakerConfig": {"nope": 1}}',
    'IPAddressPool v1beta1 {"nope": 1}',
    'L2Advertisement v1beta1 {"nope": 1}',
    'BGPAdvertisement v1beta1 {"nope": 1}',
    "BGPPeer v1beta2",
    "BGPPeer v1beta1",
    'BFDProfile v1beta1 {"nope": 1}',
)
NO_WRITES = 9  # eight reads, and a write to an object that is not there
CONVERSION_FAILED = 500  # a peer of v1beta1 that was valid: no conversion webhook ran when it was recorded


def document(value: Any) -> Document:
    return Document("f", 1, value)


def errors(written: Written) -> list[str]:
    return [each.field for each in written.findings if each.severity == "error"]


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        kept.pop(name, None) if value is None else kept.update({name: merged(kept.get(name), value)})
    return kept


def test_verdicts_of_recorded_writes(recorded: Callable[[str], Any]) -> None:
    present: dict[ObjectName, Any] = {}
    whole: dict[ObjectName, Json] = {}
    seen, stricter = 0, 0
    for row in recorded("crds/metallb.jsonl"):
        if row["method"] == "GET" or row["status"] == 404:
            continue
        value = row["body"]
        if row["method"] == "PATCH":
            plural, name = row["path"].split("/")[6:8]
            key = next(each for each in whole if each.name == name and each.kind.lower() in plural.replace("ies", "y"))
            value = merged(whole[key], value)
        written = Reader(NAMESPACE, present).read(document(value))
        expected = row["status"] == 422
        if any("unknown field" in each for each in row["warnings"]) and not expected:
            assert row["name"].startswith(STRICTER), row["name"]
            assert errors(written) == [next(each.field for each in written.findings if "unknown" in each.rule)]
            stricter += 1
        else:
            assert bool(errors(written)) == expected, (row["name"], written.findings)
            assert (written.resource is not None) or expected
        if row["status"] in {200, 201, CONVERSION_FAILED} and written.name is not None:
            present[written.name], whole[written.name] = written.resource, value
        seen += 1
    assert (seen, stricter, len(recorded("crds/metallb.jsonl"))) == (174, 8, 174 + NO_WRITES)


PEER = {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}


def custom(kind: str, spec: Json, version: str = "v1beta1", **metadata: Any) -> Json:
    whole = {"name": "a", "namespace": NAMESPACE} | metadata
    return {"apiVersion": f"metallb.io/{version}", "kind": kind, "metadata": whole, "spec": spec}


def test_a_peer_of_the_old_version_is_read_as_the_new_one() -> None:
    written = Reader(NAMESPACE).read(document(custom("BGPPeer", PEER | {"holdTime": "90s"})))
    assert isinstance(written.resource, v1beta2.BGPPeer)
    assert written.resource.spec is not None
    assert (written.resource.spec.hold_time, written.resource.spec.peer_port) == ("90s", 179)
    assert [(each.severity, each.rule) for each in written.findings] == [
        ("warning", "v1beta1 is deprecated, please use v1beta2")
    ]


def test_an_annotation_that_can_not_be_converted_is_told() -> None:
    annotations = {"metallb.io/v1beta2-fields": "{"}
    written = Reader(NAMESPACE).read(document(custom("BGPPeer", PEER, annotations=annotations)))
    assert [each.rule.partition(":")[0] for each in written.findings if each.severity == "error"] == [
        "can't be converted"
    ]
    assert written.resource is None


def test_an_object_of_the_cluster_is_what_a_change_is_compared_with() -> None:
    first = Reader(NAMESPACE).read(document(custom("BGPPeer", PEER | {"enableGracefulRestart": True}, "v1beta2")))
    assert first.name is not None
    reader = Reader(NAMESPACE, {first.name: first.resource})
    changed = reader.read(document(custom("BGPPeer", PEER | {"enableGracefulRestart": False}, "v1beta2")))
    assert errors(changed) == ["spec.enableGracefulRestart"]


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        pytest.param("text", [""], id="a text"),
        pytest.param([], [""], id="a list"),
        pytest.param({}, [""], id="nothing"),
        pytest.param({"kind": "IPAddressPool"}, [""], id="no apiVersion"),
        pytest.param({"apiVersion": 1, "kind": "IPAddressPool"}, [""], id="a number as apiVersion"),
        pytest.param(custom("AddressPool", {}), ["apiVersion"], id="a kind that is no more"),
        pytest.param(custom("IPAddressPool", {}, "v1beta2"), ["apiVersion"], id="a version that never was"),
        pytest.param(custom("L2Advertisement", {}, name=""), ["metadata.name"], id="no name"),
        pytest.param(custom("L2Advertisement", {}, name="A"), ["metadata.name"], id="a name with capitals"),
        pytest.param(custom("L2Advertisement", {}, namespace=5), ["metadata.namespace"], id="a number as namespace"),
        pytest.param(custom("L2Advertisement", {}, namespace="x"), ["metadata.namespace"], id="another namespace"),
        pytest.param(custom("MetalLB", {}, namespace="x"), [], id="a MetalLB elsewhere"),
        pytest.param(custom("L2Advertisement", {}, labels={"a": 1}), ["metadata.labels.a"], id="a number as label"),
        pytest.param({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement"}, ["metadata"], id="no metadata"),
    ],
)
def test_objects_that_would_be_refused(value: Any, fields: list[str]) -> None:
    assert errors(Reader(NAMESPACE).read(document(value))) == fields


def test_the_hint_names_the_version_that_there_is() -> None:
    written = Reader(NAMESPACE).read(document(custom("IPAddressPool", {}, "v1beta9")))
    assert [each.hint for each in written.findings] == ["write metallb.io/v1beta1"]


@pytest.mark.parametrize("kind", ["Deployment", "ConfigMap", "Endpoints"])
def test_other_kinds_are_left_out(kind: str) -> None:
    assert Reader(NAMESPACE).read(document({"apiVersion": "apps/v1", "kind": kind})).role == "ignored"


def test_secrets_are_read_with_their_plain_data() -> None:
    value = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "creationTimestamp": None},
        "type": "kubernetes.io/basic-auth",
        "data": {"username": "YQ=="},
        "stringData": {"password": "secret"},
    }
    written = Reader(NAMESPACE).read(document(value))
    assert written.name == ObjectName("Secret", NAMESPACE, "s")
    assert written.resource.data == {"username": b"a", "password": b"secret"}


def test_what_surrounds_and_can_not_be_read_is_told_and_left_out() -> None:
    value = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"a": 1}}}
    written = Reader(NAMESPACE).read(document(value))
    assert (written.resource, [each.severity for each in written.findings]) == (None, ["warning"])


def test_a_key_that_stands_twice_is_an_error() -> None:
    text = json.dumps(custom("IPAddressPool", {"addresses": []})).replace(
        '"addresses": []', '"addresses": [], "addresses": ["192.0.2.0/24"]'
    )
    (only,) = Reader(NAMESPACE).read(read_text("f", text)[0]).findings
    assert (only.severity, only.field, only.rule) == (
        "error",
        "spec.addresses",
        "stands twice: the last one would count",
    )


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "namespace", "labels", "addresses", "myASN", "connectTime", "data"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.sampled_from([v1beta1.API_VERSION, v1beta2.API_VERSION, "v1", ""]),
    st.sampled_from(["IPAddressPool", "BGPPeer", "Community", "MetalLB", "Node", "Secret", "Service", "x"]),
    ANY,
    ANY,
    ANY,
)
def test_no_object_stops_it(api_version: str, kind: str, metadata: Any, spec: Any, other: Any) -> None:
    value = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
        "status": other,
        "data": other,
    }
    written = Reader(NAMESPACE).read(document(value))
    assert written.findings or written.resource is not None or written.role == "ignored"

"""ConversionReviews, with the conversion of BGPPeers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metallb.api.conversion import KEPT_FIELDS, convert
from metallb.kube.admission import ReviewError
from metallb.kube.conversions import answer

OLD, NEW = "metallb.io/v1beta1", "metallb.io/v1beta2"
METADATA = {"name": "a", "namespace": "metallb-system", "uid": "1", "managedFields": [{"manager": "x"}]}


def peer(version: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": "BGPPeer",
        "metadata": METADATA,
        "spec": {"peerASN": 1, "peerAddress": "10.0.0.1", "myASN": 2, **spec},
    }


def review(*objects: Any, to: str = NEW, version: str = "apiextensions.k8s.io/v1", **request: Any) -> bytes:
    asked = {"uid": "u1", "desiredAPIVersion": to, "objects": list(objects)} | request
    return json.dumps({"apiVersion": version, "kind": "ConversionReview", "request": asked}).encode()


def answered(body: bytes) -> dict[str, Any]:
    found, failure = answer(body, convert)
    whole: dict[str, Any] = json.loads(found)
    assert whole["kind"] == "ConversionReview"
    assert whole["response"]["uid"] == "u1"
    assert whole["response"]["result"].get("message", "") == failure
    return whole


@pytest.mark.parametrize("version", ["apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"])
def test_the_version_of_the_review_is_that_of_the_answer(version: str) -> None:
    whole = answered(review(peer(OLD), version=version))
    assert whole["apiVersion"] == version
    assert whole["response"]["result"] == {"status": "Success"}


def test_a_mixed_list_comes_back_in_its_order_with_its_metadata() -> None:
    objects = [peer(OLD, holdTime="90s"), peer(NEW, vrf="red"), peer(OLD)]
    found = answered(review(*objects))["response"]["convertedObjects"]
    assert [each["apiVersion"] for each in found] == [NEW] * 3
    assert [each["metadata"] for each in found] == [METADATA] * 3
    assert [each["spec"].get("holdTime") for each in found] == ["90s", None, None]
    assert found[1] == objects[1]


def test_the_way_down_changes_annotations_only() -> None:
    found = answered(review(peer(NEW, vrf="red"), to=OLD))["response"]["convertedObjects"][0]
    assert found["metadata"] == METADATA | {"annotations": {KEPT_FIELDS: '{"vrf":"red"}'}}


@pytest.mark.parametrize("objects", [[], None])
def test_nothing_to_convert_is_converted(objects: Any) -> None:
    response = answered(review(objects=objects))["response"]
    assert (response["convertedObjects"], response["result"]) == ([], {"status": "Success"})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (None, "not an object: None"),
        ("x", "not an object: x"),
        ({}, "apiVersion is no text: None"),
        (peer(OLD) | {"kind": []}, "kind is no text: []"),
        (peer("metallb.io/v1"), "BGPPeer metallb-system/a: there is no version 'metallb.io/v1'"),
        (peer(OLD) | {"kind": "Community"}, "metallb-system/a: kind 'Community' has one version only"),
        (peer(OLD) | {"metadata": []}, "BGPPeer: metadata is no object"),
        (
            peer(OLD) | {"metadata": METADATA | {"annotations": {"a": 1}}},
            "BGPPeer metallb-system/a: metadata.annotations must be texts by name",
        ),
        (
            peer(OLD) | {"metadata": METADATA | {"annotations": {KEPT_FIELDS: "{"}}},
            f"BGPPeer metallb-system/a: annotation {KEPT_FIELDS}",
        ),
    ],
)
def test_one_that_can_t_be_converted_fails_all(bad: Any, said: str) -> None:
    response = answered(review(peer(OLD), bad))["response"]
    assert response["convertedObjects"] == []
    assert response["result"]["status"] == "Failed"
    assert response["result"]["message"].startswith(said)


def test_without_a_version_to_convert_to_it_fails() -> None:
    assert answered(review(peer(OLD), to=""))["response"]["result"]["status"] == "Failed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[1]",
        b"{}",
        b"[" * 100_000,
        review(version="apiextensions.k8s.io/v2"),
        review(uid=""),
        review(objects={}),
        review().replace(b"ConversionReview", b"AdmissionReview"),
        b'{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview"}',
    ],
)
def test_what_is_no_review_is_said(body: bytes) -> None:
    with pytest.raises(ReviewError):
        answer(body, convert)

"""No bytes crash the codecs of the webhooks, and answers are always reviews."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import Decoder

from metallb.api.conversion import KEPT_FIELDS, convert
from metallb.api.v1beta1 import IPAddressPool
from metallb.api.v1beta2 import BGPPeer
from metallb.kube.admission import ReviewError, UnreadableObjectError, allowed, read_review, refused, write_review
from metallb.kube.conversions import answer

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
metadata = json_values | st.fixed_dictionaries(
    {},
    optional={
        "name": json_values,
        "annotations": json_values | st.fixed_dictionaries({KEPT_FIELDS: json_values | st.text(max_size=20)}),
    },
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.sampled_from(["metallb.io/v1beta1", "metallb.io/v1beta2"]) | json_values,
        "kind": st.sampled_from(["BGPPeer", "IPAddressPool"]) | json_values,
        "metadata": metadata,
        "spec": json_values
        | st.fixed_dictionaries({}, optional={"addresses": json_values, "peerASN": json_values, "vrf": json_values}),
    },
)


def review(kind: str, version: str, request: Any) -> bytes:
    return json.dumps({"apiVersion": version, "kind": kind, "request": request}).encode()


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_bytes_are_a_review_or_an_error_that_says_so(body: bytes) -> None:
    for read in (read_review, lambda each: answer(each, convert)):
        with contextlib.suppress(ReviewError):
            read(body)


@given(
    json_values
    | st.fixed_dictionaries(
        {
            "uid": st.text(min_size=1, max_size=5),
            "operation": st.sampled_from(["CREATE", "UPDATE", "DELETE"]),
            "object": json_values | objects,
            "oldObject": json_values | objects,
        }
    )
)
def test_requests_are_read_or_refused(request: Any) -> None:
    try:
        found = read_review(review("AdmissionReview", "admission.k8s.io/v1", request))
    except ReviewError:
        return
    for decoder in (Decoder(IPAddressPool), Decoder(BGPPeer)):
        for read in (found.read, found.read_old):
            with contextlib.suppress(UnreadableObjectError):
                read(decoder)
    assert json.loads(write_review(found, allowed()))["response"]["uid"] == found.uid


@given(st.lists(st.text(max_size=400), max_size=40), st.text(max_size=50))
def test_warnings_are_always_fit_to_be_sent(warnings: list[str], message: str) -> None:
    request = read_review(review("AdmissionReview", "admission.k8s.io/v1", {"uid": "1", "operation": "CREATE"}))
    response = json.loads(write_review(request, refused(message, *warnings)))["response"]
    shown = response.get("warnings", [])
    assert all(each and each.isprintable() and len(each) <= 256 for each in shown)
    assert sum(len(each.encode()) for each in shown) <= 4096
    assert response["status"].get("message", "") == message


@given(st.lists(objects | json_values, max_size=4), st.sampled_from(["metallb.io/v1beta1", "metallb.io/v1beta2", "x"]))
def test_conversions_succeed_for_all_or_fail_for_all(items: list[Any], to: str) -> None:
    request = {"uid": "1", "desiredAPIVersion": to, "objects": items}
    body, failure = answer(review("ConversionReview", "apiextensions.k8s.io/v1", request), convert)
    response = json.loads(body)["response"]
    assert response["result"]["status"] == ("Failed" if failure else "Success")
    assert len(response["convertedObjects"]) == (0 if failure else len(items))
    for before, after in zip(items, response["convertedObjects"], strict=False):
        assert after["apiVersion"] == to
        kept = {name: value for name, value in before["metadata"].items() if name != "annotations"}
        assert {name: value for name, value in after["metadata"].items() if name != "annotations"} == kept

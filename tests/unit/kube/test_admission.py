"""Reviews as bytes: what the API server sends, and what it gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.json import Decoder

from metallb.api.v1beta1 import IPAddressPool
from metallb.kube.admission import (
    WARNING_LENGTH,
    Decision,
    ReviewError,
    UnreadableObjectError,
    allowed,
    not_now,
    read_review,
    refused,
    unreadable,
    write_review,
)

POOL = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "IPAddressPool",
    "metadata": {"name": "p", "namespace": "metallb-system"},
    "spec": {"addresses": ["10.0.0.0/24"], "unknown": 1},
}


def review(**request: Any) -> bytes:
    return json.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "u1",
                "kind": {"group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool"},
                "resource": {"group": "metallb.io", "version": "v1beta1", "resource": "ipaddresspools"},
                "requestKind": {"group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool"},
                "name": "p",
                "namespace": "metallb-system",
                "operation": "CREATE",
                "userInfo": {"username": "admin", "groups": ["system:masters"]},
                "object": POOL,
                "oldObject": None,
                "dryRun": False,
                "options": {"kind": "CreateOptions"},
            }
            | request,
        }
    ).encode()


def test_a_request_is_read() -> None:
    request = read_review(review())
    assert (request.uid, request.operation, request.namespace, request.name) == ("u1", "CREATE", "metallb-system", "p")
    assert (request.kind.kind, request.resource.resource) == ("IPAddressPool", "ipaddresspools")
    assert (request.user_info.username, request.dry_run) == ("admin", False)
    pool = request.read(Decoder(IPAddressPool))
    assert pool is not None
    assert pool.spec.addresses == ("10.0.0.0/24",)
    assert request.read_old(Decoder(IPAddressPool)) is None


@pytest.mark.parametrize("missing", [None, "absent"])
def test_what_is_not_there_is_none(missing: str | None) -> None:
    body = json.loads(review(operation="DELETE", oldObject=POOL, object=None))
    if missing:
        del body["request"]["object"]
    request = read_review(json.dumps(body).encode())
    assert request.read(Decoder(IPAddressPool)) is None
    assert request.read_old(Decoder(IPAddressPool)) is not None


def test_an_object_of_another_form_says_where() -> None:
    request = read_review(review(object=POOL | {"spec": {"addresses": "10.0.0.0/24"}}))
    with pytest.raises(UnreadableObjectError, match=r"\$\.spec\.addresses"):
        request.read(Decoder(IPAddressPool))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no AdmissionReview"),
        (b"\xff", "no AdmissionReview"),
        (b"[]", "no AdmissionReview"),
        (b"{}", "got no kind"),
        (review().replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"), "got AdmissionReview admission"),
        (review().replace(b"AdmissionReview", b"ConversionReview"), "got ConversionReview"),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', "without a request"),
        (review(uid=""), "has a uid"),
        (review(operation="PATCH"), "no AdmissionReview"),
        (b"[" * 100_000, "no AdmissionReview"),
    ],
)
def test_what_is_no_review_says_why(body: bytes, said: str) -> None:
    with pytest.raises(ReviewError, match=said):
        read_review(body)


@pytest.mark.parametrize(
    ("decision", "response"),
    [
        (allowed(), {"allowed": True}),
        (allowed("mind"), {"allowed": True, "warnings": ["mind"]}),
        (allowed("a\nb\tc\x00", " "), {"allowed": True, "warnings": ["a b c"]}),
        (
            refused("broken", "mind"),
            {
                "allowed": False,
                "status": {"code": 403, "reason": "Forbidden", "message": "broken"},
                "warnings": ["mind"],
            },
        ),
        (unreadable("x"), {"allowed": False, "status": {"code": 400, "reason": "BadRequest", "message": "x"}}),
        (not_now("x"), {"allowed": False, "status": {"code": 503, "reason": "ServiceUnavailable", "message": "x"}}),
    ],
)
def test_an_answer_carries_the_question_s_uid(decision: Decision, response: dict[str, Any]) -> None:
    assert json.loads(write_review(read_review(review()), decision)) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u1"} | response,
    }


def test_warnings_stay_within_what_the_api_server_passes_on() -> None:
    def shown(*warnings: str) -> list[str]:
        answer = json.loads(write_review(read_review(review()), allowed(*warnings)))
        found: list[str] = answer["response"]["warnings"]
        return found

    assert shown("x" * 300) == ["x" * (WARNING_LENGTH - 1) + "…"]
    many = shown(*(f"warning {number}" for number in range(50)))
    assert many[:2] == ["warning 0", "warning 1"]
    assert many[-1] == "and 31 more warnings"
    assert len(many) == 20
    long = shown(*("ä" * 256 for _ in range(20)))
    assert sum(len(each.encode()) for each in long) <= 4096
    assert long[-1] == f"and {20 - len(long) + 1} more warnings"
    assert shown(*("x" for _ in range(20))) == ["x"] * 20

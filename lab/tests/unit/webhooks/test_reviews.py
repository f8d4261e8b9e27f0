"""What webhooks are told, and what becomes of what they answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.request import User
from kubelab.apiserver.webhooks import reviews
from kubelab.apiserver.webhooks.attributes import Attributes, GroupVersionResource
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.hooks import ClientConfig, Hook
from kubelab.apiserver.webhooks.matching import Invocation
from kubelab.objects import GroupVersionKind

JUDGE = Hook("h.example.org", mutating=False, client=ClientConfig("https://x"), rules=())
MAKER = Hook("h.example.org", mutating=True, client=ClientConfig("https://x"), rules=())
MAPS = GroupVersionResource("", "v1", "configmaps")
KIND = GroupVersionKind("", "v1", "ConfigMap")
V1 = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}
V1BETA1 = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}
BAD = "received invalid webhook response: "


def body(response: Any, review: dict[str, str] | None = None) -> bytes:
    return json.dumps((review or V1) | {"response": response}).encode()


@pytest.mark.parametrize(
    ("hook", "answer", "why"),
    [
        (JUDGE, b"", "couldn't get version/kind; json parse error"),
        (JUDGE, b"junk", "couldn't get version/kind; json parse error"),
        (JUDGE, b"[]", "json: cannot unmarshal array into Go value"),
        (JUDGE, b"{}", BAD + "webhook response was absent"),
        (JUDGE, body(None), BAD + "webhook response was absent"),
        (JUDGE, body("x"), "json: cannot unmarshal string into Go struct field AdmissionReview.response"),
        (JUDGE, body({"uid": "v", "allowed": True}), BAD + 'expected response.uid="u", got "v"'),
        (JUDGE, body({"allowed": True}), BAD + 'expected response.uid="u", got ""'),
        (JUDGE, body({"uid": "u"}, V1BETA1), BAD + "expected webhook response of admission.k8s.io/v1, Kind="),
        (JUDGE, body({"uid": "u", "allowed": "yes"}), "cannot unmarshal string into Go struct field"),
        (JUDGE, body({"uid": "u", "status": {"code": "x"}}), "Status.response.status.code of type int32"),
        (JUDGE, body({"uid": "u", "warnings": [1]}), "AdmissionResponse.response.warnings of type string"),
        (JUDGE, body({"uid": "u", "patch": "W10="}), BAD + "validating webhook may not return response.patch"),
        (JUDGE, body({"uid": "u", "patchType": "x"}), BAD + "validating webhook may not return response.patchType"),
        (MAKER, body({"uid": "u", "patch": "W10="}), BAD + "webhook returned response.patch but not"),
        (MAKER, body({"uid": "u", "patchType": "JSONPatch"}), BAD + "webhook returned response.patchType but not"),
        (MAKER, body({"uid": "u", "patch": "W10=", "patchType": ""}), BAD + "webhook returned invalid"),
        (MAKER, body({"uid": "u", "patch": "!", "patchType": "JSONPatch"}), "illegal base64 data"),
    ],
)
def test_an_answer_that_is_none_is_told_in_words(hook: Hook, answer: bytes, why: str) -> None:
    with pytest.raises(CallError) as failed:
        reviews.read(hook, answer, "u", "v1")
    assert why in failed.value.reason


def test_a_v1beta1_webhook_need_not_name_the_question_nor_the_kind_of_patch() -> None:
    answer = reviews.read(MAKER, body({"allowed": True, "patch": "W10="}, V1BETA1), "u", "v1beta1")
    assert (answer.allowed, answer.patch, answer.patch_type) == (True, b"[]", "JSONPatch")


@given(
    st.binary() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(lambda it: json.dumps(it).encode())
)
def test_no_answer_breaks_the_server(answer: bytes) -> None:
    with pytest.raises(CallError):
        reviews.read(JUDGE, answer, "u", "v1")


VALUES = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())
)
FIELDS = st.sampled_from(["uid", "allowed", "status", "patch", "patchType", "warnings", "auditAnnotations"])


@given(st.dictionaries(FIELDS, VALUES))
def test_no_response_breaks_the_server(response: dict[str, Any]) -> None:
    try:
        answer = reviews.read(MAKER, body({"uid": "u"} | response), "u", "v1")
    except CallError:
        return
    reviews.refusal(MAKER, answer).status()


@pytest.mark.parametrize(
    ("status", "code", "message", "reason"),
    [
        ({}, 400, "without explanation", ""),
        ({"message": "no"}, 400, ": no", ""),
        ({"reason": "Nope"}, 400, ": Nope", "Nope"),
        ({"code": 200, "message": "no"}, 400, ": no", ""),
        ({"code": 403, "message": "no", "reason": "Forbidden"}, 403, ": no", "Forbidden"),
    ],
)
def test_a_refusal_is_the_webhooks_own_and_never_a_success(
    status: dict[str, Any], code: int, message: str, reason: str
) -> None:
    error = reviews.refusal(JUDGE, reviews.Answer(allowed=False, status=status))
    assert (error.code, error.reason) == (code, reason)
    assert error.message.startswith('admission webhook "h.example.org" denied the request')
    assert error.message.endswith(message)


def test_a_review_tells_of_the_request_and_of_the_version_that_is_shown() -> None:
    attributes = Attributes(
        operation="UPDATE",
        resource=MAPS,
        kind=KIND,
        subresource="status",
        namespace="n",
        name="",
        user=User("me", ("g",), "", {"scopes": ("a", "b")}),
        dry_run=False,
        options={"kind": "UpdateOptions"},
        obj={"new": 1},
        old={"old": 1},
    )
    shown = Invocation(JUDGE, MAPS._replace(version="v2"), KIND._replace(version="v2"))
    request = reviews.review(shown, attributes, "u", "v1")["request"]
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v2", "v1")
    assert (request["resource"]["version"], request["requestResource"]["version"]) == ("v2", "v1")
    assert request["subResource"] == request["requestSubResource"] == "status"
    assert "name" not in request
    assert request["userInfo"] == {"username": "me", "groups": ["g"], "extra": {"scopes": ["a", "b"]}}


@pytest.mark.parametrize(("versions", "wanted"), [(("v1",), "v1"), (("v9", "v1beta1", "v1"), "v1beta1")])
def test_the_first_version_that_both_know_is_spoken(versions: tuple[str, ...], wanted: str) -> None:
    hook = Hook("h", mutating=False, client=ClientConfig(), rules=(), review_versions=versions)
    assert reviews.version_for(hook) == wanted


def test_a_webhook_of_unknown_versions_cannot_be_asked() -> None:
    with pytest.raises(CallError, match="known AdmissionReview versions"):
        reviews.version_for(Hook("h", mutating=False, client=ClientConfig(), rules=(), review_versions=("v9",)))

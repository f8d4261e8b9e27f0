"""What a conversion webhook may answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.webhooks import conversions
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.hooks import ClientConfig

V1 = conversions.Converter(ClientConfig("https://x"), "v1")
V1BETA1 = conversions.Converter(ClientConfig("https://x"), "v1beta1")
METADATA = {"name": "t", "namespace": "n", "uid": "1", "resourceVersion": "9", "labels": {"a": "b"}}
TOWER = {"apiVersion": "x.org/v2", "kind": "Tower", "metadata": METADATA, "spec": {"height": 1}}
MADE = TOWER | {"apiVersion": "x.org/v1"}
HEAD = "conversion webhook for x.org/v2, Kind=Tower "


def answer(response: Any, **review: Any) -> bytes:
    usual = {"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response}
    return json.dumps(usual | review).encode()


def made(*objects: Any, **response: Any) -> bytes:
    return answer({"uid": "u", "result": {"status": "Success"}, "convertedObjects": list(objects)} | response)


def metadata(**differing: Any) -> Any:
    return MADE | {"metadata": {name: it for name, it in (METADATA | differing).items() if it is not None}}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"junk", "failed: couldn't get version/kind"),
        (answer(None), "failed: no response provided"),
        (answer({"uid": "v"}), 'failed: expected response.uid="u", got "v"'),
        (answer({"uid": "u"}, kind="Other"), "failed: expected webhook response of apiextensions.k8s.io/v1, Kind="),
        (answer({"uid": "u"}), "failed: response.result.status was '', not 'Success'"),
        (made(result={"status": "Failed", "message": "no way"}), "failed: no way"),
        (made(), "returned 0 objects, expected 1"),
        (made("x"), "returned invalid object: it is no object"),
        (made(TOWER), "invalid object at index 0: invalid groupVersion (expected: x.org/v1, received: x.org/v2)"),
        (made(MADE | {"kind": "Hut"}), "invalid kind (expected: Tower, received: Hut)"),
        (made(MADE | {"metadata": None}), "returned invalid metadata: missing metadata in converted object"),
        (made(MADE | {"metadata": 1}), "returned invalid metadata: invalid metadata in converted object"),
        (made(metadata(name="other")), "returned invalid object: must have the same name: t != other"),
        (made(metadata(namespace=None)), "must have the same namespace: n != "),
        (made(metadata(uid="2")), "must have the same UID: 1 != 2"),
        (made(metadata(labels=1)), "invalid metadata.labels in converted object"),
        (made(metadata(labels={"a": 1})), "invalid metadata.labels in converted object"),
        (made(metadata(labels={"x y": "z"})), "returned invalid metadata: metadata.labels: Invalid value"),
    ],
)
def test_an_answer_that_is_no_conversion_is_told_in_words(body: bytes, why: str) -> None:
    with pytest.raises(CallError) as failed:
        conversions.read(V1, body, [TOWER], "x.org/v1", "u")
    assert failed.value.reason.startswith(HEAD)
    assert why in failed.value.reason


def test_of_many_objects_the_wrong_one_is_named() -> None:
    with pytest.raises(CallError, match="returned invalid converted object at index 1: invalid kind"):
        conversions.read(V1, made(MADE, MADE | {"kind": "Hut"}), [TOWER, TOWER], "x.org/v1", "u")


def test_labels_and_annotations_are_the_webhooks_and_nothing_else_of_the_metadata() -> None:
    body = made(metadata(labels=None, annotations={"was": "b"}, resourceVersion="77", finalizers=["x.org/y"]))
    (obj,) = conversions.read(V1, body, [TOWER], "x.org/v1", "u")
    kept = {name: METADATA[name] for name in ("name", "namespace", "uid", "resourceVersion")}
    assert obj["metadata"] == kept | {"annotations": {"was": "b"}}


def test_a_v1beta1_webhook_need_not_name_the_question() -> None:
    body = made(MADE, uid="")
    assert conversions.read(V1BETA1, body, [TOWER], "x.org/v1", "u") == [MADE]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MADE, *METADATA, "x"]), inner),
)


@given(st.lists(JSON, max_size=2))
def test_no_answer_breaks_the_server(objects: list[Any]) -> None:
    try:
        found = conversions.read(V1, made(*objects), [TOWER], "x.org/v1", "u")
    except CallError:
        return
    assert found[0]["metadata"]["uid"] == "1"


def test_what_is_sent_has_no_resource_version() -> None:
    review = conversions.review(V1, [TOWER], "x.org/v1", "u")
    assert "resourceVersion" not in review["request"]["objects"][0]["metadata"]
    assert METADATA["resourceVersion"] == "9"


@pytest.mark.parametrize(("versions", "wanted"), [(["v1"], "v1"), (["v9", "v1beta1", "v1"], "v1beta1")])
def test_the_first_version_that_both_know_is_spoken(versions: list[str], wanted: str) -> None:
    webhook = {"clientConfig": {"url": "https://x"}, "conversionReviewVersions": versions}
    found = conversions.converter({"strategy": "Webhook", "webhook": webhook})
    assert found is not None
    assert found.review_version == wanted
    assert conversions.converter({"strategy": "None"}) is None

"""Reviews as a real API server sends them: all are understood, and answered as it expects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from metallb.kube.admission import allowed, read_review, write_review
from metallb.kube.conversions import answer
from metallb.kube.objects import OBJECT


@pytest.fixture
def reviews(recorded: Callable[[str], Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [row["body"] for row in recorded("kube/reviews.jsonl")]
    return found


def test_admission_reviews(reviews: list[dict[str, Any]]) -> None:
    seen = set()
    for review in reviews:
        if review["kind"] != "AdmissionReview":
            continue
        request, sent = read_review(json.dumps(review).encode()), review["request"]
        assert (request.uid, request.operation, request.name) == (sent["uid"], sent["operation"], sent["name"])
        assert request.user_info.username == sent["userInfo"]["username"]
        assert bool(request.dry_run) == sent["dryRun"]
        assert request.read(OBJECT) == sent["object"]
        assert request.read_old(OBJECT) == sent["oldObject"]
        assert json.loads(write_review(request, allowed()))["apiVersion"] == review["apiVersion"]
        seen.add(request.operation)
    assert seen == {"CREATE", "UPDATE", "DELETE"}


def test_conversion_reviews(reviews: list[dict[str, Any]]) -> None:
    seen = 0
    for review in reviews:
        if review["kind"] == "ConversionReview":
            body, failure = answer(
                json.dumps(review).encode(), lambda each, version: each | {"apiVersion": version, "converted": True}
            )
            whole = json.loads(body)
            assert (failure, whole["apiVersion"]) == ("", review["apiVersion"])
            assert whole["response"]["uid"] == review["request"]["uid"]
            wanted = review["request"]["desiredAPIVersion"]
            sent = review["request"]["objects"]
            assert [each["apiVersion"] for each in whole["response"]["convertedObjects"]] == [wanted] * len(sent)
            for before, after in zip(sent, whole["response"]["convertedObjects"], strict=True):
                assert after == (before if before["apiVersion"] == wanted else before | after)
                assert after["metadata"] == before["metadata"]
            seen += len(sent)
    assert seen >= 11

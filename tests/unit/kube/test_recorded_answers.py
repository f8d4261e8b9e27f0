"""What a real API server answered, read by ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.json import Decoder

from metallb.kube import errors
from metallb.kube.answers import Bookmark, Changed, Deleted, decode_event, decode_page
from metallb.kube.errors import ApiError, error_of
from metallb.kube.objects import Bare, key_of

VECTORS = Path(__file__).parents[2] / "vectors" / "kube"
BARE = Decoder(Bare)


def recorded(name: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (VECTORS / name).read_bytes().splitlines()]


EXPECTED = {
    "access: anonymous": errors.ForbiddenError,
    "access: bad token": errors.UnauthorizedError,
    "services: exists already": errors.AlreadyExistsError,
    "services: not there": errors.NotFoundError,
    "services: put with stale version": errors.ConflictError,
    "apply: conflict": errors.OwnedElsewhereError,
    "apply: yaml": errors.RetryLaterError,
    "watching: list at the far future": errors.GoneError,
    "deletion: nothing new in it": errors.ForbiddenError,
    "admission: create under slow": errors.RetryLaterError,
}
"""All others are `InvalidError`."""


@pytest.mark.parametrize("refusal", recorded("refusals.jsonl"), ids=lambda refusal: refusal["name"])
def test_a_recorded_refusal_says_what_to_do_next(refusal: dict[str, Any]) -> None:
    error = error_of("GET /x", refusal["status"], msgspec.json.encode(refusal["response"]))
    assert type(error) is EXPECTED.get(refusal["name"], errors.InvalidError)
    assert error.message == refusal["response"]["message"]
    assert error.code == refusal["status"]


def test_every_expectation_was_recorded() -> None:
    assert EXPECTED.keys() <= {refusal["name"] for refusal in recorded("refusals.jsonl")}


def read(event: dict[str, Any]) -> tuple[str, str]:
    """The kind of value that an event becomes, and its version."""
    try:
        value = decode_event("WATCH /x", BARE, msgspec.json.encode(event))
    except ApiError as error:
        return type(error).__name__, ""
    match value:
        case Changed(item):
            assert key_of(item).name == event["object"]["metadata"]["name"]
            return "Changed", item.metadata.resource_version
        case Deleted(key, version):
            assert key.name == event["object"]["metadata"]["name"]
            return "Deleted", version
        case Bookmark(version):
            return "Bookmark", version
        case _:
            return "Unreadable", ""


KINDS = {"ADDED": "Changed", "MODIFIED": "Changed", "DELETED": "Deleted", "BOOKMARK": "Bookmark"}
ERRORS = {"watch without a version": "GoneError", "streaming list": "RetryLaterError"}


@pytest.mark.parametrize(
    "watch", [line for line in recorded("watches.jsonl") if "stream" in line], ids=lambda watch: watch["name"]
)
def test_a_recorded_watch_is_read_event_by_event(watch: dict[str, Any]) -> None:
    for event in watch["stream"]:
        version = event["object"]["metadata"].get("resourceVersion", "")
        assert read(event) == (KINDS.get(event["type"]) or ERRORS[watch["name"]], version)


def test_recorded_pages_are_read_in_turn() -> None:
    pages = [
        decode_page("GET /x", BARE, msgspec.json.encode(line["response"]))
        for line in recorded("watches.jsonl")
        if line["name"].endswith("page")
    ]
    assert [[item.metadata.name for item in page.items] for page in pages] == [
        ["page-0", "page-1", "page-2"],
        ["page-3", "page-4", "page-5"],
    ]
    assert all(page.more and page.resource_version == "226" for page in pages)

"""ConversionReviews: a list of custom resources in whatever versions comes back in the one that is asked for. Pure.

All or nothing: one object that can't be converted fails the review, with a message that names it.
Source: apiextensions.k8s.io/v1 ConversionReview; Kubernetes docs, "Versions in CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from metallb.kube.admission import ReviewError

Object = dict[str, Any]
Convert = Callable[[Object, str], Object]
"""Gives an object in the version of `apiVersion`; raises ValueError where it can't."""

GROUP: Final = "apiextensions.k8s.io"
API_VERSIONS: Final = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
KIND: Final = "ConversionReview"


class _Request(Struct, rename="camel"):
    uid: str
    desired_api_version: str = msgspec.field(default="", name="desiredAPIVersion")
    objects: list[Any] | None = None


class _Review(Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: _Request | None = None


_REVIEW: Final = Decoder(_Review)


def answer(body: bytes, convert: Convert) -> tuple[bytes, str]:
    """The body of the answer to a review, and why the conversion failed (empty: it did not).

    Args:
        body: as it came.
        convert: of one object; an object that is in the version already is not shown to it.

    Raises:
        ReviewError: the body is no review that can be answered.
    """
    review, request = _read(body)
    found: list[Object] = []
    failure = ""
    try:
        found = [_converted(each, request.desired_api_version, convert) for each in request.objects or []]
    except (ValueError, RecursionError) as error:
        failure = str(error)
    result = {"status": "Failed", "message": failure} if failure else {"status": "Success"}
    response = {"uid": request.uid, "convertedObjects": [] if failure else found, "result": result}
    return msgspec.json.encode({"apiVersion": review.api_version, "kind": KIND, "response": response}), failure


def _read(body: bytes) -> tuple[_Review, _Request]:
    try:
        review = _REVIEW.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ReviewError(f"no ConversionReview: {error}") from error
    if review.kind != KIND or review.api_version not in API_VERSIONS:
        raise ReviewError(
            f"want {KIND} {' or '.join(API_VERSIONS)}, got {review.kind or 'no kind'} {review.api_version}".rstrip()
        )
    if review.request is None or not review.request.uid:
        raise ReviewError(f"{KIND} without a request that has a uid")
    return review, review.request


def _converted(item: Any, version: str, convert: Convert) -> Object:
    if not isinstance(item, dict):
        raise ValueError(f"not an object: {str(item)[:80]}")  # noqa: TRY004  # bad input, not a bad call
    _check_identity(item)
    return item if version and item.get("apiVersion") == version else convert(item, version)


def _check_identity(item: Object) -> None:
    for name in ("apiVersion", "kind"):
        if not isinstance(item.get(name), str):
            raise ValueError(f"{name} is no text: {str(item.get(name))[:80]}")  # noqa: TRY004  # bad input, not a bad call
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        raise ValueError(f"{item['kind']}: metadata is no object")  # noqa: TRY004  # bad input, not a bad call
    annotations = metadata.get("annotations")
    if annotations is None:
        return
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        name = f"{item['kind']} {metadata.get('namespace', '')}/{metadata.get('name', '')}"
        raise ValueError(f"{name}: metadata.annotations must be texts by name")

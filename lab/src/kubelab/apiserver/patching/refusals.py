"""The answers to patches that can't be done, worded as kube-apiserver words them."""

from __future__ import annotations

from kubelab.apiserver.errors import ApiError, bad_request
from kubelab.objects import Json

MAX_OPERATIONS = 10_000
"""As many operations a JSON patch may have."""


def undecodable(patch: Json, expected: str) -> ApiError:
    """400: the patch is JSON of another type; `expected` names a Go type."""
    return bad_request(
        f"error decoding patch: json: cannot unmarshal {json_type(patch)} into Go value of type {expected}"
    )


def json_type(value: Json) -> str:
    """The type of a JSON value as Go's decoder names it."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if value is None:
        return "null"
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "string"


def unprocessable() -> ApiError:
    """422: the patch can be read but not be done on this object; kube-apiserver does not say why."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def failed(message: str) -> ApiError:
    """500 without a reason: how kube-apiserver reports errors that it gave no type."""
    return ApiError(500, "", message)


def too_many_operations(count: int) -> ApiError:
    """413: a JSON patch of more operations than are allowed."""
    text = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
    return ApiError(413, "RequestEntityTooLarge", text)

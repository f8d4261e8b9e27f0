"""What the API server refuses, sorted by what the caller can do next.

| error | what happened | what to do next |
|---|---|---|
| `UnavailableError` | no answer: a write may or may not have happened | try again with back-off |
| `RetryLaterError` | the server answered that it can't now (429, 5xx) | try again, not before `retry_after_s` |
| `ConflictError` | someone else wrote first (409) | read again, decide again |
| `AlreadyExistsError` | a `ConflictError`: the object to create is there | read it, decide again |
| `OwnedElsewhereError` | an apply without force met another manager's fields (409) | force, or leave it |
| `GoneError` | the version or the continue token is too old (410), or newer than all the server has | list again |
| `NotFoundError` | the object, its namespace or its kind is not there (404) | treat as absent |
| `ForbiddenError` | RBAC says no (403) | tell a person, retry slowly |
| `UnauthorizedError` | a `ForbiddenError`: the credentials are not accepted (401) | the same |
| `InvalidError` | the request itself is wrong (400, 405, 406, 413, 415, 422) | give up until something changes |
| `MalformedError` | the answer can't be understood | try again with back-off |

Source: Kubernetes API conventions, "Response Status Kind" and "HTTP Status codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct


class Cause(Struct, frozen=True, omit_defaults=True):
    """One of several causes of a refusal: the field, the rule's name and a sentence."""

    field: str = ""
    reason: str = ""
    message: str = ""


class _Details(Struct, frozen=True, rename="camel"):
    name: str = ""
    kind: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_seconds: int = 0


class Status(Struct, frozen=True):
    """meta/v1 Status, as far as we read it."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


class ApiError(Exception):
    """A request that failed. Never raised itself: always one of the kinds in this module.

    Attributes:
        request: method and path.
        message: the server's sentence, or what went wrong on the way.
        code: HTTP status; 0 if there was no answer.
        reason: the server's machine-readable reason; may be empty.
        causes: the single fields or managers that were in the way.
        retry_after_s: how long the server asks to wait; 0 if it does not say.
    """

    def __init__(
        self,
        request: str,
        message: str,
        *,
        code: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.request = request
        self.message = message
        self.code = code
        self.reason = reason
        self.causes = causes
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """One line: request, what came back, why."""
        code = f"{self.code} {self.reason}".strip() if self.code else type(self).__name__
        return f"{self.request}: {code}: {self.message}"


class UnavailableError(ApiError):
    """No answer: a write may or may not have happened. Try again with back-off."""


class RetryLaterError(ApiError):
    """The server can't serve the request now. Try again, not before `retry_after_s`."""


class ConflictError(ApiError):
    """Someone else wrote first. Read the object again and decide again."""


class AlreadyExistsError(ConflictError):
    """The object to create is there already. Read it and decide again."""


class OwnedElsewhereError(ApiError):
    """Fields of a server-side apply belong to another manager (`causes`). Force the apply or leave them."""


class GoneError(ApiError):
    """The resource version or the continue token is too old, or of a history that the server lost. List again."""


class NotFoundError(ApiError):
    """The object, its namespace or its whole kind is not there."""


class ForbiddenError(ApiError):
    """The caller may not do that; only a person can change it."""


class UnauthorizedError(ForbiddenError):
    """The credentials are not accepted, also after they were read again."""


class InvalidError(ApiError):
    """The request is wrong and will stay wrong. Give up until something changes."""


class MalformedError(ApiError):
    """The answer can't be understood. Not the request's fault: try again with back-off."""


_BY_REASON: Final[Mapping[str, type[ApiError]]] = {
    "AlreadyExists": AlreadyExistsError,
    "BadRequest": InvalidError,
    "Conflict": ConflictError,
    "Expired": GoneError,
    "Forbidden": ForbiddenError,
    "Gone": GoneError,
    "InternalError": RetryLaterError,
    "Invalid": InvalidError,
    "MethodNotAllowed": InvalidError,
    "NotAcceptable": InvalidError,
    "NotFound": NotFoundError,
    "RequestEntityTooLarge": InvalidError,
    "ServerTimeout": RetryLaterError,
    "ServiceUnavailable": RetryLaterError,
    "StorageReadError": RetryLaterError,
    "Timeout": RetryLaterError,
    "TooManyRequests": RetryLaterError,
    "Unauthorized": UnauthorizedError,
    "UnsupportedMediaType": InvalidError,
}

_BY_CODE: Final[Mapping[int, type[ApiError]]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    408: RetryLaterError,
    409: ConflictError,
    410: GoneError,
    429: RetryLaterError,
}

_decode_status = msgspec.json.Decoder(Status).decode
_MESSAGE_LIMIT = 300


def error_of(request: str, code: int, body: bytes, *, retry_after: str = "") -> ApiError:
    """The error for an answer with HTTP status `code` >= 400; `retry_after` is that header's value.

    The server's reason decides; where it gives none (proxies, webhooks that failed), the code does.
    """
    try:
        status = _decode_status(body)
    except msgspec.MsgspecError:
        text = body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip()
        status = Status(message=text or f"HTTP status {code}", code=code)
    return error_of_status(request, status, code=code, retry_after=retry_after)


def error_of_status(request: str, status: Status, *, code: int = 0, retry_after: str = "") -> ApiError:
    """The error for a `Status`, as it also comes inside a watch (an event of type ERROR)."""
    code = code or status.code
    details = status.details or _Details()
    kind = _BY_REASON.get(status.reason) or _BY_CODE.get(code)
    if kind is None:
        kind = InvalidError if 400 <= code < 500 else RetryLaterError  # noqa: PLR2004  # client errors
    reasons = {cause.reason for cause in details.causes}
    if kind is ConflictError and "FieldManagerConflict" in reasons:
        kind = OwnedElsewhereError
    if "ResourceVersionTooLarge" in reasons:
        kind = GoneError
    seconds = int(retry_after) if retry_after.isascii() and retry_after.isdecimal() else details.retry_after_seconds
    return kind(
        request, status.message, code=code, reason=status.reason, causes=details.causes, retry_after_s=float(seconds)
    )

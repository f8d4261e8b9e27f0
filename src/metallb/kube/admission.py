"""AdmissionReviews: bytes from the API server become a request, a decision becomes the answer's bytes. Pure.

The object under review stays undecoded JSON until the caller says what it is: see `AdmissionRequest.read`.
Source: admission.k8s.io/v1; Kubernetes docs, "Dynamic Admission Control", request and response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct, field
from msgspec.json import Decoder

T = TypeVar("T")

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]

GROUP: Final = "admission.k8s.io"
API_VERSION: Final = f"{GROUP}/v1"
KIND: Final = "AdmissionReview"

WARNINGS: Final = 20
"""How many warnings one answer carries; the API server drops what is beyond 4,096 characters in all."""

WARNING_LENGTH: Final = 256
"""Characters of one warning; the API server may cut longer ones."""

_TOTAL: Final = 4096
_NOTHING: Final = (b"", b"null")


class ReviewError(ValueError):
    """The body is no review that we can answer: one sentence."""


class UnreadableObjectError(ValueError):
    """The object under review does not decode: the decoder's sentence."""


class GroupVersionKind(Struct, frozen=True):
    """meta/v1 GroupVersionKind."""

    group: str = ""
    version: str = ""
    kind: str = ""


class GroupVersionResource(Struct, frozen=True):
    """meta/v1 GroupVersionResource."""

    group: str = ""
    version: str = ""
    resource: str = ""


class UserInfo(Struct, frozen=True):
    """authentication/v1 UserInfo, as far as logs tell it."""

    username: str = ""


class AdmissionRequest(Struct, frozen=True, rename="camel"):
    """What the API server asks.

    Attributes:
        uid: of this question; the answer carries it.
        operation: what is to happen to the object.
        kind: of the object as it is sent, after conversion to the version that the webhook asked for.
        resource: the same as a resource.
        sub_resource: e.g. `status`; empty: the object itself.
        name: of the object; empty where the API server makes it.
        namespace: of the object.
        user_info: who wants it.
        object: after the operation, JSON; nothing with DELETE.
        old_object: before it; nothing with CREATE.
        dry_run: nothing will be stored.
    """

    uid: str
    operation: Operation
    kind: GroupVersionKind = GroupVersionKind()
    resource: GroupVersionResource = GroupVersionResource()
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    user_info: UserInfo = UserInfo()
    object: Raw = Raw()
    old_object: Raw = Raw()
    dry_run: bool | None = None

    def read(self, decoder: Decoder[T]) -> T | None:
        """The object after the operation; None: there is none.

        Raises:
            UnreadableObjectError: it is not what the decoder is for.
        """
        return _read(self.object, decoder)

    def read_old(self, decoder: Decoder[T]) -> T | None:
        """The object before the operation; None: there is none.

        Raises:
            UnreadableObjectError: it is not what the decoder is for.
        """
        return _read(self.old_object, decoder)


class _Review(Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: AdmissionRequest | None = None


_REVIEW: Final = Decoder(_Review)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a review.

    Attributes:
        allowed: whether the operation goes on.
        code: HTTP status of the refusal that the user gets.
        reason: its machine-readable reason.
        message: its sentence.
        warnings: for the user, whether allowed or not.
    """

    allowed: bool
    code: int = 200
    reason: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()


def allowed(*warnings: str) -> Decision:
    """The operation goes on."""
    return Decision(True, warnings=warnings)


def refused(message: str, *warnings: str) -> Decision:
    """The operation breaks a rule: `message` says which (403)."""
    return Decision(False, 403, "Forbidden", message, warnings)


def unreadable(message: str) -> Decision:
    """The object does not decode (400)."""
    return Decision(False, 400, "BadRequest", message)


def not_now(message: str) -> Decision:
    """There is no verdict at this moment: try again (503)."""
    return Decision(False, 503, "ServiceUnavailable", message)


class _Status(Struct, omit_defaults=True):
    code: int
    reason: str = ""
    message: str = ""


class _Response(Struct, rename="camel", omit_defaults=True):
    uid: str
    allowed: bool
    status: _Status | None = None
    warnings: list[str] = field(default_factory=list)


class _Answer(Struct, rename="camel"):
    api_version: str
    kind: str
    response: _Response


def read_review(body: bytes) -> AdmissionRequest:
    """The request in an AdmissionReview of version v1.

    Raises:
        ReviewError: it is something else, or says nothing about what is asked.
    """
    try:
        review = _REVIEW.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ReviewError(f"no AdmissionReview: {error}") from error
    if review.kind != KIND or review.api_version != API_VERSION:
        raise ReviewError(f"want {KIND} {API_VERSION}, got {review.kind or 'no kind'} {review.api_version}".rstrip())
    if review.request is None or not review.request.uid:
        raise ReviewError(f"{KIND} without a request that has a uid")
    return review.request


def write_review(request: AdmissionRequest, decision: Decision) -> bytes:
    """The body of the answer."""
    status = None
    if not decision.allowed:
        status = _Status(decision.code, decision.reason, decision.message)
    response = _Response(request.uid, decision.allowed, status, _shown(decision.warnings))
    return msgspec.json.encode(_Answer(API_VERSION, KIND, response))


def _shown(warnings: tuple[str, ...]) -> list[str]:
    """Warnings travel as HTTP headers: single lines, not too long, not too many; the last says what is left out."""
    lines = [line for line in map(_line, warnings) if line]
    shown: list[str] = []
    room = _TOTAL - WARNING_LENGTH  # for the line that says that there are more
    for position, line in enumerate(lines):
        room -= len(line.encode())
        if room < 0 or (position == WARNINGS - 1 and len(lines) > WARNINGS):
            return [*shown, f"and {len(lines) - position} more warnings"]
        shown.append(line)
    return shown


def _line(warning: str) -> str:
    line = " ".join("".join(each if each.isprintable() else " " for each in warning).split())
    return line if len(line) <= WARNING_LENGTH else line[: WARNING_LENGTH - 1] + "…"


def _read(raw: Raw, decoder: Decoder[T]) -> T | None:
    if bytes(raw) in _NOTHING:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UnreadableObjectError(str(error)) from error

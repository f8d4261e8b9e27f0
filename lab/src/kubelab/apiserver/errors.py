"""What the API server refuses, as values: each becomes a `Status` answer (API conventions, "Response Status Kind")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kubelab.objects import GroupResource, Object


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule of one field.

    `reason` is a field error type as Kubernetes names it in causes: FieldValueRequired, FieldValueInvalid,
    FieldValueDuplicate, FieldValueForbidden, FieldValueNotSupported, FieldValueNotFound, FieldValueTypeInvalid,
    FieldValueTooLong, FieldValueTooMany. `text` is the whole sentence after the field's name, e.g.
    `Required value` or `Invalid value: "x": must be ...`.
    """

    field: str
    reason: str
    text: str

    def __str__(self) -> str:
        """The line as it appears in the status message."""
        return f"{self.field}: {self.text}"


@dataclass(slots=True, eq=False)
class ApiError(Exception):
    """A request that ends in a `Status`: HTTP code, machine-readable reason, sentence and details."""

    code: int
    reason: str
    message: str
    details: Object | None = None
    headers: dict[str, str] = field(default_factory=dict)
    metadata: Object = field(default_factory=dict)
    """List metadata of the Status: a continue token that still works."""

    def status(self) -> Object:
        """The `Status` object to send; key order is the real server's."""
        body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        if self.message:
            body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def _details(resource: GroupResource, name: str = "", **more: Any) -> Object:
    details: Object = {}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    if resource.resource:
        details["kind"] = resource.resource
    return details | more


def bad_request(message: str) -> ApiError:
    """400 BadRequest."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401 Unauthorized."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: GroupResource, name: str, why: str) -> ApiError:
    """403 Forbidden, as authorisation and admission say it."""
    quoted = f'{resource} "{name}" is forbidden: ' if name else f"{resource} is forbidden: "
    return ApiError(403, "Forbidden", quoted + why, _details(resource, name))


def not_found(resource: GroupResource, name: str) -> ApiError:
    """404 NotFound of one object."""
    return ApiError(404, "NotFound", f'{resource} "{name}" not found', _details(resource, name))


def already_exists(resource: GroupResource, name: str) -> ApiError:
    """409 AlreadyExists."""
    return ApiError(409, "AlreadyExists", f'{resource} "{name}" already exists', _details(resource, name))


def conflict(resource: GroupResource, name: str, why: str) -> ApiError:
    """409 Conflict: the caller's version is not the stored one."""
    text = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return ApiError(409, "Conflict", text, _details(resource, name))


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422 Invalid: every broken rule at once, in the order they were found."""
    # What is found twice is told twice among the causes, once in the sentence.
    lines = list(dict.fromkeys(str(error) for error in errors))
    text = lines[0] if len(lines) == 1 else "[" + ", ".join(lines) + "]"
    subject = f"{kind}.{group}" if group else kind
    causes = [{"reason": error.reason, "message": error.text, "field": error.field} for error in errors]
    return ApiError(
        422,
        "Invalid",
        f'{subject} "{name}" is invalid: {text}',
        _details(GroupResource(group, kind), name, causes=causes),
    )


def method_not_allowed(resource: GroupResource) -> ApiError:
    """405: the resource is known, the verb is not among its verbs."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", _details(resource)
    )


def expired(message: str) -> ApiError:
    """410 Expired: the version asked for is older than what is kept."""
    return ApiError(410, "Expired", message)

"""AdmissionReview: what a webhook is told, and what its answer says (admission.k8s.io/v1 and v1beta1)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kubelab.apiserver.builtin.fields import entries, items, shown
from kubelab.apiserver.errors import ApiError, bad_request
from kubelab.apiserver.request import User
from kubelab.apiserver.webhooks.attributes import Attributes, GroupVersionResource
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.hooks import Hook
from kubelab.apiserver.webhooks.matching import Invocation
from kubelab.objects import GroupVersionKind, Json, Object

GROUP: Final = "admission.k8s.io"
KNOWN: Final = ("v1", "v1beta1")
_LOWEST_REFUSAL: Final = 400
_BAD_RESPONSE: Final = "received invalid webhook response: "


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook says. `patch` is JSON text of a JSON patch, empty if it changes nothing."""

    allowed: bool
    status: Object
    warnings: tuple[str, ...] = ()
    patch: bytes = b""
    patch_type: str = ""


def version_for(hook: Hook) -> str:
    """The version of reviews in which a webhook is asked: the first of its list that the server knows.

    Raises:
        CallError: it knows none.
    """
    for version in hook.review_versions:
        if version in KNOWN:
            return version
    raise CallError("webhook does not accept known AdmissionReview versions (v1, v1beta1)")


def review(asked: Invocation, attributes: Attributes, uid: str, version: str) -> Object:
    """The review to send; the objects are in the version of the invocation already."""
    request: Object = {"uid": uid, "kind": _kind(asked.kind), "resource": _resource(asked.resource)}
    if attributes.subresource:
        request["subResource"] = attributes.subresource
    request["requestKind"] = _kind(attributes.kind)
    request["requestResource"] = _resource(attributes.resource)
    if attributes.subresource:
        request["requestSubResource"] = attributes.subresource
    if attributes.name:
        request["name"] = attributes.name
    if attributes.namespace:
        request["namespace"] = attributes.namespace
    request |= {
        "operation": attributes.operation,
        "userInfo": _user(attributes.user),
        "object": attributes.obj,
        "oldObject": attributes.old,
        "dryRun": attributes.dry_run,
        "options": attributes.options,
    }
    return {"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": request}


def _kind(kind: GroupVersionKind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _resource(resource: GroupVersionResource) -> Object:
    return {"group": resource.group, "version": resource.version, "resource": resource.resource}


def _user(user: User) -> Object:
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {name: list(values) for name, values in user.extra.items()}
    return info


def read(hook: Hook, body: bytes, uid: str, version: str) -> Answer:
    """A webhook's answer.

    Raises:
        CallError: it is none, or not to this question.
    """
    review_ = decoded(body)
    response = review_.get("response")
    if response is None:
        raise CallError(_BAD_RESPONSE + "webhook response was absent")
    if not isinstance(response, dict):
        raise _misfit(response, "AdmissionReview.response", "v1.AdmissionResponse")
    _check_types(response)
    if version == "v1":
        _check_identity(review_, response, uid)
        _check_patch(hook, response)
    patch = _patch(response) if hook.mutating else b""
    patch_type = str(response.get("patchType") or ("JSONPatch" if patch and version != "v1" else ""))
    warnings = tuple(items(response.get("warnings")))
    return Answer(bool(response.get("allowed")), entries(response.get("status")), warnings, patch, patch_type)


def decoded(body: bytes) -> Object:
    """The object in an answer's body.

    Raises:
        CallError: there is none.
    """
    try:
        value: Json = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CallError(f"failed to call webhook: couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(value, dict):
        raise _misfit(value, "", "struct { APIVersion string; Kind string }")
    return value


def _misfit(value: Json, field: str, wanted: str) -> CallError:
    kinds = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    where = f"Go struct field {field} of type {wanted}" if field else f"Go value of type {wanted}"
    found = kinds.get(type(value), "null")
    return CallError(f"failed to call webhook: json: cannot unmarshal {found} into {where}")


_FIELDS: Final[tuple[tuple[str, type, str], ...]] = (
    ("uid", str, "types.UID"),
    ("allowed", bool, "bool"),
    ("status", dict, "v1.Status"),
    ("patch", str, "[]uint8"),
    ("patchType", str, "v1.PatchType"),
    ("warnings", list, "[]string"),
)


def _check_types(response: Object) -> None:
    for name, kind, wanted in _FIELDS:
        value = response.get(name)
        if value is not None and not isinstance(value, kind):
            raise _misfit(value, f"AdmissionResponse.response.{name}", wanted)
    for warning in items(response.get("warnings")):
        if not isinstance(warning, str):
            raise _misfit(warning, "AdmissionResponse.response.warnings", "string")
    status = entries(response.get("status"))
    for name, kind, wanted in (("code", int, "int32"), ("message", str, "string"), ("reason", str, "string")):
        value = status.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise _misfit(value, f"Status.response.status.{name}", wanted)


def _check_identity(review_: Object, response: Object, uid: str) -> None:
    if response.get("uid", "") != uid:
        raise CallError(f"{_BAD_RESPONSE}expected response.uid={shown(uid)}, got {shown(response.get('uid', ''))}")
    found = GroupVersionKind.of(review_)
    wanted = GroupVersionKind(GROUP, "v1", "AdmissionReview")
    if found != wanted:
        raise CallError(f"{_BAD_RESPONSE}expected webhook response of {go_kind(wanted)}, got {go_kind(found)}")


def go_kind(kind: GroupVersionKind) -> str:
    """A kind as Go prints it."""
    return f"{kind.api_version}, Kind={kind.kind}" if kind.group else f"/{kind.version}, Kind={kind.kind}"


def _check_patch(hook: Hook, response: Object) -> None:
    patch, kind = response.get("patch"), response.get("patchType")
    if not hook.mutating:
        for name, value in (("patch", patch), ("patchType", kind)):
            if value is not None and (value or name == "patchType"):
                raise CallError(f"{_BAD_RESPONSE}validating webhook may not return response.{name}")
        return
    if patch and kind is None:
        raise CallError(_BAD_RESPONSE + "webhook returned response.patch but not response.patchType")
    if not patch and kind is not None:
        raise CallError(_BAD_RESPONSE + "webhook returned response.patchType but not response.patch")
    if kind == "":
        raise CallError(_BAD_RESPONSE + 'webhook returned invalid response.patchType of ""')


def _patch(response: Object) -> bytes:
    try:
        return base64.b64decode(response.get("patch") or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise CallError(f"failed to call webhook: illegal base64 data: {error}") from error


def refusal(hook: Hook, answer: Answer) -> ApiError:
    """The Status of a request that a webhook denies: its own, if it gave one, and never a success."""
    status: dict[str, Any] = answer.status
    code = status.get("code") or 0
    who = f'admission webhook "{hook.name}" denied the request'
    said = status.get("message") or status.get("reason")
    message = f"{who}: {said}" if said else f"{who} without explanation"
    details = status.get("details")
    return ApiError(
        max(code, _LOWEST_REFUSAL),
        status.get("reason") or "",
        message,
        details if isinstance(details, dict) else None,
    )


def failure(hook: Hook, error: CallError) -> ApiError:
    """500: a webhook that must be asked can't be."""
    message = f'failed calling webhook "{hook.name}": {error}'
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def no_dry_run(hook: Hook) -> ApiError:
    """400: a dry run would leave something behind."""
    return bad_request(f'admission webhook "{hook.name}" does not support dry run')


def internal(why: str) -> ApiError:
    """500: a webhook's answer can't be followed."""
    return ApiError(500, "InternalError", f"Internal error occurred: {why}", {"causes": [{"message": why}]})

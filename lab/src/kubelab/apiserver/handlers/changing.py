"""PATCH in all its kinds: JSON patch, merge patch, strategic merge patch, server-side apply."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import msgspec

from kubelab.apiserver import decoding
from kubelab.apiserver.authorization import authorize
from kubelab.apiserver.builtin import fields
from kubelab.apiserver.errors import ApiError, FieldError, bad_request, conflict, invalid, not_found
from kubelab.apiserver.handlers import admitting, converting, writing
from kubelab.apiserver.handlers.storing import answer
from kubelab.apiserver.handlers.writing import Written
from kubelab.apiserver.negotiation import media_type, unsupported_media
from kubelab.apiserver.patching import apply, element_order, json_patch, managed, merge, strategic
from kubelab.apiserver.request import Request, Response
from kubelab.apiserver.schema import decode
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored
from kubelab.objects import GroupVersionKind, Json, Object

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
_KNOWN: Final = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH, "application/apply-patch+cbor")
_CUSTOM: Final = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)


async def patch(call: Call) -> Response:
    """PATCH of an object, or of its status.

    Raises:
        ApiError: 400, 404, 409, 413, 415 or 422.
    """
    media = media_type(call.request.header("content-type"))
    check_media(call, media)
    if media == APPLY_PATCH:
        return await _apply(call)
    decoded = decoding.parse(as_json(call.request))
    written = await admitting.again(call, lambda: _changed(call, media, decoded))
    return answer(call, written.stored)


async def _changed(call: Call, media: str, decoded: decoding.Decoded) -> Written:
    old = await converting.existing(call)
    target = Target(call.schema, call.resource.gvk)
    return await admitting.update(call, patched(call, media, decoded, call.shown(old), target), old)


def check_media(call: Call, media: str) -> None:
    """Refuse kinds of patches that can't be done.

    Raises:
        ApiError: 415.
    """
    if media not in _KNOWN:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    if call.resource.custom is not None and media not in _CUSTOM:
        raise unsupported_media(", ".join(_CUSTOM))


@dataclass(frozen=True, slots=True)
class Target:
    """What a patch changes: an object of this type and kind."""

    schema: Schema
    gvk: GroupVersionKind


def as_json(request: Request) -> Request:
    """The request with its body declared as what patches are: JSON."""
    return Request(request.method, request.path, request.query, {}, {}, request.body)


def patched(call: Call, media: str, decoded: decoding.Decoded, before: Object, target: Target) -> Object:
    """The object after a patch, typed and pruned.

    Raises:
        ApiError: 400, 413, 422 or 500.
    """
    obj = _patched(media, decoded.value, before, target.schema)
    if obj.get("kind") != target.gvk.kind or obj.get("apiVersion") != target.gvk.api_version:
        raise bad_request(_other_kind(obj, target.gvk))
    validation = decoding.field_validation(call.request)
    try:
        if error := decoding.check_types(target.schema, obj, call.resource, target.gvk):
            raise error
        kept, sentences = decoding.judge_fields(target.schema, obj, decoded.duplicates, validation, target.gvk)
    except ApiError as error:
        raise _misfit(_quoted(call, media, decoded.value, obj, before), error, target.gvk) from error
    call.warn(sentences)
    return kept


def _patched(media: str, value: Json, before: Object, schema: Schema) -> Object:
    if media == JSON_PATCH:
        return json_patch.apply(before, value)
    if media == MERGE_PATCH:
        return merge.apply(before, value)
    return strategic.apply(before, value, schema)


def _other_kind(obj: Object, wanted: GroupVersionKind) -> str:
    found = GroupVersionKind.of(obj)
    return (
        f"the API version in the data ({found.api_version}, Kind={found.kind}) does not match the expected API version "
        f"({wanted.api_version}, Kind={wanted.kind})"
    )


def _as_encoded(obj: Json, before: Json) -> Json:
    """The result in the order of fields that Go gives it: sorted where the patch had a hand in."""
    if obj == before or not isinstance(obj, dict):
        return obj
    kept = before if isinstance(before, dict) else {}
    return {name: _as_encoded(obj[name], kept.get(name)) for name in sorted(obj)}


def _quoted(call: Call, media: str, patch: Json, obj: Object, before: Object) -> str:
    """What is quoted of a patch that can't be: itself if it is a strategic one, else all of its result."""
    if media == STRATEGIC_PATCH:
        return element_order.go_text(patch)
    if call.resource.custom is not None:
        return msgspec.json.encode(obj, order="sorted").decode()
    return msgspec.json.encode(_as_encoded(obj, before)).decode()


def _misfit(quoted: str, error: ApiError, gvk: GroupVersionKind) -> ApiError:
    """422 for a patch whose result does not decode, or has fields that nobody knows."""
    why = error.message.removeprefix(decode.cannot_be_handled(gvk, "").message)
    return invalid(
        "", "", "", [FieldError("patch", "FieldValueInvalid", f"Invalid value: {fields.shown(quoted)}: {why}")]
    )


async def _apply(call: Call) -> Response:
    check_apply_options(call.request)
    applied = decoding.parse_yaml(call.request.body)
    if not isinstance(applied, dict):
        raise bad_request("error decoding YAML: the body is no object")
    written = await admitting.again(call, lambda: _applied(call, applied))
    return answer(call, written.stored, 201 if written.created else 200)


async def _applied(call: Call, applied: Object) -> Written:
    old = await converting.found(call)
    if old is None and call.info.subresource:
        raise not_found(call.resource.group_resource, call.name)
    merged = apply.apply(
        None if old is None else call.shown(old),
        applied,
        call.schema,
        manager=call.request.query.get("fieldManager"),
        force=call.request.query.flag("force"),
        api_version=call.resource.api_version,
        subresource=call.info.subresource,
        now=call.state.now(),
    )
    if error := decoding.check_types(call.schema, merged, call.resource, call.resource.gvk):
        raise error
    if old is None:
        return await _created(call, applied, merged)
    return await _updated(call, applied, merged, old)


def check_apply_options(request: Request) -> None:
    """An apply must say who applies.

    Raises:
        ApiError: 422.
    """
    if not request.query.get("fieldManager"):
        error = fields.required("fieldManager", "is required for apply patch")
        raise invalid("meta.k8s.io", "PatchOptions", "", [error])


async def _created(call: Call, applied: Object, merged: Object) -> Written:
    authorize(call.state, call.user, replace(call.info, verb="create"))  # to patch is not enough
    said = fields.entries(applied.get("metadata"))
    _check_name(call, said)
    if said.get("uid"):
        why = "uid mismatch: the provided object specified uid " + f"{said['uid']}, and no existing object was found"
        raise conflict(call.resource.group_resource, call.name, why)
    return await admitting.create(call, writing.copied(merged), owned=True)


async def _updated(call: Call, applied: Object, merged: Object, old: Stored) -> Written:
    said = fields.entries(applied.get("metadata"))
    _check_name(call, said)
    obj = writing.copied(merged)
    before = call.shown(old)
    # What the configuration says of its version counts; what it leaves out is as stored.
    obj["metadata"] |= {name: said.get(name) or before["metadata"][name] for name in ("resourceVersion", "uid")}
    return await admitting.update(call, managed.keep_times(before, obj), old, owned=True)


def _check_name(call: Call, said: Object) -> None:
    if said.get("name") not in {None, "", call.name}:
        raise bad_request(f"the name of the object ({said['name']}) does not match the name on the URL ({call.name})")

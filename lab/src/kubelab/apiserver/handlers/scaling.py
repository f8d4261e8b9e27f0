"""The `scale` subresource: how many replicas, of whatever kind (autoscaling/v1 Scale)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kubelab.apiserver import answers, decoding, jsonpath
from kubelab.apiserver.builtin import fields
from kubelab.apiserver.crd import SCALE, ScalePaths
from kubelab.apiserver.errors import FieldError, bad_request, conflict, invalid
from kubelab.apiserver.handlers import admitting, changing, converting, writing
from kubelab.apiserver.handlers.storing import read_object
from kubelab.apiserver.negotiation import Form, media_type
from kubelab.apiserver.patching import apply as server_side_apply
from kubelab.apiserver.request import Response
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored
from kubelab.objects import Json, Object

_BUILT_IN: Final = ScalePaths(".spec.replicas", ".status.replicas")
_KEPT: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


async def get(call: Call) -> Response:
    """How many there are, and how many are wanted.

    Raises:
        ApiError: 404.
    """
    return _answer(call, scale_of(call, call.shown(await converting.existing(call))))


async def replace(call: Call) -> Response:
    """PUT of a Scale.

    Raises:
        ApiError: 400, 404, 409 or 422.
    """
    wanted = read_object(call, SCALE)
    return await _write(call, lambda _: wanted)


async def patch(call: Call) -> Response:
    """PATCH of a Scale.

    Raises:
        ApiError: 400, 404, 409, 415 or 422.
    """
    media = media_type(call.request.header("content-type"))
    await converting.existing(call)
    schema = call.state.schema_of(SCALE)
    if media == changing.APPLY_PATCH:
        return await _write(call, lambda before: _applied(call, before))
    if media not in {changing.JSON_PATCH, changing.MERGE_PATCH, changing.STRATEGIC_PATCH}:
        changing.check_media(call, media)
    decoded = decoding.parse(changing.as_json(call.request))
    target = changing.Target(schema, SCALE)
    return await _write(call, lambda before: changing.patched(call, media, decoded, before, target))


def _applied(call: Call, before: Object) -> Object:
    changing.check_apply_options(call.request)
    applied: Json = decoding.parse_yaml(call.request.body)
    if not isinstance(applied, dict):
        raise bad_request("error decoding YAML: the body is no object")
    return server_side_apply.apply(
        before,
        applied,
        call.state.schema_of(SCALE),
        manager=call.request.query.get("fieldManager"),
        force=call.request.query.flag("force"),
        api_version=SCALE.api_version,
        subresource="scale",
        now=call.state.now(),
    )


def scale_of(call: Call, obj: Object) -> Object:
    """The Scale that an object shows."""
    custom = call.resource.custom
    paths = _BUILT_IN if custom is None or custom.scale is None else custom.scale
    metadata = {name: obj["metadata"][name] for name in _KEPT if name in obj["metadata"]}
    wanted, present = (jsonpath.first(path, obj) for path in (paths.spec_replicas, paths.status_replicas))
    spec: Object = {"replicas": wanted} if wanted else {}
    status: Object = {"replicas": present or 0}
    if selector := _selector(obj, custom is None, paths):
        status["selector"] = selector
    return {"kind": SCALE.kind, "apiVersion": SCALE.api_version, "metadata": metadata, "spec": spec, "status": status}


def _selector(obj: Object, built_in: bool, paths: ScalePaths) -> str:  # noqa: FBT001  # which of two shapes
    if not built_in:
        found = jsonpath.first(paths.selector, obj) if paths.selector else ""
        return found if isinstance(found, str) else ""
    selector: Any = fields.entries(obj.get("spec")).get("selector") or {}
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        selector = {"matchLabels": selector}
    labels: Mapping[str, str] = fields.entries(selector.get("matchLabels"))
    parts = [f"{key}={value}" for key, value in sorted(labels.items())]
    parts += [_expression(one) for one in fields.items(selector.get("matchExpressions"))]
    return ",".join(parts)


def _expression(one: Object) -> str:
    key, operator = one.get("key", ""), one.get("operator", "")
    if operator in {"Exists", "DoesNotExist"}:
        return key if operator == "Exists" else f"!{key}"
    values = ",".join(sorted(fields.items(one.get("values"))))
    return f"{key} {'in' if operator == 'In' else 'notin'} ({values})"


async def _write(call: Call, wanted: Callable[[Object], Object]) -> Response:
    """Store what a change makes of the Scale as it is."""
    written = await admitting.again(call, lambda: _written(call, wanted))
    return _answer(call, scale_of(call, call.shown(written.stored)))


async def _written(call: Call, change: Callable[[Object], Object]) -> writing.Written:
    old = await converting.existing(call)
    before = call.shown(old)
    scale = scale_of(call, before)
    wanted = change(scale)
    _check(call, wanted, old)
    wanted = await admitting.ask_first(call, wanted, scale)
    custom = call.resource.custom
    paths = _BUILT_IN if custom is None or custom.scale is None else custom.scale
    obj = writing.copied(before)
    _set(obj, paths.spec_replicas, fields.entries(wanted.get("spec")).get("replicas", 0))
    return await admitting.update(call, obj, old, seen_as=lambda one: scale_of(call, one))


def _check(call: Call, wanted: Object, old: Stored) -> None:
    metadata = fields.entries(wanted.get("metadata"))
    if metadata.get("name", call.name) != call.name:
        said = metadata["name"]
        raise bad_request(f"the name of the object ({said}) does not match the name on the URL ({call.name})")
    version = metadata.get("resourceVersion")
    if version and version != old.obj["metadata"]["resourceVersion"]:
        raise conflict(call.resource.group_resource, call.name, writing.STALE)
    replicas = fields.entries(wanted.get("spec")).get("replicas", 0)
    if replicas < 0:
        error: FieldError = fields.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid(SCALE.group, SCALE.kind, call.name, [error])


def _set(obj: Object, path: str, value: Json) -> None:
    *parents, last = [step.name for step in jsonpath.parse(path)]
    for name in parents:
        obj = obj.setdefault(name, {})
    obj[last] = value


def _answer(call: Call, scale: Object) -> Response:
    return answers.respond_value(200, scale, Form(call.form.media), call.warnings)

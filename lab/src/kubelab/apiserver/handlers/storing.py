"""POST and PUT: a whole object to be stored."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver import answers, decoding, tables
from kubelab.apiserver.errors import not_found
from kubelab.apiserver.handlers import admitting, converting, writing
from kubelab.apiserver.request import Response
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored
from kubelab.objects import GroupResource, GroupVersionKind, Object

_CREATED_BY_UPDATE: Final = frozenset(
    {
        GroupResource("", "endpoints"),
        GroupResource("", "events"),
        GroupResource("", "limitranges"),
        GroupResource("", "services"),
        GroupResource("coordination.k8s.io", "leases"),
        GroupResource("events.k8s.io", "events"),
        GroupResource("rbac.authorization.k8s.io", "clusterrolebindings"),
        GroupResource("rbac.authorization.k8s.io", "clusterroles"),
        GroupResource("rbac.authorization.k8s.io", "rolebindings"),
        GroupResource("rbac.authorization.k8s.io", "roles"),
    }
)


def answer(call: Call, stored: Stored, status: int = 200) -> Response:
    """An object as the answer, in the form that is wanted."""
    view = tables.view(call.resource, call.request, call.form, call.state.now())
    body = answers.stored_json(call.resource, stored, call.form, view)
    return answers.respond(status, body, call.form, call.warnings)


def read_object(call: Call, gvk: GroupVersionKind | None = None) -> Object:
    """The object in a request's body, typed and pruned. `gvk` is its kind where it is not the resource's.

    Raises:
        ApiError: 400 or 415.
    """
    kind = gvk or call.resource.gvk
    custom = call.resource.custom is not None and gvk is None
    decoded = decoding.parse(call.request, kind, custom=custom)
    obj = decoding.object_of(decoded, call.resource, kind)
    schema = call.state.schema_of(kind) if gvk is not None else call.schema
    if error := decoding.check_types(schema, obj, call.resource, kind):
        raise error
    validation = decoding.field_validation(call.request)
    obj, sentences = decoding.judge_fields(schema, obj, decoded.duplicates, validation, kind)
    call.warn(sentences)
    return obj


async def create(call: Call) -> Response:
    """POST to a collection.

    Raises:
        ApiError: 400, 403, 404, 409, 415 or 422.
    """
    written = await admitting.create(call, read_object(call))
    response = answer(call, written.stored, 201)
    response.created = written.stored.obj["metadata"]["name"]
    return response


async def replace(call: Call) -> Response:
    """PUT of an object, or of its status.

    Raises:
        ApiError: 400, 404, 409, 415 or 422.
    """
    obj = read_object(call)
    written = await admitting.again(call, lambda: _replaced(call, obj))
    return answer(call, written.stored, 201 if written.created else 200)


async def _replaced(call: Call, obj: Object) -> writing.Written:
    old = await converting.found(call)
    if old is not None:
        return await admitting.update(call, obj, old)
    if call.info.subresource or call.resource.group_resource not in _CREATED_BY_UPDATE:
        raise not_found(call.resource.group_resource, call.name)
    (obj.get("metadata") or {}).pop("resourceVersion", None)
    return await admitting.create(call, obj)

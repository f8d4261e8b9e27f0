"""Objects in the version that is wanted, where a webhook has to be asked for that (CRD `spec.conversion`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from kubelab.apiserver import conversion
from kubelab.apiserver.errors import ApiError, not_found
from kubelab.apiserver.resources import ResourceInfo
from kubelab.apiserver.schema import prune
from kubelab.apiserver.state import Call, State
from kubelab.apiserver.storage import Stored
from kubelab.apiserver.webhooks import conversions, targets
from kubelab.apiserver.webhooks.conversions import Converter
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.objects import Object


async def found(call: Call, name: str = "") -> Stored | None:
    """The object of the path in the version of the request, or None.

    Raises:
        ApiError: 500, it can't be converted.
    """
    stored = call.find(name)
    if stored is None or not conversion.is_foreign(call.resource):
        return stored
    return (await shown(call, [stored]))[0]


async def existing(call: Call) -> Stored:
    """The same of an object that must be there.

    Raises:
        ApiError: 404; 500, it can't be converted.
    """
    stored = await found(call)
    if stored is None:
        raise not_found(call.resource.group_resource, call.name)
    return stored


async def shown(call: Call, items: Sequence[Stored]) -> list[Stored]:
    """Stored objects in the version of the request; those that a webhook converts, all at once.

    Raises:
        ApiError: 500, they can't be converted.
    """
    return await shown_as(call.state, call.resource, items)


async def shown_as(state: State, info: ResourceInfo, items: Sequence[Stored]) -> list[Stored]:
    """The same for any version."""
    if not conversion.is_foreign(info) or all(one.obj["apiVersion"] == info.api_version for one in items):
        return list(items)
    converted = await _converted(state, info, [one.obj for one in items], info.api_version)
    return [one if one.obj is obj else Stored(obj, one.revision) for one, obj in zip(items, converted, strict=True)]


async def kept(call: Call, obj: Object) -> Object:
    """An object of the request as it is stored.

    Raises:
        ApiError: 500, it can't be converted.
    """
    if not conversion.is_foreign(call.resource):
        return conversion.to_stored(call.resource, obj)
    return (await _converted(call.state, call.resource, [obj], conversion.stored_api_version(call.resource)))[0]


async def between(state: State, here: ResourceInfo, there: ResourceInfo, objects: Sequence[Object]) -> list[Object]:
    """Objects in another version of their resource.

    Raises:
        ApiError: 500, they can't be converted.
    """
    if conversion.is_foreign(there):
        return await _converted(state, there, objects, there.api_version)
    return [conversion.from_stored(there, conversion.to_stored(here, one)) for one in objects]


async def _converted(state: State, info: ResourceInfo, objects: Sequence[Object], api_version: str) -> list[Object]:
    """Objects in a version of a custom resource, those in another version by its webhook."""
    others = [one for one in objects if one["apiVersion"] != api_version]
    if not others:
        return list(objects)
    assert info.custom is not None
    assert info.custom.converter is not None
    try:
        answers = iter(await _asked(state, info.custom.converter, others, api_version))
    except CallError as error:
        raise ApiError(500, "", error.reason) from error
    wanted = state.registry.find(info.group, api_version.rpartition("/")[2], info.resource)
    done = [one if one["apiVersion"] == api_version else next(answers) for one in objects]
    if wanted is None:
        return done
    return [prune.prune(state.schema(wanted), one)[0] for one in done]


async def _asked(state: State, converter: Converter, objects: Sequence[Object], api_version: str) -> list[Object]:
    uid = str(uuid.UUID(int=state.draw(1 << 128), version=4))
    body = msgspec.json.encode(conversions.review(converter, objects, api_version, uid))
    try:
        target = targets.target(converter.client, conversions.TIMEOUT_S, state.storage)
        answer = await state.webhooks.post(target, body, conversions.TIMEOUT_S)
    except CallError as error:
        raise conversions.failed(objects[0], error.reason) from error
    return conversions.read(converter, answer, objects, api_version, uid)

"""Writes on behalf of clients: what `writing` does, with webhooks asked between its steps.

While a webhook is asked others go on, so a change is made against what was read, and made anew if that is no longer
what is stored. Where nobody is to be asked, nothing waits, and all happens in one step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from kubelab.apiserver import conversion
from kubelab.apiserver.builtin import fields
from kubelab.apiserver.crd import CRDS
from kubelab.apiserver.errors import ApiError, conflict, method_not_allowed
from kubelab.apiserver.handlers import asking, converting, writing
from kubelab.apiserver.handlers.writing import Written
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored
from kubelab.apiserver.webhooks.attributes import Attributes, GroupVersionResource, Operation, write_options
from kubelab.objects import Object

TRIES: Final = 100
"""How often a change is made anew because another came between."""


class StaleError(Exception):
    """What a change was made against is no longer what is stored."""


async def create(call: Call, obj: Object, *, owned: bool = False) -> Written:
    """Store a new object; `owned` says that its managedFields are made already (apply).

    Raises:
        ApiError: 400, 403, 404, 409 or 422; what a webhook says; 500, one can't be asked.
    """
    _check_served(call)
    obj = writing.begin_create(call, obj, owned=owned)
    hooks = call.state.hooks()
    if hooks.mutating:
        obj = await asking.mutate(call, creation(call, obj), lambda one: writing.remade(call, one, None)) or obj
    obj = writing.finish_create(call, obj)
    if hooks.validating:
        await asking.validate(call, creation(call, obj))
    kept = await converting.kept(call, obj)
    _check_served(call)
    return await _shown(call, writing.commit_create(call, obj, kept))


async def update(
    call: Call, obj: Object, old: Stored, *, owned: bool = False, seen_as: Callable[[Object], Object] | None = None
) -> Written:
    """Store a changed object in place of `old`; a change of nothing writes nothing.

    `seen_as` makes of it what webhooks see (a Scale), which `ask_first` was asked about already.

    Raises:
        ApiError: 400, 409 or 422; what a webhook says; 500, one can't be asked.
        StaleError: `old` is no longer what is stored.
    """
    before = call.shown(old)
    context = call.context(call.name)
    obj = writing.begin_update(call, obj, before, context, owned=owned)
    hooks = call.state.hooks()
    if hooks.mutating and seen_as is None:
        obj = await asking.mutate(call, change(call, obj, before), lambda one: writing.remade(call, one, before)) or obj
    obj = writing.finish_update(call, obj, before, context)
    if hooks.validating:
        seen = (obj, before) if seen_as is None else (seen_as(obj), seen_as(before))
        await asking.validate(call, change(call, *seen))
    if obj == before:
        return Written(old)
    kept = await converting.kept(call, obj)
    _check_current(call, old)
    return await _shown(call, writing.commit_update(call, obj, kept))


async def again(call: Call, attempt: Callable[[], Awaitable[Written]]) -> Written:
    """What a change comes to that is made anew, from reading on, as long as others come between.

    Raises:
        ApiError: 409, others came between each time.
    """
    for _ in range(TRIES):
        try:
            return await attempt()
        except StaleError:
            continue
    raise conflict(call.resource.group_resource, call.name, writing.STALE)


def _check_current(call: Call, old: Stored) -> None:
    now = call.find()
    if now is None or now.revision != old.revision:
        raise StaleError


def _check_served(call: Call) -> None:
    """A definition that goes takes its objects with it: none are made any more, not even after a webhook's thinking."""
    resource = call.resource
    if resource.custom is None:
        return
    definition = call.state.storage.get(CRDS, "", resource.custom.definition)
    if definition is None:
        raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
    if definition["metadata"].get("deletionTimestamp"):
        refused = method_not_allowed(resource.group_resource)
        refused.message = "create not allowed while custom resource definition is terminating"
        raise refused


async def _shown(call: Call, written: Written) -> Written:
    if not conversion.is_foreign(call.resource):
        return written
    stored = (await converting.shown(call, [written.stored]))[0]
    return Written(stored, written.created)


async def ask_first(call: Call, obj: Object, before: Object) -> Object:
    """A changed part of an object (a Scale) after the webhooks that may change it.

    Raises:
        ApiError: what a webhook says; 500, one can't be asked.
    """
    if not call.state.hooks().mutating:
        return obj
    return await asking.mutate(call, change(call, obj, before)) or obj


async def ask(call: Call, obj: Object) -> Object:
    """What is created but never stored (a Binding, an Eviction, a review), after all webhooks.

    Raises:
        ApiError: what a webhook says; 500, one can't be asked.
    """
    hooks = call.state.hooks()
    if hooks.mutating:
        obj = await asking.mutate(call, creation(call, obj)) or obj
    if hooks.validating:
        await asking.validate(call, creation(call, obj))
    return obj


async def ask_deletion(call: Call, old: Stored, options: Object) -> None:
    """Ask all webhooks whether an object may go; `options` are the DeleteOptions.

    Raises:
        ApiError: what a webhook says; 500, one can't be asked.
    """
    hooks = call.state.hooks()
    if not hooks.mutating and not hooks.validating:
        return
    # Of a collection webhooks are not told a name.
    name = call.name if not call.collective else ""
    attributes = _attributes(call, "DELETE", options, name).about(None, call.shown(old))
    await asking.mutate(call, attributes)
    await asking.validate(call, attributes)


def creation(call: Call, obj: Object) -> Attributes:
    """A creation as webhooks are told of it."""
    name = call.name or fields.entries(obj.get("metadata")).get("name") or ""
    return _attributes(call, "CREATE", write_options("CREATE", call.request.query), name).about(obj, None)


def change(call: Call, obj: Object, before: Object) -> Attributes:
    """A change as webhooks are told of it."""
    return _attributes(call, "UPDATE", write_options("UPDATE", call.request.query), call.name).about(obj, before)


def _attributes(call: Call, operation: Operation, options: Object, name: str) -> Attributes:
    info = call.resource
    return Attributes(
        operation=operation,
        resource=GroupVersionResource(info.group, info.version, info.resource),
        kind=call.gvk,
        subresource=call.info.subresource,
        # A namespace is in itself.
        namespace=name if info.group_resource == writing.NAMESPACES else call.namespace,
        name=name,
        user=call.user,
        dry_run="All" in fields.items(options.get("dryRun")),
        options=options,
    )

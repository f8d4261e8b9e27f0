"""Ask the webhooks of admission that a request is for: those that may change the object, then those that judge it.

Source: apiserver `admission/plugin/webhook/{mutating,validating}/dispatcher.go`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kubelab.apiserver.builtin.admission import NAMESPACES
from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.handlers import converting
from kubelab.apiserver.patching import json_patch
from kubelab.apiserver.resources import ResourceInfo
from kubelab.apiserver.state import Call
from kubelab.apiserver.webhooks import conditions, matching, reviews, targets
from kubelab.apiserver.webhooks.attributes import Attributes, GroupVersionResource
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.hooks import Hook
from kubelab.apiserver.webhooks.matching import Invocation
from kubelab.apiserver.webhooks.reviews import Answer
from kubelab.objects import GroupVersionKind, Object

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """A webhook that is to be asked, and what it sees: the request in the version of its rule."""

    invocation: Invocation
    seen: Attributes


async def mutate(
    call: Call, attributes: Attributes, whole: Callable[[Object], Object] = lambda obj: obj
) -> Object | None:
    """The object after all webhooks that may change it, one after the other; None for a deletion.

    `whole` completes what a webhook has changed. One that wants to (`reinvocationPolicy: IfNeeded`) is asked once more
    if another has changed the object after it.

    Raises:
        ApiError: a webhook denies the request, or must be asked and can't be.
    """
    obj = attributes.obj
    if matching.is_exempt(attributes):
        return obj
    hooks = call.state.hooks().mutating
    before: list[Hook] = []
    once_more: list[Hook] = []
    for hook in hooks:
        question = await _question(call, hook, attributes.about(obj, attributes.old))
        if question is None:
            continue
        changed = await _changed(call, question, obj, whole)
        if changed is not obj:
            once_more += [one for one in before if one not in once_more]
        obj = changed
        if hook.reinvoked:
            before.append(hook)
    for hook in [one for one in hooks if one in once_more]:
        question = await _question(call, hook, attributes.about(obj, attributes.old))
        if question is not None:
            obj = await _changed(call, question, obj, whole)
    return obj


async def _changed(
    call: Call, question: Question, obj: Object | None, whole: Callable[[Object], Object]
) -> Object | None:
    """What one webhook makes of an object: the very same, if it changes nothing."""
    hook = question.invocation.hook
    try:
        answer = await _ask(call, question)
        call.warn(list(answer.warnings))
        if not answer.allowed:
            raise reviews.refusal(hook, answer)
        patched = await _patched(call, question, answer, obj)
    except CallError as error:
        _fail(hook, error)
        return obj
    return obj if patched is None or patched is obj else whole(patched)


async def validate(call: Call, attributes: Attributes) -> None:
    """Ask all webhooks that judge, at the same time. Of several refusals the first in order is told.

    Raises:
        ApiError: a webhook denies the request, or must be asked and can't be.
    """
    if matching.is_exempt(attributes):
        return
    questions = [await _question(call, hook, attributes) for hook in call.state.hooks().validating]
    asked = [one for one in questions if one is not None]
    if not asked:
        return
    outcomes = await asyncio.gather(*(_verdict(call, one) for one in asked))
    for warnings, _ in outcomes:
        call.warn(list(warnings))
    for _, error in outcomes:
        if error is not None:
            raise error


async def _verdict(call: Call, question: Question) -> tuple[tuple[str, ...], ApiError | None]:
    """Warnings and refusal of one webhook."""
    hook = question.invocation.hook
    try:
        answer = await _ask(call, question)
    except CallError as error:
        try:
            _fail(hook, error)
        except ApiError as refused:
            return (), refused
        return (), None
    except ApiError as refused:
        return (), refused
    return answer.warnings, None if answer.allowed else reviews.refusal(hook, answer)


def _fail(hook: Hook, error: CallError) -> None:
    """A webhook gave no answer: that ends the request, unless the webhook is one that may fail."""
    if not hook.ignores_failure:
        raise reviews.failure(hook, error)
    _LOG.warning("Failed calling webhook, failing open %s: %s", hook.name, error)


async def _question(call: Call, hook: Hook, attributes: Attributes) -> Question | None:
    """What a webhook is asked; None, it is not about this request.

    Raises:
        ApiError: 403, its conditions can't be told; 500, the object can't be converted for it.
    """
    found = matching.invocation(hook, attributes, lambda: _equivalents(call, attributes.subresource))
    if found is None or not matching.selects(hook, attributes, lambda: _namespace_labels(call, attributes)):
        return None
    seen = await _in_version(call, found, attributes)
    if hook.conditions and not conditions.hold(hook, found, seen):
        return None
    return Question(found, seen)


def _namespace_labels(call: Call, attributes: Attributes) -> matching.Labels:
    return matching.labels_of(call.state.storage.get(NAMESPACES, "", attributes.namespace))


def _equivalents(call: Call, subresource: str) -> Iterator[tuple[GroupVersionResource, GroupVersionKind]]:
    for info in _versions(call):
        part = info.subresources.get(subresource)
        kind = part.kind if part is not None else info.gvk
        yield GroupVersionResource(info.group, info.version, info.resource), kind


def _versions(call: Call) -> Iterable[ResourceInfo]:
    """All versions in which the resource of a request is served, in whatever group."""
    return [info for info in call.state.registry if info.stored == call.resource.stored]


async def _in_version(call: Call, asked: Invocation, attributes: Attributes) -> Attributes:
    """The operation with its objects in the version that a webhook wants to see."""
    if asked.kind == attributes.kind:
        return attributes
    there = call.state.registry.find(*asked.resource)
    assert there is not None
    known = [one for one in (attributes.obj, attributes.old) if one is not None]
    converted = iter(await _between(call, call.resource, there, known))
    obj, old = (None if one is None else next(converted) for one in (attributes.obj, attributes.old))
    return attributes.about(obj, old)


async def _between(call: Call, here: ResourceInfo, there: ResourceInfo, objects: list[Object]) -> list[Object]:
    try:
        return await converting.between(call.state, here, there, objects)
    except ApiError as error:
        raise reviews.internal(error.message) from error


async def _ask(call: Call, question: Question) -> Answer:
    hook, attributes = question.invocation.hook, question.seen
    if attributes.dry_run and not hook.stands_dry_runs:
        raise reviews.no_dry_run(hook)
    version = reviews.version_for(hook)
    uid = str(uuid.UUID(int=call.state.draw(1 << 128), version=4))
    body = msgspec.json.encode(reviews.review(question.invocation, attributes, uid, version))
    try:
        target = targets.target(hook.client, hook.timeout_s, call.state.storage)
        answer = await call.state.webhooks.post(target, body, hook.timeout_s)
    except CallError as error:
        what = "could not get REST client" if error.is_bundle else "failed to call webhook"
        raise CallError(f"{what}: {error}") from error
    return reviews.read(hook, answer, uid, version)


async def _patched(call: Call, question: Question, answer: Answer, obj: Object | None) -> Object | None:
    """The object after a webhook's patch, in the version of the request.

    Raises:
        ApiError: 500, the patch can't be done.
        CallError: it is of no known kind.
    """
    asked, seen = question.invocation, question.seen
    if not answer.patch:
        return obj
    operations = _operations(answer.patch)
    if not operations:
        return obj
    if seen.obj is None or obj is None:
        what = f'admission webhook "{asked.hook.name}" attempted to modify the object'
        raise reviews.internal(f"{what}, which is not supported for this operation")
    if answer.patch_type != "JSONPatch":
        raise CallError(f'unsupported patch type "{answer.patch_type}"')
    try:
        patched = json_patch.apply(seen.obj, operations)
    except ApiError as error:
        raise reviews.internal(error.message) from error
    if asked.kind == seen.kind:
        return patched
    there = call.state.registry.find(*asked.resource)
    assert there is not None
    return (await _between(call, there, call.resource, [patched]))[0]


def _operations(patch: bytes) -> Any:
    try:
        return msgspec.json.decode(patch)
    except (msgspec.DecodeError, RecursionError) as error:
        raise reviews.internal(str(error)) from error

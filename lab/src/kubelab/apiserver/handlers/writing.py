"""The way of every write: defaults, ownership, what the server sets, rules, storage.

Source: apiserver `registry/rest` and `registry/generic/registry/store.go`. Handlers decode, this module decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kubelab.apiserver import conversion, decoding, metadata
from kubelab.apiserver.builtin import admission
from kubelab.apiserver.errors import ApiError, FieldError, already_exists, conflict, invalid
from kubelab.apiserver.patching import managed
from kubelab.apiserver.resources import Context
from kubelab.apiserver.scale_rules import scale_errors
from kubelab.apiserver.schema import default, prune, rules, validate
from kubelab.apiserver.schema.model import MISSING
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored, stamped
from kubelab.objects import GroupResource, Json, Object

NAMESPACES: Final = GroupResource("", "namespaces")
STALE: Final = "the object has been modified; please apply your changes to the latest version and try again"
_STATUS_KEEPS_METADATA: Final = frozenset(
    {
        GroupResource("apiextensions.k8s.io", "customresourcedefinitions"),
        GroupResource("apiregistration.k8s.io", "apiservices"),
    }
)
_NEVER_UNCONDITIONAL: Final = frozenset(
    {
        GroupResource("apiextensions.k8s.io", "customresourcedefinitions"),
        GroupResource("coordination.k8s.io", "leases"),
        GroupResource("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        GroupResource("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        GroupResource("discovery.k8s.io", "endpointslices"),
        GroupResource("networking.k8s.io", "ingressclasses"),
    }
)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left behind. Without a change the object is the one that was there."""

    stored: Stored
    created: bool = False


def with_defaults(call: Call, obj: Object) -> Object:
    """An object as its kind completes it."""
    # Strategies write into what they are given: the copy is theirs.
    done: Object = copied(default.apply_defaults(call.schema, obj))
    metadata.tidy(done)
    call.strategy.default(done)
    return done


def copied(value: Json) -> Json:
    """A copy all the way down."""
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    if isinstance(value, list):
        return [copied(part) for part in value]
    return value


def create(call: Call, obj: Object) -> Written:
    """Store a new object that the server makes itself: nobody outside is asked.

    Raises:
        ApiError: 400, 403, 404, 409 or 422.
    """
    return commit_create(call, finish_create(call, begin_create(call, obj)))


def begin_create(call: Call, obj: Object, *, owned: bool = False) -> Object:
    """A new object with defaults and owners; `owned` says that its managedFields are made already (apply).

    Raises:
        ApiError: 400, 403 or 404.
    """
    metadata.tidy(obj)
    metadata.place_new(obj, call.resource, call.namespace)
    _check_version_is_unset(obj)
    obj = with_defaults(call, obj)
    if not owned:
        _own(call, None, obj)
    admission.admit("CREATE", obj, None, call.context(obj["metadata"].get("name", "")))
    return obj


def finish_create(call: Call, obj: Object) -> Object:
    """The object with all that the server sets, as it may be stored.

    Raises:
        ApiError: 403, 409 or 422.
    """
    metadata.fill(obj, call.state.now(), call.state.draw)
    if _has_status(call) and not call.strategy.status_on_create:
        obj.pop("status", None)
    if call.strategy.has_generation or call.resource.custom is not None:
        obj["metadata"]["generation"] = 1
    context = call.context(obj["metadata"].get("name", ""))
    call.strategy.prepare_create(obj, context)
    metadata.tidy(obj)
    found = metadata.errors_of(obj, call.resource, call.strategy)
    found += custom_errors(call, obj, None)
    found += call.strategy.validate_create(obj, context)
    _refuse(call, obj, found)
    call.warn(admission.judge("CREATE", obj, None, context))
    call.warn(call.strategy.warnings(obj))
    return obj


def commit_create(call: Call, obj: Object, kept: Object | None = None) -> Written:
    """Store it; `kept` is the object as it is stored where that is not for this module to say.

    Raises:
        ApiError: 404, it has no place any more; 409, there is one of that name.
    """
    name = obj["metadata"]["name"]
    if call.find(name) is not None:
        raise already_exists(call.resource.group_resource, name)
    return Written(_save(call, name, conversion.to_stored(call.resource, obj) if kept is None else kept), created=True)


def _check_version_is_unset(obj: Object) -> None:
    if obj["metadata"].get("resourceVersion"):
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")


def _has_status(call: Call) -> bool:
    custom = call.resource.custom
    return custom.status if custom is not None else "status" in call.resource.subresources


def custom_errors(call: Call, obj: Object, old: Object | None) -> list[FieldError]:
    """Rules of a custom type: values, then duplicates in lists, then validation rules."""
    if call.resource.custom is None:
        return []
    schema = call.schema
    before = MISSING if old is None else old
    found = validate.validate_values(schema, obj, old=before)
    found += validate.validate_lists(schema, obj, old=before)
    if call.resource.custom.scale is not None:
        found += scale_errors(obj, call.resource.custom.scale)
    if call.resource.custom.ruled:
        found += rules.check_rules(call.state.rules, schema, obj, old, found)
    return found


def _refuse(call: Call, obj: Object, found: list[FieldError]) -> None:
    if found:
        raise invalid(call.resource.group, call.resource.kind, obj["metadata"].get("name", ""), found)


def _own(call: Call, old: Object | None, obj: Object) -> None:
    """Note who owns which field after this write."""
    entries = managed.track_update(
        old,
        obj,
        call.schema,
        manager=call.manager,
        api_version=call.resource.api_version,
        subresource=call.info.subresource,
        # Whoever scales leaves no time, as with the real server.
        now="" if call.info.subresource == "scale" else call.state.now(),
    )
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def begin_update(call: Call, obj: Object, before: Object, context: Context, *, owned: bool = False) -> Object:
    """A changed object in place of `before`, with defaults and owners, and without what it may not change.

    Raises:
        ApiError: 400, 403, 409 or 422.
    """
    metadata.tidy(obj)
    metadata.place(obj, call.resource, call.namespace, call.name)
    check_preconditions(call, obj, before)
    obj = with_defaults(call, obj)
    metadata.keep(obj, before)
    _guard(call, obj, before)
    if not owned:
        _own(call, before, obj)
    admission.admit("UPDATE", obj, before, context)
    return obj


def remade(call: Call, obj: Object, before: Object | None) -> Object:
    """An object that was changed on its way by somebody outside, made whole again.

    Raises:
        ApiError: 500, it does not fit its type.
    """
    obj = copied(prune.prune(call.schema, obj)[0])
    if error := decoding.check_types(call.schema, obj, call.resource, call.resource.gvk):
        raise ApiError(500, "InternalError", f"Internal error occurred: {error.message}")
    metadata.tidy(obj)
    metadata.place_new(obj, call.resource, call.namespace)
    obj = with_defaults(call, obj)
    if before is not None:
        metadata.keep(obj, before)
        _guard(call, obj, before)
    return obj


def finish_update(call: Call, obj: Object, before: Object, context: Context) -> Object:
    """The object as it may be stored.

    Raises:
        ApiError: 403 or 422.
    """
    call.strategy.prepare_update(obj, before, context)
    _count_generation(call, obj, before)
    metadata.tidy(obj)
    found = metadata.update_errors(obj, before)
    if call.resource.custom is None:
        # The real server asks these rules twice of built-in kinds, and tells twice what is wrong.
        found += found
    found += custom_errors(call, obj, before)
    found += call.strategy.validate_update(obj, before, context)
    _refuse(call, obj, found)
    call.warn(admission.judge("UPDATE", obj, before, context))
    call.warn(call.strategy.warnings(obj))
    return managed.keep_times(before, obj)


def commit_update(call: Call, obj: Object, kept: Object | None = None) -> Written:
    """Store a change, or let the object go if nothing holds it any more; `kept` as in `commit_create`."""
    stored = conversion.to_stored(call.resource, obj) if kept is None else kept
    if is_released(obj, call.resource.group_resource):
        return Written(remove(call, obj, stored))
    return Written(_save(call, call.name, stored))


def check_preconditions(call: Call, obj: Object, before: Object) -> None:
    """What the client says it changes must be what is stored.

    Raises:
        ApiError: 409, or 422 where the client must say and does not.
    """
    resource, asked = call.resource.group_resource, obj["metadata"]
    version = asked.get("resourceVersion")
    if not version and (call.resource.custom is not None or resource in _NEVER_UNCONDITIONAL):
        error = FieldError(
            "metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update"
        )
        raise invalid(call.resource.group, call.resource.resource, call.name, [error])
    if asked.get("uid") and asked["uid"] != before["metadata"]["uid"]:
        stored = before["metadata"]["uid"]
        why = f"Precondition failed: UID in precondition: {asked['uid']}, UID in object meta: {stored}"
        raise conflict(resource, call.name, why)
    if version and version not in {"0", before["metadata"]["resourceVersion"]}:
        raise conflict(resource, call.name, STALE)


def _guard(call: Call, obj: Object, before: Object) -> None:
    """Put back what can't be written through this door."""
    if call.info.subresource == "status":
        kept = {name: part for name, part in before.items() if name != "status"}
        mine = obj["metadata"]
        if call.resource.custom is not None or call.resource.group_resource in _STATUS_KEEPS_METADATA:
            fields = mine.get("managedFields")
            mine = {**before["metadata"], "managedFields": fields}
        status = obj.get("status")
        obj.clear()
        obj.update(copied(kept))
        obj["metadata"] = mine
        if status is not None:
            obj["status"] = status
    elif _has_status(call):
        obj.pop("status", None)
        if "status" in before:
            obj["status"] = copied(before["status"])


def _count_generation(call: Call, obj: Object, before: Object) -> None:
    counts = call.strategy.has_generation or call.resource.custom is not None
    if not counts or call.info.subresource == "status":
        return
    changed = metadata.content(obj) != metadata.content(before)
    if call.resource.custom is not None and not call.resource.custom.status:
        changed = changed or obj.get("status") != before.get("status")
    if changed:
        obj["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1


def is_released(obj: Object, resource: GroupResource) -> bool:
    """Whether an object that is being deleted is held by nothing any more."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    return resource != NAMESPACES or not (obj.get("spec") or {}).get("finalizers")


def remove(call: Call, last: Object, kept: Object | None = None) -> Stored:
    """Take an object out of the storage; `last` is its final state, which the answer shows."""
    shown = Stored(last, 0)
    if not call.dry_run:
        stored = conversion.to_stored(call.resource, last) if kept is None else kept
        call.state.storage.delete(call.resource.stored, call.namespace, call.name, stored)
        call.strategy.after_delete(last, call.context(call.name))
    return shown


def _save(call: Call, name: str, kept: Object) -> Stored:
    if call.dry_run:
        old = kept["metadata"].get("resourceVersion")
        return stamped(kept, int(old)) if old else Stored(kept, 0)
    return call.state.storage.write(call.resource.stored, call.namespace, name, kept)

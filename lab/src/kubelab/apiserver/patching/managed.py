"""Keep `metadata.managedFields` when an object is created, updated or patched (operation Update, KEP-555)."""

from __future__ import annotations

from typing import Final

from kubelab.apiserver.patching import fieldset, ownership, typed, zero
from kubelab.apiserver.patching.fieldset import FieldSet
from kubelab.apiserver.patching.ownership import Owned, OwnerId, Owners
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Json, Object

_STATUS: Final[FieldSet] = {"f:status": {}}
_SPEC: Final[FieldSet] = {"f:spec": {}}


def reset_fields(subresource: str) -> FieldSet:
    """What a write through this door can't change: the status at the object, the spec at its status."""
    return {"": _STATUS, "status": _SPEC}.get(subresource, {})


def track_update(
    old: Object | None,
    new: Object,
    schema: Schema,
    *,
    manager: str,
    api_version: str,
    subresource: str,
    now: str,
    reset: FieldSet | None = None,
) -> list[Object]:
    """The `metadata.managedFields` of an object that is about to be created (`old` is None) or written.

    Budget: 200 us for a Service, 600 us for a Deployment. Both objects must have their defaults; call it before the
    server itself fills in fields (addresses, generation), for those belong to nobody.

    Args:
        old: the stored object.
        new: the object as the client wants it. Its own `managedFields` count if they can be read, as clients may
            correct them: `[{}]` forgets all owners, an empty list means nothing, and subresources ignore them.
        schema: the kind's type.
        manager: name of who writes.
        api_version: the version the objects are in.
        subresource: `status`, `scale`, or empty for the object itself.
        now: RFC 3339, whole seconds; the time of the writer's entry if it gets new fields.
        reset: fields that this write can't change because the server puts them back; None: `reset_fields`.

    Returns:
        The entries in order; `old`'s very list if nothing changes; empty if no one is known to own anything, or if
        the object can't be read by its schema.
    """
    before = None if old is None else ownership.entries(old)
    owners = _owners(before, new, subresource)
    if old is not None and not owners:
        return []
    ignored = reset_fields(subresource) if reset is None else reset
    owner = ownership.updater(manager, api_version, subresource)
    try:
        after = written(owners, old, new, typed.whole(schema), owner=owner, now=now, ignored=ignored)
    except typed.ItemError:
        return []
    return ownership.encode(ownership.capped(after), before)


def written(
    owners: Owners, old: Object | None, new: Object, schema: Schema, *, owner: OwnerId, now: str, ignored: FieldSet
) -> Owners:
    """The owners after a write: who wrote owns what is new or other than before, what is gone nobody owns.

    Raises:
        typed.ItemError: a list's item has no key.
    """
    base = zero.empty_like(new) if old is None else old
    found = typed.compare(_comparable(base, ignored), _comparable(new, ignored), schema)
    taken = fieldset.without(found.changed, ignored)
    removed = fieldset.without(found.removed, ignored)
    rest = ownership.lose(owners, fieldset.union(taken, removed))
    mine = ownership.owning(taken)
    if mine:
        if owner in rest:
            mine = fieldset.union(mine, rest[owner].fields)
        rest[owner] = Owned(owner.api_version, now, fieldset.ordered(mine))
    return rest


def _comparable(obj: Object, ignored: FieldSet) -> Object:
    """The object without what can't matter, so that it isn't even looked at."""
    whole = {name for name in obj if fieldset.is_member(ignored.get(fieldset.field(name)))}
    if not whole and ownership.entries(obj) is None:
        return obj
    return {name: value for name, value in ownership.without_entries(obj).items() if name not in whole}


def _owners(before: Json, new: Object, subresource: str) -> Owners:
    written_by_client = ownership.entries(new)
    if subresource or written_by_client is before or written_by_client == before:
        return _read(before, trusted=True)
    if ownership.is_reset(written_by_client):
        return {}
    try:
        owners = ownership.decode(written_by_client, trusted=False)
    except fieldset.FieldSetError:
        owners = {}
    return owners or _read(before, trusted=True)


def _read(before: Json, *, trusted: bool) -> Owners:
    try:
        return ownership.decode(before, trusted=trusted)
    except fieldset.FieldSetError:
        return {}


def with_entries(obj: Object, entries: list[Object]) -> Object:
    """The object with these `metadata.managedFields`; without the field if there are none."""
    metadata = {name: value for name, value in (obj.get("metadata") or {}).items() if name != "managedFields"}
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}


def keep_times(old: Object, new: Object) -> Object:
    """`new`, or with `old`'s entries if it differs in their times only: a write must not be made of times alone."""
    before, after = ownership.entries(old), ownership.entries(new)
    if before == after or not before or not after or len(before) != len(after):
        return new
    if _timeless(before) != _timeless(after) or ownership.without_entries(old) != ownership.without_entries(new):
        return new
    return with_entries(new, before)


def _timeless(entries: list[Object]) -> list[Object]:
    return [{name: value for name, value in entry.items() if name != "time"} for entry in entries]


def first_owner(live: Object, schema: Schema, *, api_version: str, subresource: str, now: str) -> Owners:
    """Owners for an object that has none, when it is first applied to: all it holds is `before-first-apply`'s.

    Raises:
        typed.ItemError: a list's item has no key.
    """
    owner = ownership.updater("before-first-apply", api_version, subresource)
    ignored = reset_fields(subresource)
    return written({}, None, live, schema, owner=owner, now=now, ignored=ignored)

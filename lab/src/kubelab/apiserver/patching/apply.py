"""Server-side apply: merge what a manager says about an object into it, and settle who owns what (KEP-555)."""

from __future__ import annotations

from dataclasses import dataclass

from kubelab.apiserver.errors import ApiError, bad_request
from kubelab.apiserver.patching import configuration, fieldset, last_applied, managed, ownership, refusals, typed, zero
from kubelab.apiserver.patching.fieldset import FieldSet, Path
from kubelab.apiserver.patching.ownership import Owned, OwnerId, Owners
from kubelab.apiserver.patching.typed_merge import merge, named, remove
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import GroupVersionKind, Json, Object


def apply(
    live: Object | None,
    applied: Object,
    schema: Schema,
    *,
    manager: str,
    force: bool,
    api_version: str,
    subresource: str,
    now: str,
    reset: FieldSet | None = None,
) -> Object:
    """The object after an apply, with its `metadata.managedFields`; defaults are the caller's next step.

    Args:
        live: the stored object; None creates it.
        applied: the configuration as sent, without defaults.
        schema: the kind's type.
        manager: who applies (`fieldManager`).
        force: take fields that others own and have other values.
        api_version: the version of the request; `applied` must be of it, `live` is.
        subresource: `status`, `scale`, or empty for the object itself.
        now: RFC 3339, whole seconds; the time of the manager's entry if the object changes.
        reset: fields that this write can't change because the server puts them back; None: by subresource.

    Returns:
        The merged object; `live` itself if nothing changes.

    Raises:
        ApiError: 400 for a configuration of another version or with managedFields, 500 (as kube-apiserver has it)
            for one that does not fit the schema, 409 Conflict with a cause for each field that others own.
    """
    schema = typed.whole(schema)
    _check(applied, schema, api_version)
    ignored = managed.reset_fields(subresource) if reset is None else reset
    step = _Apply(live, applied, schema, ownership.applier(manager, subresource), api_version, now, ignored)
    try:
        return step.result(force=force, owners=step.owners())
    except typed.ItemError as error:
        raise refusals.failed(f"failed to create typed live object ({_subject(applied)}): {error}") from error


def _check(applied: Object, schema: Schema, api_version: str) -> None:
    if not applied.get("apiVersion") and not applied.get("kind"):
        raise bad_request("invalid object type: /, Kind=")
    if applied.get("apiVersion") != api_version:
        raise bad_request(
            "Incorrect version specified in apply patch. "
            f"Specified patch version: {applied.get('apiVersion') or ''}, expected: {api_version}"
        )
    if ownership.entries(applied) is not None:
        raise bad_request("metadata.managedFields must be nil")
    if found := configuration.check(applied, schema):
        raise refusals.failed(f"failed to create typed patch object ({_subject(applied)}): {found}")


def _subject(obj: Object) -> str:
    """The object as errors of apply name it: `default/web; apps/v1, Kind=Deployment`."""
    metadata = obj.get("metadata")
    place = [_string(metadata.get(part)) if isinstance(metadata, dict) else "" for part in ("namespace", "name")]
    kind = GroupVersionKind.of(obj)
    return f"{'/'.join(place)}; {kind.group}/{kind.version}, Kind={kind.kind}"


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class _Apply:
    live: Object | None
    applied: Object
    schema: Schema
    owner: OwnerId
    api_version: str
    now: str
    ignored: FieldSet

    def owners(self) -> Owners:
        """The owners before this apply."""
        if self.live is None:
            return {}
        try:
            known = ownership.decode(ownership.entries(self.live), trusted=True)
        except fieldset.FieldSetError:
            known = {}
        if known:
            return known
        return managed.first_owner(
            ownership.without_entries(self.live),
            self.schema,
            api_version=self.api_version,
            subresource=self.owner.subresource,
            now=self.now,
        )

    def result(self, *, force: bool, owners: Owners) -> Object:
        before = ownership.without_entries(self.live) if self.live is not None else None
        base = zero.empty_like(self.applied) if before is None else before
        fields = fieldset.without(typed.leaves(self.applied, self.schema), self.ignored)
        mine = Owned(self.api_version, None, fields)
        merged = merge(before or {}, self.applied, self.schema, drop_nulls=bool(self.schema.definition))
        merged = self.pruned(merged, owners.get(self.owner), {**owners, self.owner: mine})
        found = typed.compare(base, merged, self.schema)
        taken = fieldset.without(found.changed, self.ignored)
        if not force:
            self.refuse_conflicts(owners, taken)
        removed = fieldset.without(found.removed, self.ignored)
        rest = ownership.lose(owners, fieldset.union(taken, removed), but=self.owner)
        return self.finished(before, merged, fields, rest)

    def pruned(self, merged: Object, last: Owned | None, owners: Owners) -> Object:
        """Without what the manager applied last time, does not apply now, and nobody else owns."""
        gone = fieldset.without(last.fields, self.ignored) if last is not None else {}
        if not gone:
            return merged
        schema = self.schema
        gone = named(gone, schema)
        wanted: FieldSet = {}
        for owned in owners.values():
            wanted = fieldset.union(wanted, owned.fields)
        held = named(typed.leaves(merged, schema), schema)
        rest = self.held_after(merged, gone)
        rest = self.held_after(merged, fieldset.difference(held, fieldset.union(rest, named(wanted, schema))))
        lost = fieldset.intersection(fieldset.difference(held, rest), gone)
        if not lost:
            return merged
        rest_of_it = remove(merged, lost, schema, emptied="absent")
        return merge(rest_of_it, self.applied, schema, drop_nulls=bool(schema.definition))  # it may apply empty maps

    def held_after(self, merged: Object, gone: FieldSet) -> FieldSet:
        """What the object still holds once fields are removed."""
        rest = remove(merged, gone, self.schema, emptied="null")
        return named(typed.leaves(rest, self.schema), self.schema)

    def refuse_conflicts(self, owners: Owners, taken: FieldSet) -> None:
        found = list(ownership.conflicts(owners, taken, but=self.owner))
        if found and self.owner.manager == last_applied.MANAGER and self.live is not None:
            allowed = last_applied.inherited(ownership.without_entries(self.live), self.schema)
            found = [conflict for conflict in found if not _holds(allowed, conflict[2])]
        if found:
            raise _conflict([(_owner_text(owner, owned), path) for owner, owned, path in found])

    def finished(self, before: Object | None, merged: Object, fields: FieldSet, rest: Owners) -> Object:
        changed = merged != before
        last = rest.get(self.owner)
        time = self.now if changed else None if last is None else last.time
        mine = fieldset.ordered(ownership.owning(fields))
        after = {owner: owned for owner, owned in rest.items() if owner != self.owner}
        if mine:
            after[self.owner] = Owned(self.api_version, time, mine)
        if self.owner.manager == last_applied.MANAGER:
            merged = last_applied.renewed(merged, self.applied)
        entries = None if self.live is None else ownership.entries(self.live)
        done = managed.with_entries(merged, ownership.encode(after, entries))
        return self.live if self.live is not None and done == self.live else done


def _holds(fields: FieldSet, path: Path) -> bool:
    node: FieldSet | None = fields
    for place in path:
        node = node.get(place) if node else None
    return fieldset.is_member(node)


def _owner_text(owner: OwnerId, owned: Owned) -> str:
    text = f'"{owner.manager}"'
    if owner.subresource:
        text += f' with subresource "{owner.subresource}"'
    return f"{text} using {owned.api_version}" if owner.operation == "Update" else text


def _conflict(found: list[tuple[str, Path]]) -> ApiError:
    """409: the fields that others own, each as a cause, grouped by owner in the message."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": fieldset.text(path)}
        for who, path in found
    ]
    return ApiError(409, "Conflict", _conflict_message(found), {"causes": causes})


def _conflict_message(found: list[tuple[str, Path]]) -> str:
    if len(found) == 1:
        who, path = found[0]
        return f"Apply failed with 1 conflict: conflict with {who}: {fieldset.text(path)}"
    fields: dict[str, list[str]] = {}
    for who, path in found:
        fields.setdefault(who, []).append(f"- {fieldset.text(path)}")
    lines = [line for who, paths in fields.items() for line in (f"conflicts with {who}:", *paths)]
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)

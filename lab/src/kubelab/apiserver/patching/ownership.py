"""Read and write `metadata.managedFields`: who owns which fields, in what version, since when (KEP-555)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from kubelab.apiserver.patching import fieldset
from kubelab.apiserver.patching.fieldset import FieldSet
from kubelab.objects import Json, Object

Operation: TypeAlias = Literal["Apply", "Update"]

MAX_UPDATERS: Final = 10
"""As many entries of operation Update are kept apart; older ones are joined under the name `ancient-changes`."""

ANCIENT: Final = "ancient-changes"

_NOBODYS: Final[FieldSet] = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        "f:name": {},
        "f:namespace": {},
        "f:creationTimestamp": {},
        "f:selfLink": {},
        "f:uid": {},
        "f:clusterName": {},
        "f:generation": {},
        "f:managedFields": {},
        "f:resourceVersion": {},
    },
}
"""Fields that are never owned: the server or the object's place decides them."""


class OwnerId(NamedTuple):
    """What tells owners apart. Appliers keep their name from version to version: theirs is empty here."""

    manager: str
    operation: Operation
    api_version: str
    subresource: str


@dataclass(frozen=True, slots=True)
class Owned:
    """What one owner owns: the version its field names are from, when it last took a field (RFC 3339), the fields."""

    api_version: str
    time: str | None
    fields: FieldSet


Owners: TypeAlias = dict[OwnerId, Owned]


def updater(manager: str, api_version: str, subresource: str) -> OwnerId:
    """The owner that a create, update or patch is done by."""
    return OwnerId(manager or "unknown", "Update", api_version, subresource)


def applier(manager: str, subresource: str) -> OwnerId:
    """The owner that an apply is done by."""
    return OwnerId(manager or "unknown", "Apply", "", subresource)


def entries(obj: Object) -> Json:
    """`metadata.managedFields` as the object has it; None if absent."""
    metadata = obj.get("metadata")
    return metadata.get("managedFields") if isinstance(metadata, dict) else None


def without_entries(obj: Object) -> Object:
    """The object without its `metadata.managedFields`."""
    if entries(obj) is None:
        return obj
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def is_reset(written: Json) -> bool:
    """Whether a client asks to forget all owners: `managedFields: [{}]`."""
    return isinstance(written, list) and len(written) == 1 and not written[0]


def decode(written: Json, *, trusted: bool) -> Owners:
    """The owners in `metadata.managedFields`; `trusted` for what the server wrote itself.

    Raises:
        fieldset.FieldSetError: an entry can't be read.
    """
    owners: Owners = {}
    for entry in written or ():
        if not isinstance(entry, dict) or entry.get("operation") not in {"Apply", "Update"}:
            raise fieldset.FieldSetError("an entry is neither of operation Apply nor Update")
        if entry.get("fieldsType", "FieldsV1") != "FieldsV1":
            raise fieldset.FieldSetError(f"fieldsType {entry['fieldsType']!r} is not FieldsV1")
        fields = entry.get("fieldsV1") or {}
        api_version = str(entry.get("apiVersion") or "")
        operation: Operation = entry["operation"]
        owner = OwnerId(
            str(entry.get("manager") or ""),
            operation,
            "" if operation == "Apply" else api_version,
            str(entry.get("subresource") or ""),
        )
        owners[owner] = Owned(api_version, entry.get("time"), fields if trusted else fieldset.parse(fields))
    return owners


def encode(owners: Owners, before: Json = None) -> list[Object]:
    """The owners as `metadata.managedFields`; the very list `before` if it says just that."""
    written = [_entry(owner, owned) for owner, owned in sorted(owners.items(), key=_rank)]
    return before if isinstance(before, list) and written == before else written


def _rank(item: tuple[OwnerId, Owned]) -> tuple[str, str, str, str, str]:
    """Appliers first; then by time (none is earliest), name, version, subresource."""
    owner, owned = item
    return owner.operation, owned.time or "", owner.manager, owned.api_version, owner.subresource


def _entry(owner: OwnerId, owned: Owned) -> Object:
    entry: Object = {"manager": owner.manager, "operation": owner.operation, "apiVersion": owned.api_version}
    if owned.time:
        entry["time"] = owned.time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = owned.fields
    if owner.subresource:
        entry["subresource"] = owner.subresource
    return entry


def owning(fields: FieldSet) -> FieldSet:
    """The fields among these that can be owned."""
    return fieldset.difference(fields, _NOBODYS)


def lose(owners: Mapping[OwnerId, Owned], taken: FieldSet, *, but: OwnerId | None = None) -> Owners:
    """The owners once these fields are taken from all but one; who has nothing left is gone."""
    rest: Owners = {}
    for owner, owned in owners.items():
        fields = owned.fields if owner == but else fieldset.difference(owned.fields, taken)
        if fields:
            rest[owner] = owned if fields is owned.fields else replace(owned, fields=fields)
    return rest


def capped(owners: Owners) -> Owners:
    """The owners with no more than `MAX_UPDATERS` of operation Update: the oldest are joined, version by version."""
    updaters = sorted((item for item in owners.items() if item[0].operation == "Update"), key=_age)
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return owners
    kept = dict(owners)
    first: dict[str, OwnerId] = {}
    for owner, owned in updaters:
        if surplus <= 0:
            break
        bucket = updater(ANCIENT, owned.api_version, "")
        if owner == bucket or owned.api_version not in first:
            first.setdefault(owned.api_version, owner)
            continue
        if bucket not in kept:
            kept[bucket] = kept.pop(first[owned.api_version])
        joined = fieldset.ordered(fieldset.union(owned.fields, kept[bucket].fields))
        kept[bucket] = Owned(owned.api_version, owned.time, joined)
        del kept[owner]
        surplus -= 1
    return kept


def _age(item: tuple[OwnerId, Owned]) -> tuple[str, OwnerId]:
    return item[1].time or "", item[0]


def conflicts(owners: Owners, taken: FieldSet, *, but: OwnerId) -> Iterator[tuple[OwnerId, Owned, fieldset.Path]]:
    """Fields among these that others own, owner by owner."""
    for owner, owned in sorted(owners.items(), key=lambda item: item[0]):
        if owner != but:
            for path in fieldset.paths(fieldset.intersection(owned.fields, taken)):
                yield owner, owned, path

"""What an operator before this one has left: fields that become ours, and objects that go. Pure (spec/operator.md 10).

Upstream's operator before June 2026 wrote whole objects as the manager `manager`; what it set and we don't would stay
for good, because an apply removes only what the same manager applied before. So its fields are entered as ours first,
as client-go's `csaupgrade` does it (KEP-555). Later ones apply under our own name, and need no help.

An object is known to be an operator's by its controller: the MetalLB resource. Nobody else's is looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import field

from metallb.api.core import Model, ObjectMeta
from metallb.api.v1beta1 import GROUP
from metallb.kube.resources import Resource

OURS: Final = "metallb-operator"
"""The field manager of the operator: ours, and upstream's since June 2026."""

MANAGERS: Final = frozenset({"manager", OURS})
"""Names under which operators have written whole objects; the older one is that of the program."""


class Entry(Model, frozen=True):
    """meta/v1 ManagedFieldsEntry."""

    manager: str = ""
    operation: str = ""
    api_version: str = ""
    time: str = ""
    fields_type: str = ""
    fields_v1: dict[str, Any] = field(default_factory=dict, name="fieldsV1")
    subresource: str = ""

    @property
    def is_an_operators(self) -> bool:
        """Whether an operator wrote it as a part of the whole object."""
        return self.operation == "Update" and self.manager in MANAGERS and not self.subresource

    @property
    def is_applied_by_us(self) -> bool:
        """Whether it is what we applied ourselves."""
        return self.operation == "Apply" and self.manager == OURS and not self.subresource


class FoundMeta(ObjectMeta, frozen=True):
    """Metadata with who wrote what."""

    managed_fields: tuple[Entry, ...] = ()


class Found(Model, frozen=True):
    """An object as an operator before may have left it."""

    metadata: FoundMeta = FoundMeta()


@dataclass(frozen=True, slots=True)
class Inherited:
    """An object whose controller is a MetalLB resource."""

    resource: Resource
    metadata: FoundMeta

    @property
    def identity(self) -> tuple[str, str]:
        """Kind and name, as objects are told apart that are wanted."""
        return self.resource.kind, self.metadata.name

    @property
    def owner(self) -> str:
        """The uid of its MetalLB resource."""
        return owner_of(self.metadata)


def owner_of(metadata: ObjectMeta) -> str:
    """The uid of the MetalLB resource that controls an object; empty: none does."""
    for each in metadata.owner_references:
        if each.controller and each.kind == "MetalLB" and each.api_version.partition("/")[0] == GROUP:
            return each.uid
    return ""


def inherited(resource: Resource, found: Iterable[Found]) -> Iterator[Inherited]:
    """Those of the objects of one kind that an operator has made."""
    return (Inherited(resource, each.metadata) for each in found if owner_of(each.metadata))


def leftovers(every: Iterable[Inherited], wanted: Collection[tuple[str, str]], owner: str) -> tuple[Inherited, ...]:
    """Those that were made for the MetalLB resource of this uid, and that it does not stand for any more."""
    return tuple(each for each in every if each.owner == owner and each.identity not in wanted)


def claim(metadata: FoundMeta) -> list[dict[str, Any]] | None:
    """The JSON patch that enters operators' fields as ours; None: there are none.

    It holds only for the version that was looked at: a conflict means to look again.
    """
    entries = _claimed(metadata.managed_fields)
    if entries is None:
        return None
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": msgspec.to_builtins(entries)},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata.resource_version},
    ]


def _claimed(entries: Sequence[Entry]) -> list[Entry] | None:
    theirs = [each for each in entries if each.is_an_operators]
    if not theirs:
        return None
    before = [each for each in entries if each.is_applied_by_us]
    fields: dict[str, Any] = {}
    for each in (*before, *theirs):
        fields = union(fields, each.fields_v1)
    last = (before or theirs)[-1]
    claimed = msgspec.structs.replace(last, manager=OURS, operation="Apply", fields_v1=fields)
    return [claimed, *(each for each in entries if not each.is_an_operators and not each.is_applied_by_us)]


def union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """All paths that are in one of two sets of fields (KEP-555, FieldsV1)."""
    return {key: union(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}

"""What admission is about: an operation on an object by a user, as webhooks are told of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from kubelab.apiserver.request import Query, User
from kubelab.objects import GroupVersionKind, Object

Operation = Literal["CREATE", "UPDATE", "DELETE"]

_KINDS: Final = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions"}


class GroupVersionResource(NamedTuple):
    """A resource in one version."""

    group: str
    version: str
    resource: str

    def __str__(self) -> str:
        """As Go prints it in messages."""
        return f"{self.group}/{self.version}, Resource={self.resource}"


@dataclass(frozen=True, slots=True)
class Attributes:
    """One operation. `obj` is what would be stored (None for DELETE), `old` what is (None for CREATE).

    Of a namespace, `namespace` is its own name. `name` is empty where the server has yet to make it up, and for the
    deletion of a collection.
    """

    operation: Operation
    resource: GroupVersionResource
    kind: GroupVersionKind
    subresource: str
    namespace: str
    name: str
    user: User
    dry_run: bool
    options: Object
    obj: Object | None = None
    old: Object | None = None

    def about(self, obj: Object | None, old: Object | None) -> Attributes:
        """The same operation with the objects as they are now."""
        return dataclasses.replace(self, obj=obj, old=old)


def write_options(operation: Literal["CREATE", "UPDATE"], query: Query) -> Object:
    """CreateOptions or UpdateOptions from a request's parameters, whatever its method."""
    options: Object = {"kind": _KINDS[operation], "apiVersion": "meta.k8s.io/v1"}
    if query.get("dryRun"):
        options["dryRun"] = query.all("dryRun")
    options |= {name: query.get(name) for name in ("fieldManager", "fieldValidation") if query.get(name)}
    return options


def delete_options(given: dict[str, Any]) -> Object:
    """DeleteOptions with the fields that are said."""
    said = {name: value for name, value in given.items() if value not in (None, "", [], {})}
    return {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"} | said

"""Kubernetes objects as the lab handles them: JSON, whatever its kind."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = Any
"""A JSON value: dict, list, str, int, float, bool or None."""

Object: TypeAlias = dict[str, Any]
"""A Kubernetes object as decoded JSON. Stored objects are shared: never change one in place, copy it."""


class GroupVersionKind(NamedTuple):
    """A kind by its full name; the group of core kinds is the empty string."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """As written in an object: `v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, obj: Object) -> GroupVersionKind:
        """The kind an object says it is; parts it does not say are empty."""
        group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
        return cls(group, version, str(obj.get("kind") or ""))


class GroupResource(NamedTuple):
    """A resource by group and plural name: (`apps`, `deployments`)."""

    group: str
    resource: str

    def __str__(self) -> str:
        """As Kubernetes writes it in messages: `deployments.apps`, `pods`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

"""What the server serves: resources as values, the registry that finds them, and what a kind adds by its strategy."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources as package_files
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from kubelab.apiserver.errors import FieldError
from kubelab.apiserver.request import User
from kubelab.objects import GroupResource, GroupVersionKind, Object

if TYPE_CHECKING:
    from kubelab.apiserver.crd import CustomVersion

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
"""The verbs of an ordinary resource, in discovery's order."""


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object with a path of its own: `status`, `scale`, `log`."""

    name: str
    kind: GroupVersionKind
    verbs: tuple[str, ...]
    foreign: bool = False
    """Its kind belongs to another group than the resource: discovery then names group and version."""


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    """A resource in one served version.

    `stored` names the table of the storage; two resources may share one (events). `stored_version` is the version
    objects are written in, as discovery's storage hash tells. `custom` is set for custom resources.
    """

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool
    singular: str
    list_kind: str
    verbs: tuple[str, ...] = ALL_VERBS
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: Mapping[str, Subresource] = field(default_factory=dict)
    stored_group: str = ""
    stored_version: str = ""
    custom: CustomVersion | None = None

    @property
    def group_resource(self) -> GroupResource:
        """As named in messages and rules."""
        return GroupResource(self.group, self.resource)

    @property
    def stored(self) -> GroupResource:
        """The table of the storage that holds its objects."""
        return GroupResource(self.stored_group, self.resource)

    @property
    def gvk(self) -> GroupVersionKind:
        """Its kind in the served version."""
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return self.gvk.api_version

    @property
    def storage_hash(self) -> str:
        """Discovery's `storageVersionHash`; nothing for resources that are never stored."""
        if "watch" not in self.verbs:
            return ""
        text = f"{self.stored_group}/{self.stored_version}/{self.kind}"
        return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a cluster decides for its API server."""

    service_cidrs: tuple[str, ...] = ("198.18.128.0/17", "2001:db8:300::/112")
    node_ports: tuple[int, int] = (30000, 32767)
    advertise: str = "198.51.100.10"
    advertise_port: int = 6443
    issuer: str = "https://kubernetes.default.svc"


class Reader(Protocol):
    """Read access to what is stored, for strategies and admission."""

    def get(self, resource: GroupResource, namespace: str, name: str) -> Object | None:
        """One object as stored, or None. Never change it."""
        ...

    def list(self, resource: GroupResource, namespace: str = "") -> list[Object]:
        """All objects, of one namespace if named, by key. Never change them."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a strategy may know of the request it serves.

    Attributes:
        resource: the resource addressed, in the version of the request.
        subresource: `status`, `scale`... or empty.
        now: wall time as stored in objects, RFC 3339 in UTC with whole seconds.
        now_micro: the same with microseconds, for fields of type MicroTime.
        draw: a random integer in [0, n).
        dry_run: nothing may be kept: no allocation.
        shared: what strategies keep between requests (allocators), one dict a server.
        registry: finds resources; e.g. what kind a reference means.
    """

    resource: ResourceInfo
    subresource: str
    namespace: str
    name: str
    reader: Reader
    user: User
    now: str
    now_micro: str
    draw: Callable[[int], int]
    dry_run: bool
    settings: Settings
    shared: dict[str, Any]
    registry: Registry

    def get(self, resource: GroupResource, namespace: str, name: str) -> Object | None:
        """One stored object, or None. Never change it."""
        return self.reader.get(resource, namespace, name)

    def list(self, resource: GroupResource, namespace: str = "") -> list[Object]:
        """Stored objects. Never change them."""
        return self.reader.list(resource, namespace)


@runtime_checkable
class Strategy(Protocol):
    """What a kind does beyond its schema; called in the order of the methods.

    `obj` is always in the version of the request and may be changed in place; `old` may not. An `ApiError` raised
    from any method ends the request with it.
    """

    status_on_create: bool
    """A new object keeps the status its creator sends (Node); otherwise it starts without one."""
    has_generation: bool
    """`metadata.generation` counts changes of everything but metadata and status."""

    def default(self, obj: Object) -> None:
        """Set defaults; after decoding, on every create, update and patch result."""
        ...

    def prepare_create(self, obj: Object, context: Context) -> None:
        """Allocate, set what the server owns."""
        ...

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:
        """The same for an update; `context.subresource` tells which part is written."""
        ...

    def validate_create(self, obj: Object, context: Context) -> list[FieldError]:
        """Every broken rule, in the order of fields."""
        ...

    def validate_update(self, obj: Object, old: Object, context: Context) -> list[FieldError]:
        """Every broken rule, including what may not change."""
        ...

    def warnings(self, obj: Object) -> list[str]:
        """Sentences for `Warning` headers."""
        ...

    def after_delete(self, obj: Object, context: Context) -> None:
        """Give back what was allocated."""
        ...


class GenericStrategy:
    """A kind without rules of its own; kinds with rules extend it."""

    status_on_create = False
    has_generation = False

    def default(self, obj: Object) -> None:
        """Nothing to default."""

    def prepare_create(self, obj: Object, context: Context) -> None:
        """Nothing to allocate."""

    def prepare_update(self, obj: Object, old: Object, context: Context) -> None:
        """Nothing to keep."""

    def validate_create(self, obj: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """No rules."""
        return []

    def validate_update(self, obj: Object, old: Object, context: Context) -> list[FieldError]:  # noqa: ARG002  # a protocol's arguments
        """No rules."""
        return []

    def warnings(self, obj: Object) -> list[str]:  # noqa: ARG002  # a protocol's arguments
        """No warnings."""
        return []

    def after_delete(self, obj: Object, context: Context) -> None:
        """Nothing was allocated."""


class Registry:
    """Finds a resource by its path, kind or table; custom resources come and go."""

    def __init__(self, infos: Sequence[ResourceInfo], strategies: Mapping[GroupResource, Strategy]) -> None:
        self._infos: dict[tuple[str, str, str], ResourceInfo] = {}
        self._kinds: dict[GroupVersionKind, ResourceInfo] = {}
        self._strategies = dict(strategies)
        self._generic: Strategy = GenericStrategy()
        self.generation = 0
        """Counts changes: what is derived from the registry (discovery, OpenAPI) is cached under it."""
        for info in infos:
            self.add(info)

    def add(self, info: ResourceInfo) -> None:
        """Serve a resource, in place of one of the same name."""
        self._infos[info.group, info.version, info.resource] = info
        self._kinds[info.gvk] = info
        self.generation += 1

    def remove(self, group: str, resource: str) -> None:
        """Serve a resource no more, in any version."""
        for info in [one for one in self._infos.values() if (one.group, one.resource) == (group, resource)]:
            del self._infos[info.group, info.version, info.resource]
            self._kinds.pop(info.gvk, None)
        self.generation += 1

    def find(self, group: str, version: str, resource: str) -> ResourceInfo | None:
        """By path."""
        return self._infos.get((group, version, resource))

    def is_built_in(self, group: str, version: str) -> bool:
        """Whether a version is served in which the server has kinds of its own."""
        return any(
            (info.group, info.version) == (group, version) and info.custom is None for info in self._infos.values()
        )

    def of_kind(self, gvk: GroupVersionKind) -> ResourceInfo | None:
        """By kind."""
        return self._kinds.get(gvk)

    def by_group_resource(self, resource: GroupResource) -> ResourceInfo | None:
        """In the version first served."""
        return next((info for info in self._infos.values() if info.group_resource == resource), None)

    def strategy(self, resource: GroupResource) -> Strategy:
        """What the kind adds; a generic strategy if nothing is known."""
        return self._strategies.get(resource, self._generic)

    def add_strategy(self, resource: GroupResource, strategy: Strategy) -> None:
        """Let a kind add its rules."""
        self._strategies[resource] = strategy

    def has_version(self, group: str, version: str) -> bool:
        """Whether anything is served there."""
        return any((one.group, one.version) == (group, version) for one in self._infos.values())

    def __iter__(self) -> Iterator[ResourceInfo]:
        return iter(self._infos.values())


@functools.cache
def catalogue() -> tuple[ResourceInfo, ...]:
    """All built-in resources, from `catalogue.jsonl` (what kube-apiserver 1.36's discovery lists), in its order."""
    text = package_files.files("kubelab.apiserver").joinpath("catalogue.jsonl").read_text(encoding="utf-8")
    return tuple(_parse(json.loads(line)) for line in text.splitlines())


def _parse(line: Object) -> ResourceInfo:
    gvk = GroupVersionKind(line["group"], line["version"], line["kind"])
    subresources = {
        name: Subresource(
            name,
            GroupVersionKind(sub.get("group", gvk.group), sub.get("version", gvk.version), sub.get("kind", gvk.kind)),
            tuple(sub["verbs"]),
            "group" in sub,
        )
        for name, sub in line.get("subresources", {}).items()
    }
    return ResourceInfo(
        group=gvk.group,
        version=gvk.version,
        resource=line["resource"],
        kind=gvk.kind,
        namespaced=line["namespaced"],
        singular=line.get("singular", gvk.kind.lower()),
        list_kind=gvk.kind + "List",
        verbs=tuple(line.get("verbs", ALL_VERBS)),
        short_names=tuple(line.get("short", ())),
        categories=tuple(line.get("categories", ())),
        subresources=subresources,
        stored_group=line.get("stored", gvk.group),
        stored_version=line.get("stored_version", gvk.version),
    )

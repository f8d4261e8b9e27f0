"""What all requests share: registry, storage, types, keys, settings, clock and chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from kubelab.apiserver import conversion
from kubelab.apiserver.audit import Audit
from kubelab.apiserver.builtin.rbac import TABLES, Policy
from kubelab.apiserver.injected import Faults
from kubelab.apiserver.negotiation import Form
from kubelab.apiserver.request import Request, RequestInfo, Response, User
from kubelab.apiserver.resources import Context, Registry, ResourceInfo, Settings, Strategy
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.rules import Evaluator, NoEvaluator
from kubelab.apiserver.storage import Storage, Stored
from kubelab.apiserver.tokens import TokenKeys
from kubelab.apiserver.webhooks import hooks
from kubelab.apiserver.webhooks.caller import Caller, NoCaller
from kubelab.objects import GroupVersionKind, Object

DEFAULT_SCHEMA = Schema(type="object", preserve_unknown=True, definition="unknown")
"""Of kinds nobody describes: anything goes."""


class Kubelet(Protocol):
    """How the server reaches node agents."""

    async def logs(self, address: str, port: int, path: str, query: str) -> Response:
        """Get a container's log from the agent on a node.

        Raises:
            ApiError: the agent can't be reached or refuses.
        """
        ...


@dataclass(frozen=True, slots=True)
class Hooks:
    """All webhooks of admission as of a moment."""

    mutating: tuple[hooks.Hook, ...] = ()
    validating: tuple[hooks.Hook, ...] = ()


@dataclass(slots=True, eq=False)
class State:
    """One API server's inside."""

    registry: Registry
    storage: Storage
    types: Types
    clock: Callable[[], datetime]
    draw: Callable[[int], int]
    settings: Settings = field(default_factory=Settings)
    keys: TokenKeys | None = None
    tokens: Mapping[str, User] = field(default_factory=dict)
    kubelet: Kubelet | None = None
    rules: Evaluator = field(default_factory=NoEvaluator)
    webhooks: Caller = field(default_factory=NoCaller)
    audit: Audit = field(default_factory=Audit)
    shared: dict[str, Any] = field(default_factory=dict)
    reactions: list[Callable[[], None]] = field(default_factory=list)
    """What is to be done once the answer to the request that caused it is made."""
    faults: Faults = field(init=False)
    _policy: tuple[int, Policy] | None = None
    _hooks: tuple[int, Hooks] = (0, Hooks())

    def __post_init__(self) -> None:
        """No fault is in force."""
        self.faults = Faults(self.draw)

    def now(self) -> str:
        """Wall time as objects store it, in whole seconds."""
        return self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def now_micro(self) -> str:
        """The same with microseconds."""
        return self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def schema(self, info: ResourceInfo) -> Schema:
        """The type of a resource's objects."""
        return info.custom.schema if info.custom is not None else self.schema_of(info.gvk)

    def schema_of(self, gvk: GroupVersionKind) -> Schema:
        """The type of a built-in kind."""
        return self.types.schema(gvk) or DEFAULT_SCHEMA

    def strategy(self, info: ResourceInfo) -> Strategy:
        """What a resource's kind adds."""
        return self.registry.strategy(info.group_resource)

    def policy(self) -> Policy:
        """Roles and bindings as of now, read anew when one has changed."""
        revision = max(self.storage.table(table).revision for table in TABLES)
        if self._policy is None or self._policy[0] != revision:
            self._policy = (revision, Policy.read(self.storage))
        return self._policy[1]

    def hooks(self) -> Hooks:
        """Webhooks of admission as of now, read anew when a configuration has changed."""
        revision = max(self.storage.table(hooks.MUTATING).revision, self.storage.table(hooks.VALIDATING).revision)
        if self._hooks[0] != revision:
            mutating = hooks.read(self.storage.list(hooks.MUTATING), mutating=True)
            validating = hooks.read(self.storage.list(hooks.VALIDATING), mutating=False)
            self._hooks = (revision, Hooks(mutating, validating))
        return self._hooks[1]


@dataclass(slots=True, eq=False)
class Call:
    """A request on a resource that has been authorised."""

    state: State
    request: Request
    info: RequestInfo
    resource: ResourceInfo
    user: User
    form: Form = field(default_factory=Form)
    warnings: list[str] = field(default_factory=list)
    collective: bool = False
    """It is part of a request on a whole collection."""

    @property
    def namespace(self) -> str:
        """Where the object lives; empty for cluster-scoped ones and for lists of all namespaces."""
        return self.info.namespace if self.resource.namespaced else ""

    @property
    def name(self) -> str:
        """The object's name in the path."""
        return self.info.name

    @property
    def gvk(self) -> GroupVersionKind:
        """The kind of bodies and answers: the resource's, or that of its subresource."""
        part = self.resource.subresources.get(self.info.subresource)
        return self.resource.gvk if part is None else part.kind

    @property
    def schema(self) -> Schema:
        """The type of the resource's objects."""
        return self.state.schema(self.resource)

    @property
    def strategy(self) -> Strategy:
        """What the resource's kind adds."""
        return self.state.strategy(self.resource)

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        return "All" in self.request.query.all("dryRun")

    @property
    def manager(self) -> str:
        """Who gets to own fields: as named by the request, or its program."""
        return self.request.query.get("fieldManager") or default_manager(self.request.header("user-agent"))

    def context(self, name: str = "") -> Context:
        """What strategies may know."""
        state = self.state
        return Context(
            self.resource,
            self.info.subresource,
            self.namespace,
            name or self.name,
            state.storage,
            self.user,
            state.now(),
            state.now_micro(),
            state.draw,
            self.dry_run,
            state.settings,
            state.shared,
            state.registry,
        )

    def find(self, name: str = "") -> Stored | None:
        """The object of the path, as stored."""
        return self.state.storage.find(self.resource.stored, self.namespace, name or self.name)

    def shown(self, stored: Stored) -> Object:
        """A stored object in the version of the request. Never change it."""
        return conversion.from_stored(self.resource, stored.obj)

    def warn(self, sentences: list[str]) -> None:
        """Tell the client; each sentence once."""
        self.warnings += [sentence for sentence in sentences if sentence not in self.warnings]


def default_manager(user_agent: str) -> str:
    """The field manager of a client that names none: what its User-Agent starts with."""
    return user_agent.partition("/")[0][:128] or "unknown"


ITSELF = User("system:apiserver", ("system:masters", "system:authenticated"))
"""As whom the server writes objects of its own accord."""


def own_call(state: State, resource: ResourceInfo, namespace: str = "", name: str = "", subresource: str = "") -> Call:
    """A call that the server makes on itself."""
    info = RequestInfo(
        "update", "", True, "", resource.group, resource.version, namespace, resource.resource, name, subresource
    )
    request = Request("PUT", "", headers={"user-agent": "kube-apiserver/v1.36"})
    return Call(state, request, info, resource, ITSELF)

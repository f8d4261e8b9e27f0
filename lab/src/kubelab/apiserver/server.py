"""The API server without a transport: a request in, an answer out."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Final

from kubelab.apiserver import answers, bootstrap, builtin, crd_rules, plain, pretty, watch
from kubelab.apiserver.audit_log import Noter, Trace
from kubelab.apiserver.authentication import authenticate, impersonate
from kubelab.apiserver.authorization import authorize
from kubelab.apiserver.crd import CRDS
from kubelab.apiserver.definitions import Definitions
from kubelab.apiserver.documents import Documents
from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.handlers import changing, deleting, logs, reading, reviewing, scaling, storing, subresources
from kubelab.apiserver.journal import Journal
from kubelab.apiserver.negotiation import Form, negotiate
from kubelab.apiserver.request import Request, RequestInfo, Response, User, describe
from kubelab.apiserver.resources import Registry, ResourceInfo, Settings, Strategy, catalogue
from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.rules import Evaluator, NoEvaluator
from kubelab.apiserver.state import Call, Kubelet, State
from kubelab.apiserver.storage import RING, Event, Storage
from kubelab.apiserver.tokens import TokenKeys
from kubelab.apiserver.webhooks.caller import Caller, NoCaller
from kubelab.objects import GroupResource

_LOG: Final = logging.getLogger(__name__)

Handler = Callable[[Call], Response | Awaitable[Response]]

_OBJECT: Final[Mapping[str, Handler]] = {
    "get": reading.get,
    "list": reading.collection,
    "watch": watch.respond,
    "create": storing.create,
    "update": storing.replace,
    "patch": changing.patch,
    "delete": deleting.delete,
    "deletecollection": deleting.collection,
}
_PARTS: Final[Mapping[tuple[str, str], Handler]] = {
    ("scale", "get"): scaling.get,
    ("scale", "update"): scaling.replace,
    ("scale", "patch"): scaling.patch,
    ("binding", "create"): subresources.bind,
    ("eviction", "create"): subresources.evict,
    ("token", "create"): subresources.token,
    ("finalize", "update"): subresources.finalize,
    ("log", "get"): logs.log,
}
_WHOLE: Final = frozenset({"", "status", "ephemeralcontainers", "resize", "approval"})
"""Subresources that are the object itself, of which one part may be written."""
_ENDPOINTS_DEPRECATED: Final = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


def _wall_clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the one place where the server reads the clock


@dataclass(frozen=True, slots=True)
class Options:
    """What a server is made with; all of it has a use in tests."""

    settings: Settings = field(default_factory=Settings)
    clock: Callable[[], datetime] = _wall_clock
    draw: Callable[[int], int] = random.SystemRandom().randrange
    keys: TokenKeys | None = None
    tokens: Mapping[str, User] = field(default_factory=dict)
    kubelet: Kubelet | None = None
    rules: Evaluator = field(default_factory=NoEvaluator)
    webhooks: Caller = field(default_factory=NoCaller)
    ring: int = RING
    journal: Journal | None = None
    """Keeps the objects for the next server; without one they go with this."""
    audit_log: Noter | None = None


class Server:
    """One API server with all its objects."""

    def __init__(self, options: Options | None = None) -> None:
        given = options or Options()
        strategies: dict[GroupResource, Strategy] = {
            CRDS: crd_rules.DefinitionStrategy(given.rules),
            **builtin.strategies(),
        }
        self.state = State(
            registry=Registry(catalogue(), strategies),
            storage=Storage(given.ring),
            types=Types.load(),
            clock=given.clock,
            draw=given.draw,
            settings=given.settings,
            keys=given.keys,
            tokens=given.tokens,
            kubelet=given.kubelet,
            rules=given.rules,
            webhooks=given.webhooks,
        )
        self._definitions = Definitions(self.state)
        self._journal = given.journal
        self._audit_log = given.audit_log
        restored = self._journal is not None and self._journal.restore(self.state.storage)
        self.state.storage.observer = self._observe
        self._plain = plain.Pages(self.state, Documents(self.state))
        if restored:
            self._definitions.review()
        else:
            bootstrap.populate(self.state)
        self._react()

    async def handle(self, request: Request) -> Response:
        """The answer to a request; every error becomes one."""
        warnings: list[str] = []
        trace = Trace(self.state.now_micro())
        try:
            response = await self._answer(request, warnings, trace)
        except ApiError as error:
            response = answers.failure(error, request.header("accept"), warnings)
        except Exception:  # noqa: BLE001  # logged with its trace below
            # A bug must cost one request, not the cluster: it is logged, told, and the server goes on.
            _LOG.exception("%s %s", request.method, request.path)
            failed = ApiError(500, "InternalError", "Internal error occurred: see the log of the API server")
            response = answers.failure(failed, request.header("accept"), warnings)
        self._react()
        pretty.show(request, response)
        identifier = str(uuid.UUID(int=self.state.draw(1 << 128), version=4))
        response.headers.append(("Audit-Id", identifier))
        if self._audit_log is not None:
            self._audit_log(identifier, request, trace, response, self.state.now_micro())
        return response

    def _observe(self, resource: GroupResource, event: Event) -> None:
        if self._journal is not None:
            self._journal.note(self.state.storage, resource, event)
        self._definitions.observe(resource, event)

    def _react(self) -> None:
        """What changes have caused, which may cause more."""
        while self.state.reactions:
            self.state.reactions.pop(0)()

    async def _answer(self, request: Request, warnings: list[str], trace: Trace) -> Response:
        info = trace.info = describe(request)
        itself = trace.user = authenticate(self.state, request)
        user = impersonate(self.state, request, itself)
        trace.impersonated = user if user is not itself else None
        await self.state.faults.meet(user.name, info)
        authorize(self.state, user, info)
        if not info.is_resource:
            return await self._plain.answer(request)
        resource = self._resource(info)
        if resource is None:
            if self.state.registry.is_built_in(info.group, info.version):
                raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
            return answers.text(404, "404 page not found\n")
        handler = _handler(info, resource)
        if resource.custom is not None and resource.custom.deprecation:
            warnings.append(resource.custom.deprecation)
        if resource.group_resource == ("", "endpoints"):
            warnings.append(_ENDPOINTS_DEPRECATED)
        form = _form(request, info)
        call = Call(self.state, request, info, resource, user, form, warnings)
        response = handler(call)
        return await response if isawaitable(response) else response

    def _resource(self, info: RequestInfo) -> ResourceInfo | None:
        found = self.state.registry.find(info.group, info.version, info.resource)
        if found is None or (info.prefix == "api") == bool(info.group):
            return None
        if found.namespaced and not info.namespace and (info.name or info.verb == "create"):
            return found if info.verb in {"list", "watch"} else None
        if not found.namespaced and info.namespace and found.resource != "namespaces":
            return None
        return found


def _form(request: Request, info: RequestInfo) -> Form:
    accept = request.header("accept")
    if info.subresource == "log":
        return Form()
    return negotiate(accept)


def _handler(info: RequestInfo, resource: ResourceInfo) -> Handler:
    """Who serves a verb.

    Raises:
        ApiError: 404 for unknown subresources, 405 for verbs that a resource does not know.
    """
    if info.verb == "create" and info.name and not info.subresource:
        raise _not_allowed()
    if not info.subresource:
        if info.verb not in resource.verbs:
            raise _not_allowed()
        if reviewing.is_review(resource.kind):
            return reviewing.review
        if resource.resource == "bindings":
            return subresources.bind
        return _OBJECT[info.verb]
    part = resource.subresources.get(info.subresource)
    if part is None:
        raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
    if info.verb not in part.verbs:
        raise _not_allowed()
    found = _PARTS.get((info.subresource, info.verb))
    if found is not None:
        return found
    if info.subresource in _WHOLE:
        return _OBJECT[info.verb]
    raise ApiError(501, "NotImplemented", f"{resource.resource}/{info.subresource} is not served here", {})


def _not_allowed() -> ApiError:
    text = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", text, {})

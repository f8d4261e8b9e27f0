"""Paths that are no objects: discovery, OpenAPI, health, version, keys."""

from __future__ import annotations

import hashlib

import msgspec

from kubelab.apiserver import answers, discovery, injected
from kubelab.apiserver.audit import PATH
from kubelab.apiserver.documents import Documents
from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.negotiation import Form, negotiate
from kubelab.apiserver.request import Request, Response
from kubelab.apiserver.state import State
from kubelab.objects import Object

CLOSE = "/debug/watches/close"
"""Where a POST ends all watches."""
COMPACT = "/debug/watches/compact"
"""Where a POST does that, and has the past forgotten: who resumes gets 410."""
_NO_METHOD = "the server does not allow this method on the requested resource"
_GROUP_PARTS = 2
_VERSION_PARTS = 3


class Pages:
    """Answers requests for paths that are no objects."""

    def __init__(self, state: State, documents: Documents) -> None:
        self._state = state
        self._documents = documents

    async def answer(self, request: Request) -> Response:
        """The page of a path; 404 where there is none.

        Raises:
            ApiError: 405 or 406.
        """
        path = request.path.rstrip("/") or "/"
        first, _, rest = path[1:].partition("/")
        if first in {"healthz", "livez", "readyz"}:
            return _health(first, "verbose" in request.query)
        if first == "openapi":
            return self._openapi(request, rest)
        if path in {"/api", "/apis"}:
            return self._roots(request, core=path == "/api")
        if request.method != "GET" and path.startswith(injected.UNHARMED):
            return self._harm(request, path)
        document = self._document(path)
        if document is None:
            return answers.text(404, "404 page not found\n")
        if request.method not in {"GET", "HEAD"}:
            raise ApiError(405, "MethodNotAllowed", _NO_METHOD, {})
        return answers.respond_value(200, document, negotiate(request.header("accept"), views=False))

    def _harm(self, request: Request, path: str) -> Response:
        """What faults are asked for.

        Raises:
            ApiError: 400, there is no such fault.
        """
        state = self._state
        if path == injected.PATH and request.method == "PUT":
            state.faults.put(injected.decode(request.body))
        elif path in {CLOSE, COMPACT} and request.method == "POST":
            if path == COMPACT:
                state.storage.forget()
            state.faults.closings += 1
        else:
            return answers.text(404, "404 page not found\n")
        for _, table in state.storage.tables():
            table.wake()
        return answers.respond_value(200, {"fault": msgspec.to_builtins(state.faults.injected)}, Form())

    def _openapi(self, request: Request, rest: str) -> Response:
        version, _, path = rest.partition("/")
        if version == "v2" and not path:
            return self._documents.v2(request)
        if version == "v3":
            return self._documents.v3(request, path)
        return answers.text(404, "404 page not found\n")

    def _roots(self, request: Request, *, core: bool) -> Response:
        registry = self._state.registry
        version = discovery.aggregated_version(request.header("accept"))
        if version:
            document = discovery.aggregated(registry, core=core, version=version)
            return _tagged(request, answers.respond_value(200, document, Form()), discovery.form_of(version).media)
        settings = self._state.settings
        address = f"{settings.advertise}:{settings.advertise_port}"
        document = discovery.legacy_versions(address) if core else discovery.group_list(registry)
        return answers.respond_value(200, document, negotiate(request.header("accept"), views=False))

    def _document(self, path: str) -> Object | None:
        registry = self._state.registry
        fixed = {
            "/": lambda: discovery.paths(registry),
            "/version": lambda: discovery.VERSION,
            PATH: self._state.audit.document,
            injected.PATH: lambda: {"fault": msgspec.to_builtins(self._state.faults.injected)},
            "/openid/v1/jwks": self._keys,
            "/.well-known/openid-configuration": self._issuer,
        }
        if path in fixed:
            return fixed[path]()
        parts = path[1:].split("/")
        if parts[0] == "api" and len(parts) == _GROUP_PARTS:
            return discovery.resource_list(registry, "", parts[1])
        if parts[0] == "apis" and len(parts) == _GROUP_PARTS:
            return discovery.group(registry, parts[1])
        if parts[0] == "apis" and len(parts) == _VERSION_PARTS:
            return discovery.resource_list(registry, parts[1], parts[2])
        return None

    def _keys(self) -> Object:
        return {"keys": []} if self._state.keys is None else self._state.keys.jwks()

    def _issuer(self) -> Object:
        settings = self._state.settings
        return {
            "issuer": settings.issuer,
            "jwks_uri": f"https://{settings.advertise}:{settings.advertise_port}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }


def _tagged(request: Request, response: Response, media: str) -> Response:
    """An aggregated document with its ETag, or the word that the client has it already."""
    assert isinstance(response.body, bytes)
    tag = f'"{hashlib.sha256(response.body).hexdigest().upper()}"'
    headers = [("Content-Type", media), ("ETag", tag), ("Vary", "Accept"), ("Cache-Control", "public")]
    if request.header("if-none-match") == tag:
        return Response(304, headers)
    return Response(200, headers, response.body)


def _health(check: str, verbose: bool) -> Response:  # noqa: FBT001  # a row of a table
    if not verbose:
        return answers.text(200, "ok")
    lines = "".join(f"[+]{name} ok\n" for name in ("ping", "log", "etcd"))
    return answers.text(200, f"{lines}{check} check passed\n")

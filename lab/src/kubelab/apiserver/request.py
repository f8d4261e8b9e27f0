"""A request and its answer without a transport, and what a request is about (resource, verb, object)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote

MUTATING = frozenset({"create", "update", "patch", "delete", "deletecollection"})
"""Verbs that change objects."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, as authentication found out (`UserInfo` of authentication.k8s.io/v1)."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
"""The user of a request without credentials."""


@dataclass(frozen=True, slots=True)
class Query:
    """Parameters of a request's address; a name may occur several times."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Query:
        """From what stands behind the question mark, still encoded."""
        return cls(tuple(parse_qsl(text, keep_blank_values=True)))

    def get(self, name: str, default: str = "") -> str:
        """The first value of a name."""
        return next((value for key, value in self.pairs if key == name), default)

    def all(self, name: str) -> list[str]:
        """All values of a name, in order."""
        return [value for key, value in self.pairs if key == name]

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self.pairs)

    def flag(self, name: str) -> bool:
        """A boolean as the API machinery reads it: present without a value, `1`, `true`; `0` and `false` are false."""
        return name in self and self.get(name).lower() not in {"0", "false"}


@dataclass(slots=True)
class Request:
    """One HTTP request. `path` is decoded, header names are lower case.

    `certificate` is the identity of a verified client certificate (CN and O), None without one; `peer` is the address
    that it came from.
    """

    method: str
    path: str
    query: Query = field(default_factory=Query)
    headers: Mapping[str, str] = field(default_factory=dict)
    header_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    body: bytes = b""
    certificate: User | None = None
    peer: str = ""

    @classmethod
    def to(
        cls,
        method: str,
        address: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        certificate: User | None = None,
    ) -> Request:
        """From an address as a client writes it: `/api/v1/pods?limit=1`."""
        path, _, query = address.partition("?")
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        return cls(method, unquote(path), Query.parse(query), lower, {}, body, certificate)

    def header(self, name: str) -> str:
        """A header's value, or nothing."""
        return self.headers.get(name, "")

    def header_values(self, name: str) -> tuple[str, ...]:
        """All values of a header that may be repeated."""
        return self.header_lists.get(name) or ((self.headers[name],) if name in self.headers else ())


@dataclass(slots=True)
class Response:
    """One HTTP answer; a stream's chunks are sent as they come. `created` names the object that was made."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    created: str = ""

    def header(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


Prefix = Literal["api", "apis", ""]


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """What a request is about, as authorisation sees it (apiserver `RequestInfo`).

    `verb` is an API verb for resources, the lower-case HTTP method for other paths.
    """

    verb: str
    path: str
    is_resource: bool = False
    prefix: Prefix = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


def describe(request: Request) -> RequestInfo:
    """Take a request's path apart; whether such a resource exists is not asked here."""
    parts = [part for part in request.path.split("/") if part]
    plain = RequestInfo(request.method.lower(), request.path)
    if len(parts) < 3 or parts[0] not in {"api", "apis"}:  # noqa: PLR2004  # /api/v1/pods is the shortest
        return plain
    prefix: Prefix = "api" if parts[0] == "api" else "apis"
    group = "" if prefix == "api" else parts[1]
    rest = parts[2:] if prefix == "api" else parts[3:]
    if not rest:
        return plain
    version = parts[1] if prefix == "api" else parts[2]
    verb = _VERBS.get(request.method, "")
    namespace, rest = _namespace(rest)
    resource, name, subresource = (*rest[:3], "", "", "")[:3]
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
        if verb == "list":
            verb, name = _collection_verb(request)
    return RequestInfo(
        verb, request.path, True, prefix, group, version, namespace, resource, name, subresource, "/".join(rest[3:])
    )


def _namespace(parts: list[str]) -> tuple[str, list[str]]:
    """Split `namespaces/x/` off, unless the namespace itself is meant; then it is its own namespace."""
    if parts[0] != "namespaces" or len(parts) == 1:
        return "", parts
    if len(parts) == 2 or parts[2] in _NAMESPACE_SUBRESOURCES:  # noqa: PLR2004  # namespaces/x
        return parts[1], parts
    return parts[1], parts[2:]


def _collection_verb(request: Request) -> tuple[str, str]:
    """List or watch; a selector on one name makes the request about that object (for authorisation)."""
    verb = "watch" if request.query.flag("watch") else "list"
    for part in request.query.get("fieldSelector").split(","):
        key, _, value = part.partition("=")
        if key.strip() == "metadata.name" and value.strip("= "):
            return verb, value.strip("= ")
    return verb, ""

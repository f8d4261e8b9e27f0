"""What service accounts asked an API server for, read off its audit log: what roles can be held against. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

_ACCOUNT: Final = b'"username":"system:serviceaccount:'
_FORBIDDEN: Final = 403
_CREATED: Final = 201
"""The answer to an apply of what was not there, too: that needs the right to create."""


class Asked(NamedTuple):
    """A verb on a resource, as RBAC judges it; `resource` with its subresource, `namespace` empty for all of them.

    `refused`: it was answered 403, be it by RBAC or by admission.
    """

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    refused: bool


class _User(msgspec.Struct):
    username: str = ""


class _Reference(msgspec.Struct):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    group: str = msgspec.field(default="", name="apiGroup")
    subresource: str = ""


class _Status(msgspec.Struct):
    code: int = 0


class _Event(msgspec.Struct):
    verb: str
    user: _User
    uri: str = msgspec.field(default="", name="requestURI")
    reference: _Reference | None = msgspec.field(default=None, name="objectRef")
    status: _Status = msgspec.field(default_factory=_Status, name="responseStatus")
    impersonated: _User | None = msgspec.field(default=None, name="impersonatedUser")


def read(lines: Iterable[bytes]) -> set[Asked]:
    """All distinct askings of service accounts themselves; a line that was cut short is left out."""
    return {asked for line in lines if _ACCOUNT in line for asked in _askings(line)}


def _askings(line: bytes) -> Iterator[Asked]:
    try:
        event = msgspec.json.decode(line, type=_Event)
    except msgspec.DecodeError:
        return
    found = event.reference
    if found is None or event.impersonated is not None:
        return
    resource = f"{found.resource}/{found.subresource}" if found.subresource else found.resource
    refused = event.status.code == _FORBIDDEN
    asked = Asked(event.user.username, event.verb, found.group, resource, found.namespace, _name(event, found), refused)
    yield asked
    if event.verb in {"patch", "update"} and event.status.code == _CREATED:
        yield asked._replace(verb="create", name="")


def _name(event: _Event, found: _Reference) -> str:
    """The name that RBAC looks at: a list or watch may be of one object only, and what is made has none before."""
    if event.verb == "create" and not found.subresource:
        return ""
    selected = parse_qs(urlsplit(event.uri).query).get("fieldSelector", [""])[0]
    field, _, value = selected.partition("=")
    return found.name or (value.removeprefix("=") if field == "metadata.name" and "," not in value else "")

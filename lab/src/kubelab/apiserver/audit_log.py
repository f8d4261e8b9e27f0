"""Who did what with which outcome, one line of JSON a request, in the shape of the real server's audit log.

The shape is `Event` of audit.k8s.io/v1 at level Metadata. Watches are told when they begin (stage ResponseStarted), all
else when it is answered (ResponseComplete).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from kubelab.apiserver.request import Request, RequestInfo, Response, User
from kubelab.objects import Object

_LOG: Final = logging.getLogger(__name__)

LIMIT_BYTES: Final = 64 << 20
"""A file that is longer is put aside as `NAME.1`, in place of the one that was there."""
_SHOWN_HEADERS: Final = 256
"""Characters of a User-Agent that are kept."""


@dataclass(slots=True)
class Trace:
    """What is found out about a request on its way."""

    received: str
    user: User | None = None
    impersonated: User | None = None
    info: RequestInfo | None = None

    @property
    def told(self) -> bool:
        """Whether it is worth a line: liveness and the like are not, as in the policies that people use."""
        return self.info is None or self.info.is_resource or self.info.path.startswith(("/api", "/debug", "/openapi"))


class AuditLog:
    """A file that lines are added to."""

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._file = self._open()

    def note(self, identifier: str, request: Request, trace: Trace, response: Response, now: str) -> None:
        """A request has been answered, at `now`. A full disk costs lines, not requests."""
        if not trace.told:
            return
        try:
            self._write(event(identifier, request, trace, response, now))
        except OSError:
            _LOG.exception("%s", self._path)

    def _write(self, document: Object) -> None:
        line = msgspec.json.encode(document) + b"\n"
        os.write(self._file, line)
        self._size += len(line)
        if self._size > self._limit_bytes:
            self.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._open()

    def close(self) -> None:
        """Nothing more is written."""
        os.close(self._file)

    def _open(self) -> int:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(file).st_size
        return file


Noter = Callable[[str, Request, Trace, Response, str], None]
"""What is told of each answer."""


def event(identifier: str, request: Request, trace: Trace, response: Response, now: str) -> Object:
    """A line of the log."""
    info = trace.info
    found: Object = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": identifier,
        "stage": "ResponseComplete" if isinstance(response.body, bytes) else "ResponseStarted",
        "requestURI": request.path + ("?" + _query(request) if request.query.pairs else ""),
        "verb": request.method.lower() if info is None else info.verb,
        "user": {} if trace.user is None else _user(trace.user),
    }
    if trace.impersonated is not None:
        found["impersonatedUser"] = _user(trace.impersonated)
    if request.peer:
        found["sourceIPs"] = [request.peer]
    if agent := request.header("user-agent"):
        found["userAgent"] = agent[:_SHOWN_HEADERS]
    if info is not None and info.is_resource:
        found["objectRef"] = _reference(info, response)
    found["responseStatus"] = {"metadata": {}, "code": response.status}
    return {**found, "requestReceivedTimestamp": trace.received, "stageTimestamp": now}


def _query(request: Request) -> str:
    return "&".join(f"{name}={value}" for name, value in request.query.pairs)


def _user(user: User) -> Object:
    found: Object = {"username": user.name}
    if user.uid:
        found["uid"] = user.uid
    if user.groups:
        found["groups"] = list(user.groups)
    if user.extra:
        found["extra"] = {name: list(values) for name, values in user.extra.items()}
    return found


def _reference(info: RequestInfo, response: Response) -> Object:
    parts = {
        "resource": info.resource,
        "namespace": info.namespace,
        "name": info.name or response.created,
        "apiGroup": info.group,
        "apiVersion": info.version,
        "subresource": info.subresource,
    }
    return {name: value for name, value in parts.items() if value}

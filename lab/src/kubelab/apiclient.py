"""A client of a Kubernetes API server: requests, watches, and failures as values.

Any server will do, embedded or real (API concepts: kubernetes.io/docs/reference/using-api/api-concepts).
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
import msgspec

from kubelab import kubeconfig
from kubelab.kubeconfig import Connection
from kubelab.objects import Json, Object
from kubelab.resource import PatchKind, Resource

__all__ = ["ApiClient", "ApiFailure", "ObjectList", "PatchKind", "Resource", "WatchEvent"]

_REQUEST_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 5.0
_PAGE = 500
_TOKEN_FILE_AGE_S = 60.0
# A peer that vanished (cut link, killed namespace) is noticed after about ten seconds, also on a silent watch.
_KEEPALIVE = {socket.TCP_KEEPIDLE: 4, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3, socket.TCP_USER_TIMEOUT: 10_000}


@dataclass(slots=True)
class ApiFailure(Exception):  # noqa: N818  # a failure may be nobody's error: a conflict, an expired version
    """A request that did not succeed.

    `code` is the HTTP status, 0 if no answer came (`reason` is then `Unreachable`); `reason` and `message` are those of
    the `Status` object; `retry_after_s` is what the server asks for, if it does.
    """

    code: int
    reason: str
    message: str
    retry_after_s: float | None = None

    def __str__(self) -> str:
        """One line for a log."""
        return f"{self.code} {self.reason}: {self.message}"

    @property
    def unreachable(self) -> bool:
        """No answer came: whether the request was carried out is unknown."""
        return self.code == 0

    @property
    def not_found(self) -> bool:
        """404."""
        return self.code == 404  # noqa: PLR2004  # HTTP's own name

    @property
    def conflict(self) -> bool:
        """409 Conflict: read again, decide again."""
        return self.reason == "Conflict"

    @property
    def already_exists(self) -> bool:
        """409 AlreadyExists."""
        return self.reason == "AlreadyExists"

    @property
    def passing(self) -> bool:
        """It says nothing about what was asked: no answer, too many requests, a server in trouble."""
        return self.unreachable or self.code == 429 or self.code >= 500  # noqa: PLR2004  # HTTP's own numbers

    @property
    def expired(self) -> bool:
        """410: list again."""
        return self.code == 410  # noqa: PLR2004  # HTTP's own name


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A whole collection as of one resource version. Items carry `apiVersion` and `kind`."""

    items: list[Object]
    resource_version: str


class WatchEvent(NamedTuple):
    """One line of a watch: ADDED, MODIFIED, DELETED or BOOKMARK, and its object."""

    kind: str
    object: Object


class ApiClient:
    """An async context manager around one HTTP connection pool.

    `connection` (from `kubeconfig.load`) replaces all that is given one by one.

    Every method raises `ApiFailure`; nothing else escapes for what the network or the server may do.
    """

    def __init__(
        self,
        server: str,
        *,
        ca_file: Path | str | None = None,
        cert_file: Path | str | None = None,
        key_file: Path | str | None = None,
        token: str = "",
        user_agent: str = "kubelab",
        connection: Connection | None = None,
    ) -> None:
        self.connection = connection or Connection(
            server=server.rstrip("/"), ca=_read(ca_file), cert=_read(cert_file), key=_read(key_file), token=token
        )
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._file_token = ("", float("-inf"))

    @classmethod
    def from_kubeconfig(cls, path: Path | str, *, user_agent: str = "kubelab") -> ApiClient:
        """A client for the current context of a file.

        Raises:
            KubeconfigError: the file cannot be used.
        """
        connection = kubeconfig.load(path)
        return cls(connection.server, connection=connection, user_agent=user_agent)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0, ssl=kubeconfig.tls(self.connection) or True, socket_factory=_socket, keepalive_timeout=60
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- objects -------------------------------------------------------------------------------------------------

    async def get(self, resource: Resource, name: str, namespace: str = "", subresource: str = "") -> Object:
        """One object as it is now."""
        return await self._object("GET", resource.path(namespace, name, subresource))

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        """The whole collection (of all namespaces if none is given), fetched page by page."""
        params = _selectors(label_selector, field_selector) | {"limit": str(_PAGE)}
        items: list[Object] = []
        while True:
            page = await self._object("GET", resource.path(namespace), params=params)
            meta = page.get("metadata") or {}
            kind = str(page.get("kind") or "").removesuffix("List")
            head = {"apiVersion": str(page.get("apiVersion") or resource.api_version), "kind": kind}
            items += [head | item for item in page.get("items") or []]
            if not meta.get("continue"):
                return ObjectList(items, str(meta.get("resourceVersion") or ""))
            params["continue"] = str(meta["continue"])

    async def version(self, resource: Resource, namespace: str = "") -> str:
        """The resource version of a collection now, without the collection."""
        page = await self._object("GET", resource.path(namespace), params={"limit": "1"})
        return str((page.get("metadata") or {}).get("resourceVersion") or "")

    async def create(self, resource: Resource, obj: Object, namespace: str = "") -> Object:
        """Create an object, in its own namespace unless another is given."""
        return await self._object("POST", resource.path(namespace or _namespace(obj)), body=obj)

    async def create_subresource(
        self, resource: Resource, name: str, subresource: str, obj: Object, namespace: str = ""
    ) -> Object:
        """Post to a subresource: `binding`, `eviction`, `token`."""
        return await self._object("POST", resource.path(namespace or _namespace(obj), name, subresource), body=obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Replace an object; with `metadata.resourceVersion` set it is refused if somebody else wrote since."""
        return await self._object("PUT", resource.path(_namespace(obj), _name(obj), subresource), body=obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Json,
        namespace: str = "",
        *,
        kind: PatchKind = PatchKind.MERGE,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        """Patch an object; server-side apply (`PatchKind.APPLY`) wants a field manager."""
        params = {"fieldManager": field_manager} if field_manager else {}
        if force:
            params["force"] = "true"
        path = resource.path(namespace, name, subresource)
        return await self._object("PATCH", path, body=patch, params=params, content_type=kind.value)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        propagation: str = "",
        grace_period_s: int | None = None,
    ) -> Object:
        """Delete an object; `uid` and `resource_version` are preconditions.

        `propagation` is Background, Foreground or Orphan.
        """
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        preconditions = {"uid": uid} if uid else {}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        if preconditions:
            options["preconditions"] = preconditions
        if propagation:
            options["propagationPolicy"] = propagation
        if grace_period_s is not None:
            options["gracePeriodSeconds"] = grace_period_s
        return await self._object("DELETE", resource.path(namespace, name), body=options)

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout_s: int = 0,
    ) -> AsyncIterator[WatchEvent]:
        """Events since a resource version, bookmarks included, until the server ends the watch (then it just ends).

        Raises:
            ApiFailure: `expired` when the version is too old; `unreachable` when the connection breaks.
        """
        params = _selectors(label_selector, field_selector) | {"watch": "true", "allowWatchBookmarks": "true"}
        if resource_version:
            params["resourceVersion"] = resource_version
        if timeout_s:
            params["timeoutSeconds"] = str(timeout_s)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
        with _network_failures():
            async with self._open("GET", resource.path(namespace), params=params, timeout=timeout) as answer:
                await _raise_for_status(answer)
                async for line in _lines(answer.content):
                    yield _event(line)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Json = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "",
    ) -> Json:
        """Any request; the answer as JSON, or as text if it is not JSON."""
        headers = {"Content-Type": content_type} if body is not None else {}
        if accept:
            headers["Accept"] = accept
        with _network_failures():
            async with self._open(method, path, params=params, body=body, headers=headers) as answer:
                await _raise_for_status(answer)
                data = await answer.read()
                return _decode(data) if answer.content_type == "application/json" else data.decode(errors="replace")

    # --- inside --------------------------------------------------------------------------------------------------

    async def _object(
        self,
        method: str,
        path: str,
        *,
        body: Json = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        value = await self.request(method, path, body=body, params=params, content_type=content_type)
        if not isinstance(value, dict):
            raise ApiFailure(0, "Unreadable", f"{method} {path}: the answer is no JSON object")
        return value

    def _open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        assert self._session is not None, "use `async with` first"
        sent = dict(headers or {})
        if token := self._token():
            sent["Authorization"] = f"Bearer {token}"
        more: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        if self.connection.server_name:
            more["server_hostname"] = self.connection.server_name
        data = msgspec.json.encode(body) if body is not None else None
        return self._session.request(
            method, self.connection.server + path, params=params, data=data, headers=sent, **more
        )

    def _token(self) -> str:
        file = self.connection.token_file
        if file is None:
            return self.connection.token
        token, read_at = self._file_token
        if time.monotonic() - read_at > _TOKEN_FILE_AGE_S:
            with contextlib.suppress(OSError):  # the old one may still be good; if not the server says so
                token = file.read_text(encoding="utf-8").strip()
            self._file_token = (token, time.monotonic())
        return token


def _read(file: Path | str | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()


def _socket(info: tuple[Any, ...]) -> socket.socket:
    """A TCP socket that notices when its peer has vanished."""
    family, kind, protocol = info[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _namespace(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("namespace") or "")


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in pairs.items() if value}


@contextlib.contextmanager
def _network_failures() -> Iterator[None]:
    """Turn what the HTTP library raises into `ApiFailure`."""
    try:
        yield
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ApiFailure(0, "Unreachable", f"{type(error).__name__}: {error}") from error


async def _raise_for_status(answer: aiohttp.ClientResponse) -> None:
    if answer.ok:
        return
    data = await answer.read()
    status: Json = None
    with contextlib.suppress(msgspec.DecodeError):
        status = msgspec.json.decode(data)
    retry_after = answer.headers.get("Retry-After", "")
    wait_s = float(retry_after) if retry_after.isdigit() else None
    if isinstance(status, dict):
        raise _failure(status, answer.status, wait_s)
    raise ApiFailure(answer.status, answer.reason or "", data.decode(errors="replace")[:500], wait_s)


def _failure(status: Object, code: int, retry_after_s: float | None = None) -> ApiFailure:
    return ApiFailure(
        int(status.get("code") or code),
        str(status.get("reason") or ""),
        str(status.get("message") or ""),
        retry_after_s,
    )


def _decode(data: bytes) -> Json:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ApiFailure(0, "Unreadable", f"the answer is no JSON: {error}") from error


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: an object may be larger than a reader's line limit."""
    rest = b""
    async for chunk in stream.iter_any():
        first, *others = chunk.split(b"\n")
        rest += first
        for other in others:
            if rest.strip():
                yield rest
            rest = other


def _event(line: bytes) -> WatchEvent:
    event = _decode(line)
    kind, obj = str(event.get("type") or ""), event.get("object") or {}
    if kind == "ERROR":
        raise _failure(obj, 0)
    return WatchEvent(kind, obj)

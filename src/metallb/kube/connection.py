"""Requests to one API server: two pools of connections, credentials on each request, failures as typed errors."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from yarl import URL

from metallb.kube.credentials import Credentials
from metallb.kube.errors import ApiError, MalformedError, UnavailableError, error_of
from metallb.kube.lean_aiohttp import aiohttp
from metallb.kube.lines import Lines, LineTooLongError
from metallb.kube.progress import waiting

JSON: Final = "application/json"
CONNECT_TIMEOUT_S: Final = 5.0
"""How long a TCP connection may take."""

_KEEPALIVE: Final = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""A watch on a dead connection ends within 25 s: it has no other sign of life between two bookmarks."""

_encode = msgspec.json.Encoder().encode


def _keepalive_socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol = address[:3]
    sock = socket.socket(family=family, type=kind, proto=protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock


@dataclass(frozen=True, slots=True)
class Request:
    """One request; printed as method and path, without the query: it may be long."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    media: str = JSON

    def url(self, server: str) -> URL:
        """The whole URL, quoted as it is sent."""
        return URL(server + self.path + (f"?{urlencode(self.query)}" if self.query else ""), encoded=True)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Connection:
    """Sends requests; open between `open` and `close`.

    Args:
        credentials: where the server is and who we are.
        agent: the User-Agent.
        connections: how many requests may be in flight; more wait for their turn. Streams don't count.
        timeout_s: how long a request may take, connecting and waiting for a turn included.
        observe: called with method and HTTP status (0: no answer) after each request.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        agent: str,
        connections: int,
        timeout_s: float,
        observe: Callable[[str, int], None],
        clock: Callable[[], float],
    ) -> None:
        self.credentials = credentials
        self._agent = agent
        self._connections = connections
        self._timeout_s = timeout_s
        self._observe = observe
        self._clock = clock
        self._requests: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Makes the pools; needs a running loop."""
        self._requests = self._session(self._connections)
        self._streams = self._session(0)

    async def close(self) -> None:
        """Closes all connections; requests still in flight end with `UnavailableError`."""
        for session in (self._requests, self._streams):
            if session is not None:
                await session.close()

    async def send(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None, media: str = JSON
    ) -> bytes:
        """One request and its whole answer.

        Raises:
            ApiError: by what to do next.
            CredentialsError: there are none, or they are unusable.
        """
        request = Request(method, path, query or {}, None if body is None else _encode(body), media)
        async with self._answer(request, self._requests, aiohttp.ClientTimeout(total=self._timeout_s)) as response:
            try:
                with waiting(self._timeout_s):
                    return await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise UnavailableError(str(request), _cause(error)) from error

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str], idle_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """A GET whose answer is read line by line, on a connection of its own; `idle_s`: the longest silence.

        Raises:
            ApiError: as `send`; also from the iterator.
            CredentialsError: as `send`.
        """
        request = Request("GET", path, query)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=idle_s)
        async with self._answer(request, self._streams, timeout) as response:
            yield _lines(str(request), response, idle_s)

    def _session(self, limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=60.0, socket_factory=_keepalive_socket),
            headers={"User-Agent": self._agent, "Accept": JSON},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @asynccontextmanager
    async def _answer(
        self, request: Request, session: aiohttp.ClientSession | None, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, if it is not an error. After a 401 once more, if there may be a newer token."""
        if session is None:
            raise RuntimeError("not open: use KubeClient with `async with`")
        response = await self._exchange(request, session, limits)
        if response.status == HTTPStatus.UNAUTHORIZED and self.credentials.tokens.refuse():
            response.close()
            response = await self._exchange(request, session, limits)
        try:
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise await _refusal(str(request), response)
            yield response
        finally:
            if response.content.at_eof():
                response.release()
            else:  # a stream that is left early: the connection can't be used again
                response.close()

    async def _exchange(
        self, request: Request, session: aiohttp.ClientSession, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Sends the request and waits for the answer's head."""
        headers = {"Content-Type": request.media} if request.body is not None else {}
        with waiting(self._timeout_s):
            authorization = await self.credentials.tokens.authorization(self._clock())
        if authorization:
            headers["Authorization"] = authorization
        tls = self.credentials.tls
        code = 0
        try:
            with waiting(self._timeout_s):
                async with asyncio.timeout(self._timeout_s):
                    response = await session.request(
                        request.method,
                        request.url(self.credentials.server),
                        data=request.body,
                        headers=headers,
                        ssl=tls.context() if self.credentials.server.startswith("https:") else True,
                        server_hostname=tls.server_name or None,
                        timeout=limits,
                        allow_redirects=False,
                    )
            code = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnavailableError(str(request), _cause(error)) from error
        finally:
            self._observe(request.method, code)
        return response


async def _lines(request: str, response: aiohttp.ClientResponse, idle_s: float) -> AsyncIterator[bytes]:
    lines = Lines()
    try:
        while True:
            with waiting(idle_s):
                chunk = await response.content.readany()
            if not chunk:
                return
            for line in lines.feed(chunk):
                yield line
    except LineTooLongError as error:
        raise MalformedError(request, str(error)) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(request, _cause(error)) from error


async def _refusal(request: str, response: aiohttp.ClientResponse) -> ApiError:
    try:
        body = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        body = b""
    return error_of(request, response.status, body, retry_after=response.headers.get("Retry-After", ""))


def _cause(error: BaseException) -> str:
    """A sentence for what went wrong on the way; timeouts have no text of their own."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__

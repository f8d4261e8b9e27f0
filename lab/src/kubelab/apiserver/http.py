"""The HTTP shell of the API server: TLS, client certificates, listening sockets, streams, graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from kubelab.apiserver.request import Query, Request, Response, User
from kubelab.apiserver.server import Server

_MAX_BODY: Final = 3 * 1024 * 1024
"""Bytes of a request's body; more is refused, as by the real server."""
_STOP_S: Final = 0.5
_KEEP_ALIVE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files of the server's certificate and key, and of the authority that client certificates must come from."""

    ca: Path
    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """TLS in which clients may, but need not, show a certificate.

        Raises:
            OSError: a file is missing or no certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert, self.key)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["http/1.1"])
        return context


class Shell:
    """Serves a `Server` on sockets while it is entered as a context."""

    def __init__(self, server: Server, credentials: Credentials, sockets: Sequence[socket.socket]) -> None:
        self._server = server
        self._credentials = credentials
        self._sockets = sockets
        handler = web.Server(self._serve, access_log=None, keepalive_timeout=_KEEP_ALIVE_S)
        self._runner = web.ServerRunner(handler, shutdown_timeout=_STOP_S)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        context = self._credentials.context()
        for one in self._sockets:
            await web.SockSite(self._runner, one, ssl_context=context, backlog=512).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _serve(self, raw: web.BaseRequest) -> web.StreamResponse:
        body = await _body(raw)
        if body is None:
            return web.Response(status=413, text=f"Request entity too large: limit is {_MAX_BODY}\n")
        response = await self._server.handle(_request(raw, body))
        if isinstance(response.body, bytes):
            return _whole(raw, response)
        return await _stream(raw, response, response.body)


def _whole(raw: web.BaseRequest, response: Response) -> web.Response:
    answer = web.Response(status=response.status, body=b"" if raw.method == "HEAD" else response.body)
    if not response.header("content-type"):
        del answer.headers["Content-Type"]
    _set_headers(answer, response)
    return answer


def _set_headers(answer: web.StreamResponse, response: Response) -> None:
    for name, value in response.headers:
        if name == "Content-Type":
            answer.headers[name] = value
        else:
            answer.headers.add(name, value)


async def _stream(raw: web.BaseRequest, response: Response, body: AsyncIterator[bytes]) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status)
    _set_headers(answer, response)
    answer.enable_chunked_encoding()
    # The client goes, or the server stops: either ends the stream.
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        await answer.prepare(raw)
        async for chunk in body:
            await answer.write(chunk)
        await answer.write_eof()
    return answer


async def _body(raw: web.BaseRequest) -> bytes | None:
    """A request's body; None if it is too large."""
    if not raw.can_read_body:
        return b""
    if raw.content_length is not None and raw.content_length > _MAX_BODY:
        return None
    body = bytearray()
    async for chunk in raw.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY:
            return None
    return bytes(body)


def _request(raw: web.BaseRequest, body: bytes) -> Request:
    headers: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for name, value in raw.headers.items():
        lower = name.lower()
        if lower in headers:
            lists[lower] = (*lists.get(lower, (headers[lower],)), value)
            if lower == "accept":
                headers[lower] += "," + value
        else:
            headers[lower] = value
    url = raw.rel_url
    query = Query.parse(url.raw_query_string)
    return Request(raw.method, url.path, query, headers, lists, body, _certificate(raw), raw.remote or "")


def _certificate(raw: web.BaseRequest) -> User | None:
    """Who a verified client certificate names: common name and organisations."""
    transport = raw.transport
    peer: Any = transport.get_extra_info("peercert") if transport is not None else None
    if not peer:
        return None
    parts = [pair for attributes in peer.get("subject", ()) for pair in attributes]
    name = next((value for key, value in parts if key == "commonName"), "")
    groups = tuple(value for key, value in parts if key == "organizationName")
    return User(name, groups) if name else None


def listen(address: str) -> socket.socket:
    """A listening socket on `host:port` or `[host]:port`.

    Raises:
        OSError: the address can't be had.
        ValueError: the text is none.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"listen: {address!r} is not host:port")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, int(port)))
        found.setblocking(False)
    except OSError:
        found.close()
        raise
    return found


def inherited(descriptor: int) -> socket.socket:
    """A socket that the parent process has made."""
    found = socket.socket(fileno=descriptor)
    found.setblocking(False)
    return found

"""A scripted API server on loopback: tests say what it answers, request by request, and see what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web

from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, reason: str, message: str = "no", **details: Any) -> web.Response:
    """A `Status` answer."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    if details:
        body["details"] = details
    return web.json_response(body, status=code)


@dataclass
class Seen:
    """A request as the server got it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class FakeServer:
    """Answers from `script` in order; when that is empty, by `fallback`."""

    script: list[Handler] = field(default_factory=list)
    fallback: Handler | None = None
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    def then(self, answer: web.Response | Handler) -> None:
        """Appends an answer to the script."""

        async def fixed(_request: web.Request) -> web.StreamResponse:
            assert isinstance(answer, web.Response)
            return answer

        self.script.append(fixed if isinstance(answer, web.Response) else answer)

    async def requests(self, count: int) -> list[Seen]:
        """Waits until `count` requests have arrived."""
        async with self.arrived, asyncio.timeout(60):
            await self.arrived.wait_for(lambda: len(self.seen) >= count)
        return self.seen

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        async with self.arrived:
            self.seen.append(
                Seen(
                    request.method,
                    request.path,
                    dict(request.query),
                    dict(request.headers),
                    msgspec.json.decode(raw) if raw else None,
                )
            )
            self.arrived.notify_all()
        handler = self.script.pop(0) if self.script else self.fallback
        if handler is None:
            return status(500, "InternalError", "the script is at its end")
        return await handler(request)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # asyncio's Server has them
    fake.url = f"http://127.0.0.1:{port}"
    yield fake
    await runner.cleanup()


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[KubeClient]:
    async with KubeClient(Credentials(server.url), agent="test/1", field_manager="tester", timeout_s=5) as opened:
        yield opened


@pytest.fixture
def answer() -> Callable[..., web.Response]:
    """Makes a `Status` answer: code, reason, message, details."""
    return status


def stream_of(*lines: Any, hold: asyncio.Event | None = None, cut: bool = False) -> Handler:
    """A watch that sends these lines; then it ends, hangs until `hold`, or `cut`s the connection."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        for line in lines:
            await response.write(line if isinstance(line, bytes) else msgspec.json.encode(line) + b"\n")
        if hold is not None:
            await hold.wait()
        if cut and request.transport is not None:
            request.transport.abort()
            return response
        if any(isinstance(line, bytes) for line in lines):
            await response.write(b"\n")
        await response.write_eof()
        return response

    return handler


@pytest.fixture
def stream() -> Callable[..., Handler]:
    """Makes a watch: see `stream_of`."""
    return stream_of

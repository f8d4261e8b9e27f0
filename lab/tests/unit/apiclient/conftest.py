"""A scripted API server on loopback: each test says what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedServer:
    """Answers requests by `answer`; remembers them."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], dict[str, str], bytes]] = field(default_factory=list)
    answer: Answer | None = None
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 10
    oldest: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    log: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    cuts: int = 0
    watches: int = 0
    down: bool = False
    lists: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(
            (request.method, request.path, dict(request.query), dict(request.headers), await request.read())
        )
        self.asked.set()
        if self.answer is not None:
            return await self.answer(request)
        if self.down:
            return web.json_response(
                {"kind": "Status", "code": 503, "reason": "ServiceUnavailable", "message": "down"}, status=503
            )
        if request.query.get("watch"):
            return await self._watch(request)
        self.lists += request.query.get("limit") != "1"
        return web.json_response(
            {
                "kind": "ConfigMapList",
                "apiVersion": "v1",
                "metadata": {"resourceVersion": str(self.version)},
                "items": list(self.items.values()),
            }
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        if since < self.oldest:
            await self._send(
                stream,
                "ERROR",
                {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"},
            )
            return stream
        at, cuts = 0, self.cuts
        async with self.changed:
            self.watches += 1
            self.changed.notify_all()
        while True:
            for version, kind, obj in self.log[at:]:
                if version > since:
                    await self._send(stream, kind, obj)
            at = len(self.log)
            async with self.changed:
                await self.changed.wait_for(lambda seen=at: len(self.log) > seen or self.cuts > cuts)
            if self.cuts > cuts:
                if request.transport is not None:
                    request.transport.close()
                return stream

    async def _send(self, stream: web.StreamResponse, kind: str, obj: dict[str, Any]) -> None:
        import msgspec

        line = msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
        await stream.write(line[:7])
        await stream.write(line[7:])

    async def put(self, name: str, value: str, *, uid: str = "") -> None:
        kind = "MODIFIED" if name in self.items else "ADDED"
        self.version += 1
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": uid or name,
                "resourceVersion": str(self.version),
            },
            "data": {"value": value},
        }
        self.items[name] = obj
        await self._log(kind, obj)

    async def remove(self, name: str, *, silently: bool = False) -> None:
        obj = self.items.pop(name)
        self.version += 1
        if not silently:
            await self._log("DELETED", obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.version)}})

    def lose_history(self) -> None:
        """As a server that was started anew without what it knew."""
        self.items.clear()
        self.log.clear()
        self.version = 1

    async def bookmark(self) -> None:
        self.version += 1
        await self._log("BOOKMARK", {"kind": "ConfigMap", "metadata": {"resourceVersion": str(self.version)}})

    async def _log(self, kind: str, obj: dict[str, Any]) -> None:
        async with self.changed:
            self.log.append((self.version, kind, obj))
            self.changed.notify_all()

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(60):
            while len(self.requests) < times:
                self.asked.clear()
                await self.asked.wait()

    async def cut_watches(self, *, down: bool = False) -> None:
        """End the watch that there is, or will be in a moment, without a word; and refuse all from then on if `down`."""
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(lambda: self.watches)
            self.down = down
        await self.close()

    async def close(self) -> None:
        async with self.changed:
            self.cuts += 1
            self.watches = 0
            self.changed.notify_all()


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    yield server
    await server.close()
    await runner.cleanup()

"""A server without a transport, and short ways to ask it."""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubelab.apiserver.request import Request, Response, User
from kubelab.apiserver.server import Options, Server
from kubelab.apiserver.tokens import TokenKeys
from kubelab.apiserver.webhooks.targets import Target

ADMIN = User("admin", ("system:masters",))
ALICE = User("alice")
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Answer:
    """A response, read."""

    status: int
    body: Any
    warnings: list[str]
    response: Response


@dataclass
class Asker:
    """Asks a server as somebody."""

    server: Server
    user: User | None = ADMIN
    headers: dict[str, str] = field(default_factory=dict)

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"content-type": "application/json", "user-agent": "test/1"} | self.headers
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self.server.handle(Request.to(method, path, text, sent, self.user))
        warnings = [value for name, value in response.headers if name == "Warning"]
        return Answer(response.status, read(response), warnings, response)

    def as_user(self, user: User | None) -> Asker:
        return Asker(self.server, user, self.headers)


def read(response: Response) -> Any:
    if not isinstance(response.body, bytes):
        return None
    if "json" in response.header("content-type") and response.body:
        return json.loads(response.body)
    return response.body.decode(errors="replace")


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


Say = Callable[[Any], Any]
"""What a webhook makes of a review's request: the response, or bytes to answer instead; it may raise, or be async."""


@dataclass
class Webhooks:
    """Webhooks without a network: `said[path]` is what the one at a path says; all that was asked is kept."""

    said: dict[str, Say] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """Path and request of each review."""

    async def post(self, target: Target, body: bytes, timeout_s: float) -> bytes:
        assert timeout_s > 0
        review = json.loads(body)
        path = target.path.partition("?")[0]
        self.asked.append((path, review["request"]))
        said = self.said[path](review["request"])
        if inspect.isawaitable(said):
            said = await said
        if isinstance(said, bytes):
            return said
        return json.dumps(review | {"response": {"uid": review["request"]["uid"]} | said}).encode()

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def client(self, path: str) -> Any:
        return {"url": f"https://127.0.0.1:1{path}"}


@pytest.fixture
def webhooks() -> Webhooks:
    return Webhooks()


@pytest.fixture
def server(clock: Clock, webhooks: Webhooks) -> Server:
    options = Options(
        clock=clock,
        draw=random.Random(1).randrange,
        keys=TokenKeys.generate(),
        tokens={"t": ALICE},
        ring=50,
        webhooks=webhooks,
    )
    return Server(options)


@pytest.fixture
def ask(server: Server) -> Asker:
    return Asker(server)


@pytest.fixture
def asker_of() -> Callable[[Server], Asker]:
    """Asks another server, as the administrator."""
    return Asker


@pytest.fixture
def lines() -> Any:
    """Reads events of a watch, one at a time."""

    async def events(answer: Answer) -> AsyncIterator[Any]:
        body = answer.response.body
        assert not isinstance(body, bytes)
        async for chunk in body:
            for line in chunk.splitlines():
                yield json.loads(line)

    return events

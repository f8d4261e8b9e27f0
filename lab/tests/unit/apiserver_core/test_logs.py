"""Logs of pods: which container, which node, what the agent says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from kubelab.apiserver.errors import ApiError
from kubelab.apiserver.request import Response
from kubelab.apiserver.server import Server

PODS = "/api/v1/namespaces/default/pods"


@dataclass
class Agent:
    """Answers like a node agent; remembers what it was asked."""

    asked: list[tuple[str, int, str, str]] = field(default_factory=list)

    async def logs(self, address: str, port: int, path: str, query: str) -> Response:
        self.asked.append((address, port, path, query))
        if "previous" in query:
            raise ApiError(400, "BadRequest", "previous terminated container not found")

        async def text() -> AsyncIterator[bytes]:
            yield b"hello\n"

        return Response(200, [("Content-Type", "text/plain")], text())


@pytest.fixture
async def agent(ask: Any, server: Server) -> Agent:
    found = Agent()
    server.state.kubelet = found
    node = {"metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.11"}]}}
    await ask("POST", "/api/v1/nodes", node)
    await ask("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    for name, extra in (("one", {"nodeName": "n"}), ("waiting", {}), ("lost", {"nodeName": "gone"})):
        spec = {"containers": [{"name": "c", "image": "i"}], **extra}
        assert (await ask("POST", PODS, {"metadata": {"name": name}, "spec": spec})).status == 201
    two = {"nodeName": "n", "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}
    assert (await ask("POST", PODS, {"metadata": {"name": "two"}, "spec": two})).status == 201
    return found


async def test_the_only_container_need_not_be_named(ask: Any, agent: Agent) -> None:
    answer = await ask("GET", f"{PODS}/one/log?follow=true&tailLines=5&nope=1")
    assert [chunk async for chunk in answer.response.body] == [b"hello\n"]
    assert agent.asked == [("198.51.100.11", 10250, "/containerLogs/default/one/c", "follow=true&tailLines=5")]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"),
        ("two/log?container=x", 400, "container x is not valid for pod two"),
        ("one/log?previous=true", 400, "previous terminated container not found"),
        ("nope/log", 404, 'pods "nope" not found'),
        ("lost/log", 500, 'nodes "gone" not found'),
    ],
)
async def test_what_cannot_be_had_is_told(ask: Any, agent: Agent, path: str, status: int, message: str) -> None:
    answer = await ask("GET", f"{PODS}/{path}")
    assert answer.status == status
    assert message in answer.body["message"]


async def test_a_pod_without_a_node_has_said_nothing(ask: Any, agent: Agent) -> None:
    answer = await ask("GET", f"{PODS}/waiting/log")
    assert (answer.status, answer.body, agent.asked) == (200, "", [])

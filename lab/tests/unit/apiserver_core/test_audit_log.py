"""The audit log: who did what, with which outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.audit_log import AuditLog
from kubelab.apiserver.request import Request, User
from kubelab.apiserver.server import Options, Server

ADMIN = User("root", ("system:masters",))
MAP = b'{"metadata": {"name": "a"}}'
MAPS = "/api/v1/namespaces/default/configmaps"


class Told:
    """A server and what its log says."""

    def __init__(self, path: Path, limit_bytes: int = 1 << 20) -> None:
        self.path = path
        self.log = AuditLog(path, limit_bytes)
        self.server = Server(Options(audit_log=self.log.note))

    async def ask(self, method: str, address: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        request = Request.to(method, address, body, {**(headers or {}), "User-Agent": "test/1"}, ADMIN)
        return await self.server.handle(request)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "audit.log")


async def test_a_line_says_who_did_what_and_what_came_of_it(told: Told) -> None:
    response = await told.ask("POST", MAPS + "?dryRun=All", MAP)
    (line,) = told.lines()
    assert line["verb"] == "create"
    assert line["user"] == {"username": "root", "groups": ["system:masters", "system:authenticated"]}
    assert line["objectRef"] == {"resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1"}
    assert line["responseStatus"]["code"] == 201
    assert line["requestURI"] == MAPS + "?dryRun=All"
    assert line["userAgent"] == "test/1"
    assert line["auditID"] == response.header("Audit-Id")
    assert line["requestReceivedTimestamp"] <= line["stageTimestamp"]


async def test_a_generated_name_is_told(told: Told) -> None:
    await told.ask("POST", MAPS, b'{"metadata": {"generateName": "made-"}}')
    assert told.lines()[0]["objectRef"]["name"].startswith("made-")


async def test_refusals_are_told_with_their_codes(told: Told) -> None:
    await told.ask("GET", MAPS + "/none")
    await told.server.handle(Request.to("DELETE", MAPS + "/a", certificate=User("eve")))
    await told.server.handle(Request.to("GET", MAPS, headers={"Authorization": "Bearer wrong"}))
    found = [(line["user"].get("username"), line["verb"], line["responseStatus"]["code"]) for line in told.lines()]
    assert found == [("root", "get", 404), ("eve", "delete", 403), (None, "list", 401)]


async def test_who_is_impersonated_is_told_beside_who_asks(told: Told) -> None:
    await told.ask("GET", MAPS, headers={"Impersonate-User": "alice"})
    (line,) = told.lines()
    assert line["user"]["username"] == "root"
    assert line["impersonatedUser"]["username"] == "alice"


async def test_a_watch_is_told_when_it_begins(told: Told) -> None:
    await told.ask("GET", MAPS + "?watch=true")
    (line,) = told.lines()
    assert (line["verb"], line["stage"]) == ("watch", "ResponseStarted")


async def test_health_checks_are_not_told(told: Told) -> None:
    await told.ask("GET", "/readyz")
    assert told.lines() == []


async def test_a_long_log_is_put_aside_once(tmp_path: Path) -> None:
    told = Told(tmp_path / "audit.log", limit_bytes=2000)
    for _ in range(40):
        await told.ask("GET", MAPS)
    aside = tmp_path / "audit.log.1"
    assert 2000 < aside.stat().st_size < 4000
    assert told.path.stat().st_size <= 2000
    assert not (tmp_path / "audit.log.1.1").exists()


async def test_a_log_that_cannot_be_written_costs_no_request(told: Told) -> None:
    told.log.close()
    response = await told.ask("GET", MAPS)
    assert response.status == 200

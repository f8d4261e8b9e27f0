"""The process: configuration, TLS, identities, streams, its end."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kubelab import pki
from kubelab.apiserver import main, standalone
from kubelab.apiserver.http import listen

WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
MAPS = "/api/v1/namespaces/default/configmaps"


@dataclass
class Served:
    """A running process's inside."""

    url: str
    folder: Path
    stop: asyncio.Event
    task: asyncio.Task[None]

    def session(self, name: str = "admin") -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        if name:
            context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(ssl=context))


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = standalone.prepare(tmp_path, listener.detach(), port)
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(main.serve(config, stop, ready.set))
    async with asyncio.timeout(60):
        await ready.wait()
    yield Served(f"https://127.0.0.1:{port}", tmp_path, stop, task)
    stop.set()
    await task


async def test_a_certificate_names_its_user_and_groups(served: Served) -> None:
    async with served.session() as session, session.post(WHO, json=REVIEW) as answer:
        info = (await answer.json())["status"]["userInfo"]
    assert (info["username"], info["groups"]) == ("admin", ["system:masters", "system:authenticated"])


async def test_without_a_certificate_one_is_nobody(served: Served) -> None:
    async with served.session("") as session:
        async with session.get("/api/v1/namespaces") as answer:
            assert (answer.status, (await answer.json())["reason"]) == (403, "Forbidden")
        async with session.get("/healthz") as answer:
            assert await answer.text() == "ok"


async def test_a_certificate_of_another_authority_is_refused(served: Served) -> None:
    other = pki.Authority(0.0, lambda n: n - 1).issue(pki.Subject("admin", (pki.ADMINISTRATORS,)))
    pki.write_identity(other, served.folder, "stranger")
    async with served.session("stranger") as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get("/api/v1/namespaces")


async def test_a_watch_streams_while_others_write(served: Served) -> None:
    async with served.session() as session:
        async with session.get(f"{MAPS}?watch=1&resourceVersion=0") as stream:
            async with session.post(MAPS, json={"metadata": {"name": "a"}}) as made:
                assert made.status == 201
            async with asyncio.timeout(60):
                event = json.loads(await stream.content.readline())
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")


async def test_the_end_does_not_wait_for_watches(served: Served) -> None:
    async with served.session() as session, session.get(f"{MAPS}?watch=1&resourceVersion=0") as stream:
        served.stop.set()
        async with asyncio.timeout(60):
            await served.task
            with pytest.raises((aiohttp.ClientError, asyncio.IncompleteReadError)):
                await stream.content.readexactly(1)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_that_is_too_large_is_refused(served: Served, *, chunked: bool) -> None:
    body = io.BytesIO(b"x" * 4_000_000)
    async with served.session() as session, session.post(MAPS, data=body, chunked=chunked or None) as answer:
        assert answer.status == 413


async def test_a_large_object_is_stored_whole(served: Served) -> None:
    body = io.BytesIO(json.dumps({"metadata": {"name": "large"}, "data": {"x": "y" * 1_000_000}}).encode())
    async with served.session() as session:
        async with session.post(MAPS, data=body, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 201
        async with session.get(f"{MAPS}/large") as answer:
            assert len((await answer.json())["data"]["x"]) == 1_000_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Input data was truncated"),
        ("{}", "Object missing required field `certificates`"),
        ('{"certificates": {"ca": "a", "cert": "b", "key": "c"}, "nope": 1}', "unknown field `nope`"),
        ('{"certificates": {"ca": "a", "cert": "b", "key": 3}}', "Expected `str`, got `int` - at `$.certificates.key`"),
    ],
)
def test_a_wrong_configuration_is_one_line(tmp_path: Path, capsys: Any, text: str, why: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    assert main.main([str(path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"kubelab apiserver: {path}: ")
    assert why in error
    assert error.count("\n") == 1


def test_a_missing_configuration_is_one_line(tmp_path: Path, capsys: Any) -> None:
    assert main.main([str(tmp_path / "nope.json")]) == 1
    assert "nope.json: No such file or directory" in capsys.readouterr().err
    assert main.main([]) == 2


@pytest.mark.parametrize("address", ["nope", "127.0.0.1", "127.0.0.1:x", ":1"])
def test_an_address_must_be_host_and_port(address: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        listen(address)


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="Address already in use"):
        listen(f"127.0.0.1:{taken.getsockname()[1]}")

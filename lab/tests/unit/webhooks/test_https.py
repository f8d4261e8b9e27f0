"""Webhooks over real connections on loopback."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from kubelab import pki
from kubelab.apiserver.webhooks import https
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.https import HttpsCaller
from kubelab.apiserver.webhooks.targets import Target

Serve = Callable[..., Awaitable[Target]]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

CA = pki.Authority(time.time(), random.Random(1).randrange)
OTHER = pki.Authority(time.time(), random.Random(2).randrange)


def bundle(authority: pki.Authority) -> str:
    return base64.b64encode(authority.certificate).decode()


@pytest.fixture
async def caller() -> AsyncIterator[HttpsCaller]:
    async with HttpsCaller() as found:
        yield found


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serve a handler with a certificate for a name; where it is then."""
    runners: list[web.ServerRunner] = []

    async def start(handler: Handler, name: str = "hook.ns.svc", *, tls: bool = True, **options: Any) -> Target:
        context = None
        if tls:
            address = ipaddress.IPv4Address("127.0.0.2")
            names = (name, address) if name else (address,)
            identity = CA.issue(pki.Subject("hook.ns.svc", (), names))
            files = pki.write_identity(identity, tmp_path, "hook")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(files.cert, files.key)
        runner = web.ServerRunner(web.Server(handler, **options), shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        port = runner.addresses[0][1]
        url = "https://hook.ns.svc:443/x?timeout=1s"
        return Target(url, "127.0.0.1", port, "hook.ns.svc", "/x?timeout=1s", bundle(CA))

    yield start
    for one in runners:
        await one.cleanup()


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"host": request.headers["Host"], "path": request.path_qs, "body": await request.text()})


async def refused(caller: HttpsCaller, target: Target, timeout_s: float = 5) -> str:
    with pytest.raises(CallError) as failed:
        await caller.post(target, b"{}", timeout_s)
    return failed.value.reason.removeprefix(f'Post "{target.url}": ')


def changed(target: Target, **differing: Any) -> Target:
    fields = {name: getattr(target, name) for name in Target.__dataclass_fields__}
    return Target(**(fields | differing))


async def test_a_webhook_hears_its_name_and_path(caller: HttpsCaller, serve: Serve) -> None:
    answer = await caller.post(await serve(echo), b"hello", 5)
    assert answer == b'{"host": "hook.ns.svc:443", "path": "/x?timeout=1s", "body": "hello"}'


async def test_connections_are_kept(caller: HttpsCaller, serve: Serve) -> None:
    ports: list[int] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response(text="{}")

    target = await serve(note)
    for _ in range(3):
        await caller.post(target, b"{}", 5)
    assert len(set(ports)) == 1


async def test_a_kept_connection_that_was_closed_is_replaced(caller: HttpsCaller, serve: Serve) -> None:
    transports: list[asyncio.Transport] = []

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        transports.append(request.transport)
        return web.Response(text="{}")

    target = await serve(note)
    await caller.post(target, b"{}", 5)
    transports[0].abort()
    assert await caller.post(target, b"{}", 5) == b"{}"
    assert len(transports) == 2


async def test_a_webhook_has_its_time_and_no_more(caller: HttpsCaller, serve: Serve) -> None:
    async def wait(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(30)
        raise AssertionError

    assert await refused(caller, await serve(wait), 0.05) == "context deadline exceeded"


async def test_a_kept_connection_on_which_nobody_answers_costs_one_request_its_time(
    caller: HttpsCaller, serve: Serve
) -> None:
    asked: list[asyncio.BaseTransport | None] = []

    async def once(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.transport)
        if asked.count(request.transport) > 1:
            await asyncio.Event().wait()
        return web.Response(text="{}")

    target = await serve(once)
    await caller.post(target, b"{}", 60)
    assert await refused(caller, target, 0.05) == "context deadline exceeded"
    assert await caller.post(target, b"{}", 60) == b"{}"
    assert len(set(asked)) == 2


def test_a_request_to_a_node_that_has_gone_fails_by_its_own_time_and_no_sooner() -> None:
    with https._socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 0))) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0, "the kernel goes on trying"
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


async def test_a_webhook_of_another_authority_is_not_trusted(caller: HttpsCaller, serve: Serve) -> None:
    target = await serve(echo)
    why = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    assert await refused(caller, changed(target, ca=bundle(OTHER))) == why
    assert await refused(caller, changed(target, ca="")) == why


async def test_a_webhook_of_another_name_is_not_trusted(caller: HttpsCaller, serve: Serve) -> None:
    target = await serve(echo, "other.ns.svc")
    why = "tls: failed to verify certificate: x509: certificate is not valid for hook.ns.svc"
    assert await refused(caller, target) == why


async def test_a_certificate_that_names_its_server_in_the_common_name_only_is_not_trusted(
    caller: HttpsCaller, serve: Serve
) -> None:
    why = "tls: failed to verify certificate: x509: certificate is not valid for hook.ns.svc"
    assert await refused(caller, await serve(echo, "")) == why


async def test_a_bundle_may_hold_the_webhooks_own_certificate_only(
    caller: HttpsCaller, serve: Serve, tmp_path: Path
) -> None:
    target = await serve(echo)
    own = base64.b64encode((tmp_path / "hook.crt").read_bytes()).decode()
    assert await caller.post(changed(target, ca=own), b"{}", 5)


async def test_a_bundle_that_is_none_is_told(caller: HttpsCaller, serve: Serve) -> None:
    why = "unable to load root certificates: unable to parse bytes as PEM block"
    target = await serve(echo)
    for ca in ("bm9uZQ==", "!"):
        assert why in await refused(caller, changed(target, ca=ca))


async def test_nobody_there_is_told(caller: HttpsCaller, serve: Serve) -> None:
    target = changed(await serve(echo), port=1)
    assert await refused(caller, target) == "dial tcp 127.0.0.1:1: connect: connection refused"


async def test_a_server_without_tls_is_told(caller: HttpsCaller, serve: Serve) -> None:
    target = await serve(echo, tls=False)
    assert await refused(caller, target) == "http: server gave HTTP response to HTTPS client"


async def test_a_server_that_hangs_up_is_told(caller: HttpsCaller, serve: Serve) -> None:
    async def hang_up(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.close()
        return web.Response()

    assert await refused(caller, await serve(hang_up)) == "EOF"


async def test_redirects_are_not_followed(caller: HttpsCaller, serve: Serve) -> None:
    async def away(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "https://127.0.0.1:1/"}, text="x")

    assert (await refused(caller, await serve(away))).startswith("the server responded with the status code 302")

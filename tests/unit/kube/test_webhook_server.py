"""The webhook server over real TLS on loopback."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import uvloop

from metallb.kube.admission import ReviewError
from metallb.kube.authority import Pair, Signer, issue, make_authority
from metallb.kube.certificates import self_signed
from metallb.kube.tls import TlsSettings
from metallb.kube.webhook_server import SMALL, WebhookServer

NOW = dt.datetime.now(tz=dt.UTC)  # noqa: TID251  # ssl compares with the real clock
YEAR = dt.timedelta(days=365)
NAME = "hook.metallb-system.svc"


@pytest.fixture(scope="module")
def authorities() -> tuple[Signer, Signer]:
    return make_authority(NOW, YEAR), make_authority(NOW, YEAR)


def pair_of(signer: Signer) -> Pair:
    return issue(signer, [NAME], NOW, YEAR)


def trusting(*signers: Signer) -> ssl.SSLContext:
    return ssl.create_default_context(cadata="".join(each.certificate.decode() for each in signers))


async def echo(body: bytes) -> bytes:
    return body


async def refuse(_body: bytes) -> bytes:
    raise ReviewError("no review")


async def fail(_body: bytes) -> bytes:
    raise KeyError("a mistake")


@asynccontextmanager
async def running(server: WebhookServer) -> AsyncIterator[str]:
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(60):
            await server.listening.wait()
        yield f"https://127.0.0.1:{server.port}"
    finally:
        task.cancel()
        await asyncio.wait({task})


def server_of(*, limit: int = 1000, read_s: float = 5.0, room: int = 1000) -> WebhookServer:
    answers = {"/echo": echo, "/refuse": refuse, "/fail": fail}
    return WebhookServer(answers, port=0, host="127.0.0.1", tls=TlsSettings(), limit=limit, read_s=read_s, room=room)


async def post(
    session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext, body: object = b"{}", method: str = "POST"
) -> tuple[int, str]:
    async with session.request(method, url, data=body, ssl=tls, server_hostname=NAME) as response:
        return response.status, await response.text()


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/echo", (200, "{}")),
        ("POST", "/refuse", (400, "no review")),
        ("POST", "/fail", (500, "internal error")),
        ("POST", "/elsewhere", (404, "no webhook here")),
        ("GET", "/echo", (405, "method not allowed")),
    ],
)
async def test_each_path_has_its_answer(
    method: str, path: str, expected: tuple[int, str], authorities: tuple[Signer, Signer]
) -> None:
    server = server_of()
    server.use(pair_of(authorities[0]))
    async with running(server) as url, aiohttp.ClientSession() as session:
        assert await post(session, url + path, trusting(authorities[0]), method=method) == expected


async def test_a_body_that_is_too_large_is_refused_however_it_is_sent(authorities: tuple[Signer, Signer]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    server = server_of()
    server.use(pair_of(authorities[0]))
    tls = trusting(authorities[0])
    async with running(server) as url, aiohttp.ClientSession() as session:
        assert await post(session, f"{url}/echo", tls, b"x" * 1000) == (200, "x" * 1000)
        assert (await post(session, f"{url}/echo", tls, b"x" * 1001))[0] == 413
        assert (await post(session, f"{url}/echo", tls, chunks()))[0] == 413
        assert await post(session, f"{url}/echo", tls) == (200, "{}")


async def test_bodies_together_do_not_fill_the_memory_and_small_ones_get_through(
    authorities: tuple[Signer, Signer],
) -> None:
    """Two that are sent at once are too much; the room is free again when they are done with."""
    both, go_on = asyncio.Barrier(3), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * (SMALL + 600)
        await both.wait()
        await go_on.wait()
        yield b"x"

    server = server_of(limit=4 * SMALL)
    server.use(pair_of(authorities[0]))
    tls = trusting(authorities[0])
    async with running(server) as url, aiohttp.ClientSession() as session, asyncio.timeout(60):
        sent = [asyncio.create_task(post(session, f"{url}/echo", tls, slow())) for _ in range(2)]
        await both.wait()
        done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        assert [(await each)[0] for each in done] == [503]
        assert (await post(session, f"{url}/echo", tls, b"x" * SMALL))[0] == 200
        go_on.set()
        assert sorted([(await each)[0] for each in sent]) == [200, 503]
        assert (await post(session, f"{url}/echo", tls, b"x" * (SMALL + 1000)))[0] == 200


async def test_a_body_that_does_not_arrive_is_not_waited_for(authorities: tuple[Signer, Signer]) -> None:
    enough = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await enough.wait()

    server = server_of(read_s=0.05)
    server.use(pair_of(authorities[0]))
    async with running(server) as url, aiohttp.ClientSession() as session:
        assert (await post(session, f"{url}/echo", trusting(authorities[0]), slow()))[0] == 408
        enough.set()


async def test_nothing_listens_before_there_is_a_certificate(authorities: tuple[Signer, Signer]) -> None:
    server = server_of()
    task = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    assert not server.listening.is_set()
    server.use(pair_of(authorities[0]))
    async with asyncio.timeout(60):
        await server.listening.wait()
    task.cancel()
    await asyncio.wait({task})
    assert not server.listening.is_set()


async def test_a_new_certificate_is_for_new_connections_and_closes_none(authorities: tuple[Signer, Signer]) -> None:
    old, new = authorities
    server = server_of()
    server.use(pair_of(old))
    async with running(server) as url, aiohttp.ClientSession() as first, aiohttp.ClientSession() as second:
        only_old, only_new = trusting(old), trusting(new)
        assert (await post(first, f"{url}/echo", only_old))[0] == 200
        server.use(pair_of(new))
        assert (await post(first, f"{url}/echo", only_old))[0] == 200, "the open connection goes on"
        assert (await post(second, f"{url}/echo", only_new))[0] == 200
        async with aiohttp.ClientSession() as third:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await post(third, f"{url}/echo", only_old)


def test_the_same_holds_on_the_loop_that_processes_run_on(authorities: tuple[Signer, Signer]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_a_new_certificate_is_for_new_connections_and_closes_none(authorities))
        runner.run(test_a_certificate_with_another_kind_of_key_replaces_the_first(authorities))


async def test_a_certificate_with_another_kind_of_key_replaces_the_first(authorities: tuple[Signer, Signer]) -> None:
    certificate, key = self_signed(NAME, [NAME], wall_s=NOW.timestamp())
    server = server_of()
    server.use(pair_of(authorities[0]))
    server.use(Pair(certificate.encode(), key.encode()))
    async with running(server) as url, aiohttp.ClientSession() as session:
        assert (await post(session, f"{url}/echo", ssl.create_default_context(cadata=certificate)))[0] == 200


async def test_who_is_told_to_stop_still_answers_and_asks_for_other_connections(
    authorities: tuple[Signer, Signer],
) -> None:
    server = server_of()
    server.use(pair_of(authorities[0]))
    tls = trusting(authorities[0])
    async with running(server) as url, aiohttp.ClientSession() as session:
        async with session.post(f"{url}/echo", data=b"1", ssl=tls, server_hostname=NAME) as response:
            assert "Connection" not in response.headers
        server.drain()
        async with session.post(f"{url}/echo", data=b"2", ssl=tls, server_hostname=NAME) as response:
            assert (response.status, await response.read()) == (200, b"2")
            assert response.headers["Connection"] == "close"


async def test_an_unusable_certificate_leaves_the_last(authorities: tuple[Signer, Signer]) -> None:
    good, other = pair_of(authorities[0]), pair_of(authorities[1])
    server = server_of()
    server.use(good)
    for bad in (Pair(good.chain, other.key), Pair(b"x", b"y"), Pair(b"", b"")):
        with pytest.raises(OSError):
            server.use(bad)
    async with running(server) as url, aiohttp.ClientSession() as session:
        assert (await post(session, f"{url}/echo", trusting(authorities[0])))[0] == 200


async def test_only_http_1_is_offered_and_old_tls_is_refused(authorities: tuple[Signer, Signer]) -> None:
    server = server_of()
    server.use(pair_of(authorities[0]))
    async with running(server):
        client = trusting(authorities[0])
        client.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=client, server_hostname=NAME)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.close()
        old = trusting(authorities[0])
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=old, server_hostname=NAME)

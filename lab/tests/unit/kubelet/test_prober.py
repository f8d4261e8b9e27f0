"""One attempt of a probe, over real connections on loopback."""

from __future__ import annotations

import random
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from kubelab import pki
from kubelab.kubelet.podspec import Exec, HttpGet, Probe, TcpSocket
from kubelab.kubelet.prober import Answer, Prober

HOST = "127.0.0.1"
TIMEOUT_S = 60
CLOSED = 1
"""A port where nobody listens."""


@pytest.fixture
async def prober() -> AsyncIterator[Prober]:
    made = Prober()
    yield made
    await made.close()


@pytest.fixture(params=[False, True], ids=["http", "https"])
async def page(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HttpGet]:
    """A server that answers with the status that the path names; over HTTPS with a certificate that nobody knows."""

    async def answer(asked: web.BaseRequest) -> web.StreamResponse:
        assert asked.headers["User-Agent"].startswith("kube-probe/")
        return web.Response(status=int(asked.path.strip("/")), headers={"Location": "http://198.51.100.1/"})

    context = None
    if request.param:
        authority = pki.Authority(time.time(), random.Random(1).randrange)
        files = pki.write_identity(authority.issue(pki.Subject("x", (), ("elsewhere",))), tmp_path, "x")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, ssl_context=context).start()
    yield HttpGet("", runner.addresses[0][1], "/200", https=request.param, headers=())
    await runner.cleanup()


async def attempt(prober: Prober, action: HttpGet | TcpSocket | Exec, timeout_s: float = TIMEOUT_S) -> Answer:
    return await prober.attempt(Probe(action, timeout_s=timeout_s), HOST, list, {})


@pytest.mark.parametrize("status", [200, 204, 302, 399, 400, 404, 500])
async def test_a_page_is_good_by_its_status(prober: Prober, page: HttpGet, status: int) -> None:
    found = await attempt(prober, HttpGet("", page.port, f"/{status}", page.https, ()))
    assert found == Answer(status < 400, "" if status < 400 else f"HTTP probe failed with statuscode: {status}")


async def test_who_speaks_no_tls_is_not_asked_over_it(prober: Prober, page: HttpGet) -> None:
    found = await attempt(prober, HttpGet("", page.port, "/200", not page.https, ()))
    assert not found.ok


async def test_a_port_is_open_or_refused(prober: Prober, page: HttpGet) -> None:
    assert await attempt(prober, TcpSocket("", page.port)) == Answer(True, "")
    refused = f"dial tcp {HOST}:{CLOSED}: connect: connection refused"
    assert await attempt(prober, TcpSocket("", CLOSED)) == Answer(False, refused)
    assert (await attempt(prober, HttpGet("", CLOSED, "/", False, ()))).message.endswith(refused)


async def test_a_command_is_good_by_its_code_and_in_time(prober: Prober) -> None:
    python = (sys.executable, "-c")
    assert await attempt(prober, Exec((*python, "print('fine')"))) == Answer(True, "fine\n")
    assert await attempt(prober, Exec((*python, "print('bad'); exit(3)"))) == Answer(False, "bad\n")
    late = await attempt(prober, Exec(("sleep", "60")), 0.05)
    assert late == Answer(False, "command timed out: '60' timed out after 0.05s")

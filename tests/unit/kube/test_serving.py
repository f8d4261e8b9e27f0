from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from metallb.kube.certificates import self_signed
from metallb.kube.client import KubeClient
from metallb.kube.serving import DECISION_S, HealthServer, ListenError, MetricsServer
from metallb.kube.tls import CURVES, TlsSettings, TlsSettingsError


async def get(url: str, *, token: str = "", tls: ssl.SSLContext | None = None, method: str = "GET") -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, ssl=tls if tls is not None else True) as response,
    ):
        return response.status, await response.text()


@pytest.mark.parametrize(
    ("method", "path", "ready", "expected"),
    [
        ("GET", "/healthz", True, (200, "ok")),
        ("GET", "/healthz", False, (200, "ok")),
        ("GET", "/readyz", True, (200, "ok")),
        ("GET", "/readyz", False, (503, "not ready")),
        ("HEAD", "/healthz", True, (200, "")),
        ("POST", "/healthz", True, (405, "method not allowed")),
        ("GET", "/metrics", True, (404, "not found")),
        ("GET", "/healthz/../metrics", True, (404, "not found")),
    ],
)
async def test_probes_answer_one_word(method: str, path: str, ready: bool, expected: Any) -> None:  # noqa: FBT001  # a row
    async with HealthServer(port=0, host="127.0.0.1", ready=lambda: ready) as server:
        assert await get(f"http://127.0.0.1:{server.port}{path}", method=method) == expected


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}"):
            async with HealthServer(port=port, host="127.0.0.1"):
                pass


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Reviews:
    """The API server's word: `good` may read metrics, `poor` is known but may not."""

    def __init__(self, fake: Any) -> None:
        self._fake = fake
        fake.fallback = self.handle

    async def handle(self, request: web.Request) -> web.StreamResponse:
        spec = self._fake.seen[-1].body["spec"]
        if request.path.endswith("tokenreviews"):
            user = {"username": spec["token"], "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}}
            known = spec["token"] in {"good", "poor"}
            return web.json_response({"status": {"authenticated": known, "user": user if known else {}}})
        assert spec["nonResourceAttributes"] == {"verb": "get", "path": "/metrics"}
        assert (spec["groups"], spec["extra"]) == (["g"], {"k": ["v"]})
        return web.json_response({"status": {"allowed": spec["user"] == "good"}})


def metrics(client: KubeClient, **options: Any) -> MetricsServer:
    return MetricsServer(
        client, port=0, host="127.0.0.1", render=lambda: b"metallb_x 1\n", tls=TlsSettings(), **options
    )


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("", (401, "unauthorized")),
        ("bad", (401, "unauthorized")),
        ("poor", (403, "forbidden")),
        ("good", (200, "metallb_x 1\n")),
    ],
)
async def test_metrics_are_for_those_who_may_read_them(
    token: str, expected: Any, server: Any, client: KubeClient
) -> None:
    Reviews(server)
    async with metrics(client) as served:
        assert await get(f"https://127.0.0.1:{served.port}/metrics", token=token, tls=trusting()) == expected


async def test_the_api_servers_word_holds_for_a_while(server: Any, client: KubeClient) -> None:
    Reviews(server)
    now = [0.0]
    async with metrics(client, clock=lambda: now[0]) as served:
        url = f"https://127.0.0.1:{served.port}/metrics"
        for _ in range(3):
            assert (await get(url, token="good", tls=trusting()))[0] == 200
        assert len(server.seen) == 2
        now[0] = DECISION_S + 1
        await get(url, token="good", tls=trusting())
        assert len(server.seen) == 4


async def test_without_the_api_server_nobody_new_gets_in(server: Any, client: KubeClient, answer: Any) -> None:
    server.fallback = lambda _request: asyncio.sleep(0, answer(500, "InternalError"))
    async with metrics(client) as served:
        assert (await get(f"https://127.0.0.1:{served.port}/metrics", token="good", tls=trusting()))[0] == 503


async def shown(port: int, context: ssl.SSLContext) -> bytes:
    """The certificate that a server shows, and a clean end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
    return bytes(found)


def chain(folder: Path, name: str) -> bytes:
    certificate, key = self_signed(name, [name], wall_s=1_800_000_000.0)
    (folder / "tls.crt").write_text(certificate)
    (folder / "tls.key").write_text(key)
    return ssl.PEM_cert_to_DER_cert(certificate)


async def test_a_changed_certificate_is_used_without_a_restart(server: Any, client: KubeClient, tmp_path: Path) -> None:
    now = [0.0]
    first = chain(tmp_path, "first")
    async with metrics(client, certificates=tmp_path, clock=lambda: now[0]) as served:
        url = f"https://127.0.0.1:{served.port}/metrics"
        assert await shown(served.port, trusting()) == first
        second = chain(tmp_path, "second")
        now[0] = 11.0
        await get(url, tls=trusting())
        assert await shown(served.port, trusting()) == second
        (tmp_path / "tls.key").write_text("broken")
        now[0] = 22.0
        await get(url, tls=trusting())
        assert await shown(served.port, trusting()) == second


async def test_a_folder_without_a_certificate_is_named(client: KubeClient, tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"tls\.crt"):
        metrics(client, certificates=tmp_path)


async def test_old_tls_is_refused(server: Any, client: KubeClient) -> None:
    old = trusting()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with metrics(client) as served:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await shown(served.port, old)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("VersionTLS11", "", ""), "VersionTLS12"),
        (("TLS1.3", "", ""), "--tls-min-version"),
        (("", "TLS_RSA_WITH_AES_128_GCM_SHA256", ""), "VersionTLS13"),
        (("VersionTLS13", "TLS_RSA_WITH_AES_128_GCM_SHA256", ""), "VersionTLS13"),
        (("VersionTLS12", "TLS_NULL", ""), "TLS_NULL"),
        (("", "", "0"), "'0'"),
        (("", "", "65536"), "65536"),
        (("", "", "x25519"), "x25519"),
        (("", "", "29, 29"), "twice"),
    ],
)
def test_a_tls_setting_that_can_not_be_is_named(arguments: tuple[str, str, str], says: str) -> None:
    with pytest.raises(TlsSettingsError, match=says):
        TlsSettings.parse(*arguments)


def test_tls_settings_make_a_context() -> None:
    strict = TlsSettings.parse().server_context()
    assert strict.minimum_version == ssl.TLSVersion.TLSv1_3
    suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    older = TlsSettings.parse("VersionTLS12", suites, "4588, 29").server_context()
    names = {cipher["name"] for cipher in older.get_ciphers() if cipher["protocol"] == "TLSv1.2"}
    assert names == {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"}
    for number in CURVES:
        TlsSettings.parse("", "", str(number)).server_context()

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from metallb.kube import certificate_maker
from metallb.kube.certificate_maker import self_signed_elsewhere
from metallb.kube.client import KubeClient
from metallb.kube.pem import load_chain
from metallb.kube.serving import ListenError, MetricsServer
from metallb.kube.tls import TlsSettings


def children() -> set[str]:
    return set(Path("/proc/thread-self/children").read_text().split())


async def test_a_process_that_ends_makes_a_certificate_and_its_key() -> None:
    before = children()
    certificate, key = await self_signed_elsewhere("metallb", ["localhost", "a.b"], wall_s=1_800_000_000.0)
    assert children() <= before
    load_chain(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)
    read = x509.load_pem_x509_certificate(certificate.encode())
    assert [each.value for each in read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["metallb"]
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "a.b"]
    assert read.not_valid_before_utc.timestamp() == 1_800_000_000.0 - 3600


async def test_a_server_without_a_certificate_says_so(client: KubeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_maker, "_PROGRAM", "raise SystemExit(3)")
    with pytest.raises(ListenError, match="ended with 3"):
        async with MetricsServer(client, port=0, render=bytes, tls=TlsSettings()):
            pass


async def test_who_stops_waiting_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_maker, "_PROGRAM", "import time; time.sleep(600)")
    before = children()
    making = asyncio.create_task(self_signed_elsewhere("metallb", [], wall_s=0.0))
    async with asyncio.timeout(60):
        while children() <= before:  # noqa: ASYNC110  # the kernel has no event for it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert children() <= before

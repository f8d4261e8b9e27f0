"""The controller with its webhooks, as a process runs it, against an API server; reviews are sent to it directly."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from metallb.api import kinds
from metallb.api.schema import definition
from metallb.controller.main import main
from metallb.controller.settings import ControllerSettings
from metallb.kube.certificates import self_signed
from metallb.kube.client import KubeClient
from metallb.kube.objects import BARE, OBJECT
from metallb.kube.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    IP_ADDRESS_POOLS,
    NAMESPACES,
    SECRETS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)

NAMESPACE = "metallb-system"
NAME = f"metallb-webhook-service.{NAMESPACE}.svc"
MANIFESTS = Path(__file__).parents[2] / "manifests"

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="puts CRDs in place")


@pytest.fixture
def settings_of(free_port: Callable[[], int]) -> Callable[..., ControllerSettings]:
    def make(mode: Any = "enabled") -> ControllerSettings:
        return ControllerSettings(
            namespace=NAMESPACE, port=0, health_probe_port=free_port(), webhook_port=free_port(), webhook_mode=mode
        )

    return make


@pytest.fixture
async def installed(client: KubeClient, api_server: Any, monkeypatch: pytest.MonkeyPatch) -> KubeClient:
    """The CRDs and the webhook configuration of the manifests; processes find the API server."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.folder / "kubeconfig"))
    await client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}}, decoder=BARE)
    for kind in kinds.KINDS:
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(kind), decoder=BARE)
    bodies = yaml.safe_load_all((MANIFESTS / "webhooks.yaml").read_text())
    hooks = next(each for each in bodies if each["kind"] == "ValidatingWebhookConfiguration")
    await client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, hooks, decoder=BARE)
    return client


@asynccontextmanager
async def running(*settings: ControllerSettings) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(main(each)) for each in settings]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ready(settings: ControllerSettings) -> int:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{settings.health_probe_port}/readyz") as response,
        ):
            return response.status
    except aiohttp.ClientError:
        return 0


async def until_ready(*settings: ControllerSettings) -> None:
    async with asyncio.timeout(60):
        for each in settings:
            while await ready(each) != 200:  # noqa: ASYNC110  # the process tells by its probe only
                await asyncio.sleep(0.05)


class Asking:
    """An API server's side of the webhooks, with the CA that the Secret names."""

    def __init__(self, bundle: str) -> None:
        self._tls = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())

    async def __call__(self, settings: ControllerSettings, path: str, review: dict[str, Any]) -> dict[str, Any]:
        url = f"https://127.0.0.1:{settings.webhook_port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=review, ssl=self._tls, server_hostname=NAME) as response,
        ):
            assert response.status == 200
            found: dict[str, Any] = (await response.json())["response"]
            return found

    async def about(self, settings: ControllerSettings, name: str, *addresses: str) -> dict[str, Any]:
        """The answer to a new pool."""
        pool = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"addresses": addresses}}
        request = {"uid": "1", "operation": "CREATE", "name": name, "namespace": NAMESPACE, "object": pool}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        return await self(settings, "/validate-metallb-io-v1beta1-ipaddresspool", review)


async def asking(client: KubeClient) -> Asking:
    found: Any = await client.get(SECRETS, "metallb-webhook-cert", namespace=NAMESPACE, decoder=OBJECT)
    return Asking(found["data"]["ca.crt"])


@pytest.mark.parametrize("mode", ["enabled", "onlywebhook"])
async def test_every_replica_answers_whether_it_leads_or_not(
    installed: KubeClient, settings_of: Callable[..., ControllerSettings], mode: str
) -> None:
    first, second = settings_of(mode), settings_of(mode)
    async with running(first, second):
        await until_ready(first, second)
        ask = await asking(installed)
        pool = {"metadata": {"name": "there"}, "spec": {"addresses": ["10.0.0.0/24"]}}
        body = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", **pool}
        hooks = VALIDATING_WEBHOOK_CONFIGURATIONS
        await installed.delete(
            hooks, "metallb-webhook-configuration"
        )  # the API server can't reach us by a Service here
        await installed.create(IP_ADDRESS_POOLS, body, namespace=NAMESPACE, decoder=BARE)
        for each in (first, second):
            response = await ask.about(each, "new", "10.0.0.128/25")
            assert not response["allowed"]
            assert f"of IPAddressPool {NAMESPACE}/there" in response["status"]["message"]
            assert (await ask.about(each, "other", "10.0.1.0/24"))["allowed"]
            peer = {"apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": {"name": "p"}, "spec": {}}
            request = {"uid": "2", "desiredAPIVersion": "metallb.io/v1beta2", "objects": [peer]}
            review = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": request}
            converted = await ask(each, "/convert", review)
            assert converted["convertedObjects"][0]["apiVersion"] == "metallb.io/v1beta2"


async def test_disabled_means_no_port_and_no_certificate(
    installed: KubeClient, settings_of: Callable[..., ControllerSettings]
) -> None:
    settings = settings_of("disabled")
    async with running(settings):
        await until_ready(settings)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", settings.webhook_port)
        page = await installed.list(SECRETS, decoder=BARE, namespace=NAMESPACE)
        assert [each.metadata.name for each in page.items] == []


async def test_with_rotation_off_the_files_are_waited_for_and_served(
    installed: KubeClient, settings_of: Callable[..., ControllerSettings], tmp_path: Path
) -> None:
    settings = replace(settings_of(), disable_cert_rotation=True, cert_dir=str(tmp_path))
    async with running(settings):
        async with asyncio.timeout(60):
            while await ready(settings) != 503:  # noqa: ASYNC110  # the same
                await asyncio.sleep(0.02)
        certificate, key = self_signed(NAME, [NAME], wall_s=time.time())
        (tmp_path / "tls.crt").write_text(certificate)
        (tmp_path / "tls.key").write_text(key)
        await until_ready(settings)
        ask = Asking(base64.b64encode(certificate.encode()).decode())
        assert (await ask.about(settings, "a", "10.0.0.0/24"))["allowed"]
        hooks: Any = await installed.get(
            VALIDATING_WEBHOOK_CONFIGURATIONS, "metallb-webhook-configuration", decoder=OBJECT
        )
        assert "caBundle" not in json.dumps(hooks), "who keeps the files keeps the bundles"

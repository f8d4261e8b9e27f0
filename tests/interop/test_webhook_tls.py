"""The webhook server is told what the cluster wants of TLS, and its pods are replaced when that changes, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials
from metallb.kube.objects import BARE, OBJECT, Key
from metallb.kube.reconciler import Done
from metallb.kube.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES
from metallb.operator.settings import OperatorSettings
from metallb.operator.webhook_tls import ANNOTATION, CONFIG, SERVER, WebhookTls

NAMESPACE = "metallb-system"
LABELS = {"app": "metallb", "component": "webhook-server"}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": SERVER, "namespace": NAMESPACE},
    "spec": {
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS, "annotations": {"users": "own"}},
            "spec": {"containers": [{"name": "webhook-server", "image": "x"}]},
        },
    },
}
SUITES = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
Json = Any


@pytest.fixture
async def ours(credentials: Credentials) -> AsyncIterator[KubeClient]:
    async with KubeClient(credentials, field_manager="metallb-operator") as opened:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await opened.create(NAMESPACES, namespace, decoder=OBJECT)
        yield opened


async def tell(client: KubeClient, **tls: str) -> None:
    settings = OperatorSettings(namespace=NAMESPACE, controller_image="c", speaker_image="s", **tls)  # type: ignore[arg-type]
    assert await WebhookTls(client, settings)._reconcile(Key(NAMESPACE, CONFIG)) == Done()


async def told(client: KubeClient) -> Json:
    found: Json = await client.get(CONFIG_MAPS, CONFIG, namespace=NAMESPACE, decoder=OBJECT)
    return found["data"]


async def deployment(client: KubeClient) -> Json:
    return await client.get(DEPLOYMENTS, SERVER, namespace=NAMESPACE, decoder=OBJECT)


async def test_without_a_webhook_server_the_settings_are_there_for_one_that_comes(ours: KubeClient) -> None:
    await tell(ours)
    assert await told(ours) == dict.fromkeys(("TLS_CIPHER_SUITES", "TLS_CURVE_PREFERENCES", "TLS_MIN_VERSION"), "")
    assert (await ours.list(DEPLOYMENTS, decoder=BARE, namespace=NAMESPACE)).items == []


async def test_pods_are_replaced_when_the_settings_change_and_only_then(ours: KubeClient) -> None:
    await ours.create(DEPLOYMENTS, DEPLOYMENT, namespace=NAMESPACE, decoder=OBJECT)
    await tell(ours)
    server = (await deployment(ours))["metadata"]
    assert server["generation"] == 1, "the defaults need no restart"
    found: Json = await ours.get(CONFIG_MAPS, CONFIG, namespace=NAMESPACE, decoder=OBJECT)
    assert [each["uid"] for each in found["metadata"]["ownerReferences"]] == [server["uid"]], "it goes with the server"

    await tell(ours, tls_min_version="VersionTLS12", tls_cipher_suites=SUITES)
    assert await told(ours) == {
        "TLS_CIPHER_SUITES": SUITES,
        "TLS_CURVE_PREFERENCES": "",
        "TLS_MIN_VERSION": "VersionTLS12",
    }
    first = await deployment(ours)
    marks = first["spec"]["template"]["metadata"]["annotations"]
    assert marks.keys() == {"users", ANNOTATION}

    await tell(ours, tls_min_version="VersionTLS12", tls_cipher_suites=SUITES)
    assert await deployment(ours) == first, "another start of the operator changes nothing"

    await tell(ours, tls_min_version="VersionTLS12")
    second = await deployment(ours)
    assert second["spec"]["template"]["metadata"]["annotations"][ANNOTATION] != marks[ANNOTATION]

    await tell(ours)
    assert (await deployment(ours))["spec"]["template"]["metadata"]["annotations"] == {"users": "own"}


@pytest.mark.parametrize("minimum", ["", "VersionTLS13"])
async def test_suites_that_can_not_stand_beside_the_version_are_left_out(ours: KubeClient, minimum: str) -> None:
    await tell(ours, tls_min_version=minimum, tls_cipher_suites=SUITES)
    assert (await told(ours))["TLS_CIPHER_SUITES"] == ""

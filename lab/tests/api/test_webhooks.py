"""Webhooks over real connections, asked by a server in a process of its own; what kubectl makes of their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kubelab.apiclient import ApiClient, ApiFailure, Resource

MAPS = Resource("", "v1", "configmaps", namespaced=True)
CONFIGURATIONS = Resource("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", namespaced=False)
RULE = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}


@pytest.fixture
async def configured(cluster: Any, client: ApiClient, namespace: str, webhooks: Any) -> AsyncIterator[str]:
    """A namespace whose ConfigMaps are judged by the webhook that their label names."""
    if not cluster.embedded:
        pytest.skip("another machine's server does not reach this loopback")
    name = f"webhooks-{namespace}"
    hooks = [
        {
            "name": f"{path}.example.org",
            "clientConfig": webhooks.client(f"/{path}"),
            "rules": [RULE],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "objectSelector": {"matchLabels": {"hook": path}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        for path in ("allow", "deny", "warn")
    ]
    await client.create(CONFIGURATIONS, {"metadata": {"name": name}, "webhooks": hooks})
    yield namespace
    await client.delete(CONFIGURATIONS, name)


async def make(client: ApiClient, namespace: str, name: str, hook: str) -> Any:
    return await client.create(MAPS, {"metadata": {"name": name, "labels": {"hook": hook}}}, namespace)


async def test_a_webhook_denies(client: ApiClient, configured: str) -> None:
    await make(client, configured, "good", "allow")
    with pytest.raises(ApiFailure, match="denied the request: because I say so"):
        await make(client, configured, "bad", "deny")


async def test_connections_are_kept_between_requests(client: ApiClient, configured: str, webhooks: Any) -> None:
    for number in range(10):
        await make(client, configured, f"m{number}", "allow")
    assert len(webhooks.received) == 10
    assert len(webhooks.connections) == 1


async def test_many_requests_are_judged_at_once(client: ApiClient, configured: str, webhooks: Any) -> None:
    await asyncio.gather(*(make(client, configured, f"m{number}", "allow") for number in range(50)))
    assert len(webhooks.received) == 50


async def test_kubectl_shows_warnings_and_refusals(kubectl: Callable[..., str], configured: str) -> None:
    def create(name: str, hook: str) -> Any:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"hook": hook}}}
        arguments = ("-n", configured, "create", "-f", "-")
        return asyncio.to_thread(kubectl, *arguments, stdin=json.dumps(body), check=False)

    warned = await create("warned", "warn")
    assert "configmap/warned created" in warned
    assert 'Warning: second, with "quotes"' in warned
    denied = await create("denied", "deny")
    assert 'admission webhook "deny.example.org" denied the request: because I say so' in denied

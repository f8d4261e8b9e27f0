"""Webhooks that run in pods of a lab, behind a Service: the API server reaches them as it would in a real cluster."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kubelab import pki
from kubelab.cluster import parse
from kubelab.lab import CommandError, Lab
from kubelab.pytest_plugin import Ledger

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("webhooks")]

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

IMAGE = "example.org/webhook:1"
PORT = 9443
CERTIFICATES = "/certificates"
SLICES = "kubernetes.io/service-name=webhook"
TOWERS = "towers.lab.example.org"


def manifests(ca: str, identity: pki.Identity) -> list[dict[str, Any]]:
    labels = {"app": "webhook"}
    mount = {"name": "tls", "mountPath": CERTIFICATES}
    probe = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    container = {"name": "main", "image": IMAGE, "volumeMounts": [mount], "readinessProbe": probe}
    pod = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "webhook"}}],
    }
    client = {"service": {"namespace": "default", "name": "webhook"}, "caBundle": ca}
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    hook = {
        "name": "maps.example.org",
        "clientConfig": client,
        "rules": [rule],
        "objectSelector": {"matchLabels": {"judged": "yes"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "webhook"},
            "stringData": {"tls.crt": identity.certificate.decode(), "tls.key": identity.key.decode()},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "webhook"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "webhook"},
            "spec": {"selector": labels, "ports": [{"port": 443, "targetPort": PORT}]},
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "maps"},
            "webhooks": [hook],
        },
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": TOWERS},
            "spec": {
                "group": "lab.example.org",
                "scope": "Namespaced",
                "names": {"plural": "towers", "singular": "tower", "kind": "Tower"},
                "conversion": {
                    "strategy": "Webhook",
                    "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client},
                },
                "versions": [tower("v1", "size"), tower("v2", "height", storage=True)],
            },
        },
    ]


def tower(version: str, field: str, *, storage: bool = False) -> dict[str, Any]:
    spec = {"type": "object", "properties": {field: {"type": "integer"}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {"name": version, "served": True, "storage": storage, "schema": schema}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(lab_ledger: Ledger) -> AsyncIterator[Lab]:
    """A lab with a webhook in a pod, in which everything is judged and converted by it."""
    # The pod sees nothing of this folder: the program comes with the command.
    program = Path(__file__).with_name("webhook.py").read_text(encoding="utf-8")
    serve = ["{python}", "-c", program, CERTIFICATES, str(PORT)]
    started = await lab_ledger.start(parse({"images": {IMAGE: {"": serve}}}, "test"), None)
    authority = pki.Authority(time.time(), random.Random(1).randrange)
    identity = authority.issue(pki.Subject("webhook", (), ("webhook.default.svc",)))
    objects = manifests(base64.b64encode(authority.certificate).decode(), identity)
    await started.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    await started.kubectl("rollout", "status", "deployment/webhook", "--timeout=30s")
    yield started
    await started.down()


async def make_map(lab: Lab, name: str, **data: str) -> str:
    """Create a ConfigMap that is judged; what kubectl says, whether or not it came about."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"judged": "yes"}},
        "data": data,
    }
    try:
        return (await lab.kubectl("create", "-f", "-", stdin=json.dumps(body))).stdout
    except CommandError as error:
        return str(error)


async def test_a_webhook_in_a_pod_has_its_say(lab: Lab) -> None:
    assert "created" in await make_map(lab, "good")
    denied = await make_map(lab, "bad", refuse="please")
    assert re.search(r'admission webhook "maps.example.org" denied the request: webhook-\S+ says no', denied)


async def test_objects_are_read_in_the_version_that_a_webhook_in_a_pod_makes(lab: Lab) -> None:
    made = {"apiVersion": "lab.example.org/v1", "kind": "Tower", "metadata": {"name": "t"}, "spec": {"size": 7}}
    await lab.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    stored = await lab.kubectl("get", "towers.v2.lab.example.org/t", "-o", "jsonpath={.spec}")
    assert json.loads(stored.stdout) == {"height": 7}


async def test_nothing_is_judged_without_the_pod_and_all_goes_on_with_the_next(
    lab: Lab, eventually: Eventually
) -> None:
    await lab.kubectl("scale", "deployment/webhook", "--replicas=0")
    await lab.kubectl("wait", "--for=delete", "pod", "-l", "app=webhook", "--timeout=30s")

    async def refused() -> bool:
        told = await make_map(lab, "unjudged")
        assert 'failed calling webhook "maps.example.org"' in told
        return "connection refused" in told

    await eventually(refused)
    await lab.kubectl("scale", "deployment/webhook", "--replicas=1")
    await lab.kubectl("rollout", "status", "deployment/webhook", "--timeout=30s")

    async def made() -> bool:
        return "created" in await make_map(lab, "unjudged")

    await eventually(made)


async def node_that_is_asked(lab: Lab) -> str:
    """Where the pod runs to which the API server keeps its connection."""
    said = re.search(r"request: (\S+) says no", await make_map(lab, "bad", refuse="please"))
    assert said is not None
    return (await lab.kubectl("get", "pod", said[1], "-o", "jsonpath={.spec.nodeName}")).stdout


async def ready_nodes(lab: Lab) -> set[str]:
    """Where pods of the webhook are ready."""
    listed = json.loads((await lab.kubectl("get", "endpointslices", "-l", SLICES, "-o", "json")).stdout)
    endpoints = [one for each in listed["items"] for one in each.get("endpoints") or ()]
    return {one["nodeName"] for one in endpoints if one["conditions"].get("ready")}


async def test_a_webhook_on_a_node_that_goes_is_asked_elsewhere(lab: Lab, eventually: Eventually) -> None:
    await lab.kubectl("scale", "deployment/webhook", "--replicas=3")
    await lab.kubectl("rollout", "status", "deployment/webhook", "--timeout=30s")
    gone = await node_that_is_asked(lab)
    lab.cut(gone)
    try:
        numbers = itertools.count()

        async def made() -> bool:
            # The connection to the node is kept, and nobody says a word on it any more: a request's time runs out.
            return "created" in await make_map(lab, f"after-{next(numbers)}")

        await eventually(made)
    finally:
        lab.restore(gone)

    async def back() -> bool:
        return gone in await ready_nodes(lab)

    await eventually(back)


async def test_a_definition_goes_though_its_webhook_is_gone(lab: Lab) -> None:
    await lab.kubectl("delete", "service/webhook")
    await lab.kubectl("delete", f"crd/{TOWERS}", "--timeout=20s")

"""The product's client, informer, writes, election and events against an API server over TLS."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.json import Decoder

from metallb.api.core import Service
from metallb.kube.access import may, user_may_get, user_of_token
from metallb.kube.apply import StatusWriter, apply_object
from metallb.kube.client import KubeClient
from metallb.kube.election import Timing
from metallb.kube.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError, OwnedElsewhereError
from metallb.kube.events import Recorder, reference
from metallb.kube.informer import Informer
from metallb.kube.lease import Leadership
from metallb.kube.objects import BARE, OBJECT, Key
from metallb.kube.resources import CONFIG_MAPS, EVENTS, LEASES, NAMESPACES, SERVICE_ACCOUNTS, SERVICES

SERVICE = Decoder(Service)


@pytest.fixture
async def namespace(client: KubeClient) -> AsyncIterator[str]:
    name = f"interop-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"metadata": {"name": name}}, decoder=BARE)
    yield name
    if "KUBECONFIG" in os.environ:
        await client.delete(NAMESPACES, name)


async def service(client: KubeClient, namespace: str, name: str = "web") -> Service:
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}]},
    }
    return await client.create(SERVICES, body, namespace=namespace, decoder=SERVICE)


@asynccontextmanager
async def running(*runs: Any) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_object_lives_from_creation_to_deletion(client: KubeClient, namespace: str) -> None:
    made = await service(client, namespace)
    assert made.spec.cluster_ips
    found = await client.get(SERVICES, "web", namespace=namespace, decoder=SERVICE)
    assert found == made
    with pytest.raises(AlreadyExistsError):
        await service(client, namespace)
    with pytest.raises(InvalidError):
        await client.create(SERVICES, {"metadata": {"name": "Bad_Name"}}, namespace=namespace, decoder=BARE)
    with pytest.raises(ConflictError):
        await client.delete(SERVICES, "web", namespace=namespace, uid="another")
    await client.delete(SERVICES, "web", namespace=namespace, uid=made.metadata.uid)
    with pytest.raises(NotFoundError):
        await client.get(SERVICES, "web", namespace=namespace, decoder=SERVICE)


async def test_a_long_list_comes_in_pages(client: KubeClient, namespace: str) -> None:
    for n in range(7):
        body = {"metadata": {"name": f"c{n}", "labels": {"half": str(n % 2)}}}
        await client.create(CONFIG_MAPS, body, namespace=namespace, decoder=BARE)
    first = await client.page(
        CONFIG_MAPS, decoder=BARE, namespace=namespace, selectors={"labelSelector": "half=0"}, limit=3
    )
    assert [item.metadata.name for item in first.items] == ["c0", "c2", "c4"]
    whole = await client.list(CONFIG_MAPS, decoder=BARE, namespace=namespace, label_selector="half in (0,1)")
    assert len(whole.items) == 7
    assert whole.more == ""


@pytest.mark.parametrize("by_patch", [True, False], ids=["patch", "update"])
async def test_a_status_is_written_with_its_annotation_or_not_at_all(
    by_patch: bool,  # noqa: FBT001  # a row
    client: KubeClient,
    namespace: str,
) -> None:
    made = await service(client, namespace)
    writer = StatusWriter(client, SERVICES)
    await writer.settle()
    assert writer.by_patch
    writer.by_patch = by_patch
    key, version = Key(namespace, "web"), made.metadata.resource_version
    status = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    written = await writer.write(key, version, status, {"metallb.io/ip-allocated-from-pool": "first"})
    found = await client.get(SERVICES, "web", namespace=namespace, decoder=SERVICE)
    assert found.metadata.resource_version == written.metadata.resource_version != version
    assert [item.ip for item in found.status.load_balancer.ingress] == ["198.51.100.7"]
    assert found.metadata.annotations["metallb.io/ip-allocated-from-pool"] == "first"
    with pytest.raises(ConflictError):
        await writer.write(key, version, {"loadBalancer": {"ingress": [{"ip": "198.51.100.8"}]}})
    cleared = {"loadBalancer": {"ingress": None}}
    await writer.write(key, found.metadata.resource_version, cleared, {"metallb.io/ip-allocated-from-pool": None})
    found = await client.get(SERVICES, "web", namespace=namespace, decoder=SERVICE)
    assert found.status.load_balancer.ingress == ()
    assert "metallb.io/ip-allocated-from-pool" not in found.metadata.annotations


async def test_an_apply_owns_its_fields_and_the_same_again_changes_nothing(client: KubeClient, namespace: str) -> None:
    desired: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cm", "namespace": namespace},
        "data": {"a": "1", "b": "2"},
    }
    first = await apply_object(client, desired)
    again = await apply_object(client, desired)
    assert again.metadata.resource_version == first.metadata.resource_version
    await apply_object(client, {**desired, "data": {"a": "1"}})
    found = await client.get(CONFIG_MAPS, "cm", namespace=namespace, decoder=OBJECT)
    assert found["data"] == {"a": "1"}
    await client.merge_patch(CONFIG_MAPS, "cm", {"data": {"a": "other"}}, namespace=namespace, decoder=BARE)
    other = KubeClient(client.credentials, field_manager="another")
    async with other:
        with pytest.raises(OwnedElsewhereError) as caught:
            await apply_object(other, desired, force=False)
        assert caught.value.causes
        await apply_object(other, desired, force=True)


async def test_a_json_patch_holds_its_test(client: KubeClient, namespace: str) -> None:
    body = {"metadata": {"name": "cm"}, "data": {"a": "1"}}
    await client.create(CONFIG_MAPS, body, namespace=namespace, decoder=BARE)
    steps = [{"op": "test", "path": "/data/a", "value": "2"}, {"op": "remove", "path": "/data/a"}]
    with pytest.raises(InvalidError):
        await client.json_patch(CONFIG_MAPS, "cm", steps, namespace=namespace, decoder=BARE)


async def test_the_server_says_who_may_do_what(client: KubeClient, namespace: str) -> None:
    assert await may(client, "patch", SERVICES, namespace=namespace, subresource="status")
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "robot"}}, namespace=namespace, decoder=BARE)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    answer = await client.create(
        SERVICE_ACCOUNTS, request, namespace=namespace, name="robot", subresource="token", decoder=OBJECT
    )
    status = answer["status"]
    assert isinstance(status, dict)
    user = await user_of_token(client, status["token"])
    assert user is not None
    assert user.name == f"system:serviceaccount:{namespace}:robot"
    assert not await user_may_get(client, user, "/metrics")
    assert await user_of_token(client, "nonsense") is None


async def test_one_of_two_candidates_leads_and_hands_over(client: KubeClient, namespace: str) -> None:
    timing = Timing(duration_s=600, renew_deadline_s=300.0, retry_s=0.1)
    leads: asyncio.Queue[str] = asyncio.Queue()

    def candidate(name: str) -> asyncio.Task[None]:
        async def lead() -> None:
            leads.put_nowait(name)
            await asyncio.Event().wait()

        leadership = Leadership(client, namespace=namespace, name="l", identity=name, timing=timing)
        return asyncio.create_task(leadership.run(lead))

    async with asyncio.timeout(60):
        first = candidate("a")
        assert await leads.get() == "a"
        second = candidate("b")
        await asyncio.wait({second}, timeout=0.5)
        assert leads.empty()
        first.cancel()
        assert await leads.get() == "b", "long before the Lease runs out"
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    lease = await client.get(LEASES, "l", namespace=namespace, decoder=OBJECT)
    spec = lease["spec"]
    assert isinstance(spec, dict)
    assert not spec.get("holderIdentity")
    assert spec["leaseTransitions"] == 1


async def test_events_are_found_on_their_object_and_counted(client: KubeClient, namespace: str) -> None:
    made = await service(client, namespace)
    recorder = Recorder(client, component="metallb-controller")
    async with running(recorder.run()), asyncio.timeout(60):
        for _ in range(3):
            recorder.event(reference(SERVICES, made.metadata), "Normal", "IPAllocated", "Assigned")
        await recorder.flush()
    decoder: Decoder[dict[str, Any]] = Decoder(dict[str, Any])
    (name,) = [
        item.metadata.name
        for item in (
            await client.list(EVENTS, decoder=BARE, namespace=namespace, field_selector="involvedObject.name=web")
        ).items
    ]
    event = await client.get(EVENTS, name, namespace=namespace, decoder=decoder)
    assert (event["count"], event["reason"], event["source"]["component"]) == (3, "IPAllocated", "metallb-controller")
    assert recorder.dropped == 0


async def test_an_informer_follows_what_happens(client: KubeClient, namespace: str) -> None:
    changed = asyncio.Event()
    informer = Informer(client, SERVICES, decoder=SERVICE, namespace=namespace)
    informer.subscribe(lambda _key: changed.set())

    async def until(names: set[str]) -> None:
        async with asyncio.timeout(60):
            while {item.metadata.name for item in informer.store} != names:
                changed.clear()
                await changed.wait()

    await service(client, namespace, "early")
    async with running(informer.run()):
        await until({"early"})
        assert informer.synced.is_set()
        await service(client, namespace, "late")
        await until({"early", "late"})
        await client.delete(SERVICES, "early", namespace=namespace)
        await until({"late"})


@pytest.mark.skipif("KUBECONFIG" in os.environ, reason="this API server is not ours to kill")
async def test_an_informer_outlives_its_server(mortal_api_server: Any) -> None:
    """The cache stays through the outage and shows the truth after it, although certificates and objects are new."""
    changed = asyncio.Event()
    async with KubeClient(mortal_api_server.credentials_by_file) as client:
        informer = Informer(client, SERVICES, decoder=SERVICE, namespace="default")
        informer.subscribe(lambda _key: changed.set())
        await service(client, "default", "before")
        async with running(informer.run()), asyncio.timeout(60):
            await informer.synced.wait()
            known = {item.metadata.name for item in informer.store}
            assert "before" in known
            await mortal_api_server.stop()
            while informer.error is None:  # noqa: ASYNC110  # nothing else tells of an error
                await asyncio.sleep(0.01)
            assert {item.metadata.name for item in informer.store} == known
            await mortal_api_server.start()
            await service(client, "default", "after")
            page = await client.list(SERVICES, decoder=BARE, namespace="default")
            truth = {item.metadata.name for item in page.items}
            assert "after" in truth
            assert "before" not in truth
            while {item.metadata.name for item in informer.store} != truth:
                changed.clear()
                await changed.wait()

"""Certificates of webhooks against an API server, which asks the webhook and so tells whether it trusts it."""

from __future__ import annotations

import asyncio
import base64
import copy
import datetime as dt
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from metallb.api import kinds
from metallb.api.schema import definition
from metallb.kube.admission import allowed, read_review, write_review
from metallb.kube.authority import Pair, issue, make_authority
from metallb.kube.client import KubeClient
from metallb.kube.errors import ApiError, NotFoundError
from metallb.kube.objects import BARE, OBJECT, Key
from metallb.kube.resources import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    SECRETS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from metallb.kube.rotation import Names, Rotation
from metallb.kube.rotation_plan import Rules
from metallb.kube.tls import TlsSettings
from metallb.kube.trust import FIELD_MANAGER
from metallb.kube.webhook_server import WebhookServer

Json = dict[str, Any]

NAMESPACE, SECRET, HOOKS, PEERS = "rotation", "hook-cert", "hooks", "bgppeers.metallb.io"
RULES = Rules(("localhost",), settle=dt.timedelta(seconds=0.5), overlap=dt.timedelta(seconds=5))
NAMES = Names(NAMESPACE, SECRET, HOOKS, (PEERS,))
DAY = dt.timedelta(days=1)

pytestmark = pytest.mark.skipif("KUBECONFIG" in os.environ, reason="makes the API server ask a webhook")


def now() -> dt.datetime:
    return dt.datetime.now(tz=dt.UTC)  # noqa: TID251  # the API server looks at the clock


def hooks(port: int) -> Json:
    """Two webhooks that are asked about ConfigMaps; nothing of it says whom to trust."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "scope": "*"}
    webhooks = [
        {
            "name": f"{name}.rotation.example",
            "clientConfig": {"url": f"https://localhost:{port}/ask"},
            "rules": [rule | {"operations": ["CREATE"]}],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
        }
        for name in ("first", "second")
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": HOOKS},
        "webhooks": webhooks,
    }


class World:
    """What a rotation works on."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self.server = WebhookServer({"/ask": self._ask}, port=0, host="127.0.0.1", tls=TlsSettings())
        self.served: list[Pair] = []
        self._asked = 0

    async def _ask(self, body: bytes) -> bytes:
        return write_review(read_review(body), allowed())

    def serve(self, pair: Pair) -> None:
        self.served.append(pair)
        self.server.use(pair)

    def replica(self, rules: Rules = RULES, names: Names = NAMES) -> Rotation:
        """The replica whose server is asked."""
        return Rotation(self.client, names, rules, serve=self.serve)

    async def secret(self) -> Json:
        return await self.client.get(SECRETS, SECRET, namespace=NAMESPACE, decoder=OBJECT)

    async def put_secret(self, data: dict[str, bytes]) -> None:
        encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
        body = {"metadata": {"name": SECRET}, "data": encoded}
        await self.client.create(SECRETS, body, namespace=NAMESPACE, decoder=BARE)

    async def configuration(self) -> Json:
        return await self.client.get(VALIDATING_WEBHOOK_CONFIGURATIONS, HOOKS, decoder=OBJECT)

    async def definition(self) -> Json:
        return await self.client.get(CUSTOM_RESOURCE_DEFINITIONS, PEERS, decoder=OBJECT)

    async def bundles(self) -> list[bytes]:
        """All bundles in the API."""
        found = [each["clientConfig"] for each in (await self.configuration())["webhooks"]]
        found.append((await self.definition())["spec"]["conversion"]["webhook"]["clientConfig"])
        return [base64.b64decode(each.get("caBundle", "")) for each in found]

    async def ask(self) -> None:
        """A write about which the API server asks the webhook."""
        self._asked += 1
        await self.client.create(
            CONFIG_MAPS, {"metadata": {"name": f"c{self._asked}"}}, namespace=NAMESPACE, decoder=BARE
        )

    async def until(self, ask: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(60):
                while not await ask():  # noqa: ASYNC110  # the API has no event for it
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(what)

    async def until_ready(self, *replicas: Rotation) -> None:
        async def ready() -> bool:
            return all(each.ready for each in replicas)

        await self.until(ready, "not ready")


@asynccontextmanager
async def running(*runs: Any) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def world(client: KubeClient) -> AsyncIterator[World]:
    """A cluster with a webhook that is asked, and trusted by nobody yet."""
    found = World(client)
    found.server.use(issue(make_authority(now(), DAY), ["localhost"], now(), DAY))
    async with running(found.server.run()):
        await found.server.listening.wait()
        await client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}}, decoder=BARE)
        await client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, hooks(found.server.port), decoder=BARE)
        await client.create(CUSTOM_RESOURCE_DEFINITIONS, definition(kinds.BGP_PEER), decoder=BARE)
        yield found


async def test_an_empty_secret_is_filled_and_everybody_trusts_what_is_served(world: World) -> None:
    await world.put_secret({})
    with pytest.raises(ApiError):
        await world.ask()
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        await world.ask()
        secret = await world.secret()
        assert sorted(secret["data"]) == ["ca.crt", "ca.key", "tls.crt", "tls.key"]
        assert base64.b64decode(secret["data"]["tls.key"]).startswith(b"-----BEGIN RSA PRIVATE KEY-----")
        assert await world.bundles() == [base64.b64decode(secret["data"]["ca.crt"])] * 3


async def test_an_absent_secret_is_made(world: World) -> None:
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        await world.ask()
        assert (await world.secret())["type"] == "Opaque"


@pytest.mark.parametrize(
    "data", [None, {}, {"tls.crt": b"garbage", "ca.crt": b"\xff"}], ids=["none", "empty", "garbage"]
)
async def test_replicas_share_one_certificate_and_write_it_once(world: World, data: dict[str, bytes] | None) -> None:
    if data is not None:
        await world.put_secret(data)
    others: list[list[Pair]] = [[], [], []]
    replicas = [world.replica(), *(Rotation(world.client, NAMES, RULES, serve=each.append) for each in others)]
    async with running(*(each.run() for each in replicas)):
        await world.until_ready(*replicas)
        await world.ask()
        before = await world.secret(), await world.configuration(), await world.definition()
        for each in replicas:
            each._wake(Key("", ""))  # a look at the world without a cause
        await world.client.create(CONFIG_MAPS, {"metadata": {"name": "x"}}, namespace="default", decoder=BARE)
        await world.ask()
        assert (await world.secret(), await world.configuration(), await world.definition()) == before
    assert {each[-1] for each in others} == {world.served[-1]}
    assert all(len(each) == 1 for each in others), "what lost the race was never served"
    assert len(world.served) == 1


def owned(entry: Json) -> list[str]:
    """The leaves of a managedFields entry, as paths."""
    found: list[str] = []

    def walk(fields: Json, path: str) -> None:
        if not fields:
            found.append(path)
        for name, inner in fields.items():
            if name != ".":
                walk(inner, f"{path}/{name}")

    walk(entry["fieldsV1"], "")
    return found


async def test_the_bundles_are_the_only_fields_of_ours(world: World) -> None:
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        for found, count in ((await world.configuration(), 2), (await world.definition(), 1)):
            ours = [each for each in found["metadata"]["managedFields"] if each["manager"] == FIELD_MANAGER]
            assert [each["operation"] for each in ours] == ["Apply"]
            paths = [path for path in owned(ours[0]) if not path.endswith("/f:name")]
            assert len(paths) == count
            assert all(path.endswith("/f:clientConfig/f:caBundle") for path in paths)


async def test_applying_the_manifests_again_changes_nothing(world: World) -> None:
    manifests = (
        (VALIDATING_WEBHOOK_CONFIGURATIONS, hooks(world.server.port)),
        (
            CUSTOM_RESOURCE_DEFINITIONS,
            definition(kinds.BGP_PEER),
        ),
    )

    async def apply() -> None:
        for resource, body in manifests:
            name = body["metadata"]["name"]
            await world.client.apply(resource, name, body, decoder=BARE, force=True, manager="gitops")

    await apply()
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        before = await world.configuration(), await world.definition()
        await apply()
        assert (await world.configuration(), await world.definition()) == before


async def test_a_bundle_that_somebody_changes_is_put_right(world: World) -> None:
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        good = await world.bundles()
        for text in ("", base64.b64encode(make_authority(now(), DAY).certificate).decode()):
            changed = await world.configuration()
            changed["webhooks"][1]["clientConfig"]["caBundle"] = text
            await world.client.replace(VALIDATING_WEBHOOK_CONFIGURATIONS, HOOKS, changed, decoder=BARE)
            patch = {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": text}}}}}
            await world.client.merge_patch(CUSTOM_RESOURCE_DEFINITIONS, PEERS, patch, decoder=BARE)

            async def right() -> bool:
                return await world.bundles() == good

            await world.until(right, "the bundles are not put right")


async def test_a_certificate_that_ends_soon_is_replaced(world: World) -> None:
    """The authority stays: nobody has to be told."""
    signer = make_authority(now(), 3650 * DAY)
    short = issue(signer, ["localhost"], now(), 30 * DAY)
    await world.put_secret(
        {"ca.crt": signer.certificate, "ca.key": signer.key, "tls.crt": short.chain, "tls.key": short.key}
    )
    replica = world.replica()
    async with running(replica.run()):

        async def renewed() -> bool:
            return replica.ready and len(world.served) == 2

        await world.until(renewed, "not renewed")
        await world.ask()
        assert world.served[0] == short
        assert await world.bundles() == [signer.certificate] * 3


async def test_while_everything_is_replaced_no_request_fails(world: World) -> None:
    old = make_authority(now(), 30 * DAY)
    pair = issue(old, ["localhost"], now(), 30 * DAY)
    data = {"ca.crt": old.certificate, "ca.key": old.key, "tls.crt": pair.chain, "tls.key": pair.key}
    await world.put_secret(data)
    await trust(world, old.certificate)
    world.server.use(pair)
    replicas = [world.replica(), Rotation(world.client, NAMES, RULES, serve=lambda _pair: None)]
    asked = 0

    async def settled() -> bool:
        nonlocal asked
        await world.ask()
        asked += 1
        found = await world.bundles()
        return old.certificate not in found[0] and len(set(found)) == 1 and all(each.ready for each in replicas)

    async with running(*(each.run() for each in replicas)):
        await world.until(settled, "the old authority is still there")
        await world.ask()
    assert asked > 3
    assert world.served[0] == pair
    assert len(world.served) == 2


async def trust(world: World, bundle: bytes) -> None:
    text = base64.b64encode(bundle).decode()
    found = await world.configuration()
    for each in found["webhooks"]:
        each["clientConfig"]["caBundle"] = text
    await world.client.replace(VALIDATING_WEBHOOK_CONFIGURATIONS, HOOKS, found, decoder=BARE)


@pytest.mark.parametrize("how", ["deleted", "emptied", "garbage"])
async def test_a_secret_that_is_lost_costs_no_request(world: World, how: str) -> None:
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        before = (await world.secret())["data"]["ca.crt"]
        if how == "deleted":
            await world.client.delete(SECRETS, SECRET, namespace=NAMESPACE)
        else:
            broken = {"ca.crt": base64.b64encode(b"\xff\xfe").decode()}
            empty = dict.fromkeys(("ca.crt", "ca.key", "tls.crt", "tls.key"))
            patch = {"data": empty if how == "emptied" else broken}
            await world.client.merge_patch(SECRETS, SECRET, patch, namespace=NAMESPACE, decoder=BARE)

        async def again() -> bool:
            await world.ask()
            try:
                data = (await world.secret()).get("data") or {}
            except NotFoundError:
                return False
            return replica.ready and len(world.served) == 2 and data.get("ca.crt") != before

        await world.until(again, "not made again")


async def test_targets_that_come_later_are_told(world: World) -> None:
    await world.client.delete(VALIDATING_WEBHOOK_CONFIGURATIONS, HOOKS)
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        await world.client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, hooks(world.server.port), decoder=BARE)

        async def told() -> bool:
            return len(set(await world.bundles())) == 1

        await world.until(told, "the new configuration has no bundle")
        await world.ask()


async def test_a_definition_that_needs_no_webhook_is_left_alone(world: World) -> None:
    found = await world.definition()
    found["spec"]["conversion"] = {"strategy": "None"}
    await world.client.replace(CUSTOM_RESOURCE_DEFINITIONS, PEERS, found, decoder=BARE)
    before = await world.definition()
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        await world.ask()
        assert await world.definition() == before


async def test_a_definition_on_its_way_out_is_left_alone(world: World) -> None:
    found = copy.deepcopy(await world.definition())
    found["metadata"]["finalizers"] = ["example.org/hold"]
    await world.client.replace(CUSTOM_RESOURCE_DEFINITIONS, PEERS, found, decoder=BARE)
    await world.client.delete(CUSTOM_RESOURCE_DEFINITIONS, PEERS)
    before = await world.definition()
    assert before["metadata"]["deletionTimestamp"]
    replica = world.replica()
    async with running(replica.run()):
        await world.until_ready(replica)
        await world.ask()
        assert await world.definition() == before

"""The process: `python -m kubelab.olm CONFIG.json`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from typing import Final

import msgspec

from kubelab import component, kubeconfig
from kubelab.apiclient import ApiClient, ApiFailure
from kubelab.component import Ready
from kubelab.kubeconfig import Connection, KubeconfigError
from kubelab.objects import Object
from kubelab.olm import catalogs, packages, plans, subscriptions, versions
from kubelab.olm.content import Content
from kubelab.olm.definitions import definitions
from kubelab.olm.judging import is_established
from kubelab.olm.names import DEFINITIONS, NAMESPACES, OPERATOR_GROUPS
from kubelab.olm.world import Chance, World

_LOOK_S: Final = 0.02
_MARKETPLACE, _EVERYWHERE = "openshift-marketplace", "openshift-operators"
_GLOBAL_GROUP: Final[Object] = {
    "apiVersion": OPERATOR_GROUPS.api_version,
    "kind": "OperatorGroup",
    "metadata": {"name": "global-operators", "namespace": _EVERYWHERE},
}


class Config(msgspec.Struct):
    """The configuration file; `images`: image references and the folders that stand for them."""

    kubeconfig: str
    images: dict[str, str]


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    return component.live("olm", Config, _run, expected=(KubeconfigError,))


async def _run(config: Config, ready: Ready) -> None:
    chance = Chance(time.time, random.randrange)
    await run(kubeconfig.load(config.kubeconfig), Content(config.images), chance, ready)


async def run(connection: Connection, content: Content, chance: Chance, ready: Ready) -> None:
    """Play OLM until cancelled; `ready` is called once its kinds are served and what OpenShift has is there."""
    async with ApiClient(connection.server, connection=connection, user_agent="olm") as client:
        await _prepare(client)
        world = World(client, content, chance)
        async with asyncio.TaskGroup() as group:
            for informer in world.informers.values():
                group.create_task(informer.run())
            for informer in world.informers.values():
                await informer.synced.wait()
            ready()
            await _follow(world)


async def _prepare(client: ApiClient) -> None:
    for definition in definitions():
        await _make(client.create(DEFINITIONS, definition))
    for definition in definitions():
        while not is_established(await client.get(DEFINITIONS, definition["metadata"]["name"])):  # noqa: ASYNC110  # once
            await asyncio.sleep(_LOOK_S)
    for name in (_MARKETPLACE, _EVERYWHERE):
        await _make(client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    await _make(client.create(OPERATOR_GROUPS, _GLOBAL_GROUP))


async def _make(creation: Awaitable[Object]) -> None:
    """What is there already is fine: the double may have been started again."""
    try:
        await creation
    except ApiFailure as failure:
        if not failure.already_exists:
            raise


async def _follow(world: World) -> None:
    """Whenever something changes, look at everything: the double is small, and so is what it follows."""
    while True:
        await world.changed.wait()
        world.changed.clear()
        for each in (
            catalogs.follow_sources,
            subscriptions.follow,
            versions.follow,
            plans.follow,
            catalogs.follow_groups,
            packages.follow,
        ):
            await each(world)

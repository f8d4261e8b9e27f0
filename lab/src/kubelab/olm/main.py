"""The process: `python -m kubelab.olm CONFIG.json`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import uvloop

from kubelab import kubeconfig
from kubelab.apiclient import ApiClient, ApiFailure
from kubelab.kubeconfig import Connection, KubeconfigError
from kubelab.objects import Object
from kubelab.olm import catalogs, packages, plans, subscriptions, versions
from kubelab.olm.content import Content
from kubelab.olm.definitions import definitions
from kubelab.olm.judging import is_established
from kubelab.olm.names import DEFINITIONS, NAMESPACES, OPERATOR_GROUPS
from kubelab.olm.world import Chance, World

Ready: TypeAlias = Callable[[], None]

_LOOK_S: Final = 0.02
_MARKETPLACE, _EVERYWHERE = "openshift-marketplace", "openshift-operators"
_GLOBAL_GROUP: Final[Object] = {
    "apiVersion": OPERATOR_GROUPS.api_version,
    "kind": "OperatorGroup",
    "metadata": {"name": "global-operators", "namespace": _EVERYWHERE},
}


class Config(msgspec.Struct):
    """The configuration file: image references and the folders that stand for them."""

    kubeconfig: str
    images: dict[str, str]
    log_level: str = "INFO"


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    try:
        config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Config)
        connection = kubeconfig.load(config.kubeconfig)
    except (IndexError, OSError, msgspec.DecodeError, KubeconfigError) as error:
        what = "usage: python -m kubelab.olm CONFIG.json" if isinstance(error, IndexError) else str(error)
        sys.stderr.write(f"olm: {what}\n")
        return 2
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=config.log_level, stream=sys.stderr, format=form)
    uvloop.run(_until_stopped(connection, Content(config.images)))
    return 0


async def _until_stopped(connection: Connection, content: Content) -> None:
    chance = Chance(time.time, random.randrange)
    ready = lambda: print("ready", flush=True)  # noqa: E731, T201  # the starter waits for it
    task = asyncio.create_task(run(connection, content, chance, ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


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

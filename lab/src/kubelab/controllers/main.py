"""The controllers process: `python -m kubelab.controllers CONFIG.json`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec
import uvloop

from kubelab import kubeconfig
from kubelab.apiclient import ApiClient
from kubelab.controllers.run.basics import Accounts, ClusterRoles
from kubelab.controllers.run.context import Context, add_indexes
from kubelab.controllers.run.daemonsets import DaemonSets
from kubelab.controllers.run.deployments import Deployments
from kubelab.controllers.run.endpoints import Endpoints
from kubelab.controllers.run.garbage import Garbage
from kubelab.controllers.run.hands import Hands
from kubelab.controllers.run.informers import Informers
from kubelab.controllers.run.namespaces import Namespaces
from kubelab.controllers.run.nodes import Nodes
from kubelab.controllers.run.recorder import Recorder
from kubelab.controllers.run.replicasets import ReplicaSets
from kubelab.controllers.run.scheduler import Scheduler
from kubelab.kubeconfig import Connection, KubeconfigError

Ready: TypeAlias = Callable[[], None]

_USER_AGENT, _SCHEDULER_AGENT = "kube-controller-manager", "kube-scheduler"


class Controller(Protocol):
    """What runs until it is cancelled."""

    async def run(self) -> None:
        """Work until cancelled."""


class Config(msgspec.Struct):
    """The configuration file; fields that are not known here are for others."""

    kubeconfig: str
    log_level: str = "INFO"


def main() -> int:
    """Run all controllers until SIGTERM or SIGINT; the exit code."""
    try:
        config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Config)
        connection = kubeconfig.load(config.kubeconfig)
    except (IndexError, OSError, msgspec.DecodeError, KubeconfigError) as error:
        what = "usage: python -m kubelab.controllers CONFIG.json" if isinstance(error, IndexError) else str(error)
        sys.stderr.write(f"controllers: {what}\n")
        return 2
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=config.log_level, stream=sys.stderr, format=form)
    uvloop.run(_until_stopped(connection))
    return 0


async def _until_stopped(connection: Connection) -> None:
    task = asyncio.create_task(run(connection, ready=lambda: print("ready", flush=True)))  # noqa: T201  # the starter waits for it
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def run(connection: Connection, ready: Ready) -> None:
    """Run all controllers until cancelled; `ready` is called once all local copies are complete."""
    async with (
        ApiClient(connection.server, connection=connection, user_agent=_USER_AGENT) as client,
        ApiClient(connection.server, connection=connection, user_agent=_SCHEDULER_AGENT) as scheduler_client,
        asyncio.TaskGroup() as group,
    ):
        informers = Informers(client)
        recorder, scheduler_recorder = Recorder(client), Recorder(scheduler_client)
        context = Context(
            informers=informers,
            hands=Hands(client, informers, recorder),
            scheduler_hands=Hands(scheduler_client, informers, scheduler_recorder),
            ca=(connection.ca or b"").decode(),
        )
        add_indexes(informers)
        controllers = _controllers(context)
        group.create_task(informers.run())
        await informers.wait_synced()
        for task in (recorder, scheduler_recorder, *controllers):
            group.create_task(task.run())
        ready()


def _controllers(context: Context) -> list[Controller]:
    kinds = (
        Deployments,
        ReplicaSets,
        DaemonSets,
        Scheduler,
        Endpoints,
        Nodes,
        Accounts,
        ClusterRoles,
        Namespaces,
        Garbage,
    )
    return [kind(context) for kind in kinds]

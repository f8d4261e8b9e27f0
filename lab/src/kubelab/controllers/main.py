"""The controllers process: `python -m kubelab.controllers CONFIG.json`."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from kubelab import component, kubeconfig
from kubelab.apiclient import ApiClient
from kubelab.component import Ready
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

_USER_AGENT, _SCHEDULER_AGENT = "kube-controller-manager", "kube-scheduler"


class Controller(Protocol):
    """What runs until it is cancelled."""

    async def run(self) -> None:
        """Work until cancelled."""


class Config(msgspec.Struct):
    """The configuration file; fields that are not known here are for others."""

    kubeconfig: str


def main() -> int:
    """Run all controllers until SIGTERM or SIGINT; the exit code."""
    return component.live("controllers", Config, _run, expected=(KubeconfigError,))


async def _run(config: Config, ready: Ready) -> None:
    await run(kubeconfig.load(config.kubeconfig), ready)


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

"""The operator's wiring: caches, leadership, queue, health. One place to look for what is connected to what."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from importlib.metadata import version
from pathlib import Path

from msgspec.json import Decoder

from metallb.api.v1beta1 import MetalLB
from metallb.kube import daemon
from metallb.kube.apply import StatusWriter
from metallb.kube.client import KubeClient
from metallb.kube.credentials import find
from metallb.kube.events import Recorder, reference, second_time
from metallb.kube.informer import Informer
from metallb.kube.lease import Leadership
from metallb.kube.objects import Bare, K, Key, key_of
from metallb.kube.resources import CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, METALLBS, NETWORK_POLICIES, Resource
from metallb.kube.serving import HealthServer
from metallb.operator.operands import Installation
from metallb.operator.reconciler import MANAGED, MetalLBOperator, Outlets, Stores, Workload
from metallb.operator.settings import OperatorSettings

LEASE = "metallb.io.metallboperator"


def run(settings: OperatorSettings) -> int:
    """Runs the operator until a signal ends it; gives the exit code."""
    return daemon.run(main(settings))


async def main(settings: OperatorSettings) -> None:
    """Everything the operator does, until cancelled."""
    client = KubeClient(find(os.environ, home=Path.home()), agent="metallb-operator", field_manager="metallb-operator")
    replica = Replica(client, settings)
    health = HealthServer(port=settings.port, ready=replica.ready)
    async with client, health, asyncio.TaskGroup() as group:
        replica.start(group)
        if not settings.enable_leader_election:
            await replica.lead()
            return
        identity = f"{os.environ.get('HOSTNAME') or 'operator'}_{secrets.token_hex(4)}"
        leadership = Leadership(client, namespace=settings.namespace, name=LEASE, identity=identity)
        await leadership.run(replica.lead)


class Replica:
    """One operator process: its caches are warm, whether it leads or stands by."""

    def __init__(self, client: KubeClient, settings: OperatorSettings) -> None:
        self._client = client
        self._installation = installation_of(settings)
        namespace = settings.namespace
        self._metallbs = Informer(client, METALLBS, decoder=Decoder(MetalLB), namespace=namespace)
        self._daemon_sets = _owned(client, DAEMON_SETS, namespace, Workload)
        self._deployments = _owned(client, DEPLOYMENTS, namespace, Workload)
        self._config_maps = _owned(client, CONFIG_MAPS, namespace, Bare)
        self._network_policies = _owned(client, NETWORK_POLICIES, namespace, Bare)
        self._recorder = Recorder(client, component="metallb-operator")
        self._active: MetalLBOperator | None = None

    def ready(self) -> bool:
        """Whether the caches are complete: before that nothing can be decided."""
        return all(event.is_set() for event in self._synced())

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API from now on."""
        group.create_task(self._recorder.run(), name="events")
        group.create_task(self._metallbs.run(), name="informer metallbs")
        group.create_task(self._daemon_sets.run(), name="informer daemonsets")
        group.create_task(self._deployments.run(), name="informer deployments")
        group.create_task(self._config_maps.run(), name="informer configmaps")
        group.create_task(self._network_policies.run(), name="informer networkpolicies")
        self._metallbs.subscribe(self._changed)
        self._daemon_sets.subscribe(self._owned_changed)
        self._deployments.subscribe(self._owned_changed)
        self._config_maps.subscribe(self._owned_changed)
        self._network_policies.subscribe(self._owned_changed)

    async def lead(self) -> None:
        """The work of the replica that leads, until cancelled."""
        for event in self._synced():
            await event.wait()
        stores = Stores(
            self._metallbs.store,
            self._daemon_sets.store,
            self._deployments.store,
            self._config_maps.store,
            self._network_policies.store,
        )
        writer = StatusWriter(self._client, METALLBS)
        outlets = Outlets(warn=self._warn, now=lambda: second_time(time.time()))
        self._active = MetalLBOperator(self._client, self._installation, stores, writer, outlets)
        for resource in self._metallbs.store:
            self._active.queue.add(key_of(resource))
        try:
            await self._active.queue.run()
        finally:
            self._active = None

    def _synced(self) -> tuple[asyncio.Event, ...]:
        return (
            self._metallbs.synced,
            self._daemon_sets.synced,
            self._deployments.synced,
            self._config_maps.synced,
            self._network_policies.synced,
        )

    def _changed(self, key: Key) -> None:
        if self._active is not None:
            self._active.queue.add(key)

    def _owned_changed(self, _key: Key) -> None:
        if self._active is not None:
            self._active.review()

    def _warn(self, resource: MetalLB, reason: str, message: str) -> None:
        self._recorder.event(reference(METALLBS, resource.metadata), "Warning", reason, message)


def _owned(client: KubeClient, resource: Resource, namespace: str, kept: type[K]) -> Informer[K]:
    """A cache of what the operator made of one kind."""
    return Informer(client, resource, decoder=Decoder(kept), namespace=namespace, label_selector=MANAGED)


def installation_of(settings: OperatorSettings) -> Installation:
    """What rendering has to know of the settings."""
    return Installation(
        namespace=settings.namespace,
        controller_image=settings.controller_image,
        speaker_image=settings.speaker_image,
        version=f"v{version('metallb')}",
        metrics_port=settings.metrics_port,
        liveness_port=settings.operand_liveness_port,
        memberlist_port=settings.member_list_bind_port,
        network_policies=not settings.disable_network_policies,
        tls_cipher_suites=settings.tls_cipher_suites,
        tls_curve_preferences=settings.tls_curve_preferences,
        tls_min_version=settings.tls_min_version,
    )

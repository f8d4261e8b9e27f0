"""The controller's wiring: caches, leadership, queues, servers. One place to look for what is connected to what."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec.json import Decoder

from metallb.allocator.pool import MAX_COUNT
from metallb.api import v1beta1, v1beta1_bgp
from metallb.api.core import Namespace, Service
from metallb.config import terms
from metallb.config.build import Snapshot
from metallb.config.errors import ConfigError
from metallb.config.state import CONTROLLER, Reading, describe
from metallb.controller.assignment import Assignment
from metallb.controller.heard import Heard
from metallb.controller.memberlist import ensure_key
from metallb.controller.poolstatus import PoolStatus
from metallb.controller.reconciler import WORKERS, Outlets, ServiceController
from metallb.controller.settings import BgpType, ControllerSettings
from metallb.controller.status import Notice
from metallb.controller.webhooks import Seen, Webhooks
from metallb.kube import daemon
from metallb.kube.apply import StatusWriter
from metallb.kube.client import KubeClient
from metallb.kube.configurationstate import ConfigurationReport, Place
from metallb.kube.configurationstate import Outlets as ReportOutlets
from metallb.kube.credentials import CredentialsError, find
from metallb.kube.election import Timing
from metallb.kube.errors import ApiError, ConflictError
from metallb.kube.events import Recorder, reference
from metallb.kube.informer import Informer
from metallb.kube.inputs import Inputs
from metallb.kube.lease import Leadership
from metallb.kube.objects import Key
from metallb.kube.observed import outcomes_of, requests_of
from metallb.kube.reconciler import Failed, Outcome
from metallb.kube.resources import COMMUNITIES, IP_ADDRESS_POOLS, NAMESPACES, SERVICES
from metallb.kube.serving import HealthServer, MetricsServer
from metallb.kube.store import Change
from metallb.telemetry import logs
from metallb.telemetry import metrics as m

LEASE = "metallb-controller"
TIMING = Timing(duration_s=3, renew_deadline_s=2.2, retry_s=0.5)
"""Another replica takes over within 4 s of the leader's death, at once when it stops."""

CONNECTIONS = WORKERS + 8
"""Requests in flight at once: however slow the writes of Services are, renewing the Lease never stands in line."""

RETRY_S = 1.0
KEY_CHECK_S = 10.0

DRAIN_S = 5.0
"""How long a webhook server that is told to stop goes on to serve."""

_log = logs.logger(op="startup")


def run(settings: ControllerSettings) -> int:
    """Runs the controller until a signal ends it; gives the exit code."""
    return daemon.run(main(settings))


class Caches:
    """What the controller knows of the cluster."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self.services = Informer(client, SERVICES, decoder=Decoder(Service))
        self.pools = Informer(client, IP_ADDRESS_POOLS, decoder=Decoder(v1beta1.IPAddressPool), namespace=namespace)
        self.namespaces = Informer(client, NAMESPACES, decoder=Decoder(Namespace))
        self.communities = Informer(client, COMMUNITIES, decoder=Decoder(v1beta1_bgp.Community), namespace=namespace)
        self.inputs = Inputs([self.services, self.pools, self.namespaces], [self.communities])

    def read(self, backend: BgpType) -> Reading:
        """What the configuration is made of (spec/crds.md 10.9)."""
        snapshot = Snapshot(
            pools=self.pools.store.values(),
            communities=self.communities.store.values(),
            namespaces={each.metadata.name: each.metadata.labels for each in self.namespaces.store},
            backend=backend,
        )
        return Reading(snapshot, self.inputs.unreadable(), self.inputs.unread())


async def main(settings: ControllerSettings) -> None:
    """Everything the controller does, until cancelled."""
    metrics = m.Metrics(m.CONTROLLER)
    credentials = find(os.environ, home=Path.home())
    client = KubeClient(
        credentials,
        agent="metallb-controller",
        field_manager="metallb-controller",
        connections=CONNECTIONS,
        observe=requests_of(metrics, credentials.server),
    )
    only = settings.webhook_mode == "onlywebhook"
    replica = None if only else Replica(client, settings, metrics)
    webhooks = None if settings.webhook_mode == "disabled" else webhooks_of(client, settings, replica, metrics)
    health = HealthServer(port=settings.health_probe_port, ready=lambda: webhooks is None or webhooks.ready)
    async with client, health, asyncio.TaskGroup() as group:
        if webhooks is not None:
            webhooks.start(group)
        if settings.port:
            render = metrics.render if replica is None else replica.render
            group.create_task(serve_metrics(client, settings, render), name="metrics")
        if replica is None:
            await wait_and_drain(webhooks)
            return
        replica.start(group)
        leadership = Leadership(
            client,
            namespace=settings.namespace,
            name=LEASE,
            identity=f"{settings.pod_name or 'controller'}_{secrets.token_hex(4)}",
            timing=TIMING,
        )
        await leadership.run(replica.lead)


def webhooks_of(
    client: KubeClient, settings: ControllerSettings, replica: Replica | None, metrics: m.Metrics
) -> Webhooks:
    """The webhooks of this process; they look at the caches that a replica has anyway."""
    if replica is None:
        return Webhooks(client, settings, Seen(client, settings.namespace), metrics)
    caches = replica.caches
    seen = Seen(
        client,
        settings.namespace,
        services=caches.services,
        pools=caches.pools,
        namespaces=caches.namespaces,
        communities=caches.communities,
    )
    return Webhooks(client, settings, seen, metrics)


async def serve_metrics(client: KubeClient, settings: ControllerSettings, render: Callable[[], bytes]) -> None:
    """Serves what `render` gives until cancelled.

    Raises:
        ListenError: the port is taken, or the certificate is unusable.
    """
    folder = Path(settings.metrics_cert_dir) if settings.metrics_cert_dir else None
    async with MetricsServer(client, port=settings.port, render=render, tls=settings.tls, certificates=folder):
        await asyncio.Event().wait()


async def wait_and_drain(webhooks: Webhooks | None) -> None:
    """Waits to be cancelled, then serves on for a while: endpoints and proxies still send requests here."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if webhooks is not None:
            webhooks.drain()
            await asyncio.sleep(DRAIN_S)
        raise


class Replica:
    """One controller process: its caches are warm, whether it leads or stands by.

    Attributes:
        caches: what it knows of the cluster.
    """

    def __init__(self, client: KubeClient, settings: ControllerSettings, metrics: m.Metrics) -> None:
        self._client = client
        self._settings = settings
        self._metrics = metrics
        self.caches = Caches(client, settings.namespace)
        self._heard = Heard(client, settings.namespace)
        self._recorder = Recorder(client, component="metallb-controller")
        self._services_writer = StatusWriter(client, SERVICES)
        self._pools_writer = StatusWriter(client, IP_ADDRESS_POOLS)
        self._active: ServiceController | None = None
        self._counters: PoolStatus | None = None
        self._report: ConfigurationReport | None = None
        self._reconciled = outcomes_of(metrics, "service")

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API and makes the gossip key from now on."""
        self._metrics.set(m.LEADER, 0, LEASE)
        caches = self.caches
        caches.inputs.start(group)
        caches.services.subscribe(self._service_changed)
        caches.pools.subscribe(self._reload, when=_spec_changed)
        caches.pools.subscribe(self._pool_seen)
        caches.namespaces.subscribe(self._reload, when=_labels_changed)
        caches.communities.subscribe(self._reload)
        caches.inputs.watch_health(self._health_changed)
        self._heard.subscribe(self._service_changed)
        group.create_task(self._heard.informer.run(), name="informer servicel2statuses")
        group.create_task(self._recorder.run(), name="events")
        group.create_task(self._settle(), name="rights")
        if self._settings.ml_secret_name:
            group.create_task(self._keep_key(), name="memberlist key")

    async def lead(self) -> None:
        """The work of the replica that leads, until cancelled: it starts from what the API shows, nothing else."""
        place = Place(self._settings.namespace, self._settings.pod_name)
        told = ReportOutlets(self._show_stale, self._misconfigured, outcomes_of(self._metrics, "configurationstate"))
        report = self._report = ConfigurationReport(self._client, CONTROLLER, place, told)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(report.run(), name="configuration state")
                self._health_changed()
                await self.caches.inputs.ready()
                await self._catch_up()
                await self._allocate(report)
        finally:
            self._report = None
            self._show_stale(False)  # who stands by uses no configuration

    async def _allocate(self, report: ConfigurationReport) -> None:
        caches = self.caches
        outlets = Outlets(
            record=self._record,
            config_loaded=self._config_loaded,
            config_judged=report.judged,
            observe=self._count,
        )
        assignment = Assignment(lb_class=self._settings.lb_class)
        self._active = ServiceController(
            assignment,
            caches.services.store,
            lambda: caches.read(self._settings.bgp_type),
            self._services_writer,
            outlets,
            reports=self._heard.reports,
        )
        self._counters = PoolStatus(
            assignment,
            caches.pools.store,
            self._pools_writer,
            self._settings.namespace,
            outcomes_of(self._metrics, "poolstatus"),
        )
        self._active.reload()
        self._metrics.set(m.LEADER, 1, LEASE)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._active.config.run(), name="pools")
                group.create_task(self._active.services.run(), name="services")
                group.create_task(self._counters.run(), name="pool counters")
        finally:
            self._active = self._counters = None
            self._metrics.set(m.LEADER, 0, LEASE)

    async def _settle(self) -> None:
        """Asks what we may write, and how; where the API server does not say, the first write finds out."""
        with contextlib.suppress(ApiError, CredentialsError):
            await self._services_writer.settle()
            await self._pools_writer.settle(self._settings.namespace)

    async def _catch_up(self) -> None:
        """Waits until no write of the leader before is missing in the cache."""
        while True:
            try:
                await self.caches.services.catch_up()
                await self.caches.pools.catch_up()
            except (ApiError, CredentialsError) as error:
                _log.warn("Services or pools can't be listed, trying again", error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _service_changed(self, key: Key) -> None:
        if self._active is not None:
            self._active.services.add(key)

    def _reload(self, _key: Key) -> None:
        if self._active is not None:
            self._active.reload()

    def _health_changed(self) -> None:
        """Something can be read that could not, or the other way round: before the start, that is what it waits for."""
        if self._active is not None:
            self._active.reload()
        elif self._report is not None and (refused := self.caches.inputs.refused()):
            self._report.unread(refused)

    def _show_stale(self, stale: bool) -> None:  # noqa: FBT001  # an outlet
        self._metrics.set(m.CONFIG_STALE, float(stale))

    def _misconfigured(self, error: ConfigError) -> None:
        about = self.caches.inputs.reference(error.object)
        self._recorder.event(about, "Warning", "ConfigurationError", describe(error))

    def _pool_seen(self, _key: Key) -> None:
        if self._counters is not None:
            self._counters.changed()

    def _config_loaded(self) -> None:
        self._metrics.set(m.CONFIG_LOADED, 1)
        if self._counters is not None:
            self._counters.changed()

    def _record(self, service: Service, notice: Notice) -> None:
        self._recorder.event(reference(SERVICES, service.metadata), notice.type, notice.reason, notice.message)

    def _count(self, outcome: Outcome) -> None:
        self._reconciled(outcome)
        if self._counters is not None:
            self._counters.changed()
        self._metrics.add(m.UPDATES)
        if isinstance(outcome, Failed) and not isinstance(outcome.error, ConflictError):
            self._metrics.add(m.UPDATE_ERRORS)

    async def _keep_key(self) -> None:
        """Makes the key where it is missing, also when somebody deletes it: new speakers would wait for it for ever."""
        settings = self._settings
        while True:
            wait_s = KEY_CHECK_S
            try:
                await ensure_key(
                    self._client,
                    settings.namespace,
                    settings.ml_secret_name,
                    settings.deployment,
                    secrets.token_bytes,
                )
            except (ApiError, CredentialsError) as error:
                _log.error("the speakers' key can't be made yet: speakers wait for it", error=str(error))
                wait_s = RETRY_S
            await asyncio.sleep(wait_s)

    def render(self) -> bytes:
        """The metrics as they are now."""
        if self._active is not None:
            show_pools(self._metrics, self._active.assignment)
            self._metrics.set(m.QUEUE_DEPTH, self._active.services.depth, "service")
        return self._metrics.render()


_OF_POOLS = (
    *(m.ADDRESSES, m.ADDRESSES_V4, m.ADDRESSES_V6),
    *(m.IN_USE, m.IN_USE_V4, m.IN_USE_V6, m.SERVICES_ALLOCATED),
)


def show_pools(metrics: m.Metrics, assignment: Assignment) -> None:
    """Puts the pools' counters as they are now into the metrics; those of vanished pools go."""
    names = {pool.name for pool in assignment.pools}
    holders = Counter(held.pool for held in assignment.allocator.allocations.values())
    for metric in _OF_POOLS:
        for (name,) in metrics.labels(metric):
            if name not in names:
                metrics.remove(metric, name)
    for name in names:
        usage = assignment.allocator.usage(name)
        four, six = usage[4], usage[6]
        metrics.set(m.ADDRESSES, min(four.total + six.total, MAX_COUNT), name)
        metrics.set(m.ADDRESSES_V4, four.total, name)
        metrics.set(m.ADDRESSES_V6, six.total, name)
        metrics.set(m.IN_USE, four.in_use + six.in_use, name)
        metrics.set(m.IN_USE_V4, four.in_use, name)
        metrics.set(m.IN_USE_V6, six.in_use, name)
        metrics.set(m.SERVICES_ALLOCATED, holders[name], name)


def _spec_changed(change: Change[v1beta1.IPAddressPool]) -> bool:
    """Counters in the status are our own writes: they change nothing. Limits are annotations."""
    before, after = change.before, change.after
    if before is None or after is None or before.metadata.generation != after.metadata.generation:
        return True
    return terms.written(before.metadata.annotations) != terms.written(after.metadata.annotations)


def _labels_changed(change: Change[Namespace]) -> bool:
    before, after = change.before, change.after
    return before is None or after is None or before.metadata.labels != after.metadata.labels

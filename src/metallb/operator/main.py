"""The operator's wiring: caches, leadership, queue, webhook, health. One place to see what is connected to what."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from msgspec.json import Decoder

from metallb.api.v1beta1 import MetalLB
from metallb.kube import daemon
from metallb.kube.apply import StatusWriter
from metallb.kube.client import KubeClient
from metallb.kube.credentials import find
from metallb.kube.errors import ForbiddenError, NotFoundError
from metallb.kube.events import Recorder, reference, second_time
from metallb.kube.informer import Informer
from metallb.kube.inputs import Inputs
from metallb.kube.lease import Leadership
from metallb.kube.objects import Bare, K, Key, key_of
from metallb.kube.observed import outcomes_of, requests_of
from metallb.kube.resources import (
    CONFIG_MAPS,
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    METALLBS,
    NETWORK_POLICIES,
    POD_MONITORS,
    PODS,
    PROMETHEUS_RULES,
    SECRETS,
    SECURITY_CONTEXT_CONSTRAINTS,
    SERVICE_MONITORS,
    SERVICES,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    Resource,
)
from metallb.kube.serving import HealthServer, MetricsServer
from metallb.kube.tls import TlsSettings
from metallb.operator import discovery
from metallb.operator.backend import DEPLOYABLE
from metallb.operator.failover import Suspect
from metallb.operator.installation import Installation, Monitors
from metallb.operator.pods import OperandPod
from metallb.operator.reconciler import MANAGED, QUEUE, MetalLBOperator, Outlets, Stores, Workload
from metallb.operator.refusals import SELECTOR, CreationRefused
from metallb.operator.settings import NO_METRICS, OperatorSettings
from metallb.operator.webhook_tls import WebhookTls
from metallb.operator.webhooks import Webhook
from metallb.telemetry import metrics as m

LEASE: Final = "metallb.io.metallboperator"
OPERAND_PODS: Final = "component in (controller, speaker)"
"""Label selector of the pods that run MetalLB."""

_MONITORS: Final = {"service": SERVICE_MONITORS, "pod": POD_MONITORS}


def run(settings: OperatorSettings) -> int:
    """Runs the operator until a signal ends it; gives the exit code."""
    return daemon.run(main(settings))


async def main(settings: OperatorSettings) -> None:
    """Everything the operator does, until cancelled."""
    metrics = m.Metrics(m.OPERATOR)
    credentials = find(os.environ, home=Path.home())
    client = KubeClient(
        credentials,
        agent="metallb-operator",
        field_manager="metallb-operator",
        observe=requests_of(metrics, credentials.server),
    )
    parts: list[Replica | Webhook] = []
    health = HealthServer(port=settings.port, ready=lambda: bool(parts) and all(part.ready for part in parts))
    async with client, health, asyncio.TaskGroup() as group:
        openshift = await discovery.on_openshift(client)
        if openshift:
            profile = await discovery.profile(client)
            settings = discovery.with_profile(settings, profile)
            group.create_task(discovery.until_profile_changes(client, profile), name="TLS profile")
        webhook = Webhook(client, settings, tls_of(settings))
        replica = Replica(client, settings, installation_of(settings, openshift=openshift), metrics)
        parts += (replica, webhook)
        if settings.metrics_addr not in NO_METRICS:
            group.create_task(serve_metrics(client, settings, replica.render), name="metrics")
        webhook.start(group)
        replica.start(group)
        if not settings.enable_leader_election:
            await replica.lead()
            return
        identity = f"{os.environ.get('HOSTNAME') or 'operator'}_{secrets.token_hex(4)}"
        leadership = Leadership(client, namespace=settings.namespace, name=LEASE, identity=identity)
        await leadership.run(replica.lead)


async def serve_metrics(client: KubeClient, settings: OperatorSettings, render: Callable[[], bytes]) -> None:
    """Serves the operator's own metrics until cancelled.

    Raises:
        ListenError: the address is taken, or not ours.
    """
    host, _, port = settings.metrics_addr.rpartition(":")
    async with MetricsServer(
        client, port=int(port), host=host.strip("[]") or None, render=render, tls=tls_of(settings)
    ):
        await asyncio.Event().wait()


class Replica:
    """One operator process: its caches are warm, whether it leads or stands by."""

    def __init__(
        self, client: KubeClient, settings: OperatorSettings, installation: Installation, metrics: m.Metrics
    ) -> None:
        self._client = client
        self._settings = settings
        self._installation = installation
        self._metrics = metrics
        self._metrics.set(m.LEADER, 0, LEASE)
        namespace = settings.namespace
        self._metallbs = Informer(client, METALLBS, decoder=Decoder(MetalLB), namespace=namespace)
        self._workloads = {each: _owned(client, each, namespace, Workload) for each in (DAEMON_SETS, DEPLOYMENTS)}
        self._others = {each: _owned(client, each, namespace, Bare) for each in kinds_of(installation)}
        self._pods = Informer(
            client, PODS, decoder=Decoder(OperandPod), namespace=namespace, label_selector=OPERAND_PODS
        )
        self._suspects = {each: Informer(client, each, decoder=Decoder(Suspect)) for each in (DAEMON_SETS, DEPLOYMENTS)}
        self._refusals = Informer(
            client, EVENTS, decoder=Decoder(CreationRefused), namespace=namespace, field_selector=SELECTOR
        )
        self._inputs = Inputs(
            [self._metallbs, *self._workloads.values()],
            [*self._others.values(), self._pods, *self._suspects.values(), self._refusals],
        )
        self._known = asyncio.Event()
        self._recorder = Recorder(client, component="metallb-operator")
        self._active: MetalLBOperator | None = None
        self._webhook_tls: WebhookTls | None = None
        self._stores = Stores(
            self._metallbs.store,
            {kind: each.store for kind, each in self._workloads.items()},
            {},
            self._pods.store,
            {kind: each.store for kind, each in self._suspects.items()},
            self._refusals.store,
        )

    @property
    def ready(self) -> bool:
        """Whether the caches are complete: before that nothing can be decided."""
        return self._known.is_set()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follows the API from now on."""
        group.create_task(self._recorder.run(), name="events")
        self._inputs.watch_health(self._health_changed)
        self._metallbs.subscribe(self._changed)
        made: tuple[Informer[Any], ...] = (
            *self._workloads.values(),
            *self._others.values(),
            self._pods,
            self._refusals,
        )
        for each in made:
            each.subscribe(self._review)
        self._others[CONFIG_MAPS].subscribe(self._review_config)
        for suspects in self._suspects.values():
            suspects.subscribe(self._review, when=lambda change: _is_suspicious(change.before, change.after))
        self._inputs.start(group)
        group.create_task(self._settle(), name="caches")

    async def lead(self) -> None:
        """The work of the replica that leads, until cancelled."""
        await self._known.wait()
        writer = StatusWriter(self._client, METALLBS)
        outlets = Outlets(
            warn=self._warn, now=lambda: second_time(time.time()), observe=outcomes_of(self._metrics, QUEUE)
        )
        self._active = MetalLBOperator(self._client, self._installation, self._stores, writer, outlets)
        self._metrics.set(m.LEADER, 1, LEASE)
        self._active.review()  # also without a resource: something may be left of one that is gone
        for resource in self._metallbs.store:
            self._active.queue.add(key_of(resource))
        self._webhook_tls = WebhookTls(self._client, self._settings)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._webhook_tls.queue.run(), name="webhook server's TLS")
                group.create_task(self._active.queue.run(), name="MetalLB resources")
        finally:
            self._active = self._webhook_tls = None
            self._metrics.set(m.LEADER, 0, LEASE)

    def render(self) -> bytes:
        """The metrics, with the queue as it is now."""
        if self._active is not None:
            self._metrics.set(m.QUEUE_DEPTH, self._active.queue.depth, self._active.queue.name)
        return self._metrics.render()

    async def _settle(self) -> None:
        await self._inputs.ready()
        self._health_changed()
        self._known.set()

    def _health_changed(self) -> None:
        """Kinds come and go with their definitions."""
        others: dict[Resource, Any] = {kind: each.store for kind, each in self._others.items() if _is_served(each)}
        if others.keys() != self._stores.others.keys():
            self._stores = replace(self._stores, others=others)
            if self._active is not None:
                self._active.stores = self._stores
                self._active.review()

    def _changed(self, key: Key) -> None:
        if self._active is not None:
            self._active.queue.add(key)

    def _review(self, _key: Key) -> None:
        if self._active is not None:
            self._active.review()

    def _review_config(self, key: Key) -> None:
        if self._webhook_tls is not None:
            self._webhook_tls.review(key)

    def _warn(self, resource: MetalLB, reason: str, message: str) -> None:
        self._recorder.event(reference(METALLBS, resource.metadata), "Warning", reason, message)


def _is_suspicious(before: Suspect | None, after: Suspect | None) -> bool:
    return any(each is not None and each.is_failover for each in (before, after))


def _is_served(informer: Informer[Any]) -> bool:
    return informer.synced.is_set() and not isinstance(informer.error, (NotFoundError, ForbiddenError))


def kinds_of(installation: Installation) -> tuple[Resource, ...]:
    """The kinds, beside workloads, of which the operator makes objects."""
    kinds = [CONFIG_MAPS, NETWORK_POLICIES]
    if installation.monitors:
        kinds += [SERVICES, PROMETHEUS_RULES, _MONITORS[installation.monitors]]
    if installation.openshift:
        kinds.append(SECURITY_CONTEXT_CONSTRAINTS)
    if "frr-k8s" in DEPLOYABLE:
        kinds += [SECRETS, VALIDATING_WEBHOOK_CONFIGURATIONS]
        kinds += [] if SERVICES in kinds else [SERVICES]
    return tuple(kinds)


def _owned(client: KubeClient, resource: Resource, namespace: str, kept: type[K]) -> Informer[K]:
    """A cache of what the operator made of one kind."""
    where = namespace if resource.namespaced else ""
    return Informer(client, resource, decoder=Decoder(kept), namespace=where, label_selector=MANAGED)


def tls_of(settings: OperatorSettings) -> TlsSettings:
    """Of the operator's own webhook."""
    return TlsSettings.parse(settings.tls_min_version, settings.suites, settings.tls_curve_preferences)


def installation_of(settings: OperatorSettings, *, openshift: bool = False) -> Installation:
    """What rendering has to know of the settings."""
    monitors: Monitors = "service" if settings.deploy_service_monitors else ""
    return Installation(
        namespace=settings.namespace,
        controller_image=settings.controller_image,
        speaker_image=settings.speaker_image,
        version=f"v{version('metallb')}",
        frr_image=settings.frr_image,
        frrk8s_image=settings.frrk8s_image,
        metrics_port=settings.metrics_port,
        liveness_port=settings.operand_liveness_port,
        memberlist_port=settings.member_list_bind_port,
        frr_metrics_port=settings.frr_metrics_port,
        frrk8s_metrics_port=settings.frrk8s_https_metrics_port,
        frrk8s_frr_metrics_port=settings.frrk8s_frr_https_metrics_port,
        frrk8s_namespace=settings.frrk8s_external_namespace,
        api_ports=tuple(sorted({443, 6443, settings.api_server_port} - {0})),
        network_policies=not settings.disable_network_policies,
        monitors="pod" if settings.deploy_pod_monitors else monitors,
        openshift=openshift,
        network_operator=settings.cno_min_frrk8s_version if openshift and settings.deploy_frrk8s_from_cno else None,
        tls_cipher_suites=settings.suites,
        tls_curve_preferences=settings.tls_curve_preferences,
        tls_min_version=settings.tls_min_version,
    )

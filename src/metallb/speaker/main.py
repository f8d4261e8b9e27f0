"""The speaker's wiring: caches, queue, announcer, interface watch, servers. One place to look for what is connected."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Literal

from metallb.advertisement.interfaces import Exclusion
from metallb.advertisement.reasons import Reason
from metallb.api.core import Service
from metallb.api.net import Address, NodeName, ServiceKey
from metallb.config.errors import ConfigError
from metallb.config.state import describe, speaker_on
from metallb.kube import daemon
from metallb.kube.client import KubeClient
from metallb.kube.configurationstate import ConfigurationReport, Place
from metallb.kube.configurationstate import Outlets as ReportOutlets
from metallb.kube.credentials import find
from metallb.kube.events import Recorder, reference
from metallb.kube.objects import Key
from metallb.kube.observed import outcomes_of, requests_of
from metallb.kube.reconciler import Failed, Outcome
from metallb.kube.resources import SERVICES
from metallb.kube.serving import HealthServer, MetricsServer
from metallb.protocols.ethernet import Mac, format_mac
from metallb.speaker import exclusion, showing, strangers
from metallb.speaker.announcer import Announcer
from metallb.speaker.caches import Caches, conflict_said, keys_of, node_matters
from metallb.speaker.disputes import Disputes, Outside
from metallb.speaker.l2status import L2Statuses, Mine
from metallb.speaker.presence import Presence
from metallb.speaker.reconciler import Outlets, ServiceSpeaker, Settings, Stores
from metallb.speaker.settings import SpeakerSettings
from metallb.speaker.showing import Showing
from metallb.speaker.strangers import Strangers
from metallb.speaker.wire import Wire
from metallb.telemetry import logs
from metallb.telemetry import metrics as m
from metallb.transports.rtnetlink import InterruptedDumpError, Netlink

_log = logs.logger(op="startup")


def _later(seconds: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, callback)


def run(settings: SpeakerSettings) -> int:
    """Runs the speaker until a signal ends it; gives the exit code."""
    return daemon.run(main(settings))


async def main(settings: SpeakerSettings) -> None:
    """Everything the speaker does, until cancelled.

    Raises:
        StartError: the list of excluded interfaces is malformed, or raw sockets are not allowed.
    """
    metrics = m.Metrics(m.SPEAKER)
    credentials = find(os.environ, home=Path.home())
    client = KubeClient(
        credentials,
        agent="metallb-speaker",
        field_manager="metallb-speaker",
        observe=requests_of(metrics, credentials.server),
    )
    health = HealthServer(port=settings.health_probe_port, host="127.0.0.1")
    async with client, health, asyncio.TaskGroup() as group:
        excluded, others = await exclusion.first(client, settings.namespace)
        speaker = Speaker(client, settings, metrics, excluded)
        try:
            speaker.start(group, others)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await speaker.hand_over()
            raise
        finally:
            speaker.close()


class Speaker:
    """One speaker process."""

    def __init__(self, client: KubeClient, settings: SpeakerSettings, metrics: m.Metrics, excluded: Exclusion) -> None:
        self._client = client
        self._settings = settings
        self._metrics = metrics
        self._excluded = excluded
        self._recorder = Recorder(client, component="metallb-speaker", host=settings.node_name)
        self._caches = Caches(client, settings)
        self._wire = Wire(metrics)
        self._announcer = Announcer(self._wire)
        self._netlink: Netlink | None = None
        self._report = ConfigurationReport(
            client,
            speaker_on(settings.node_name),
            Place(settings.namespace, settings.pod_name),
            ReportOutlets(
                stale=lambda stale: metrics.set(m.CONFIG_STALE, float(stale)),
                tell=self._misconfigured,
                observe=outcomes_of(metrics, "configurationstate"),
            ),
        )
        self._reconciled = outcomes_of(metrics, "service")
        self._speaker: ServiceSpeaker | None = None
        self._presence = Presence(settings, self._caches, self._announcer)
        self._strangers = Strangers(
            settings.node_name,
            strangers.Outlets(
                node_of=self._node_of,
                services=self._services_of,
                event=self._event,
                show=self._show_stranger,
                later=_later,
            ),
        )
        self._disputes = Disputes(
            Outside(
                node_of=self._node_of,
                heard=self._presence.live,
                ready=self._caches.live,
                changed=self._review,
                defend=self._announcer.defend,
                later=_later,
                stranger=self._strangers.seen,
            )
        )
        self._wire.disputed = self._disputes.disputed
        self._showing = Showing(
            settings.node_name,
            self._announcer,
            self._strangers,
            showing.Outlets(
                service=lambda key: self._caches.services.store.get(Key(*key)),
                services=self._services_of,
                event=self._event,
                sample=self._sample,
                review=self._tell_status,
            ),
        )
        self._wire.holds, self._wire.freed = self._strangers.held, self._strangers.free
        self._wire.learns = self._showing.look
        self._statuses = L2Statuses(
            client,
            Mine(settings.namespace, settings.node_name, lambda: self._caches.owner(settings.pod_name)),
            self._showing.of,
            outcomes_of(metrics, "servicel2status"),
        )

    def start(self, group: asyncio.TaskGroup, exclusions: AsyncIterator[Exclusion]) -> None:
        """Follows API and interfaces, gossips, announces and serves metrics from now on.

        `exclusions` are the interfaces that take no part from then on, at each change.
        """
        self._announcer.start()
        self._caches.start(group)
        group.create_task(self._recorder.run(), name="events")
        group.create_task(self._report.run(), name="configuration state")
        group.create_task(self._announce(exclusions), name="announcements")
        if self._settings.port:
            group.create_task(self._serve_metrics(), name="metrics")

    async def hand_over(self) -> None:
        """Says good-bye, and still answers while the others take over."""
        await self._presence.hand_over()

    def close(self) -> None:
        """Stops answering."""
        self._presence.close()
        if self._netlink is not None:
            asyncio.get_running_loop().remove_reader(self._netlink.fileno())
            self._netlink.close()
            self._netlink = None
        self._announcer.close()

    async def _announce(self, exclusions: AsyncIterator[Exclusion]) -> None:
        """Decides from complete caches only: a Service or node that is not there yet is not one that is gone."""
        caches, settings = self._caches, self._settings
        self._report_refusals()
        await caches.ready()
        gc.collect()
        gc.freeze()  # what is there now stays: the collector shall not look at it again
        outlets = Outlets(
            announced=self._showing.decided,
            withdrawn=self._showing.ended,
            unannounced=self._unannounced,
            config_loaded=lambda: self._metrics.set(m.CONFIG_LOADED, 1),
            config_judged=self._report.judged,
            observe=self._count,
        )
        told = Settings(settings.node_name, settings.lb_class, settings.ignore_exclude_lb)
        stores = Stores(caches.services.store, caches.slices.store, caches.nodes.store, self._live)
        speaker = self._speaker = ServiceSpeaker(told, stores, caches.config.read, self._announcer, outlets)
        self._watch_interfaces(speaker)
        caches.services.subscribe(speaker.services.add)
        caches.services.subscribe(lambda key: self._tell_status(ServiceKey(*key)), when=conflict_said)
        caches.slices.subscribe_by(keys_of, speaker.services.add)
        caches.nodes.subscribe(speaker.review_all, when=node_matters)
        caches.pods.subscribe(lambda _key: self._disputes.look())
        caches.config.subscribe(speaker.reload)
        speaker.reload()
        async with asyncio.TaskGroup() as group:
            group.create_task(speaker.config.run(), name="config")
            group.create_task(speaker.services.run(), name="services")
            group.create_task(self._follow_exclusion(speaker, exclusions), name="excluded interfaces")
            await speaker.configured.wait()
            await self._presence.lead(speaker, group)
            await self._presence.settled.wait()
            group.create_task(self._statuses.run(), name="layer2 status")

    async def _follow_exclusion(self, speaker: ServiceSpeaker, exclusions: AsyncIterator[Exclusion]) -> None:
        async for excluded in exclusions:
            self._excluded = excluded
            self._interfaces_changed(speaker)

    def _watch_interfaces(self, speaker: ServiceSpeaker) -> None:
        """Follows interfaces by the kernel's notices: a new one takes part at once."""
        self._netlink = Netlink()
        asyncio.get_running_loop().add_reader(self._netlink.fileno(), self._interfaces_changed, speaker)
        self._interfaces_changed(speaker)

    def _live(self) -> frozenset[NodeName]:
        """The nodes with a living speaker, as gossip or the API says, and as is seen on the wire."""
        return self._presence.live() | self._disputes.alive

    def _review(self) -> None:
        if self._speaker is not None:
            self._speaker.review_all()

    def _node_of(self, mac: Mac) -> NodeName | None:
        """The node whose speaker listens at an address of the host with that Ethernet address."""
        try:
            addresses = self._netlink.neighbours(mac) if self._netlink is not None else frozenset()
        except (InterruptedDumpError, OSError):
            return None
        found = (node for node, address in self._caches.speakers().items() if address in addresses)
        return next(map(NodeName, found), None)

    def _interfaces_changed(self, speaker: ServiceSpeaker) -> None:
        if self._netlink is None:
            return
        self._netlink.drain()
        names = self._announcer.interface_names
        try:
            interfaces = self._excluded.apply(self._netlink.interfaces())
        except (InterruptedDumpError, OSError) as error:
            _log.debug("interfaces changed while they were listed", error=str(error))
            asyncio.get_running_loop().call_later(0.1, self._interfaces_changed, speaker)
            return
        self._presence.see(interfaces)
        self._announcer.use(interfaces)
        if names != self._announcer.interface_names:
            self._showing.relook()
            speaker.review_all()

    def _services_of(self, address: Address) -> list[Service]:
        """Those that have an address and that this node announces, or would."""
        if self._speaker is None:
            return []
        keys = sorted(self._speaker.proven.holders(address) & self._announcer.announced.keys())
        found = (self._caches.services.store.get(Key(*key)) for key in keys)
        return [each for each in found if each is not None]

    def _show_stranger(self, case: strangers.Case, there: bool) -> None:  # noqa: FBT001  # an outlet
        labels = (case.interface, str(case.address), format_mac(case.mac), str(case.announced).lower())
        if there:
            self._metrics.set(m.LAYER2_STRANGERS, 1, *labels)
        else:
            self._metrics.remove(m.LAYER2_STRANGERS, *labels)
        for service in self._services_of(case.address):
            self._tell_status(service.key)

    def _tell_status(self, key: ServiceKey) -> None:
        self._statuses.review(key)

    def _sample(self, labels: showing.Labels, there: bool) -> None:  # noqa: FBT001  # an outlet
        if there:
            self._metrics.set(m.ANNOUNCED, 1, *labels)
        else:
            self._metrics.remove(m.ANNOUNCED, *labels)

    def _event(self, service: Service, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self._recorder.event(reference(SERVICES, service.metadata), kind, reason, message)

    def _unannounced(self, service: Service, reason: Reason) -> None:
        node = self._settings.node_name
        message = f'not announced by protocol "layer2" (node "{node}"): {reason}'
        self._recorder.event(reference(SERVICES, service.metadata), "Warning", "announceFailed", message)

    def _report_refusals(self) -> None:
        """Tells what the start waits for, until there is a configuration to tell of."""

        def tell() -> None:
            if self._speaker is None and (refused := self._caches.refused()):
                self._report.unread(refused)

        self._caches.config.watch_health(tell)
        self._caches.others.watch_health(tell)

    def _misconfigured(self, error: ConfigError) -> None:
        about = self._caches.config.to_be_told(error, self._presence.live() or self._caches.live())
        if about is not None:
            self._recorder.event(about, "Warning", "ConfigurationError", describe(error))

    def _count(self, outcome: Outcome) -> None:
        self._reconciled(outcome)
        self._metrics.add(m.UPDATES)
        if isinstance(outcome, Failed):
            self._metrics.add(m.UPDATE_ERRORS)

    async def _serve_metrics(self) -> None:
        settings = self._settings
        folder = Path(settings.metrics_cert_dir) if settings.metrics_cert_dir else None
        server = MetricsServer(
            self._client, port=settings.port, render=self._render, tls=settings.tls, certificates=folder
        )
        async with server:
            await asyncio.Event().wait()

    def _render(self) -> bytes:
        if self._speaker is not None:
            self._metrics.set(m.QUEUE_DEPTH, self._speaker.services.depth, "service")
        self._presence.show(self._metrics)
        return self._metrics.render()

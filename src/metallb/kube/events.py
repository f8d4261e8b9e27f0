"""Tells users on their objects what happened: core/v1 Events, written in the background.

    recorder = Recorder(client, component="metallb-controller")
    group.create_task(recorder.run())
    recorder.event(reference(SERVICES, service.metadata), "Normal", "IPAllocated", 'Assigned IP ["198.51.100.1"]')

`event` never blocks and never fails: during an outage the newest `PENDING` events wait, older ones are dropped.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

from metallb.api.core import ObjectMeta
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.credentials import CredentialsError
from metallb.kube.errors import ApiError, MalformedError, NotFoundError, RetryLaterError, UnavailableError
from metallb.kube.event_series import Correlator, Count, Create, Occurrence, Reference, Series, Severity
from metallb.kube.objects import BARE
from metallb.kube.resources import EVENTS, Resource
from metallb.telemetry import logs

PENDING: Final = 1000
"""How many occurrences may wait to be written."""

MESSAGE_LIMIT: Final = 1024
"""The longest message that the API takes, in characters."""

BACKOFF: Final = Backoff(first_s=0.2, limit_s=10.0)

_log = logs.logger(op="event")


def reference(resource: Resource, metadata: ObjectMeta) -> Reference:
    """The reference to an object of a kind."""
    return Reference(
        api_version=resource.api_version,
        kind=resource.kind,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
    )


class Recorder:
    """Writes events in the name of one component.

    Attributes:
        dropped: how many occurrences were not written: too many at once, or refused by the API.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        component: str,
        host: str = "",
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Does nothing until `run`, but takes events.

        Args:
            client: an open client.
            component: `source.component`, e.g. `metallb-speaker`.
            host: `source.host`: the node, for components that run on each.
            draw: a number in [0, 1), for jitter.
            clock: monotonic seconds.
            wall: seconds since 1970, shown in the event and part of its name.
        """
        self.dropped = 0
        self._client = client
        self._component = component
        self._host = host
        self._draw = draw
        self._clock = clock
        self._wall = wall
        self._correlator = Correlator()
        self._pending: deque[Occurrence] = deque()
        self._woken = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._named = 0

    def event(self, about: Reference, severity: Severity, reason: str, message: str) -> None:
        """Something happened to an object. Never blocks."""
        if len(self._pending) >= PENDING:
            self._pending.popleft()
            self.dropped += 1
        self._pending.append(Occurrence(about, severity, reason, message[:MESSAGE_LIMIT], self._wall()))
        self._empty.clear()
        self._woken.set()

    async def flush(self) -> None:
        """Returns when all events so far are written or dropped; needs `run` beside it. Bound it by a timeout."""
        await self._empty.wait()

    async def run(self) -> NoReturn:
        """Writes what is pending, one after the other, until cancelled."""
        while True:
            while self._pending:
                await self._write(self._pending.popleft())
            self._empty.set()
            self._woken.clear()
            await self._woken.wait()

    async def _write(self, occurrence: Occurrence) -> None:
        decision = self._correlator.observe(occurrence, self._clock(), self._name(occurrence.about))
        if decision is None:
            self.dropped += 1
            return
        failures = 0
        while True:
            try:
                await self._send(decision)
            except (UnavailableError, RetryLaterError, MalformedError, CredentialsError):
                failures += 1
                await asyncio.sleep(BACKOFF.delay_s(failures, self._draw))
            except NotFoundError:
                self._correlator.forget(decision.series)
                if isinstance(decision, Create):  # the namespace is gone
                    self.dropped += 1
                    return
                decision = Create(Series(self._name(occurrence.about), occurrence), occurrence)
            except ApiError as error:
                self._correlator.forget(decision.series)
                self.dropped += 1
                _log.debug("an event was refused", reason=occurrence.reason, error=str(error))
                return
            else:
                return

    async def _send(self, decision: Create | Count) -> None:
        series, occurrence = decision.series, decision.occurrence
        namespace = occurrence.about.namespace or "default"
        if isinstance(decision, Create):
            await self._client.create(EVENTS, self._body(series, namespace), namespace=namespace, decoder=BARE)
            return
        patch: dict[str, Any] = {"count": series.count, "lastTimestamp": second_time(occurrence.wall_s)}
        if series.combined:
            patch["message"] = _message(series, occurrence)
        await self._client.merge_patch(EVENTS, series.name, patch, namespace=namespace, decoder=BARE)

    def _body(self, series: Series, namespace: str) -> dict[str, Any]:
        first = series.first
        about = {
            "apiVersion": first.about.api_version,
            "kind": first.about.kind,
            "namespace": first.about.namespace,
            "name": first.about.name,
            "uid": first.about.uid,
            "resourceVersion": first.about.resource_version,
        }
        source = {"component": self._component, "host": self._host}
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": series.name, "namespace": namespace},
            "involvedObject": {key: value for key, value in about.items() if value},
            "type": first.severity,
            "reason": first.reason,
            "message": _message(series, first),
            "source": {key: value for key, value in source.items() if value},
            "firstTimestamp": second_time(first.wall_s),
            "lastTimestamp": second_time(first.wall_s),
            "count": 1,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }

    def _name(self, about: Reference) -> str:
        """As client-go names events: the object's name and the time in hex; unique within this process."""
        self._named += 1
        return f"{about.name[:200]}.{int(self._wall() * 1e9) + self._named:x}"


def second_time(wall_s: float) -> str:
    """meta/v1 Time of `wall_s`, seconds since 1970."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_s))


def _message(series: Series, occurrence: Occurrence) -> str:
    prefix = "(combined from similar events): " if series.combined else ""
    return f"{prefix}{occurrence.message}"[:MESSAGE_LIMIT]

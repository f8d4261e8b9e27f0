"""Writes events in the background: what happens again is counted, and nobody waits for them."""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections import OrderedDict

from kubelab.apiclient import ApiClient, ApiFailure
from kubelab.controllers.decide import events
from kubelab.controllers.decide.resources import EVENTS
from kubelab.controllers.decide.writes import Record
from kubelab.controllers.run import clock

_WAITING = 1000
_REMEMBERED = 4096

_log = logging.getLogger(__name__)


class Recorder:
    """A bounded queue of events. When it is full the newest are dropped: events are news, not state."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._queue: asyncio.Queue[Record] = asyncio.Queue(_WAITING)
        self._known: OrderedDict[tuple[str, ...], tuple[str, str, int]] = OrderedDict()
        self._host = platform.node()

    def say(self, record: Record) -> None:
        """Report something soon."""
        try:
            self._queue.put_nowait(record)
        except asyncio.QueueFull:
            _log.warning("too many events: %s %s dropped", record.reason, record.message)

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            record = await self._queue.get()
            try:
                await self._write(record)
            except ApiFailure as failure:
                _log.debug("event %s: %s", record.reason, failure)

    async def _write(self, record: Record) -> None:
        identity = events.identity(record)
        known = self._known.pop(identity, None)
        if known is not None:
            namespace, name, count = known[0], known[1], known[2] + 1
            try:
                await self._client.patch(EVENTS, name, events.repeated(record, count, clock.now()), namespace)
            except ApiFailure as failure:
                if not failure.not_found:
                    raise
            else:
                self._remember(identity, (namespace, name, count))
                return
        made = await self._client.create(EVENTS, events.event(record, clock.now(), time.time_ns(), self._host))
        self._remember(identity, (made["metadata"]["namespace"], made["metadata"]["name"], 1))

    def _remember(self, identity: tuple[str, ...], known: tuple[str, str, int]) -> None:
        self._known[identity] = known
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

"""Keys in, writes out: Services get the addresses that `assignment` decides on, many writes in flight at once.

The decision is made and reserved before the first await, so workers never race for an address; the write is conditional
on the version that was read, so two controllers never overwrite each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from metallb.advertisement.conflicts import Report
from metallb.allocator.converge import Assign, Decision, Keep, Pending
from metallb.api.core import Service
from metallb.api.net import ServiceKey
from metallb.config.state import Evaluation, Reading, evaluate
from metallb.controller.assignment import Assignment
from metallb.controller.remembered import restore
from metallb.controller.status import Notice, StatusChange, change_for, notices_for
from metallb.kube.apply import StatusWriter
from metallb.kube.errors import ApiError, NotFoundError
from metallb.kube.objects import Key
from metallb.kube.reconciler import Again, Done, Outcome, Reconciler
from metallb.kube.store import Store
from metallb.telemetry import logs

WORKERS = 32
"""Status writes in flight at once."""

PENDING_RESYNC_S = 300.0
"""A Service that waits is looked at again at least this often, whatever was missed."""

LAST_WRITE_S = 2.0
"""How long a stop waits for a write that is under way."""

CONFIG_KEY = "pools"

_log = logs.logger(op="allocate")


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the outcome goes beside the Service's status: events, and what metrics show."""

    record: Callable[[Service, Notice], None]
    config_loaded: Callable[[], None]
    config_judged: Callable[[Evaluation], None]
    observe: Callable[[Outcome], None]


class ServiceController:
    """The work of the replica that leads. `services` and `config` are its queues: run both."""

    def __init__(
        self,
        assignment: Assignment,
        services: Store[Service],
        read: Callable[[], Reading],
        writer: StatusWriter,
        outlets: Outlets,
        now: Callable[[], float] = time.time,
        reports: Callable[[ServiceKey], Iterable[Report]] = lambda _service: (),
    ) -> None:
        self.assignment = assignment
        self.services: Reconciler[Key] = Reconciler("service", self._service, workers=WORKERS, observe=outlets.observe)
        self.config: Reconciler[str] = Reconciler("pools", self._config)
        self._store = services
        self._read = read
        self._writer = writer
        self._outlets = outlets
        self._now = now
        self._reports = reports
        self._said: dict[ServiceKey, tuple[str, tuple[Notice, ...]]] = {}
        self._written_over: dict[ServiceKey, str] = {}
        self._lacking: set[ServiceKey] = set()

    def reload(self, *_cause: object) -> None:
        """Something changed that the configuration is made from."""
        self.config.add(CONFIG_KEY)

    async def _config(self, _key: str) -> Outcome:
        reading = self._read()
        config, evaluation = evaluate(reading)
        self._outlets.config_judged(evaluation)
        first = self.assignment.config is None
        before = {pool.name: pool for pool in self.assignment.pools}
        if config is None or not self.assignment.load(config):
            return Done()
        _log.info("configuration loaded", event="configLoaded", pools=[pool.name for pool in config.pools])
        self._outlets.config_loaded()
        self.assignment.adopt(self._store.values())
        if first:
            restore(self.assignment.allocator, reading.snapshot.pools, self._now())
        changed = {pool.name for pool in self.assignment.pools if before.get(pool.name) != pool}
        concerned = (each for each in self._store.values() if self._is_concerned(each.key, changed))
        for service in sorted(concerned, key=lambda each: each.seniority):
            self.services.add(Key(*service.key))
        return Done()

    def _is_concerned(self, service: ServiceKey, changed: AbstractSet[str]) -> bool:
        """Whether a new configuration can mean anything to a Service: to all but those that are content elsewhere."""
        held = self.assignment.allocator.holder(service)
        return held is None or held.pool in changed or service in self._lacking

    async def _service(self, key: Key) -> Outcome:
        service = self._store.get(key)
        if service is not None and self._written_over.get(service.key) == service.metadata.resource_version:
            return Done()  # our own write is not in the cache yet; when it is, the Service is in line again
        self._written_over.pop(ServiceKey(*key), None)
        outcome = self.assignment.decide(ServiceKey(*key), service, self._now())
        for woken in outcome.woken:
            self.services.add(Key(*woken))
        self._note_lack(ServiceKey(*key), outcome.decision)
        if service is None or outcome.decision is None:
            self._said.pop(ServiceKey(*key), None)
            return Done()
        change = change_for(service, outcome.decision, self._now(), self._reports(service.key))
        notices = tuple(notices_for(service, outcome.decision))
        moves = change is not None and change.moves
        if not moves:
            self._say(service, notices, changed=False)
        if change is None and self.assignment.unsure(service):
            change = StatusChange({}, {})  # changes nothing and tells whether an earlier write did
        if change is not None:
            await self._write(service, change)
        if moves:
            self._say(service, notices, changed=True)
        return Again(PENDING_RESYNC_S) if isinstance(outcome.decision, Pending) else Done()

    def _note_lack(self, service: ServiceKey, decision: Decision | None) -> None:
        """Remembers who holds something and would rather have something else."""
        if isinstance(decision, Keep | Assign) and decision.lacking is not None:
            self._lacking.add(service)
        else:
            self._lacking.discard(service)

    async def _write(self, service: Service, change: StatusChange) -> None:
        """Writes, and when told to stop waits for the answer first.

        A write that is cut off may still arrive, when another controller leads already.
        """
        version = service.metadata.resource_version
        write = asyncio.create_task(self._writer.write(service.key, version, change.status, change.annotations))
        try:
            written = await asyncio.shield(write)
        except asyncio.CancelledError:
            await asyncio.wait({write}, timeout=LAST_WRITE_S)
            write.cancel()  # of no effect on one that is done
            with contextlib.suppress(asyncio.CancelledError, ApiError):
                await write
            raise
        except NotFoundError:
            # Gone meanwhile: its deletion is an event of its own, which gives the address back.
            return
        if written.metadata.resource_version != version:
            self._written_over[service.key] = version
        else:
            self.assignment.confirm(service)
            self.services.add(Key(*service.key))

    def _say(self, service: Service, notices: tuple[Notice, ...], *, changed: bool) -> None:
        """Records what is new: the same words about a Service that did not change would only be noise."""
        now = service.metadata.uid, notices
        if not changed and self._said.get(service.key) == now:
            return
        self._said[service.key] = now
        for notice in notices:
            self._outlets.record(service, notice)
            said = _log.info if notice.type == "Normal" else _log.warn
            said(notice.message, event=notice.reason, service=str(service.key))

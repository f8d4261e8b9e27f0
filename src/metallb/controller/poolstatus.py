"""Shows in each pool's status how much of it is in use, a moment after it changed, and never instead of assigning.

`changed` costs nothing and may be called after every decision. A tenth of a second later all pools are looked at once,
and those whose status says something else are written, a few at a time: a thousand Services that get addresses in one
second are about ten writes.

Nothing is written before a configuration is in force and what Services show is reserved: a restart never shows zero.
A write that the API server kept only in part, because its CRD lacks a field, is not repeated.
Source: spec/controller.md 12, spec/crds.md 2.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from metallb.api import v1beta1
from metallb.controller import remembered
from metallb.controller.assignment import Assignment
from metallb.kube.apply import StatusWriter
from metallb.kube.errors import NotFoundError
from metallb.kube.objects import Key
from metallb.kube.reconciler import Again, Done, Outcome, Reconciler
from metallb.kube.store import Store

QUIET_S: Final = 0.1
"""How long changes are gathered before they are written: a pool's status is written no oftener."""

WORKERS: Final = 2
"""Writes in flight at once; the others of the process are the Services'."""

_ALL: Final = "all pools"
_NONE: Final[tuple[v1beta1.PoolReservation, ...]] = ()


class _Written(NamedTuple):
    """A status, the version that it was written over, and the one that came of it."""

    over: str
    gave: str
    status: v1beta1.IPAddressPoolStatus


def status_of(
    assignment: Assignment, pool: str, reservations: tuple[v1beta1.PoolReservation, ...] = ()
) -> v1beta1.IPAddressPoolStatus:
    """What a pool's status has to say. A family of more addresses than an int64 counts is taken for one of its maximum.

    Raises:
        KeyError: the pool is not in force.
    """
    usage = assignment.allocator.usage(pool)
    return v1beta1.IPAddressPoolStatus(
        assigned_ipv4=usage[4].in_use,
        assigned_ipv6=usage[6].in_use,
        available_ipv4=usage[4].available,
        available_ipv6=usage[6].available,
        reservations=reservations,
    )


class PoolStatus:
    """The counters of the replica that leads: `run` it beside the assignment that it shows."""

    def __init__(
        self,
        assignment: Assignment,
        pools: Store[v1beta1.IPAddressPool],
        writer: StatusWriter,
        namespace: str,
        observe: Callable[[Outcome], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Does nothing until `run`.

        Args:
            assignment: whose counters are shown.
            pools: the cache with what the API shows now.
            writer: of pools.
            namespace: of the pools.
            observe: called with the outcome of each pool that was looked at, for metrics.
            now: seconds, on the clock by which pools remember.
        """
        self._assignment = assignment
        self._now = now
        self._store = pools
        self._writer = writer
        self._namespace = namespace
        self._sweep: Reconciler[str] = Reconciler("poolcounters", self._look)
        self._pools: Reconciler[Key] = Reconciler("poolstatus", self._pool, workers=WORKERS, observe=observe)
        self._written: dict[Key, _Written] = {}
        self._remembered: Mapping[str, tuple[v1beta1.PoolReservation, ...]] = {}
        self._due = False

    def changed(self, *_cause: object) -> None:
        """Addresses, pools or statuses may have changed."""
        if not self._due:
            self._due = True
            self._sweep.add_after(_ALL, QUIET_S)

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep.run(), name="pool counters")
            group.create_task(self._pools.run(), name="pool statuses")

    async def _look(self, _all: str) -> Outcome:
        self._due = False
        allocator = self._assignment.allocator
        now = self._now()
        allocator.expire(now)
        self._remembered = remembered.shown(allocator)
        self._written = {key: written for key, written in self._written.items() if key.name in allocator.pools}
        for pool in self._assignment.pools:
            key = Key(self._namespace, pool.name)
            if self._wanted(key) is not None:
                self._pools.add(key)
        first = min((each.until for each in allocator.reservations), default=None)
        return Done() if first is None else Again(max(first - now, 0.0) + QUIET_S)

    async def _pool(self, key: Key) -> Outcome:
        found = self._wanted(key)
        if found is None:
            return Done()
        over, status = found
        pool = self._store.get(key)
        known = pool.status.reservations if pool and pool.status else _NONE
        try:
            written = await self._writer.write(key, over, _patch(status, known))
        except NotFoundError:
            return Done()  # deleted meanwhile
        self._written[key] = _Written(over, written.metadata.resource_version, status)
        return Done()

    def _wanted(self, key: Key) -> tuple[str, v1beta1.IPAddressPoolStatus] | None:
        """What to write over which version; None: the status says it, or will when our own write is in the cache."""
        pool = self._store.get(key)
        if pool is None or key.name not in self._assignment.allocator.pools:
            return None
        version = pool.metadata.resource_version
        status = status_of(self._assignment, key.name, self._remembered.get(key.name, _NONE))
        written = self._written.get(key)
        shown = written.status if written and version in {written.over, written.gave} else pool.status
        return None if shown == status else (version, status)


def _patch(status: v1beta1.IPAddressPoolStatus, known: tuple[v1beta1.PoolReservation, ...]) -> dict[str, Any]:
    """The same as a merge patch. Where nothing is remembered there is no field, and none to take away as a rule."""
    patch: dict[str, Any] = msgspec.to_builtins(status)
    if not status.reservations:
        patch |= {"reservations": None}
    if status.reservations == known:
        del patch["reservations"]
    return patch

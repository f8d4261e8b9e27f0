"""Empties namespaces that are on their way out, round by round, and lets them go."""

from __future__ import annotations

import asyncio

from kubelab.apiclient import ApiFailure
from kubelab.controllers.decide import namespaces
from kubelab.controllers.decide.garbage import finalizers_of
from kubelab.controllers.decide.namespaces import Remains
from kubelab.controllers.decide.resources import NAMESPACES, PODS
from kubelab.controllers.run import clock
from kubelab.controllers.run.context import Context
from kubelab.controllers.run.discovery import Discovery, Served
from kubelab.controllers.run.workqueue import WorkQueue, work
from kubelab.informer import EventKind
from kubelab.objects import Object

_WORKERS = 2
_AT_ONCE = 8
_FIRST_S, _MOST_S = 0.1, 5.0


class Namespaces:
    """The namespace controller."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.informers.of(NAMESPACES)
        self._rounds: dict[str, int] = {}
        self._queue: WorkQueue[str] = WorkQueue()
        self._namespaces.subscribe(self._changed)

    async def run(self) -> None:
        """Work until cancelled."""
        await work("namespace", self._queue, self._sync, _WORKERS)

    def _changed(self, _kind: EventKind, old: Object | None, new: Object | None) -> None:
        # Only the first word of its end: later changes are this controller's own.
        if new is not None and namespaces.is_leaving(new) and (old is None or not namespaces.is_leaving(old)):
            self._queue.add(new["metadata"]["name"])

    async def _sync(self, name: str) -> float | None:
        namespace = self._namespaces.get("", name)
        if namespace is None or not namespaces.is_leaving(namespace):
            self._rounds.pop(name, None)
            return None
        remains = await self._empty(name)
        await self._context.hands.carry_out(namespaces.decide(namespace, remains, clock.now()).writes)
        if remains.empty:
            self._rounds.pop(name, None)
            return None
        rounds = self._rounds[name] = self._rounds.get(name, -1) + 1
        return min(_MOST_S, _FIRST_S * 2.0 ** min(rounds, 8))

    async def _empty(self, name: str) -> Remains:
        """Delete all content, pods first (KEP-5080), and count what is left."""
        discovery = Discovery(self._context.hands.client)
        await discovery.refresh()
        remains = Remains(discovery_errors=list(discovery.errors))
        everything = [served for served in discovery.preferred("list", "delete") if served.resource.namespaced]
        first = [served for served in everything if served.resource == PODS]
        await self._remove(name, first, remains)
        if remains.resources:
            return remains
        await self._remove(name, [served for served in everything if served.resource != PODS], remains)
        return remains

    async def _remove(self, name: str, some: list[Served], remains: Remains) -> None:
        free = asyncio.Semaphore(_AT_ONCE)

        async def one(served: Served) -> None:
            async with free:
                try:
                    await self._remove_all(name, served, remains)
                except ApiFailure as failure:
                    remains.errors.append(f"{_title(served)}: {failure.message}")

        await asyncio.gather(*(one(served) for served in some))

    async def _remove_all(self, name: str, served: Served, remains: Remains) -> None:
        client, resource = self._context.hands.client, served.resource
        found = await client.list(resource, name)
        if not found.items:
            return
        if "deletecollection" in served.verbs:
            await client.request("DELETE", resource.path(name))
        else:
            for obj in found.items:
                await client.delete(resource, obj["metadata"]["name"], name, uid=obj["metadata"]["uid"])
        left = (await client.list(resource, name)).items
        if left:
            remains.resources[_title(served)] = len(left)
        for obj in left:
            for finalizer in finalizers_of(obj):
                remains.finalizers[finalizer] = remains.finalizers.get(finalizer, 0) + 1


def _title(served: Served) -> str:
    return f"{served.resource.plural}.{served.resource.group}"

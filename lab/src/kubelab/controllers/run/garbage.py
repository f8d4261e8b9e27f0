"""Keeps the graph of owners and dependents of everything there is, and runs the garbage decision on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from kubelab.apiclient import ApiFailure, Resource
from kubelab.controllers.decide import garbage
from kubelab.controllers.decide.garbage import Disown, Look, Presence, Remove, Unfinalize
from kubelab.controllers.decide.resources import CUSTOM_RESOURCE_DEFINITIONS
from kubelab.controllers.run.context import Context
from kubelab.controllers.run.discovery import Discovery
from kubelab.controllers.run.workqueue import WorkQueue, work
from kubelab.informer import EventKind, Informer
from kubelab.objects import Object

_WORKERS = 8
_REFRESH_S = 30.0
_SETTLE_S = 0.2
_REMEMBERED = 10_000
_UNTRACKED = frozenset({"events"})  # they come in masses, own nothing and are owned by nothing

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tracked:
    """An object of the graph: its metadata, and the resource it is of."""

    resource: Resource
    obj: Object


@dataclass(slots=True)
class Graph:
    """Who is there, and who depends on whom, by uid."""

    objects: dict[str, Tracked] = field(default_factory=dict)
    dependents: dict[str, dict[str, None]] = field(default_factory=dict)

    def put(self, uid: str, tracked: Tracked) -> None:
        """Add or replace an object."""
        self.remove(uid)
        self.objects[uid] = tracked
        for reference in garbage.owners_of(tracked.obj):
            self.dependents.setdefault(str(reference["uid"]), {})[uid] = None

    def remove(self, uid: str) -> None:
        """Forget an object; those that depend on it are still known to."""
        old = self.objects.pop(uid, None)
        for reference in garbage.owners_of(old.obj) if old is not None else ():
            bucket = self.dependents.get(str(reference["uid"]), {})
            bucket.pop(uid, None)
            if not bucket:
                self.dependents.pop(str(reference["uid"]), None)

    def children(self, uid: str) -> list[str]:
        """The uids of all that depend on an object."""
        return list(self.dependents.get(uid, ()))


class Garbage:
    """The garbage collector: it watches every resource that can be deleted, by metadata only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._client = context.hands.client
        self._discovery = Discovery(self._client)
        self._graph = Graph()
        self._absent: OrderedDict[str, None] = OrderedDict()
        self._queue: WorkQueue[str] = WorkQueue()
        self._watched: dict[Resource, tuple[Informer, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()
        context.informers.of(CUSTOM_RESOURCE_DEFINITIONS).subscribe(lambda *_: self._changed.set())

    async def run(self) -> None:
        """Work until cancelled. Nothing is judged before the graph is whole."""
        async with asyncio.TaskGroup() as group:
            await self._follow(group)
            await asyncio.gather(*(informer.synced.wait() for informer, _ in self._watched.values()))
            group.create_task(work("garbage", self._queue, self._sync, _WORKERS))
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_REFRESH_S):
                        await self._changed.wait()
                        await asyncio.sleep(_SETTLE_S)
                self._changed.clear()
                await self._follow(group)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        """Watch what is served now, and no more what is not."""
        try:
            await self._discovery.refresh()
        except ApiFailure as failure:
            _log.debug("discovery: %s", failure)
            asyncio.get_running_loop().call_later(1.0, self._changed.set)
            return
        wanted = {
            served.resource
            for served in self._discovery.preferred("list", "watch", "delete")
            if served.resource.plural not in _UNTRACKED
        }
        for resource in wanted - set(self._watched):
            informer = Informer(self._client, resource, trim=metadata_only)
            informer.subscribe(self._tracker(resource))
            self._watched[resource] = (informer, group.create_task(informer.run()))
        failed = {error.partition(":")[0] for error in self._discovery.errors}
        for resource in set(self._watched) - wanted:
            if resource.api_version not in failed:
                self._leave(resource)

    def _leave(self, resource: Resource) -> None:
        informer, task = self._watched.pop(resource)
        task.cancel()
        for obj in informer.store.values():
            self._forget(obj)

    def _tracker(self, resource: Resource) -> Callable[[EventKind, Object | None, Object | None], None]:
        def changed(_kind: EventKind, old: Object | None, new: Object | None) -> None:
            if new is None:
                if old is not None:
                    self._forget(old)
                return
            uid = str(new["metadata"]["uid"])
            self._graph.put(uid, Tracked(resource, new))
            if garbage.owners_of(new) or new["metadata"].get("deletionTimestamp"):
                self._queue.add(uid)
            if old is not None:
                self._look_at_lost_owners(old, new)

        return changed

    def _look_at_lost_owners(self, old: Object, new: Object) -> None:
        """An owner on its way out may have waited for this very object to let go."""
        kept = {reference["uid"] for reference in garbage.owners_of(new)}
        for reference in garbage.owners_of(old):
            if reference["uid"] not in kept:
                self._queue.add(str(reference["uid"]))

    def _forget(self, obj: Object) -> None:
        uid = str(obj["metadata"]["uid"])
        self._graph.remove(uid)
        self._remember_absent(uid)
        for child in self._graph.children(uid):
            self._queue.add(child)
        for reference in garbage.owners_of(obj):
            self._queue.add(str(reference["uid"]))

    def _remember_absent(self, uid: str) -> None:
        self._absent[uid] = None
        if len(self._absent) > _REMEMBERED:
            self._absent.popitem(last=False)

    # --- judging ---------------------------------------------------------------------------------------------------

    async def _sync(self, uid: str) -> float | None:
        tracked = self._graph.objects.get(uid)
        if tracked is None:
            return None
        owners = [self._graph.objects[str(ref["uid"])].obj for ref in self._known_owners(tracked.obj)]
        action = garbage.orphaned(owners)
        if action is not None:
            await self._disown(tracked, action)
            return None
        states = {str(ref["uid"]): await self._state(tracked, ref) for ref in garbage.owners_of(tracked.obj)}
        dependents = [self._graph.objects[child].obj for child in self._graph.children(uid)]
        await self._act(tracked, garbage.judge(tracked.obj, lambda ref: states[str(ref["uid"])], dependents))
        return None

    def _known_owners(self, obj: Object) -> Iterable[Object]:
        return (ref for ref in garbage.owners_of(obj) if str(ref["uid"]) in self._graph.objects)

    async def _state(self, tracked: Tracked, reference: Object) -> Presence:
        uid = str(reference["uid"])
        known = self._graph.objects.get(uid)
        if known is not None:
            return garbage.presence(known.obj, uid)
        if uid in self._absent:
            return "absent"
        return await self._ask(tracked, reference)

    async def _ask(self, tracked: Tracked, reference: Object) -> Presence:
        """Ask the server itself: the graph may be late."""
        served = self._discovery.of_kind(str(reference["apiVersion"]), str(reference["kind"]))
        if served is None:
            raise ApiFailure(0, "UnknownKind", f"no resource for owner {reference['kind']} {reference['apiVersion']}")
        namespace = str(tracked.obj["metadata"].get("namespace") or "")
        if served.resource.namespaced and not namespace:
            return "alive"  # a reference that can't be followed: leave the object alone
        owner: Object | None = None
        try:
            owner = await self._client.get(served.resource, str(reference["name"]), namespace)
        except ApiFailure as failure:
            if not failure.not_found:
                raise
        state = garbage.presence(owner, str(reference["uid"]))
        if state == "absent":
            self._remember_absent(str(reference["uid"]))
        return state

    async def _act(self, tracked: Tracked, action: garbage.Action) -> None:
        match action:
            case Remove(propagation):
                await self._remove(tracked, propagation)
            case Disown():
                await self._disown(tracked, action)
            case Unfinalize(finalizer):
                await self._unfinalize(tracked, finalizer)
            case Look(uids):
                for uid in uids:
                    self._queue.add(uid)
            case None:
                pass

    async def _remove(self, tracked: Tracked, propagation: str) -> None:
        meta = tracked.obj["metadata"]
        with _gone_is_fine():
            await self._client.delete(
                tracked.resource,
                meta["name"],
                meta.get("namespace", ""),
                uid=meta["uid"],
                resource_version=meta["resourceVersion"],
                propagation=propagation,
            )

    async def _disown(self, tracked: Tracked, action: Disown) -> None:
        rest = [ref for ref in garbage.owners_of(tracked.obj) if ref["uid"] not in action.uids]
        await self._patch(tracked, {"ownerReferences": rest or None})

    async def _unfinalize(self, tracked: Tracked, finalizer: str) -> None:
        rest = [name for name in garbage.finalizers_of(tracked.obj) if name != finalizer]
        await self._patch(tracked, {"finalizers": rest or None})

    async def _patch(self, tracked: Tracked, change: Object) -> None:
        meta = tracked.obj["metadata"]
        patch = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], **change}}
        with _gone_is_fine():
            await self._client.patch(tracked.resource, meta["name"], patch, meta.get("namespace", ""))


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ApiFailure as failure:
        if not failure.not_found:
            raise


_KEPT = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp")


def metadata_only(obj: Object) -> Object:
    """What the graph needs of an object."""
    meta = obj["metadata"]
    return {"metadata": {key: meta[key] for key in _KEPT if key in meta}}

"""A local copy of a collection, kept by list and watch, that outlives outages of the API server."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Literal, TypeAlias

from kubelab.apiclient import ApiClient, ApiFailure, ObjectList, Resource, WatchEvent
from kubelab.objects import Object

Key: TypeAlias = tuple[str, str]
"""Namespace (empty for cluster-wide kinds) and name."""

EventKind: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED"]
Handler: TypeAlias = Callable[[EventKind, Object | None, Object | None], None]
"""Called with the event, the object before (None if ADDED) and after (None if DELETED)."""

IndexKeys: TypeAlias = Callable[[Object], Iterable[str]]

_BACKOFF_FIRST_S = 0.05
_BACKOFF_MOST_S = 5.0
_WATCH_S = 300
_QUIET_S = 1.0  # a watch that lived this long was a good one

_log = logging.getLogger(__name__)


def key_of(obj: Object) -> Key:
    """Where an object stands in a store."""
    meta = obj["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"])


def backoff_s(attempt: int, draw: float) -> float:
    """Seconds to wait before attempt `attempt` (0 is the first retry): 50 ms doubling to 5 s, of which half is chance.

    `draw` is from [0, 1): many clients that lost the same server must not come back in step.
    """
    most = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(attempt, 16))
    return most * (0.5 + draw / 2)


class Informer:
    """One collection's copy. Objects in `store` are shared: copy before changing one.

    `synced` is set once the first list is in. `heard_at` is the monotonic time of the last word from the server, which
    tells a quiet collection from a lost server. While the server is away the store stays as it is.
    """

    def __init__(
        self,
        client: ApiClient,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        trim: Callable[[Object], Object] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.resource = resource
        self.store: dict[Key, Object] = {}
        self.synced = asyncio.Event()
        self.heard_at = float("-inf")
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._trim = trim
        self._draw = draw
        self._handlers: list[Handler] = []
        self._indexes: dict[str, tuple[IndexKeys, dict[str, dict[Key, Object]]]] = {}
        self._version = ""
        self._watched = False
        self._assumed: set[Key] = set()
        self._gone: set[str] = set()

    def subscribe(self, handler: Handler) -> None:
        """Call `handler` for every change from now on, and at once for what is there already."""
        self._handlers.append(handler)
        for obj in list(self.store.values()):
            self._call(handler, "ADDED", None, obj)

    def add_index(self, name: str, keys: IndexKeys) -> None:
        """Keep objects findable by the strings that `keys` derives from them."""
        buckets: dict[str, dict[Key, Object]] = {}
        self._indexes[name] = (keys, buckets)
        for key, obj in self.store.items():
            for value in keys(obj):
                buckets.setdefault(value, {})[key] = obj

    def by_index(self, name: str, value: str) -> list[Object]:
        """The objects under one value of an index."""
        return list(self._indexes[name][1].get(value, {}).values())

    def get(self, namespace: str, name: str) -> Object | None:
        """The object as last seen."""
        return self.store.get((namespace, name))

    def assume(self, obj: Object) -> None:
        """Take the server's answer to one's own write at once, before the watch brings it.

        So a process that decides from the store always sees what it wrote itself. Older news that the watch still
        brings is passed over.
        """
        key = key_of(obj)
        if not self.synced.is_set() or self._is_old_news(key, obj):
            return
        self._assumed.add(key)
        self._put(key, obj)

    def assume_deleted(self, obj: Object) -> None:
        """Take one's own deletion of an object at once, before the watch brings it."""
        uid = str(obj["metadata"].get("uid"))
        there = self.store.get(key_of(obj))
        if there is not None and there["metadata"].get("uid") == uid:
            self._gone.add(uid)
            self._remove(key_of(obj))

    async def run(self) -> None:
        """List, then watch, again and again, until cancelled."""
        attempt = 0
        while True:
            started = time.monotonic()
            try:
                if not self._version or await self._history_is_lost():
                    await self._list()
                await self._watch()
            except ApiFailure as failure:
                if not failure.passing:
                    self._version = ""  # too old, or the server knows better: begin anew
                _log.log(logging.DEBUG if failure.expired else logging.INFO, "%s: %s", self.resource.plural, failure)
            lived = self.heard_at > started and time.monotonic() - started > _QUIET_S
            attempt = 0 if lived else attempt + 1
            await asyncio.sleep(backoff_s(attempt, self._draw()))

    async def _history_is_lost(self) -> bool:
        """Whether the server, asked again after a watch has ended, is at an earlier version.

        Then it was started anew without what it knew, and a watch from our version would wait in vain.
        """
        if not self._watched:
            return False
        now = await self._client.version(self.resource, self._namespace)
        if int(now or 0) >= int(self._version):
            return False
        self._assumed.clear()
        self._gone.clear()
        return True

    async def _list(self) -> None:
        found = await self._client.list(
            self.resource, self._namespace, label_selector=self._label_selector, field_selector=self._field_selector
        )
        self.heard_at = time.monotonic()
        self._replace(found)
        self._version, self._watched = found.resource_version, False
        self.synced.set()

    async def _watch(self) -> None:
        self._watched = True
        events = self._client.watch(
            self.resource,
            self._namespace,
            resource_version=self._version,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_s=_WATCH_S + int(_WATCH_S * self._draw()),
        )
        async with aclosing(events):  # type: ignore[type-var]  # the iterator is a generator, hence closable
            async for event in events:
                self.heard_at = time.monotonic()
                self._take(event)

    def _replace(self, found: ObjectList) -> None:
        """Take a whole list; what was written by ourselves after it was made stays until the watch catches up."""
        fresh = {key_of(obj): obj for obj in found.items}
        listed = {str(obj["metadata"].get("uid")) for obj in found.items}
        later = {key for key in self._assumed if key in self.store and _version(self.store[key]) > _number(found)}
        for key in [key for key in self.store if key not in fresh and key not in later]:
            self._remove(key)
        for key, obj in fresh.items():
            old = self.store.get(key)
            unchanged = old is not None and _version(old) == _version(obj)
            if not unchanged and key not in later and str(obj["metadata"].get("uid")) not in self._gone:
                self._put(key, obj)
        self._gone &= listed
        self._assumed = later

    def _take(self, event: WatchEvent) -> None:
        self._version = str(event.object["metadata"].get("resourceVersion") or self._version)
        if event.kind == "BOOKMARK":
            return
        key = key_of(event.object)
        uid = str(event.object["metadata"].get("uid"))
        if event.kind == "DELETED":
            self._gone.discard(uid)
            there = self.store.get(key)
            if there is not None and there["metadata"].get("uid") == uid:
                self._assumed.discard(key)
                self._remove(key)
        elif event.kind in {"ADDED", "MODIFIED"} and uid not in self._gone and not self._is_old_news(key, event.object):
            self._assumed.discard(key)
            self._put(key, event.object)

    def _is_old_news(self, key: Key, obj: Object) -> bool:
        """Whether an object is of no later version than the one in the store, of the same life."""
        there = self.store.get(key)
        if there is None or there["metadata"].get("uid") != obj["metadata"].get("uid"):
            return False
        return _version(obj) <= _version(there)

    def _put(self, key: Key, obj: Object) -> None:
        if self._trim is not None:
            obj = self._trim(obj)
        old = self.store.get(key)
        if old is not None and old["metadata"].get("uid") != obj["metadata"].get("uid"):
            self._remove(key)  # deleted and made again while nobody looked: two lives, not one change
            old = None
        if old is not None:
            self._unindex(key, old)
        self.store[key] = obj
        for keys, buckets in self._indexes.values():
            for value in keys(obj):
                buckets.setdefault(value, {})[key] = obj
        self._notify("MODIFIED" if old is not None else "ADDED", old, obj)

    def _remove(self, key: Key) -> None:
        old = self.store.pop(key, None)
        if old is not None:
            self._unindex(key, old)
            self._notify("DELETED", old, None)

    def _unindex(self, key: Key, obj: Object) -> None:
        for keys, buckets in self._indexes.values():
            for value in keys(obj):
                bucket = buckets.get(value)
                if bucket is not None:
                    bucket.pop(key, None)
                    if not bucket:
                        del buckets[value]

    def _notify(self, kind: EventKind, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            self._call(handler, kind, old, new)

    def _call(self, handler: Handler, kind: EventKind, old: Object | None, new: Object | None) -> None:
        try:
            handler(kind, old, new)
        except Exception:  # noqa: BLE001  # one subscriber's mistake must not end the copy that all others rely on
            _log.exception("%s: a handler of %s failed", self.resource.plural, kind)


def _version(obj: Object) -> int:
    """An object's version as a number: comparable within one resource (KEP-5504)."""
    text = str(obj["metadata"].get("resourceVersion") or "")
    return int(text) if text.isdigit() else 0


def _number(found: ObjectList) -> int:
    return int(found.resource_version) if found.resource_version.isdigit() else 0

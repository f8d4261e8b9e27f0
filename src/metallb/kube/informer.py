"""A typed cache of one kind, kept up to date by list and watch.

    services = Informer(client, SERVICES, decoder=Decoder(Service))
    services.subscribe(reconciler.add)                 # keys only: read the object when you work on the key
    async with asyncio.TaskGroup() as group:
        group.create_task(services.run())
        await services.synced.wait()                   # from here on an absent object is really absent
        services.store.get(key)

What holds:
- The store is complete before `synced` is set, and only replaced by a complete list: a cache that can't reach the
  server is stale (`last_contact`), never empty.
- Objects deleted while the connection was down are reported like any deletion: the watch goes on where it was cut,
  or, where the server has no such history (410, restored from a backup), a new list shows what is missing.
- Subscribers learn that a key changed, not what happened: several changes may be one call.
- Reconnects are spread by chance, so that a thousand speakers don't come back at once.
- Where RBAC allows `list` but not `watch`, the list is polled, and taken for what it is: changes come later.

Source: Kubernetes API concepts, "Efficient detection of changes"; KEP-956 (bookmarks), KEP-3157 (streaming lists).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, NoReturn, TypeVar

from msgspec.json import Decoder

from metallb.kube.access import may
from metallb.kube.answers import Bookmark, Changed, Deleted, ListPage, Unreadable, WatchEvent
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient, selectors_of
from metallb.kube.credentials import CredentialsError
from metallb.kube.errors import ApiError, ForbiddenError, GoneError, InvalidError, MalformedError, RetryLaterError
from metallb.kube.objects import BARE, Bare, K, Kept, Key, key_of
from metallb.kube.progress import under_way, waiting
from metallb.kube.resources import Resource
from metallb.kube.store import Change, IndexFunction, Store
from metallb.telemetry import logs

X = TypeVar("X")

WATCH_S: Final = 300
"""A watch is asked to end after this long up to twice this long, as client-go asks."""

HEALTHY_S: Final = 5.0
"""A watch that lasted this long, or that brought an event, ends a row of failures."""

INITIAL_IDLE_S: Final = 10.0
"""A streaming list that is silent for this long is not one: the server ignores what it does not know."""

POLL_S: Final = 2.0
"""How often a list is asked for where watching is not allowed."""

POLL_SHARE: Final = 20
"""A list that takes long is asked for less often: the pause is at least so many times as long."""

WATCH_AGAIN_S: Final = 300.0
"""How often it is looked whether watching is allowed by now."""

BACKOFF: Final = Backoff(first_s=0.2, limit_s=10.0)

_log = logs.logger(op="watch")


class Informer(Generic[K]):
    """List and watch of one kind, in one namespace or in all.

    Attributes:
        resource: the kind.
        store: the objects; read it as you like, never write it.
        synced: set once the store has been complete for the first time; stays set.
        last_contact: monotonic seconds of the last sign of life from the server (list, event, bookmark);
            minus infinity before the first.
        error: why the server can't be followed right now; None while it can.
        unreadable: objects that exist but do not decode, with the reason; their last good state stays in the store.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        *,
        decoder: Decoder[K],
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, IndexFunction[K]] | None = None,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does nothing until `run`.

        Args:
            client: an open client.
            resource: the kind.
            decoder: of the Struct to keep: name only the fields that are read.
            namespace: empty: all namespaces.
            label_selector: only objects that match; one that stops matching is reported as deleted.
            field_selector: the same by fields, e.g. `metadata.name=x`.
            indexers: by index name, a function that gives the values an object is found under.
            draw: a number in [0, 1), for jitter.
            clock: monotonic seconds.
        """
        self.resource = resource
        self.store: Store[K] = Store(indexers)
        self.synced = asyncio.Event()
        self.last_contact = float("-inf")
        self.error: ApiError | CredentialsError | None = None
        self.unreadable: dict[Key, str] = {}
        self._client = client
        self._decoder = decoder
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._draw = draw
        self._clock = clock
        self._subscribers: list[Callable[[Change[K]], None]] = []
        self._health_watchers: list[Callable[[], None]] = []
        self._version = ""
        self._can_stream = True
        self._poll_until = float("-inf")
        self._turned: asyncio.Event | None = None
        self._events = 0
        self._log = _log.bind(resource=str(resource))

    def subscribe(self, callback: Callable[[Key], None], *, when: Callable[[Change[K]], bool] | None = None) -> None:
        """Calls `callback(key)` for every object that is there already, then for each that changes.

        Args:
            callback: must not block; usually `Reconciler.add`.
            when: only for changes for which this is true, e.g. labels that differ.
        """
        self.subscribe_by(lambda item: (key_of(item),), callback, when=when)

    def subscribe_by(
        self,
        values_of: Callable[[K], Iterable[X]],
        callback: Callable[[X], None],
        *,
        when: Callable[[Change[K]], bool] | None = None,
    ) -> None:
        """As `subscribe`, but with what `values_of` gives for the object before and after the change, each once.

        For objects that are work for another: `slices.subscribe_by(lambda s: [s.service], services.add)`.
        """

        def notify(change: Change[K]) -> None:
            if when is not None and not when(change):
                return
            seen = [item for item in (change.before, change.after) if item is not None]
            for value in dict.fromkeys(value for item in seen for value in values_of(item)):
                callback(value)

        self._subscribers.append(notify)
        for item in self.store.values():
            self._tell(notify, Change(key_of(item), None, item))

    def watch_health(self, callback: Callable[[], None]) -> None:
        """Calls `callback()` when `synced`, `error` or `unreadable` may have changed; it must not block."""
        self._health_watchers.append(callback)

    def stale_for_s(self) -> float:
        """Seconds since the last sign of life from the server; infinite before the first."""
        return self._clock() - self.last_contact

    async def catch_up(self) -> None:
        """Returns once the store shows what the API server shows now, or something newer.

        An object that is deleted before it reaches the store holds nothing up: the store is then past the list.

        Raises:
            ApiError: the API server does not show it.
            CredentialsError: there are no credentials.
        """
        page = await self._client.list(
            self.resource,
            decoder=BARE,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        for item in page.items:
            while not self._reflects(item, page):
                self._turned = self._turned or asyncio.Event()
                await self._turned.wait()

    def _reflects(self, item: Bare, page: ListPage[Bare]) -> bool:
        """Whether the store has the object in that state or a later one, or is as a whole later than the list."""
        key = key_of(item)
        if key in self.unreadable or (self._version and not _is_before(self._version, page.resource_version)):
            return True
        found = self.store.get(key)
        return found is not None and not _is_before(found.metadata.resource_version, item.metadata.resource_version)

    async def run(self) -> NoReturn:
        """Lists and watches until cancelled; no failure of the server or the network ends it."""
        with under_way(f"informer {self.resource}"):
            await self._run()

    async def _run(self) -> NoReturn:
        failures = 0
        while True:
            began, events = self._clock(), self._events
            error = await self._attempt()
            healthy = self._events > events or self._clock() - began >= HEALTHY_S or self._polls(began)
            failures = 0 if healthy else failures + 1
            self._note(error)
            if error is None and healthy:
                continue
            delay = BACKOFF.delay_s(max(failures, 1), self._draw)
            asked = error.retry_after_s if isinstance(error, ApiError) else 0.0
            pause = max(delay, min(asked, BACKOFF.limit_s) * (1 + self._draw()))
            with waiting(pause):
                await asyncio.sleep(pause)

    async def _attempt(self) -> ApiError | CredentialsError | None:
        """One list where it is needed, and one watch to its end; gives what ended it, None for a regular end."""
        try:
            if self._polls(self._clock()):
                await self._poll()
            else:
                await self._watch()
        except ForbiddenError as error:
            return None if await self._must_poll() else error
        except (GoneError, MalformedError) as error:
            self._version = ""
            return error
        except (ApiError, CredentialsError) as error:
            return error
        return None

    async def _watch(self) -> None:
        if self._version and self.error is not None:
            await self._check_history()
        if not self._version:
            await self._list()
        began, events = self._clock(), self._events
        await self._follow()
        if self._events == events and self._clock() - began >= WATCH_S:
            self._version = ""  # not even a bookmark: it may be of a history that the server lost

    def _polls(self, now: float) -> bool:
        """Whether lists are all that we get for the time being."""
        return now < self._poll_until

    async def _poll(self) -> None:
        began = self._clock()
        await self._list_pages()
        self._note(None)
        pause = max(POLL_S, POLL_SHARE * (self._clock() - began)) * (1 + self._draw() / 4)
        with waiting(pause):
            await asyncio.sleep(pause)

    async def _must_poll(self) -> bool:
        """After a refusal: whether it was `watch` that was refused, and `list` is allowed."""
        try:
            if await may(self._client, "watch", self.resource, namespace=self._namespace):
                return False
            if not await may(self._client, "list", self.resource, namespace=self._namespace):
                return False
        except (ApiError, CredentialsError) as error:
            self._log.debug("the API server does not say what is allowed", error=str(error))
            return False
        if self._poll_until == float("-inf"):
            self._log.info("watch is not allowed: the list is polled", seconds=POLL_S)
        self._poll_until = self._clock() + WATCH_AGAIN_S
        return True

    async def _check_history(self) -> None:
        """After an outage: is this still the cluster that we followed, and is it as far as we are?

        A server that was restored or replaced would say nothing to a watch from a version of another history. One
        object tells: it must be known under its uid, at a version of the collection that is not before ours (versions
        are decimal numbers that grow, KEP-5504). Otherwise all is listed again. A list by each of a thousand speakers
        after each outage would bring down a server that has just come up.
        """
        page = await self._client.page(
            self.resource,
            decoder=BARE,
            namespace=self._namespace,
            selectors=selectors_of(self._label_selector, self._field_selector),
            limit=1,
        )
        if not self._is_known(page.items) or _is_before(page.resource_version, self._version):
            self._log.info("the API server's history may be another, listing again", version=page.resource_version)
            self._version = ""

    def _is_known(self, items: Sequence[Kept]) -> bool:
        """Whether one object of the collection is one of ours; an empty collection must be empty here too."""
        if not items:
            return not len(self.store)
        known = self.store.get(key_of(items[0]))
        return known is not None and known.metadata.uid == items[0].metadata.uid

    async def _list(self) -> None:
        if self._can_stream:
            try:
                await self._follow(initial=True)
            except (InvalidError, RetryLaterError, GoneError, MalformedError, TimeoutError) as error:
                if self._version:  # it was complete: the watch after it failed
                    raise
                self._can_stream = False
                self._log.debug("no streaming list, paged lists from now on", error=str(error))
            else:
                return
        await self._list_pages()

    async def _list_pages(self) -> None:
        page = await self._client.list(
            self.resource,
            decoder=self._decoder,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        self._replace(page.items, page.unreadable, page.resource_version)

    async def _follow(self, *, initial: bool = False) -> None:
        timeout_s = int(WATCH_S * (1 + self._draw()))
        async with self._client.watch(
            self.resource,
            decoder=self._decoder,
            resource_version="" if initial else self._version,
            timeout_s=timeout_s,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            initial_events=initial,
        ) as events:
            self._note(None)
            if initial:
                await self._collect(events)
            async for event in events:
                self._take(event)

    async def _collect(self, events: AsyncIterator[WatchEvent[K]]) -> None:
        """Reads a streaming list to its end, then replaces the store with it.

        Raises:
            TimeoutError: the stream is silent: the server does not know streaming lists.
            MalformedError: it ended before it was complete.
        """
        items: dict[Key, K] = {}
        unreadable: dict[Key, Unreadable] = {}
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        async with asyncio.timeout(INITIAL_IDLE_S) as limit:
            async for event in events:
                if (now := loop.time()) - renewed >= 1:  # not a timer for each of thousands of objects
                    renewed = now
                    limit.reschedule(now + INITIAL_IDLE_S)
                match event:
                    case Changed(item):
                        items[key_of(item)] = item
                    case Deleted(key):
                        items.pop(key, None)
                    case Unreadable(key):
                        unreadable[key] = event
                    case Bookmark(version, initial_end=True):
                        self._replace(items.values(), unreadable.values(), version)
                        return
        raise MalformedError(f"WATCH {self.resource}", "the streaming list ended before it was complete")

    def _replace(self, items: Iterable[K], unreadable: Iterable[Unreadable], version: str) -> None:
        self.unreadable = {bad.key: bad.error for bad in unreadable}
        for key, error in self.unreadable.items():
            self._log.error("object can't be read, its last good state stays", object=str(key), error=error)
        changes = self.store.replace(items, keep=self.unreadable)
        self._version = version
        self.last_contact = self._clock()
        self.synced.set()
        self._publish(changes)
        self._health_changed()
        self._turn()

    def _take(self, event: WatchEvent[K]) -> None:
        self._events += 1
        self.last_contact = self._clock()
        self._apply(event)
        self._turn()

    def _turn(self) -> None:
        """Those who wait for the store to get on look at it again."""
        if self._turned is not None:
            self._turned.set()
            self._turned = None

    def _apply(self, event: WatchEvent[K]) -> None:
        match event:
            case Changed(item):
                self._version = item.metadata.resource_version
                change = self.store.put(item)
                self._readable(key_of(item))
            case Deleted(key, version):
                self._version = version
                change = self.store.remove(key)
                self._readable(key)
            case Bookmark(version):
                self._version = version
                return
            case Unreadable(key, version, error):
                self._version = version
                self.unreadable[key] = error
                self._log.error("object can't be read, its last good state stays", object=str(key), error=error)
                self._health_changed()
                return
        if change is not None:
            self._publish([change])

    def _readable(self, key: Key) -> None:
        if self.unreadable.pop(key, None) is not None:
            self._health_changed()

    def _health_changed(self) -> None:
        for callback in self._health_watchers:
            callback()

    def _publish(self, changes: Iterable[Change[K]]) -> None:
        for change in changes:
            for notify in self._subscribers:
                self._tell(notify, change)

    def _tell(self, notify: Callable[[Change[K]], None], change: Change[K]) -> None:
        """A mistake in one subscriber must not stop the cache that others live on."""
        try:
            notify(change)
        except Exception as error:  # noqa: BLE001  # logged with its traceback; see above
            self._log.error("a subscriber failed", object=str(change.key), error=error, traceback=True)

    def _note(self, error: ApiError | CredentialsError | None) -> None:
        """Remembers what keeps us from the server, and says it once."""
        regular = isinstance(error, GoneError)
        if error is not None and not regular and str(error) != str(self.error):
            self._log.warn("the API can't be followed, the cache is kept", error=str(error))
        if error is None and self.error is not None:
            self._log.info("the API is followed again")
        before, self.error = self.error, None if regular else error
        if str(before) != str(self.error):
            self._health_changed()


def _is_before(theirs: str, ours: str) -> bool:
    return theirs.isdecimal() and ours.isdecimal() and int(theirs) < int(ours)


async def all_synced(*informers: Informer[K]) -> None:
    """Returns when every informer has been complete once."""
    for informer in informers:
        await informer.synced.wait()

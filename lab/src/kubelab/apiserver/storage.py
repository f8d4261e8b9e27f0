"""All stored objects in memory: one revision counter, a table a resource, a ring of past events a table.

Objects are kept as dicts, with their JSON encoded at most once. Readers share them: nobody changes one in place.
Everything happens in one thread between two awaits, so a read-modify-write without an await is atomic.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from kubelab.apiserver.errors import expired
from kubelab.objects import GroupResource, Object

EventType = Literal["ADDED", "MODIFIED", "DELETED"]

RING: Final = 10_000
"""As many past events a table keeps; a watch or page from before them gets 410 Expired."""

_ENCODER: Final = msgspec.json.Encoder()


def object_key(namespace: str, name: str) -> str:
    """How an object is found in its table: by namespace and name, in the order in which lists show them."""
    return f"{namespace}/{name}" if namespace else name


@dataclass(slots=True, eq=False)
class Stored:
    """One object as of one revision."""

    obj: Object
    revision: int
    _body: bytes | None = None
    _views: dict[str, bytes] | None = None

    @property
    def body(self) -> bytes:
        """Its JSON without the opening brace, kind and apiVersion: `"metadata":...}`. Encoded once."""
        if self._body is None:
            rest = {name: value for name, value in self.obj.items() if name not in {"kind", "apiVersion"}}
            self._body = _ENCODER.encode(rest)[1:]
        return self._body

    def viewed(self, view: str, make: Callable[[Object], Object]) -> bytes:
        """The same of the object in another version; made and encoded once."""
        if self._views is None:
            self._views = {}
        if view not in self._views:
            rest = {name: value for name, value in make(self.obj).items() if name not in {"kind", "apiVersion"}}
            self._views[view] = _ENCODER.encode(rest)[1:]
        return self._views[view]


@dataclass(slots=True, eq=False)
class Event:
    """What happened to an object. `old` is None for a new object, `new` is None for one that is gone.

    `forms` holds the event as sent, by form: all watches share it.
    """

    revision: int
    key: str
    old: Stored | None
    new: Stored | None
    last: Object | None = None
    """Of a deletion: the object in its last state, where that was never stored."""
    forms: dict[str, bytes] = field(default_factory=dict)
    _gone: Stored | None = None

    @property
    def gone(self) -> Stored:
        """The object as a watch shows it that sees it no more: its former self, with this event's version."""
        if self._gone is None:
            assert self.old is not None
            self._gone = stamped(self.last or self.old.obj, self.revision)
        return self._gone


def stamped(obj: Object, revision: int) -> Stored:
    """An object as of a revision, which its `resourceVersion` then tells."""
    version = str(revision)
    given = obj["metadata"]
    if "resourceVersion" in given:
        metadata = {**given, "resourceVersion": version}
    else:
        metadata = {}
        for name, value in given.items():
            metadata[name] = value
            if name == "uid":
                metadata["resourceVersion"] = version  # where the real server writes it
        metadata.setdefault("resourceVersion", version)
    return Stored({**obj, "metadata": metadata}, revision)


class Table:
    """The objects of one resource."""

    def __init__(self, ring: int = RING) -> None:
        self.objects: dict[str, Stored] = {}
        self.events: deque[Event] = deque()
        self.revision = 0
        """Of its last change."""
        self.expired = 0
        """Revision of the newest event that is no longer kept."""
        self.appended = 0
        """Number of events ever appended; `events[i]` is number `appended - len(events) + i`."""
        self._ring = ring
        self._keys: list[str] | None = None
        self._changed = asyncio.Event()

    def sorted_keys(self) -> list[str]:
        """All keys, sorted."""
        if self._keys is None:
            self._keys = sorted(self.objects)
        return self._keys

    def record(self, event: Event) -> None:
        """Bring the table up to an event and wake all that watch."""
        if event.new is None:
            del self.objects[event.key]
        else:
            self.objects[event.key] = event.new
        if event.old is None or event.new is None:
            self._keys = None
        self.revision = event.revision
        self.events.append(event)
        self.appended += 1
        if len(self.events) > self._ring:
            self.expired = self.events.popleft().revision
        self.wake()

    def wake(self) -> None:
        """Have all that watch look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next event; a fresh one each time, so that no wake-up is lost or seen twice."""
        return self._changed

    def position_after(self, revision: int) -> int:
        """The number of the first event later than a revision.

        Raises:
            ApiError: 410, events after that revision are no longer kept.
        """
        if revision < self.expired:
            raise expired(f"too old resource version: {revision} ({self.expired + 1})")
        later = 0
        for event in reversed(self.events):
            if event.revision <= revision:
                break
            later += 1
        return self.appended - later

    def since(self, position: int) -> Iterable[Event] | None:
        """Events from a number on; None if some of them are no longer kept."""
        first = self.appended - len(self.events)
        if position < first:
            return None
        if position == self.appended:
            return ()
        return [self.events[at] for at in range(position - first, len(self.events))]

    def as_of(self, revision: int) -> dict[str, Stored]:
        """All objects as they were at a revision: today's, with later events undone.

        Raises:
            ApiError: 410, that is too long ago.
        """
        if revision >= self.revision:
            return self.objects
        if revision < self.expired:
            raise expired("The provided resource version is too old.")
        objects = dict(self.objects)
        for event in reversed(self.events):
            if event.revision <= revision:
                break
            if event.old is None:
                objects.pop(event.key, None)
            else:
                objects[event.key] = event.old
        return objects


class Storage:
    """All tables. Implements `resources.Reader` for strategies."""

    def __init__(self, ring: int = RING) -> None:
        self.revision = 1
        self.observer: Callable[[GroupResource, Event], None] = lambda _resource, _event: None
        """Called after each change."""
        self._ring = ring
        self._forgotten = 0
        self._tables: dict[GroupResource, Table] = {}

    def table(self, resource: GroupResource) -> Table:
        """The table of a resource, empty if nothing was ever stored."""
        found = self._tables.get(resource)
        if found is None:
            found = self._tables[resource] = Table(self._ring)
            found.expired = self._forgotten
        return found

    def forget(self) -> None:
        """What happened so far is not known event by event: whoever watches from before gets 410."""
        self._forgotten = self.revision
        for table in self._tables.values():
            table.expired = self.revision

    def begin(self, resource: GroupResource) -> None:
        """A new kind is served from now on: who watches it from before gets 410."""
        table = self.table(resource)
        if not table.appended:
            table.expired = self.revision

    def tables(self) -> Iterator[tuple[GroupResource, Table]]:
        """All tables that were ever used."""
        yield from self._tables.items()

    def find(self, resource: GroupResource, namespace: str, name: str) -> Stored | None:
        """One object with its revision, or None."""
        return self.table(resource).objects.get(object_key(namespace, name))

    def get(self, resource: GroupResource, namespace: str, name: str) -> Object | None:
        """One object, or None. Never change it."""
        stored = self.find(resource, namespace, name)
        return None if stored is None else stored.obj

    def list(self, resource: GroupResource, namespace: str = "") -> list[Object]:
        """All objects, of one namespace if named, by key. Never change them."""
        table = self.table(resource)
        prefix = f"{namespace}/" if namespace else ""
        return [table.objects[key].obj for key in table.sorted_keys() if key.startswith(prefix)]

    def write(self, resource: GroupResource, namespace: str, name: str, obj: Object) -> Stored:
        """Store a new or changed object under the next revision; sets its `resourceVersion`.

        The object belongs to the storage from now on.
        """
        table = self.table(resource)
        key = object_key(namespace, name)
        self.revision += 1
        stored = stamped(obj, self.revision)
        event = Event(self.revision, key, table.objects.get(key), stored)
        table.record(event)
        self.observer(resource, event)
        return stored

    def delete(self, resource: GroupResource, namespace: str, name: str, last: Object | None = None) -> Stored:
        """Remove an object. Watchers see it as it was, or as `last` if given, with the deletion's revision."""
        table = self.table(resource)
        key = object_key(namespace, name)
        self.revision += 1
        event = Event(self.revision, key, table.objects[key], None, last)
        table.record(event)
        self.observer(resource, event)
        return event.gone

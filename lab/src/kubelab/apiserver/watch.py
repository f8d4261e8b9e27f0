"""Watches: past events from the ring, then those to come; each event is serialised once for all who see it.

Source: API concepts ("Efficient detection of changes", "Streaming lists", "Watch bookmarks"), KEP-3157.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kubelab.apiserver import answers, conversion, listing, tables, warning_headers
from kubelab.apiserver.builtin import fields
from kubelab.apiserver.errors import ApiError, expired, invalid
from kubelab.apiserver.handlers import converting
from kubelab.apiserver.listing import Selection
from kubelab.apiserver.request import Query, Response
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Event, EventType, Stored, Table
from kubelab.objects import Object

BOOKMARK_INTERVAL_S: Final = 30.0
"""How often a watch that wants bookmarks gets one while nothing happens."""
_LAST_BOOKMARK_S: Final = 2.0
_SHORTEST_S: Final = 1800
_CHUNK: Final = 256
"""As many events are sent in one piece, so that a long past doesn't keep others waiting."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a watch asks for. `position` is the number of the first event to send; `initial` goes before."""

    selection: Selection
    position: int
    initial: list[Stored]
    bookmarks: bool
    announce_end: bool
    timeout_s: float
    lost: ApiError | None = None
    """The version is from before what is kept: nothing else is told."""


def respond(call: Call) -> Response:
    """The answer to a watch request: a stream of events, one JSON object a line.

    Raises:
        ApiError: 400 or 422, it asks for what can't be had.
    """
    options = _options(call)
    view = tables.view(call.resource, call.request, call.form, call.state.now())
    table = call.state.storage.table(call.resource.stored)
    form = f" {call.resource.api_version} {call.form} {view.include if view else ''}"
    stream = _Stream(call, table, options, view, form)
    headers = [("Content-Type", call.form.media), ("Cache-Control", "no-cache, private")]
    headers += warning_headers.headers(call.warnings)
    return Response(200, headers, stream.chunks())


def _options(call: Call) -> Options:
    query = call.request.query
    _check(query)
    selection = _selection(call)
    text = query.get("resourceVersion")
    revision = listing.parse_revision(text) if text else 0
    table = call.state.storage.table(call.resource.stored)
    initial: list[Stored] = []
    streaming = query.flag("sendInitialEvents")
    if streaming or (revision == 0 and "sendInitialEvents" not in query):
        initial = _current(call, table, selection)
    position, lost = table.appended, None
    if revision and not streaming:
        try:
            position = table.position_after(revision)
        except ApiError as error:
            lost = error
    bookmarks = query.flag("allowWatchBookmarks")
    return Options(selection, position, initial, bookmarks, streaming and bookmarks, _timeout(call, query), lost)


def _check(query: Query) -> None:
    match = query.get("resourceVersionMatch")
    if "sendInitialEvents" in query and match != "NotOlderThan":
        path, detail = "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        errors = [fields.forbidden(path, detail)]
        if match:
            errors.append(fields.unsupported(path, match, ["NotOlderThan"]))
        raise invalid("meta.k8s.io", "ListOptions", "", errors)
    if match and "sendInitialEvents" not in query:
        detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        raise listing.invalid_options("resourceVersionMatch", detail)


def _selection(call: Call) -> Selection:
    selection = Selection.of(call)
    named = (("metadata", "name"), call.name, True)
    if call.name and named not in selection.fields:
        return Selection(selection.prefix, selection.labels, (*selection.fields, named))
    return selection


def _current(call: Call, table: Table, selection: Selection) -> list[Stored]:
    found = (table.objects[key] for key in table.sorted_keys() if key.startswith(selection.prefix))
    return [stored for stored in found if selection.matches(call, stored)]


def _timeout(call: Call, query: Query) -> float:
    text = query.get("timeoutSeconds")
    if text.isdigit() and int(text) > 0:
        return float(text)
    # Drawn, so that watches that began together don't all end together.
    return float(_SHORTEST_S + call.state.draw(_SHORTEST_S))


@dataclass(slots=True, eq=False)
class _Stream:
    """One running watch."""

    call: Call
    table: Table
    options: Options
    view: tables.TableView | None
    form: str
    """Names the form in which events are sent: watches of the same form share what is serialised."""
    headers_sent: bool = False
    converted: dict[int, Stored] = field(default_factory=dict)
    """What a webhook has made of the objects of the events that are being sent, by their identity."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """All that is sent, until the time is up or the past is lost."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.options.timeout_s
        closings = self.call.state.faults.closings
        await self._may_speak(closings)
        try:
            initial = await self._begun()
        except ApiError as error:
            yield self._line("ERROR", msgspec.json.encode(error.status()))
            return
        for part in self._initial(initial):
            yield part
        position = self.options.position
        bookmark = self._next_bookmark(loop.time(), deadline)
        while await self._may_speak(closings):
            changed = self.table.changed
            events = self.table.since(position)
            if events is None:
                yield self._line("ERROR", msgspec.json.encode(_lost(position).status()))
                return
            pending = list(events)[:_CHUNK]
            if pending:
                position += len(pending)
                try:
                    await self._convert(pending)
                except ApiError as error:
                    yield self._line("ERROR", msgspec.json.encode(error.status()))
                    return
                if sent := b"".join(map(self._render, pending)):
                    yield sent
                continue
            if not await _woken(changed, min(bookmark, deadline) - loop.time()):
                if loop.time() >= deadline:
                    return
                yield self._bookmark()
                bookmark = self._next_bookmark(loop.time(), deadline)

    async def _begun(self) -> list[Stored]:
        """What goes before all events, in the version of the request.

        Raises:
            ApiError: 410, what was between is not kept; 500, the webhook that converts does not.
        """
        if self.options.lost is not None:
            raise self.options.lost
        return list(await converting.shown(self.call, self.options.initial))

    async def _may_speak(self, closings: int) -> bool:
        """Wait until no fault keeps the watch quiet; whether none has ended it meanwhile."""
        faults = self.call.state.faults
        await faults.speak(self.call.user.name, self.call.info)
        return faults.closings == closings

    def _next_bookmark(self, now: float, deadline: float) -> float:
        if not self.options.bookmarks:
            return deadline
        soon = deadline - _LAST_BOOKMARK_S
        return min(now + BOOKMARK_INTERVAL_S, soon if soon > now else deadline)

    async def _convert(self, events: list[Event]) -> None:
        """Have what these events show in the version of the request.

        Raises:
            ApiError: 500, the webhook that converts does not.
        """
        self.converted.clear()
        resource = self.call.resource
        if resource.custom is None:
            return
        # As the definition has it now: a watch may live long.
        now = self.call.state.registry.find(resource.group, resource.version, resource.resource) or resource
        if not conversion.is_foreign(now):
            return
        kinds = [(event, self._kind(event)) for event in events]
        payloads = [_payload(event, kind) for event, kind in kinds if kind and kind + self.form not in event.forms]
        done = await converting.shown_as(self.call.state, now, payloads)
        self.converted = {id(before): after for before, after in zip(payloads, done, strict=True)}

    def _initial(self, initial: list[Stored]) -> Iterable[bytes]:
        """What is there already, in pieces; then, if asked for, the word that this was all."""
        for at in range(0, len(initial), _CHUNK):
            yield b"".join(self._line("ADDED", self._json(stored)) for stored in initial[at : at + _CHUNK])
        if self.options.announce_end:
            yield self._bookmark({"annotations": {"k8s.io/initial-events-end": "true"}})

    def _bookmark(self, metadata: Object | None = None) -> bytes:
        info = self.call.resource
        revision = {"resourceVersion": str(self.call.state.storage.revision)}
        obj: Object = {"kind": info.kind, "apiVersion": info.api_version, "metadata": revision | (metadata or {})}
        if self.call.form.view == "table":
            kind = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": revision}
            row = {"cells": [], "object": obj}
            obj = {**kind, "columnDefinitions": None, "rows": [row]}
        elif self.call.form.view == "partial":
            obj = answers.partial(obj, self.call.form.meta_version)
        return self._line("BOOKMARK", msgspec.json.encode(obj))

    def _render(self, event: Event) -> bytes:
        """An event as this watch sees it; nothing, if it doesn't."""
        selection = self.options.selection
        if selection.prefix and not event.key.startswith(selection.prefix):
            return b""
        kind = self._kind(event)
        if kind is None:
            return b""
        if self.view is not None and not self.headers_sent:
            return self._line(kind, self._json(_payload(event, kind)))
        key = kind + self.form
        line = event.forms.get(key)
        if line is None:
            line = event.forms[key] = self._line(kind, self._json(_payload(event, kind)))
        return line

    def _kind(self, event: Event) -> EventType | None:
        """What an event is to somebody who sees only selected objects."""
        selection = self.options.selection
        if not selection.is_partial:
            return "ADDED" if event.old is None else "DELETED" if event.new is None else "MODIFIED"
        before = event.old is not None and selection.matches(self.call, event.old)
        after = event.new is not None and selection.matches(self.call, event.new)
        if before:
            return "MODIFIED" if after else "DELETED"
        return "ADDED" if after else None

    def _json(self, stored: Stored) -> bytes:
        stored = self.converted.get(id(stored), stored)
        if self.view is None:
            return answers.stored_json(self.call.resource, stored, self.call.form, None)
        metadata = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
        headers, self.headers_sent = not self.headers_sent, True
        # Ages are those of the moment at which an event is first sent to anybody.
        view = tables.at(self.view, self.call.state.now())
        return answers.table_json(view, [stored], metadata, headers=headers)

    def _line(self, kind: str, obj: bytes) -> bytes:
        return b'{"type":"' + kind.encode() + b'","object":' + obj + b"}\n"


def _payload(event: Event, kind: EventType) -> Stored:
    if kind == "DELETED":
        return event.gone
    assert event.new is not None
    return event.new


def _lost(position: int) -> ApiError:
    return expired(f"too old resource version: event {position} is no longer kept")


async def _woken(changed: asyncio.Event, within_s: float) -> bool:
    """Whether something happened within a time."""
    try:
        async with asyncio.timeout(max(within_s, 0)):
            await changed.wait()
    except TimeoutError:
        return False
    return True

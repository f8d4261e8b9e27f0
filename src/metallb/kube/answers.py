"""Lists and watch events as values: what a page or a line of a watch says, decoded object by object.

An object that our Struct can't take (a field of another type than the API's) costs that object, not the list: it is
reported as `Unreadable` with its key, the others are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeAlias

import msgspec
from msgspec import Raw, Struct
from msgspec.json import Decoder

from metallb.api.core import ListMeta
from metallb.kube.errors import MalformedError, Status, error_of_status
from metallb.kube.objects import BARE, K, Key, key_of

INITIAL_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends a streaming list (KEP-3157)."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that does not decode: its key, its version and why."""

    key: Key
    resource_version: str
    error: str


@dataclass(frozen=True, slots=True)
class ListPage(Generic[K]):
    """A list or a page of it, at one version of the collection; `more` asks for the next page, empty at the last."""

    items: list[K]
    resource_version: str
    more: str = ""
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Changed(Generic[K]):
    """The object exists and looks like this: ADDED and MODIFIED, which make no difference to level-triggered code."""

    object: K


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object is gone."""

    key: Key
    resource_version: str


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing happened up to this version; `initial_end`: the streaming list is complete."""

    resource_version: str
    initial_end: bool = False


WatchEvent: TypeAlias = Changed[K] | Deleted | Bookmark | Unreadable


class _List(Struct):
    metadata: ListMeta = ListMeta()
    items: list[Raw] | None = None


class _Event(Struct):
    type: str
    object: Raw


_decode_list = msgspec.json.Decoder(_List).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_status = msgspec.json.Decoder(Status).decode


def decode_page(request: str, decoder: Decoder[K], body: bytes) -> ListPage[K]:
    """A page of a list.

    Raises:
        MalformedError: the body is no list.
    """
    try:
        page = _decode_list(body)
        read = [_decode_object(decoder, raw) for raw in page.items or ()]
    except msgspec.MsgspecError as error:
        raise MalformedError(request, f"the answer is no list: {error}") from error
    return ListPage(
        items=[item for item in read if not isinstance(item, Unreadable)],
        resource_version=page.metadata.resource_version,
        more=page.metadata.continue_,
        unreadable=[item for item in read if isinstance(item, Unreadable)],
    )


def decode_event(request: str, decoder: Decoder[K], line: bytes) -> WatchEvent[K]:
    """One line of a watch. Hot path: about 5 us for a Service.

    Raises:
        MalformedError: the line is no event.
        ApiError: the event is of type ERROR; the kind as if it were an HTTP answer.
    """
    try:
        event = _decode_event(line)
        if event.type in {"ADDED", "MODIFIED"}:
            found = _decode_object(decoder, event.object)
            return found if isinstance(found, Unreadable) else Changed(found)
        if event.type == "ERROR":
            raise error_of_status(request, _decode_status(event.object))
        bare = BARE.decode(event.object)
    except msgspec.MsgspecError as error:
        raise MalformedError(request, f"a line is no event: {error}") from error
    if event.type == "DELETED":
        return Deleted(key_of(bare), bare.metadata.resource_version)
    if event.type == "BOOKMARK":
        ends = bare.metadata.annotations.get(INITIAL_END) == "true"
        return Bookmark(bare.metadata.resource_version, initial_end=ends)
    raise MalformedError(request, f"an event of unknown type {event.type!r}")


def _decode_object(decoder: Decoder[K], raw: Raw) -> K | Unreadable:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        bare = BARE.decode(raw)
        return Unreadable(key_of(bare), bare.metadata.resource_version, str(error))

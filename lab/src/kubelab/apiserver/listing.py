"""Lists: which objects, at which version, how many at a time.

Source: API concepts ("Retrieving large results sets in chunks", "Semantics for get and list"), KEP-365.
"""

from __future__ import annotations

import base64
import bisect
import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.errors import ApiError, bad_request, expired, invalid
from kubelab.apiserver.request import Query
from kubelab.apiserver.selectors import (
    FieldSelector,
    LabelSelector,
    fields_match,
    labels_match,
    parse_fields,
    parse_labels,
)
from kubelab.apiserver.state import Call
from kubelab.apiserver.storage import Stored, Table
from kubelab.objects import Object

_CONTINUE_EXPIRED: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
_NO_TOKEN: Final = "invalid continue token: continue key is not valid"  # noqa: S105  # words
_TOKEN_VERSION: Final = "meta.k8s.io/v1"  # noqa: S105  # a version


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a list or watch is about. `name` is that of the path, where it names one object."""

    prefix: str
    labels: LabelSelector
    fields: FieldSelector
    name: str = ""

    @classmethod
    def of(cls, call: Call) -> Selection:
        """From a request's parameters.

        Raises:
            ApiError: 400, a selector is none.
        """
        query = call.request.query
        custom = call.resource.custom
        selectable = custom.selectable_fields if custom is not None else None
        return cls(
            prefix=f"{call.namespace}/" if call.namespace else "",
            labels=parse_labels(query.get("labelSelector")),
            fields=parse_fields(query.get("fieldSelector"), call.resource.group_resource, selectable),
        )

    @property
    def is_partial(self) -> bool:
        """Whether it leaves out objects of its namespace."""
        return bool(self.labels or self.fields)

    def matches(self, call: Call, stored: Stored) -> bool:
        """Whether an object is meant; its namespace is right already."""
        if self.labels and not labels_match(self.labels, stored.obj):
            return False
        return not self.fields or fields_match(self.fields, call.shown(stored))


def invalid_options(field: str, detail: str) -> ApiError:
    """422: parameters that don't go together."""
    return invalid("meta.k8s.io", "ListOptions", "", [fields.forbidden(field, detail)])


def parse_revision(text: str) -> int:
    """A resource version as a number.

    Raises:
        ApiError: 500 (as kube-apiserver has it), it is none.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    quoted = fields.shown(text)
    message = f"resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: invalid syntax"
    raise ApiError(500, "", message)


def too_large(revision: int, current: int) -> ApiError:
    """504: a version that has not been reached."""
    details: Object = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {revision}, current: {current}"
    return ApiError(504, "Timeout", message, details, {"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list; `metadata` is the list's."""

    items: list[Stored]
    metadata: Object


def page(call: Call) -> Page:
    """The objects that a list request asks for.

    Raises:
        ApiError: 400, 410, 422 or 504, the request asks for what can't be had.
    """
    query = call.request.query
    selection = Selection.of(call)
    table = call.state.storage.table(call.resource.stored)
    limit = _limit(query)
    if query.get("continue"):
        revision, start = _continued(call, query)
    else:
        revision, start = _wanted(call, query), ""
    objects = _objects(table, revision, start)
    keys = table.sorted_keys() if objects is table.objects else sorted(objects)
    first = bisect.bisect_left(keys, selection.prefix + start) if selection.prefix or start else 0
    items, rest = _take(call, objects, keys, first, selection, limit)
    return Page(items, _metadata(call, revision, items, rest, selection))


def _limit(query: Query) -> int:
    text = query.get("limit") or "0"
    try:
        return max(int(text), 0)
    except ValueError as error:
        raise bad_request(f"strconv.ParseInt: parsing {fields.shown(text)}: invalid syntax") from error


def _wanted(call: Call, query: Query) -> int:
    """The version of a fresh list."""
    current = call.state.storage.revision
    text, match = query.get("resourceVersion"), query.get("resourceVersionMatch")
    if "sendInitialEvents" in query:
        raise invalid_options("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if match and not text:
        raise invalid_options(
            "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
        )
    if match not in {"", "Exact", "NotOlderThan"}:
        supported = [fields.unsupported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""])]
        raise invalid("meta.k8s.io", "ListOptions", "", supported)
    try:
        revision = parse_revision(text) if text else 0
    except ApiError as error:
        raise bad_request(f"invalid resource version: {error.message}") from error
    if match == "Exact" and not revision:
        raise invalid_options(
            "resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        )
    if revision > current:
        raise too_large(revision, current)
    # A page at a time, a version means that very version.
    exact = match == "Exact" or (not match and revision and query.get("limit") not in {"", "0"})
    return revision if exact else current


def _continued(call: Call, query: Query) -> tuple[int, str]:
    """Version and first key of a further page."""
    if query.get("resourceVersionMatch"):
        raise invalid_options("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
    if query.get("resourceVersion") not in {"", "0"}:
        raise bad_request("specifying resource version is not allowed when using continue")
    token = query.get("continue")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        read = json.loads(raw.decode("latin-1"))
        version, revision, start = str(read.get("v", "")), int(read.get("rv", 0)), str(read.get("start", ""))
    except json.JSONDecodeError as error:
        character = raw[error.pos : error.pos + 1].decode("latin-1") or "EOF"
        what = f"invalid character {_go_rune(character)} looking for beginning of value"
        raise bad_request(f"{_NO_TOKEN}: {what}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise bad_request(_NO_TOKEN) from error
    if why := _wrong_token(version, revision, start):
        raise bad_request(f"{_NO_TOKEN}: {why}")
    start = start.removesuffix("\x00").lstrip("/")
    return (call.state.storage.revision if revision < 0 else revision), start + "\x00"


def _wrong_token(version: str, revision: int, start: str) -> str:
    if version != _TOKEN_VERSION:
        return f"server does not recognize this encoded version {version}"
    if not revision:
        return f"incorrect encoded start resourceVersion (version {version})"
    if not start:
        return f"encoded start key empty (version {version})"
    key = "/" + start.removeprefix("/")
    return "" if posixpath.normpath(key) == key else start


def _go_rune(character: str) -> str:
    if character.isprintable():
        return f"'{character}'"
    return f"'\\u{ord(character):04x}'"


def _objects(table: Table, revision: int, start: str) -> Mapping[str, Stored]:
    try:
        return table.as_of(revision)
    except ApiError as error:
        if not start:
            raise expired(f"The resourceVersion for the provided list is too old: {revision}") from error
        # The Status carries a token by which the rest can be had, as it is now.
        gone = expired(_CONTINUE_EXPIRED)
        gone.metadata = {"continue": _token(-1, start.removesuffix("\x00"))}
        raise gone from error


def _take(
    call: Call, objects: Mapping[str, Stored], keys: list[str], first: int, selection: Selection, limit: int
) -> tuple[list[Stored], list[str]]:
    """Up to `limit` objects, and the keys that are left."""
    items: list[Stored] = []
    prefix = selection.prefix
    for at in range(first, len(keys)):
        key = keys[at]
        if prefix and not key.startswith(prefix):
            break
        if limit and len(items) == limit:
            return items, _within(keys[at:], prefix)
        stored = objects[key]
        if not selection.is_partial or selection.matches(call, stored):
            items.append(stored)
    return items, []


def _within(keys: Iterable[str], prefix: str) -> list[str]:
    return [key for key in keys if key.startswith(prefix)]


def _metadata(call: Call, revision: int, items: list[Stored], rest: list[str], selection: Selection) -> Object:
    metadata: Object = {"resourceVersion": str(revision)}
    if rest:
        last = items[-1].obj["metadata"]
        name = last["name"]
        key = name if selection.prefix or not call.resource.namespaced else f"{last['namespace']}/{name}"
        metadata["continue"] = _token(revision, key)
        if not selection.is_partial:
            metadata["remainingItemCount"] = len(rest)
    elif call.resource.custom is not None and call.form.view == "object":
        metadata = {"continue": "", **metadata}
    return metadata


def _token(revision: int, last: str) -> str:
    text = json.dumps({"v": _TOKEN_VERSION, "rv": revision, "start": f"{last}\x00"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

"""A client of the Kubernetes API: typed requests over one pool of connections, typed errors, and no retries of its own.

    credentials = find(os.environ, home=Path.home())
    async with KubeClient(credentials, agent="metallb-controller/0.1.0") as client:
        service = await client.get(SERVICES, "web", namespace="default", decoder=Decoder(Service))
        await client.merge_patch(SERVICES, "web", {...}, namespace="default", subresource="status", decoder=BARE)

Answers are decoded straight into the Struct of the caller's `msgspec.json.Decoder`: fields that it does not name never
reach memory. Every method raises an `ApiError` of `metallb.kube.errors`, sorted by what to do next, or
`CredentialsError`. The one request that is sent twice is one that was answered 401 while a newer token can be had.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
from msgspec.json import Decoder

from metallb.kube.answers import ListPage, WatchEvent, decode_event, decode_page
from metallb.kube.connection import Connection
from metallb.kube.credentials import Credentials
from metallb.kube.errors import GoneError, MalformedError
from metallb.kube.objects import K
from metallb.kube.resources import Resource

T = TypeVar("T")

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

REQUEST_TIMEOUT_S: Final = 30.0
PAGE_SIZE: Final = 500
"""Objects of one page of a list, as client-go asks."""

_WATCH_GRACE_S: Final = 30.0
"""How long after its agreed end a watch may be silent before we end it."""


class KubeClient:
    """An async context manager; one a process is enough.

    Attributes:
        credentials: where the server is and who we are.
        field_manager: our name in `managedFields` and events, e.g. `metallb-operator`.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        agent: str = "metallb",
        field_manager: str = "metallb",
        connections: int = 32,
        timeout_s: float = REQUEST_TIMEOUT_S,
        observe: Callable[[str, int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes no connection yet.

        Args:
            credentials: see `metallb.kube.credentials.find`.
            agent: the User-Agent.
            field_manager: the name under which writes are recorded.
            connections: how many requests may be in flight; more wait for their turn. Watches don't count.
            timeout_s: how long a request may take, connecting included.
            observe: called with method and HTTP status (0: no answer) after each request, for metrics.
            clock: monotonic seconds.
        """
        self.credentials = credentials
        self.field_manager = field_manager
        self._connection = Connection(
            credentials,
            agent=agent,
            connections=connections,
            timeout_s=timeout_s,
            observe=observe or (lambda _method, _code: None),
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        """Opens the pools."""
        self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes all connections; requests still in flight end with `UnavailableError`."""
        await self._connection.close()

    # Reading

    async def get(
        self, resource: Resource, name: str, *, decoder: Decoder[T], namespace: str = "", subresource: str = ""
    ) -> T:
        """Reads one object, always the newest."""
        body = await self._connection.send("GET", resource.path(namespace, name, subresource))
        return _decode("GET", resource, decoder, body)

    async def page(
        self,
        resource: Resource,
        *,
        decoder: Decoder[K],
        namespace: str = "",
        selectors: Mapping[str, str] | None = None,
        limit: int = PAGE_SIZE,
        more: str = "",
    ) -> ListPage[K]:
        """Reads one page of a list; `more` is the last page's `more`, empty for the first.

        Raises:
            GoneError: `more` is too old: start again.
        """
        query = {**(selectors or {}), "limit": str(limit)}
        if more:
            query["continue"] = more
        path = resource.path(namespace)
        return decode_page(f"GET {path}", decoder, await self._connection.send("GET", path, query))

    async def list(
        self,
        resource: Resource,
        *,
        decoder: Decoder[K],
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> ListPage[K]:
        """Reads a whole list, page by page; `more` of the result is empty.

        A list that changes too fast for its pages (410) is started again once, unpaged.
        """
        selectors = selectors_of(label_selector, field_selector)
        try:
            return await self._all_pages(resource, decoder, namespace, selectors, PAGE_SIZE)
        except GoneError:
            return await self._all_pages(resource, decoder, namespace, selectors, 0)

    async def _all_pages(
        self, resource: Resource, decoder: Decoder[K], namespace: str, selectors: Mapping[str, str], limit: int
    ) -> ListPage[K]:
        page = await self.page(resource, decoder=decoder, namespace=namespace, selectors=selectors, limit=limit)
        items, unreadable, version = list(page.items), list(page.unreadable), page.resource_version
        while page.more:
            page = await self.page(
                resource, decoder=decoder, namespace=namespace, selectors=selectors, limit=limit, more=page.more
            )
            items += page.items
            unreadable += page.unreadable
        return ListPage(items=items, resource_version=version, unreadable=unreadable)

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        *,
        decoder: Decoder[K],
        resource_version: str,
        timeout_s: int,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        initial_events: bool = False,
    ) -> AsyncIterator[AsyncIterator[WatchEvent[K]]]:
        """Opens a watch; the iterator ends when the server ends it (normally after `timeout_s`).

        Args:
            resource: what to watch.
            decoder: of the Struct to keep.
            resource_version: events after this one; empty with `initial_events` for all that exists first.
            timeout_s: when the server is to end the watch.
            namespace: empty: all namespaces.
            label_selector: only objects that match.
            field_selector: the same by fields.
            initial_events: a streaming list (KEP-3157): first every object, then a `Bookmark` with `initial_end`.

        Raises:
            GoneError: the version is too old (also later, from the iterator): list again.
            MalformedError: a line of the stream is no event.
        """
        query = selectors_of(label_selector, field_selector)
        query |= {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(timeout_s)}
        if initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        if resource_version:
            query["resourceVersion"] = resource_version
        path = resource.path(namespace)
        async with self._connection.stream(path, query, timeout_s + _WATCH_GRACE_S) as lines:
            yield _events(f"WATCH {path}", lines, decoder)

    # Writing

    async def create(
        self, resource: Resource, body: object, *, decoder: Decoder[T], namespace: str = "", name: str = "",
        subresource: str = "",
    ) -> T:  # fmt: skip
        """Creates an object (POST); with `name` and `subresource`, e.g. a token of a service account.

        Raises:
            AlreadyExistsError: it is there already.
        """
        query = {"fieldManager": self.field_manager}
        path = resource.path(namespace, name, subresource)
        return _decode("POST", resource, decoder, await self._connection.send("POST", path, query, body))

    async def replace(
        self, resource: Resource, name: str, body: object, *, decoder: Decoder[T], namespace: str = "",
        subresource: str = "",
    ) -> T:  # fmt: skip
        """Replaces an object whole (PUT); `metadata.resourceVersion` in the body is the precondition.

        Raises:
            ConflictError: the object is not at that version any more.
        """
        query = {"fieldManager": self.field_manager}
        path = resource.path(namespace, name, subresource)
        return _decode("PUT", resource, decoder, await self._connection.send("PUT", path, query, body))

    async def merge_patch(
        self, resource: Resource, name: str, patch: object, *, decoder: Decoder[T], namespace: str = "",
        subresource: str = "",
    ) -> T:  # fmt: skip
        """Changes what `patch` names (RFC 7386: None removes, lists are replaced).

        `metadata.resourceVersion` in the patch is a precondition.

        Raises:
            ConflictError: the object is not at that version any more.
        """
        query = {"fieldManager": self.field_manager}
        path = resource.path(namespace, name, subresource)
        body = await self._connection.send("PATCH", path, query, patch, media=MERGE_PATCH)
        return _decode("PATCH", resource, decoder, body)

    async def json_patch(
        self, resource: Resource, name: str, operations: Sequence[Mapping[str, object]], *, decoder: Decoder[T],
        namespace: str = "", subresource: str = "",
    ) -> T:  # fmt: skip
        """Applies operations one by one or not at all (RFC 6902).

        Raises:
            InvalidError: a `test` failed or a path does not exist.
        """
        query = {"fieldManager": self.field_manager}
        path = resource.path(namespace, name, subresource)
        body = await self._connection.send("PATCH", path, query, operations, media=JSON_PATCH)
        return _decode("PATCH", resource, decoder, body)

    async def apply(
        self, resource: Resource, name: str, body: object, *, decoder: Decoder[T], namespace: str = "",
        subresource: str = "", force: bool = False, manager: str = "",
    ) -> T:  # fmt: skip
        """Server-side apply (KEP-555): fields that an earlier apply named and this one doesn't go.

        Args:
            resource: of the object.
            name: of the object; created where absent.
            body: the object with `apiVersion` and `kind`, only with the fields that are ours.
            decoder: of the answer.
            namespace: of the object.
            subresource: e.g. `status`.
            force: take fields over from other managers.
            manager: the name under which the fields are owned; empty: `field_manager`.

        Raises:
            OwnedElsewhereError: without force: others own fields with other values; `causes` names them.
        """
        query = {"fieldManager": manager or self.field_manager, "force": "true" if force else "false"}
        path = resource.path(namespace, name, subresource)
        answer = await self._connection.send("PATCH", path, query, body, media=APPLY_PATCH)
        return _decode("PATCH", resource, decoder, answer)

    async def delete(
        self, resource: Resource, name: str, *, namespace: str = "", uid: str = "", resource_version: str = "",
        propagation: str = "Background",
    ) -> None:  # fmt: skip
        """Deletes an object; `uid` and `resource_version` are preconditions.

        Raises:
            NotFoundError: it is not there.
            ConflictError: a precondition does not hold.
        """
        options: dict[str, object] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        wanted = {"uid": uid, "resourceVersion": resource_version}
        if preconditions := {key: value for key, value in wanted.items() if value}:
            options["preconditions"] = preconditions
        await self._connection.send("DELETE", resource.path(namespace, name), None, options)

    async def raw(self, method: str, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Any other request, e.g. `GET /version`; the body as it came."""
        return await self._connection.send(method, path, query)


def _decode(method: str, resource: Resource, decoder: Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise MalformedError(f"{method} {resource}", f"the answer does not decode: {error}") from error


async def _events(request: str, lines: AsyncIterator[bytes], decoder: Decoder[K]) -> AsyncIterator[WatchEvent[K]]:
    async for line in lines:
        yield decode_event(request, decoder, line)


def selectors_of(label_selector: str, field_selector: str) -> dict[str, str]:
    """The query parameters of two selectors; empty ones are left out."""
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in pairs.items() if value}

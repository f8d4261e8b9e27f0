from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from msgspec.json import Decoder

from metallb.api.core import EndpointSlice, Service
from metallb.kube import informer as informer_module
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.errors import ForbiddenError, NotFoundError, RetryLaterError
from metallb.kube.informer import Informer
from metallb.kube.objects import Key
from metallb.kube.resources import ENDPOINT_SLICES, SERVICES


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(informer_module, "BACKOFF", Backoff(0.001, 0.002))
    monkeypatch.setattr(informer_module, "INITIAL_IDLE_S", 0.2)


def service(name: str, version: str, kind: str = "LoadBalancer", uid: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version, "uid": uid},
        "spec": {"type": kind},
    }


def listing(version: str, *items: dict[str, Any], more: str = "") -> web.Response:
    return web.json_response({"metadata": {"resourceVersion": version, "continue": more}, "items": list(items)})


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": body}


def bookmark(version: str, *, end: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {"resourceVersion": version}
    if end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return event("BOOKMARK", {"metadata": meta})


EXPIRED = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
TOO_NEW = event(
    "ERROR",
    {
        "kind": "Status",
        "code": 504,
        "reason": "Timeout",
        "details": {"causes": [{"reason": "ResourceVersionTooLarge"}]},
    },
)
NO_STREAMING = event("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError", "message": "disabled"})


class Cache:
    """An informer at work, with what its subscriber was told."""

    def __init__(self, client: KubeClient, **options: Any) -> None:
        self.informer = Informer(client, SERVICES, decoder=Decoder(Service), **options)
        self.told: list[str] = []
        self._changed = asyncio.Condition()
        self.informer.subscribe(self._tell)

    def _tell(self, key: Key) -> None:
        self.told.append(key.name)
        self._wake = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._changed, asyncio.timeout(60):
            await self._changed.wait_for(condition)

    def state(self) -> dict[str, str]:
        return {item.metadata.name: item.metadata.resource_version for item in self.informer.store}


@asynccontextmanager
async def running(*runs: Awaitable[Any]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def hold() -> AsyncIterator[asyncio.Event]:
    gate = asyncio.Event()
    yield gate
    gate.set()


async def test_a_streaming_list_fills_the_cache_and_the_same_stream_goes_on(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    server.then(
        stream(
            event("ADDED", service("a", "3")),
            event("ADDED", service("b", "4")),
            bookmark("5", end=True),
            event("MODIFIED", service("a", "6")),
            event("DELETED", service("b", "7")),
            hold=hold,
        )
    )
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.told == ["a", "b", "a", "b"])
        assert cache.informer.synced.is_set()
        assert cache.state() == {"a": "6"}
        assert len(server.seen) == 1
        assert server.seen[0].query["sendInitialEvents"] == "true"
        assert server.seen[0].query["resourceVersionMatch"] == "NotOlderThan"


async def test_the_cache_is_not_synced_before_the_streaming_list_is_complete(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    server.then(stream(event("ADDED", service("a", "3")), cut=True))
    server.then(
        stream(event("ADDED", service("a", "3")), event("ADDED", service("b", "4")), bookmark("5", end=True), hold=hold)
    )
    cache = Cache(client)
    async with running(cache.informer.run()):
        await server.requests(1)
        assert not cache.informer.synced.is_set()
        await cache.until(lambda: cache.told == ["a", "b"])
        assert cache.informer.synced.is_set()


@pytest.mark.parametrize("refusal", ["in the stream", "422", "silence", "an early end"])
async def test_a_server_without_streaming_lists_is_listed_in_pages(
    refusal: str, server: Any, client: KubeClient, answer: Any, stream: Any, hold: asyncio.Event
) -> None:
    server.then(
        {
            "in the stream": stream(NO_STREAMING),
            "422": answer(422, "Invalid"),
            "silence": stream(event("ADDED", service("a", "3")), hold=hold),
            "an early end": stream(event("ADDED", service("a", "3"))),
        }[refusal]
    )
    server.then(listing("9", service("a", "3"), more="c"))
    server.then(listing("9", service("b", "4")))
    server.then(stream(event("ADDED", service("c", "10")), hold=hold))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: "c" in cache.told)
    assert cache.state() == {"a": "3", "b": "4", "c": "10"}
    assert server.seen[3].query["resourceVersion"] == "9"


async def listed(server: Any, stream: Any, *items: dict[str, Any], version: str = "5") -> None:
    """Scripts a streaming list that ends at once, so that the test says what the next watch brings."""
    server.then(stream(*(event("ADDED", item) for item in items), bookmark(version, end=True)))


async def test_after_a_regular_end_the_watch_goes_on_from_the_last_event(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    await listed(server, stream, service("a", "3"))
    server.then(stream(event("MODIFIED", service("a", "6"))))
    server.then(stream(bookmark("20")))
    server.then(stream(event("MODIFIED", service("a", "21")), hold=hold))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.state() == {"a": "21"})
    assert [seen.query.get("resourceVersion") for seen in server.seen] == [None, "5", "6", "20"]


async def test_a_connection_that_is_cut_in_the_middle_of_an_event_loses_nothing(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    await listed(server, stream, service("a", "3"))
    half = msgspec.json.encode(event("MODIFIED", service("a", "7")))[:50]
    server.then(stream(event("MODIFIED", service("a", "6")), half, cut=True))
    server.then(listing("7", service("a", "7")))
    server.then(stream(event("MODIFIED", service("a", "7")), hold=hold))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.state() == {"a": "7"})
    assert server.seen[2].query == {"limit": "1"}
    assert server.seen[3].query["resourceVersion"] == "6"


@pytest.mark.parametrize(
    ("answered", "same"),
    [
        (listing("300", service("a", "299", uid="u1")), True),
        (listing("400", service("a", "400", uid="u1")), True),
        (listing("20", service("a", "19", uid="u1")), False),
        (listing("300", service("a", "299", uid="u2")), False),
        (listing("300", service("other", "299", uid="u1")), False),
        (listing("400"), False),
    ],
    ids=["as it was", "further on", "restored from a backup", "the object is another", "unknown", "empty"],
)
async def test_a_server_that_comes_back_is_listed_again_if_its_history_is_another(
    answered: web.Response,
    same: bool,  # noqa: FBT001  # a row
    server: Any,
    client: KubeClient,
    stream: Any,
    hold: asyncio.Event,
) -> None:
    await listed(server, stream, service("a", "299", uid="u1"), version="300")
    server.then(stream(cut=True))
    server.then(answered)
    server.then(stream(event("ADDED", service("b", "19")), bookmark("20", end=True), hold=hold))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: "b" in cache.state())
    assert ("sendInitialEvents" in server.seen[3].query) is not same


@pytest.mark.parametrize("how", ["as an answer", "in the stream", "too new"])
async def test_410_lists_again_and_finds_what_was_deleted_meanwhile(
    how: str, server: Any, client: KubeClient, answer: Any, stream: Any, hold: asyncio.Event
) -> None:
    await listed(server, stream, service("kept", "1"), service("deleted", "2"), service("changed", "3"))
    server.then({"as an answer": answer(410, "Expired"), "too new": stream(TOO_NEW)}.get(how, stream(EXPIRED)))
    server.then(
        stream(
            event("ADDED", service("kept", "1")),
            event("ADDED", service("changed", "40")),
            event("ADDED", service("new", "41")),
            bookmark("50", end=True),
            hold=hold,
        )
    )
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: len(cache.told) == 6)
    assert cache.state() == {"kept": "1", "changed": "40", "new": "41"}
    assert sorted(cache.told[3:]) == ["changed", "deleted", "new"]


async def test_an_outage_leaves_the_cache_as_it_was_and_says_how_old_it_is(
    server: Any, client: KubeClient, answer: Any, stream: Any, hold: asyncio.Event
) -> None:
    now = [100.0]
    await listed(server, stream, service("a", "3"))
    server.fallback = lambda _request: asyncio.sleep(0, answer(503, "ServiceUnavailable"))
    cache = Cache(client, clock=lambda: now[0])
    async with running(cache.informer.run()):
        await server.requests(5)
        now[0] = 160.0
        assert cache.state() == {"a": "3"}
        assert cache.informer.stale_for_s() == 60.0
        assert isinstance(cache.informer.error, RetryLaterError)
        server.then(listing("9", service("a", "9")))
        server.then(stream(event("MODIFIED", service("a", "9")), hold=hold))
        await cache.until(lambda: cache.state() == {"a": "9"})
        assert getattr(cache.informer, "error") is None  # noqa: B009  # mypy would take it for unreachable
        assert cache.informer.stale_for_s() == 0.0


@pytest.mark.parametrize(
    "line", [b"garbage", b'{"type":"ADDED"}', b'{"type":"BANANA","object":{}}', b'{"type":"ADDED","object":5}']
)
async def test_a_line_that_is_no_event_leads_to_a_new_list(
    line: bytes, server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    await listed(server, stream, service("a", "3"), service("b", "4"))
    server.then(stream(line))
    server.then(stream(event("ADDED", service("a", "3")), bookmark("50", end=True), hold=hold))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.state() == {"a": "3"})


async def test_an_object_that_does_not_decode_keeps_its_last_good_state(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    bad = service("a", "6") | {"spec": {"ports": "none"}}
    await listed(server, stream, service("a", "3"), service("b", "4"))
    server.then(stream(event("MODIFIED", bad), event("MODIFIED", service("b", "7"))))
    server.then(stream(EXPIRED))
    server.then(stream(event("ADDED", bad), event("ADDED", service("b", "8")), bookmark("9", end=True), hold=hold))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.state() == {"a": "3", "b": "7"})
        assert cache.informer.unreadable.keys() == {Key("default", "a")}
        await cache.until(lambda: cache.state() == {"a": "3", "b": "8"})
        assert cache.informer.unreadable.keys() == {Key("default", "a")}


@pytest.mark.parametrize(
    ("code", "reason", "kind"), [(403, "Forbidden", ForbiddenError), (404, "NotFound", NotFoundError)]
)
async def test_a_kind_that_may_not_be_read_is_never_an_empty_cache(
    code: int, reason: str, kind: type[Exception], server: Any, client: KubeClient, answer: Any
) -> None:
    server.fallback = lambda _request: asyncio.sleep(0, answer(code, reason))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await server.requests(6)
        assert not cache.informer.synced.is_set()
        assert isinstance(cache.informer.error, kind)


def allowed(may: bool) -> web.Response:  # noqa: FBT001  # the answer
    """Of a SelfSubjectAccessReview."""
    return web.json_response({"status": {"allowed": may}})


async def test_where_watching_is_not_allowed_the_list_is_polled(
    server: Any, client: KubeClient, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer_module, "POLL_S", 0.01)
    server.then(answer(403, "Forbidden"))
    server.then(allowed(False))
    server.then(allowed(True))
    server.then(listing("5", service("a", "3"), service("b", "4")))
    server.then(listing("9", service("a", "8"), service("c", "9")))
    server.fallback = lambda _request: asyncio.sleep(0, listing("9", service("a", "8"), service("c", "9")))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.state() == {"a": "8", "c": "9"})
        assert cache.informer.error is None
        assert sorted(cache.told) == ["a", "a", "b", "b", "c"]
        before = len(server.seen)
        await server.requests(before + 3)
    reviews = [seen.body["spec"]["resourceAttributes"]["verb"] for seen in server.seen if seen.body]
    assert reviews == ["watch", "list"], "asked once"
    assert all("watch" not in seen.query for seen in server.seen[3:])


async def test_a_poll_that_fails_keeps_the_cache_and_says_so(
    server: Any, client: KubeClient, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer_module, "POLL_S", 0.01)
    for first in (answer(403, "Forbidden"), allowed(False), allowed(True), listing("5", service("a", "3"))):
        server.then(first)
    server.fallback = lambda _request: asyncio.sleep(0, answer(503, "ServiceUnavailable"))
    cache = Cache(client)
    async with running(cache.informer.run()):
        await server.requests(8)
        assert cache.state() == {"a": "3"}
        assert isinstance(cache.informer.error, RetryLaterError)


async def test_whether_watching_is_allowed_is_asked_again(
    server: Any, client: KubeClient, answer: Any, stream: Any, hold: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer_module, "POLL_S", 0.01)
    now = [100.0]
    for first in (answer(403, "Forbidden"), allowed(False), allowed(True), listing("5", service("a", "3"))):
        server.then(first)
    server.fallback = lambda _request: asyncio.sleep(0, listing("5", service("a", "3")))
    cache = Cache(client, clock=lambda: now[0])
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.state() == {"a": "3"})

        async def watch(request: web.Request) -> web.StreamResponse:
            if "watch" not in request.query:
                return listing("5", service("a", "3"))
            found: web.StreamResponse = await stream(event("MODIFIED", service("a", "6")), hold=hold)(request)
            return found

        server.fallback = watch
        now[0] += informer_module.WATCH_AGAIN_S
        await cache.until(lambda: cache.state() == {"a": "6"})


class TestCatchingUp:
    @pytest.mark.parametrize(
        ("shown", "later"),
        [
            (("9", service("a", "3")), []),
            (("9", service("a", "8")), [event("MODIFIED", service("a", "8"))]),
            (("9", service("a", "8")), [event("MODIFIED", service("a", "12"))]),
            (("9", service("b", "8")), [event("ADDED", service("b", "8"))]),
            (("9", service("gone", "8")), [event("ADDED", service("b", "10"))]),
            (("9", service("gone", "8")), [event("DELETED", service("gone", "11"))]),
            (("9", service("gone", "8")), [bookmark("9")]),
            (("9", service("bad", "8")), [event("ADDED", service("bad", "8") | {"spec": {"ports": "none"}})]),
        ],
    )
    async def test_waits_for_what_the_api_shows_and_not_for_what_is_gone(
        self, shown: Any, later: list[Any], server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
    ) -> None:
        go = asyncio.Event()

        async def watch(request: web.Request) -> web.StreamResponse:
            await go.wait()
            answer: web.StreamResponse = await stream(*later, hold=hold)(request)
            return answer

        await listed(server, stream, service("a", "3"))
        server.then(watch)
        cache = Cache(client)
        async with running(cache.informer.run()):
            await server.requests(2)
            server.then(listing(*shown))
            catching = asyncio.create_task(cache.informer.catch_up())
            await server.requests(3)
            if later:
                _, waiting = await asyncio.wait({catching}, timeout=0.05)
                assert waiting, "the cache lags still"
            go.set()
            async with asyncio.timeout(60):
                await catching

    async def test_ends_when_a_list_shows_that_it_is_later(
        self, server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
    ) -> None:
        """An object came and went unseen: nothing in the store changes."""
        go = asyncio.Event()

        async def expires(request: web.Request) -> web.StreamResponse:
            await go.wait()
            answer: web.StreamResponse = await stream(EXPIRED)(request)
            return answer

        await listed(server, stream, service("a", "3"))
        server.then(expires)
        server.then(listing("9", service("a", "3"), service("gone", "8")))
        cache = Cache(client)
        async with running(cache.informer.run()):
            await server.requests(2)
            catching = asyncio.create_task(cache.informer.catch_up())
            await server.requests(3)
            server.then(stream(event("ADDED", service("a", "3")), bookmark("20", end=True), hold=hold))
            go.set()
            async with asyncio.timeout(60):
                await catching


async def test_who_watches_its_health_hears_of_refusals_of_completeness_and_of_what_is_unreadable(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event, answer: Any
) -> None:
    bad = service("a", "6") | {"spec": {"ports": "none"}}
    server.then(answer(403, "Forbidden"))
    server.then(allowed(True))
    await listed(server, stream, service("a", "3"))
    server.then(stream(event("MODIFIED", bad), event("MODIFIED", service("a", "7")), hold=hold))
    cache = Cache(client)
    seen: list[tuple[bool, bool, int]] = []

    def look() -> None:
        informer = cache.informer
        seen.append((informer.synced.is_set(), informer.error is None, len(informer.unreadable)))

    cache.informer.watch_health(look)
    async with running(cache.informer.run()):
        await cache.until(lambda: cache.state() == {"a": "7"})
    assert list(dict.fromkeys(seen)) == [
        (False, False, 0),
        (False, True, 0),
        (True, True, 0),
        (True, True, 1),
    ]
    assert seen[-1] == (True, True, 0)


async def test_a_late_subscriber_hears_of_what_is_there(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    server.then(stream(event("ADDED", service("a", "3")), bookmark("5", end=True), hold=hold))
    cache = Cache(client)
    late: list[Key] = []
    async with running(cache.informer.run()):
        await cache.informer.synced.wait()
        cache.informer.subscribe(late.append)
    assert late == [Key("default", "a")]


async def test_a_filter_sees_both_states(server: Any, client: KubeClient, stream: Any, hold: asyncio.Event) -> None:
    await listed(server, stream, service("a", "3", "ClusterIP"))
    server.then(
        stream(
            event("MODIFIED", service("a", "6", "ClusterIP")),
            event("MODIFIED", service("a", "7", "LoadBalancer")),
            event("DELETED", service("a", "8")),
            hold=hold,
        )
    )
    cache = Cache(client)
    told: list[tuple[str, str]] = []

    def of_type(item: Service | None) -> str:
        return "" if item is None else item.spec.type

    cache.informer.subscribe(
        lambda key: told.append((key.name, "")), when=lambda change: of_type(change.before) != of_type(change.after)
    )
    async with running(cache.informer.run()):
        await cache.until(lambda: len(cache.told) == 4)
    assert len(told) == 3


async def test_objects_that_are_work_for_another_name_it_before_and_after(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event
) -> None:
    def part(version: str, of: str) -> dict[str, Any]:
        meta = {"name": "s", "namespace": "default", "resourceVersion": version}
        return {"metadata": meta | {"labels": {"kubernetes.io/service-name": of}}}

    server.then(
        stream(
            event("ADDED", part("1", "web")),
            bookmark("5", end=True),
            event("MODIFIED", part("6", "other")),
            event("DELETED", part("7", "other")),
            hold=hold,
        )
    )
    slices = Informer(
        client,
        ENDPOINT_SLICES,
        decoder=Decoder(EndpointSlice),
        indexers={"service": lambda item: [str(item.service)]},
    )
    told: asyncio.Queue[Any] = asyncio.Queue()
    slices.subscribe_by(lambda item: [] if item.service is None else [item.service], told.put_nowait)
    async with running(slices.run()):
        got = [str(await told.get()) for _ in range(4)]
    assert got == ["default/web", "default/web", "default/other", "default/other"]
    assert slices.store.indexed("service", "default/other") == []


async def test_a_subscriber_that_fails_does_not_stop_the_cache(
    server: Any, client: KubeClient, stream: Any, hold: asyncio.Event, capfdbinary: Any
) -> None:
    def fail(_key: Key) -> None:
        raise RuntimeError("mistake")

    server.then(stream(event("ADDED", service("a", "3")), bookmark("5", end=True), hold=hold))
    informer = Informer(client, SERVICES, decoder=Decoder(Service))
    informer.subscribe(fail)
    async with running(informer.run()):
        await informer.synced.wait()
        await asyncio.sleep(0)
    assert len(informer.store) == 1


def test_the_wait_grows_and_stays_within_its_limits() -> None:
    backoff = Backoff(0.005, 1000.0)
    assert [backoff.delay_s(n, lambda: 1.0) for n in (1, 2, 3)] == [0.005, 0.01, 0.02]
    assert backoff.delay_s(10_000, lambda: 1.0) == 1000.0
    assert backoff.delay_s(1, lambda: 0.0) == 0.0025

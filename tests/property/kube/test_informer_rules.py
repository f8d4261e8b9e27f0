"""An informer against a server that is edited all the time and fails in every way: in the end it shows the truth."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.json import Decoder

from metallb.api.core import ObjectMeta, Service
from metallb.kube import informer as informer_module
from metallb.kube.answers import Bookmark, Changed, Deleted, ListPage, WatchEvent
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.errors import GoneError, InvalidError, MalformedError, RetryLaterError, UnavailableError
from metallb.kube.informer import Informer
from metallb.kube.objects import Key
from metallb.kube.resources import SERVICES

FAULTS = (
    lambda: UnavailableError("GET /", "reset"),
    lambda: RetryLaterError("GET /", "busy", code=503),
    lambda: GoneError("GET /", "too old", code=410),
    lambda: MalformedError("GET /", "garbage"),
)


class Cluster:
    """The Services of a cluster with their history, behind an API of chance; `calm` ends the faults."""

    def __init__(self, seed: int, faults: float, *, streaming: bool) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.streaming = streaming
        self.version = 0
        self.objects: dict[str, str] = {}
        self.history: list[tuple[int, WatchEvent[Service]]] = []
        self.moved = asyncio.Event()

    def edit(self) -> None:
        name = self.random.choice("abcdef")
        self.version += 1
        version = str(self.version)
        if name in self.objects and self.random.random() < 0.4:
            del self.objects[name]
            self.history.append((self.version, Deleted(Key("ns", name), version)))
        else:
            self.objects[name] = version
            self.history.append((self.version, Changed(self._object(name))))
        self.moved.set()

    def calm(self) -> None:
        self.faults = 0.0
        self.moved.set()

    def _object(self, name: str) -> Service:
        return Service(metadata=ObjectMeta(name=name, namespace="ns", resource_version=self.objects[name]))

    def _fail(self) -> None:
        if self.random.random() < self.faults:
            make = self.random.choice(FAULTS)
            raise make()

    async def list(self, *_: Any, **__: Any) -> ListPage[Service]:
        await asyncio.sleep(0)
        self._fail()
        return ListPage(items=[self._object(name) for name in self.objects], resource_version=str(self.version))

    async def page(self, *_: Any, **__: Any) -> ListPage[Service]:
        return await self.list()

    @asynccontextmanager
    async def watch(
        self, *_: Any, resource_version: str, initial_events: bool, **__: Any
    ) -> AsyncIterator[AsyncIterator[WatchEvent[Service]]]:
        await asyncio.sleep(0)
        self._fail()
        if initial_events and not self.streaming:
            raise InvalidError("WATCH /", "unknown parameter", code=422)
        yield self._events(resource_version, initial=initial_events)

    async def _events(self, since: str, *, initial: bool) -> AsyncIterator[WatchEvent[Service]]:
        at = self.version if initial else int(since)
        if initial:
            for name in list(self.objects):
                self._fail()
                if name in self.objects:  # the truth may change while it is sent
                    yield Changed(self._object(name))
            yield Bookmark(str(at), initial_end=True)
        while True:
            for version, event in [(v, e) for v, e in self.history if v > at]:
                self._fail()
                if self.random.random() < self.faults:
                    return  # a regular end
                at = version
                yield event
            self.moved.clear()
            await self.moved.wait()
            self._fail()


async def live(cluster: Cluster, edits: int) -> None:
    informer = Informer(cast("KubeClient", cluster), SERVICES, decoder=Decoder(Service), draw=cluster.random.random)
    read: dict[Key, str | None] = {}
    changed = asyncio.Event()

    def look(key: Key) -> None:
        found = informer.store.get(key)
        read[key] = None if found is None else found.metadata.resource_version
        changed.set()

    informer.subscribe(look)
    task = asyncio.create_task(informer.run())
    for _ in range(edits):
        cluster.edit()
        for _ in range(cluster.random.randrange(5)):
            await asyncio.sleep(0)
        if informer.synced.is_set() and edits > 3:
            assert informer.last_contact > float("-inf")
    cluster.calm()

    def shown() -> dict[str, str]:
        return {item.metadata.name: item.metadata.resource_version for item in informer.store}

    async with asyncio.timeout(60):
        await informer.synced.wait()
        while shown() != cluster.objects:
            changed.clear()
            await changed.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {key.name: version for key, version in read.items() if version is not None} == cluster.objects


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), faults=st.floats(0, 0.5), streaming=st.booleans(), edits=st.integers(0, 40))
def test_in_the_end_cache_and_subscriber_know_the_truth(
    seed: int,
    faults: float,
    streaming: bool,  # noqa: FBT001  # drawn
    edits: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(informer_module, "BACKOFF", Backoff(0.0001, 0.0002))
    monkeypatch.setattr(informer_module._log, "_logger", type("Silent", (), {"msg": staticmethod(lambda _line: None)}))
    asyncio.run(live(Cluster(seed, faults, streaming=streaming), edits))

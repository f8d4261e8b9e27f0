from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from metallb.api.core import ObjectMeta
from metallb.kube import events as events_module
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.event_series import BURST, REFILL_S, WINDOW_S, Correlator, Count, Create, Occurrence, Reference
from metallb.kube.events import PENDING, Recorder, reference
from metallb.kube.resources import NODES, SERVICES

ABOUT = Reference("v1", "Service", "default", "web", "u1", "7")


def happened(message: str = "m", reason: str = "r", about: Reference = ABOUT) -> Occurrence:
    return Occurrence(about, "Normal", reason, message, 0.0)


def test_the_same_event_again_counts_up() -> None:
    correlator = Correlator()
    first = correlator.observe(happened(), 0, "one")
    assert isinstance(first, Create)
    newer = Reference("v1", "Service", "default", "web", "u1", "8")
    second = correlator.observe(happened(about=newer), 1, "two")
    assert isinstance(second, Count)
    assert second.series is first.series
    assert (second.series.name, second.series.count) == ("one", 2)


@pytest.mark.parametrize(
    "other",
    [happened("other"), happened(reason="other"), happened(about=Reference("v1", "Service", "default", "web", "u2"))],
    ids=["message", "reason", "a new object of the same name"],
)
def test_another_event_is_another_event(other: Occurrence) -> None:
    correlator = Correlator()
    correlator.observe(happened(), 0, "one")
    assert isinstance(correlator.observe(other, 0, "two"), Create)


def test_an_event_after_a_long_time_is_a_new_one() -> None:
    correlator = Correlator()
    correlator.observe(happened(), 0, "one")
    assert isinstance(correlator.observe(happened(), WINDOW_S + 1, "two"), Create)


def test_many_similar_events_become_one() -> None:
    correlator = Correlator()
    made = [correlator.observe(happened(f"message {n}"), 0, f"e{n}") for n in range(14)]
    assert all(isinstance(event, Create) and not event.series.combined for event in made[:10])
    combined = made[10]
    assert isinstance(combined, Create)
    assert combined.series.combined
    assert [event.series.count for event in made[11:] if isinstance(event, Count)] == [4, 4, 4]


def test_a_flood_is_dropped_and_ebbs() -> None:
    correlator = Correlator()
    made = [correlator.observe(happened(), 0, "e") for _ in range(40)]
    assert sum(event is not None for event in made) == BURST
    assert correlator.observe(happened(about=Reference("v1", "Service", "default", "other")), 0, "o") is not None
    assert correlator.observe(happened(), REFILL_S, "e") is not None
    assert correlator.observe(happened(), REFILL_S, "e") is None


@pytest.fixture
async def recorder(server: Any, client: KubeClient, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recorder]:
    monkeypatch.setattr(events_module, "BACKOFF", Backoff(0.001, 0.002))
    server.fallback = lambda _request: asyncio.sleep(0, web.json_response({"metadata": {"name": "x"}}))
    made = Recorder(client, component="metallb-controller", host="worker-1", wall=lambda: 1_795_473_000.0)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def flushed(recorder: Recorder) -> None:
    async with asyncio.timeout(60):
        await recorder.flush()


async def test_an_event_is_written_on_the_object(server: Any, recorder: Recorder) -> None:
    meta = ObjectMeta(name="web", namespace="default", uid="u1", resource_version="7")
    recorder.event(reference(SERVICES, meta), "Normal", "IPAllocated", 'Assigned IP ["198.51.100.1"]')
    await flushed(recorder)
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("POST", "/api/v1/namespaces/default/events")
    assert seen.body.pop("metadata")["name"].startswith("web.")
    assert seen.body == {
        "apiVersion": "v1",
        "kind": "Event",
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": "default",
            "name": "web",
            "uid": "u1",
            "resourceVersion": "7",
        },
        "type": "Normal",
        "reason": "IPAllocated",
        "message": 'Assigned IP ["198.51.100.1"]',
        "source": {"component": "metallb-controller", "host": "worker-1"},
        "firstTimestamp": "2026-11-23T22:30:00Z",
        "lastTimestamp": "2026-11-23T22:30:00Z",
        "count": 1,
        "reportingComponent": "metallb-controller",
        "reportingInstance": "worker-1",
    }


async def test_an_event_of_a_cluster_scoped_object_stands_in_default(server: Any, recorder: Recorder) -> None:
    recorder.event(reference(NODES, ObjectMeta(name="n1")), "Warning", "r", "m")
    await flushed(recorder)
    assert server.seen[0].path == "/api/v1/namespaces/default/events"


async def test_a_repeated_event_is_a_patch_of_its_count(server: Any, recorder: Recorder) -> None:
    for _ in range(2):
        recorder.event(ABOUT, "Normal", "r", "m")
    await flushed(recorder)
    assert server.seen[1].method == "PATCH"
    assert server.seen[1].path.endswith(server.seen[0].body["metadata"]["name"])
    assert server.seen[1].body == {"count": 2, "lastTimestamp": "2026-11-23T22:30:00Z"}


async def test_an_event_that_is_gone_is_made_anew(server: Any, recorder: Recorder, answer: Any) -> None:
    recorder.event(ABOUT, "Normal", "r", "m")
    await flushed(recorder)
    server.then(answer(404, "NotFound"))
    recorder.event(ABOUT, "Normal", "r", "m")
    await flushed(recorder)
    assert [seen.method for seen in server.seen] == ["POST", "PATCH", "POST"]


async def test_events_wait_for_the_api_to_come_back(server: Any, recorder: Recorder, answer: Any) -> None:
    for _ in range(3):
        server.then(answer(503, "ServiceUnavailable"))
    recorder.event(ABOUT, "Normal", "r", "m")
    await flushed(recorder)
    assert [seen.method for seen in server.seen] == ["POST"] * 4


async def test_a_refused_event_is_dropped_and_the_next_one_goes_on(
    server: Any, recorder: Recorder, answer: Any
) -> None:
    server.then(answer(403, "Forbidden"))
    recorder.event(ABOUT, "Normal", "r", "m")
    recorder.event(ABOUT, "Normal", "r", "other")
    await flushed(recorder)
    assert recorder.dropped == 1
    assert len(server.seen) == 2


async def test_recording_never_blocks_and_keeps_the_newest(client: KubeClient) -> None:
    recorder = Recorder(client, component="c")
    for n in range(PENDING + 5):
        recorder.event(ABOUT, "Normal", "r", str(n))
    assert recorder.dropped == 5
    assert recorder._pending[-1].message == str(PENDING + 4)

"""`/healthz` fails when something hangs, and never because the API server is away."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from metallb.kube import informer as informer_module
from metallb.kube import progress as progress_module
from metallb.kube.backoff import Backoff
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials
from metallb.kube.informer import Informer
from metallb.kube.objects import BARE, Bare
from metallb.kube.progress import STUCK_S, Progress, under_way, waiting
from metallb.kube.reconciler import Done, Outcome, Reconciler
from metallb.kube.resources import CONFIG_MAPS
from metallb.kube.serving import HealthServer


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Iterator[Progress]:
    made = Progress(clock=clock)
    with made.in_force():
        yield made


def test_work_hangs_after_its_limit_and_not_before(progress: Progress, clock: Clock) -> None:
    with under_way("service default/web"):
        clock.now += STUCK_S - 0.1
        assert progress.stuck() == []
        clock.now += 0.1
        assert progress.stuck() == ["service default/web: no progress for 15 s"]
    assert progress.stuck() == []


def test_a_wait_for_the_api_server_is_no_standstill_until_its_own_limit_is_over(
    progress: Progress, clock: Clock
) -> None:
    with under_way("work"), waiting(30.0):
        clock.now += 30.0 + STUCK_S - 0.1
        assert progress.stuck() == []
        clock.now += 0.1
        assert progress.stuck() == ["work: no progress for 15 s"]


def test_work_has_its_whole_time_again_after_a_wait(progress: Progress, clock: Clock) -> None:
    with under_way("work"):
        with waiting(30.0):
            clock.now += 29.0
        clock.now += STUCK_S - 1
        assert progress.stuck() == []
        clock.now += 1
        assert progress.stuck()


async def test_of_several_waits_the_longest_counts(progress: Progress, clock: Clock) -> None:
    release, held = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        with waiting(100.0):
            held.set()
            await release.wait()

    with under_way("work"):
        other = asyncio.create_task(hold())
        await held.wait()
        with waiting(1.0):
            clock.now += 1
        clock.now += STUCK_S
        assert progress.stuck() == [], "the other request of the same work is out still"
        release.set()
        await other
        clock.now += STUCK_S
        assert progress.stuck()


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_worker_that_awaits_what_never_comes_hangs(progress: Progress, clock: Clock) -> None:
    began = asyncio.Event()

    async def hangs(_key: str) -> Outcome:
        began.set()
        await asyncio.Event().wait()
        return Done()

    queue: Reconciler[str] = Reconciler("service", hangs, workers=2, clock=clock)
    async with running(queue.run()):
        queue.add("default/web")
        await began.wait()
        clock.now += STUCK_S
        assert progress.stuck() == ["service default/web: no progress for 15 s"]


async def test_a_queue_without_work_is_well_for_ever(progress: Progress, clock: Clock) -> None:
    async def nothing(_key: str) -> Outcome:
        return Done()

    queue: Reconciler[str] = Reconciler("service", nothing, clock=clock)
    async with running(queue.run()):
        queue.add("a")
        await queue.idle()
        queue.add_after("b", 10_000.0)
        await asyncio.sleep(0)
        clock.now += 1000
        assert progress.stuck() == []


async def test_a_queue_whose_keys_nobody_takes_up_hangs(progress: Progress, clock: Clock) -> None:
    async def nothing(_key: str) -> Outcome:
        return Done()

    queue: Reconciler[str] = Reconciler("service", nothing, clock=clock)
    async with running(queue.run()):
        await asyncio.sleep(0)
        queue._woken = asyncio.Event()  # the wake-up gets lost
        queue.add("a")
        await asyncio.sleep(0)
        clock.now += STUCK_S
        assert progress.stuck() == ["work queue service: no progress for 15 s"]


async def test_an_idle_informer_is_well(
    progress: Progress, clock: Clock, server: Any, client: KubeClient, stream: Any
) -> None:
    hold = asyncio.Event()
    end = {"metadata": {"resourceVersion": "5", "annotations": {"k8s.io/initial-events-end": "true"}}}
    server.then(stream({"type": "BOOKMARK", "object": end}, hold=hold))
    informer: Informer[Bare] = Informer(client, CONFIG_MAPS, decoder=BARE)
    async with running(informer.run()):
        await informer.synced.wait()
        clock.now += 300
        assert progress.stuck() == []
        hold.set()


async def test_an_informer_that_awaits_anything_else_hangs(
    progress: Progress, clock: Clock, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    informer: Informer[Bare] = Informer(client, CONFIG_MAPS, decoder=BARE)
    began = asyncio.Event()

    async def never() -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(informer, "_attempt", never)
    async with running(informer.run()):
        await began.wait()
        clock.now += STUCK_S
        assert progress.stuck() == ["informer configmaps: no progress for 15 s"]


async def test_an_api_server_that_never_answers_is_no_reason_to_be_restarted(
    progress: Progress, clock: Clock, server: Any, client: KubeClient
) -> None:
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.fallback = silent

    async def write(_key: str) -> Outcome:
        await client.get(CONFIG_MAPS, "x", namespace="default", decoder=BARE)
        return Done()

    queue: Reconciler[str] = Reconciler("service", write, clock=clock)
    informer: Informer[Bare] = Informer(client, CONFIG_MAPS, decoder=BARE)
    async with running(queue.run()), running(informer.run()):
        queue.add("a")
        await server.requests(2)
        clock.now += STUCK_S + 4
        assert progress.stuck() == []


async def test_an_api_server_that_is_gone_is_no_reason_to_be_restarted(
    progress: Progress, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are refused, and the pauses between attempts grow far beyond the limit."""
    monkeypatch.setattr(informer_module, "BACKOFF", Backoff(1000.0, 1000.0))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    async with KubeClient(Credentials(url), timeout_s=1) as client:
        informer: Informer[Bare] = Informer(client, CONFIG_MAPS, decoder=BARE)
        async with running(informer.run()), asyncio.timeout(60):
            while informer.error is None:  # noqa: ASYNC110  # nothing tells a test of it
                await asyncio.sleep(0.01)
            clock.now += 20 * STUCK_S
            assert progress.stuck() == []


async def test_the_words_of_a_standstill_are_the_answer(clock: Clock, progress: Progress) -> None:
    async with HealthServer(port=0, host="127.0.0.1") as health, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{health.port}"

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(url + path) as response:
                return response.status, await response.text()

        with under_way("informer services"):
            assert await ask("/healthz") == (200, "ok")
            clock.now += 16
            assert await ask("/healthz") == (503, "informer services: no progress for 16 s")
            assert (await ask("/readyz"))[0] == 200
        assert await ask("/healthz") == (200, "ok")


def test_an_event_loop_that_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real loop that is blocked answers no probe; when it turns again it admits that it stood still."""
    monkeypatch.setattr(progress_module, "BEAT_S", 0.05)
    ports: list[int] = []
    listening, blocked, release, end = (threading.Event() for _ in range(4))
    seen: list[Callable[[], list[str]]] = []

    async def serve() -> None:
        progress = Progress(limit_s=0.3)
        with progress.in_force():
            async with HealthServer(port=0, host="127.0.0.1") as health, running(progress.run()):
                await asyncio.sleep(0)
                ports.append(health.port)
                seen.append(progress.stuck)
                asyncio.get_running_loop().call_soon(block)
                listening.set()
                await asyncio.to_thread(end.wait, 60)

    def block() -> None:
        blocked.set()
        release.wait(60)

    async def ask(timeout_s: float) -> int:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_s)) as session,
            session.get(f"http://127.0.0.1:{ports[0]}/healthz") as response,
        ):
            return response.status

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert listening.wait(60)
        assert blocked.wait(60)
        with pytest.raises(TimeoutError):
            asyncio.run(ask(0.5))
        assert seen[0]()[0].startswith("event loop: no progress for")
        release.set()
        for _ in range(1000):
            if not seen[0]() and asyncio.run(ask(60)) == 200:
                break
            end.wait(0.05)
        else:
            pytest.fail("it does not get well")
    finally:
        release.set()
        end.set()
        thread.join(60)

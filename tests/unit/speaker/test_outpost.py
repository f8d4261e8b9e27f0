"""The process that answers: started, listened to, started again; it ends with the speaker, however that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import aiohttp
import pytest

import metallb
from metallb.kube.progress import Progress
from metallb.kube.serving import HealthServer
from metallb.speaker import outpost as module
from metallb.speaker.orders import (
    Again,
    Alive,
    Failed,
    Heard,
    Hush,
    Message,
    Order,
    Place,
    Places,
    Vouch,
    clock,
    encode,
)
from metallb.speaker.outpost import Outpost

HEAVY = ("asyncio", "msgspec", "aiohttp", "uvloop", "ssl", "logging", "subprocess", "ipaddress", "structlog")
NOWHERE = Places((Place(1 << 20, "nosuch", b"\2\0\0\0\0\1", None, running=True, arp=True, ndp=False),))


class Post:
    """An outpost, and what came from it."""

    def __init__(self, orders: Iterable[Order] = (), look: Callable[[], object] = lambda: None) -> None:
        self.reports: list[Message] = []
        self.news = asyncio.Event()
        self.outpost = Outpost(self._hear, lambda: orders, look)

    async def __aenter__(self) -> Self:
        self.outpost.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.outpost.close()

    def _hear(self, report: Message) -> None:
        self.reports.append(report)
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def heard(self) -> int:
        return sum(isinstance(each, Heard) for each in self.reports)


def is_there(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


async def test_a_process_runs_from_start_to_close() -> None:
    post = Post()
    assert post.outpost.pid is None
    async with post:
        pid = post.outpost.pid
        assert is_there(pid)
        post.outpost.start()
        assert post.outpost.pid == pid, "one is enough"
        await post.until(lambda: post.heard() >= 3)
    assert not is_there(pid)
    post.outpost.close()
    post.outpost.send(Again())


async def test_signs_of_life_for_several_hosts_go_out_together_and_nothing_else_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Post() as post:
        await post.until(lambda: post.heard() >= 1)
        assert post.outpost._timer is not None
        post.outpost._timer.cancel()  # nothing else is said from here on
        written: list[int] = []
        write = post.outpost._write

        def counted() -> None:
            written.append(len(post.outpost._outgoing))
            write()

        monkeypatch.setattr(post.outpost, "_write", counted)
        signs = [Vouch("127.0.0.1", port, b"sign") for port in (9, 10, 11)]
        size = sum(len(encode(each)) for each in signs)
        for each in signs:
            post.outpost.send(each)
        assert written == []
        await asyncio.sleep(0)
        assert written == [size]
        for each in signs:
            post.outpost.send(each)
        post.outpost.send(Again())
        assert written == [size, size + len(encode(Again()))]
        await asyncio.sleep(0)
        assert len(written) == 2, "nothing was left to write"
        before = post.heard()
        post.outpost.send(Alive(clock()))
        await post.until(lambda: post.heard() > before)


async def test_the_speaker_says_again_and_again_that_it_lives_after_a_look_at_the_clock() -> None:
    looks: list[float] = []
    async with Post(look=lambda: looks.append(clock())) as post:
        await post.until(lambda: post.heard() >= 4)
    said = [each.at for each in post.reports if isinstance(each, Heard)]
    assert all(any(look <= at for look in looks) for at in said[1:])


async def test_a_process_that_ends_is_replaced_by_one_that_knows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.1)
    async with Post([Hush(silent=True), NOWHERE]) as post:
        await post.until(lambda: any(isinstance(each, Failed) for each in post.reports))
        first = post.outpost.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        post.reports.clear()
        await post.until(lambda: any(isinstance(each, Failed) for each in post.reports))
        assert post.outpost.pid not in {first, None}
        assert not is_there(first), "nobody's child is left"


async def test_a_process_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HANGS_S", 2.0)
    async with Post() as post:
        await post.until(lambda: post.heard() > 0)
        first = post.outpost.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await asyncio.sleep(0)
        post.reports.clear()
        await post.until(lambda: post.outpost.pid != first and post.heard() > 0)
        assert not is_there(first)


async def test_a_process_that_can_not_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.1)
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/nosuch/python")
        post = Post()
        post.outpost.start()
        assert post.outpost.pid is None
    await post.until(lambda: post.heard() > 0)
    post.outpost.close()


async def test_its_silence_is_a_standstill_of_the_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `/healthz` asks."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    progress = Progress(limit_s=0.3)
    with progress.in_force():
        async with Post():
            async with asyncio.timeout(60):
                while not (stuck := progress.stuck()):  # noqa: ASYNC110  # time is what has to pass
                    await asyncio.sleep(0.02)
            assert stuck[0].startswith("responder: no progress for")
    assert progress.stuck() == []


async def test_healthz_fails_while_the_process_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Usually it is replaced long before that."""
    monkeypatch.setattr(module, "HANGS_S", 600.0)
    progress = Progress(limit_s=1.0)
    with progress.in_force():
        async with Post() as post, HealthServer(port=0, host="127.0.0.1") as health, aiohttp.ClientSession() as session:

            async def says(status: int) -> str:
                async with asyncio.timeout(60):
                    while True:
                        async with session.get(f"http://127.0.0.1:{health.port}/healthz") as response:
                            if response.status == status:
                                return await response.text()
                        await asyncio.sleep(0.02)

            await says(200)
            pid = post.outpost.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            assert (await says(503)).startswith("responder: no progress for")
            os.kill(pid, signal.SIGCONT)
            assert await says(200) == "ok"
            assert post.outpost.pid == pid


async def test_signals_for_the_speaker_do_not_end_the_process() -> None:
    """A whole process group may get them, and the speaker hands over first."""
    async with Post() as post:
        await post.until(lambda: post.heard() > 0)
        pid = post.outpost.pid
        assert pid is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(pid, number)
        before = post.heard()
        post.outpost.send(Alive(clock()))
        await post.until(lambda: post.heard() > before)
        assert post.outpost.pid == pid


SPEAKER = """
import asyncio, os, signal, sys
from metallb.speaker.outpost import Outpost

async def main():
    answered = asyncio.Event()
    outpost = Outpost(lambda report: answered.set(), lambda: (), lambda: None)
    outpost.start()
    await answered.wait()
    print(outpost.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_process_ends_with_a_speaker_that_is_killed() -> None:
    speaker = subprocess.Popen([sys.executable, "-c", SPEAKER], stdout=subprocess.PIPE)
    assert speaker.stdout is not None
    with speaker, speaker.stdout:
        pid = int(speaker.stdout.readline())
        assert is_there(pid)
        watch = os.pidfd_open(pid)
        speaker.kill()
    try:
        asyncio.run(_ended(watch))
    finally:
        os.close(watch)


async def _ended(watch: int) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(watch, over.set)
    async with asyncio.timeout(60):
        await over.wait()


def test_the_process_is_light() -> None:
    """No event loop and nobody's library: each MiB is there once a node."""
    source = str(Path(metallb.__file__).parent.parent)
    program = "import sys; sys.path.append(sys.argv[1]); import metallb.speaker.answering; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, source], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert not loaded & set(HEAVY)
    assert "metallb.protocols.arp.responder" in loaded

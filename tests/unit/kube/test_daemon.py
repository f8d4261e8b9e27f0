from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

PROGRAM = """
import asyncio, os, signal, sys
from metallb.kube import daemon

async def main():
    try:
        {body}
    finally:
        print("given back", flush=True)

sys.exit(daemon.run(main()))
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_process_in_order(name: str) -> None:
    done = run(f"os.kill(os.getpid(), signal.{name}); await asyncio.Event().wait()")
    assert done.returncode == 0, done.stderr
    assert "given back" in done.stdout
    assert name in done.stdout


def test_a_regular_end_is_a_success() -> None:
    assert run("pass").returncode == 0


@pytest.mark.parametrize(
    ("body", "says", "in_full"),
    [
        ("raise daemon.StartError('set POD_NAME')", "set POD_NAME", False),
        ("raise RuntimeError('mistake')", "mistake", True),
        ("raise ExceptionGroup('g', [ValueError('inner')])", "inner", True),
    ],
)
def test_an_error_ends_the_process_and_is_logged(body: str, says: str, in_full: bool) -> None:  # noqa: FBT001  # a row
    done = run(body)
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    logged = msgspec.json.decode(line)
    assert logged["error"] == says
    assert ("traceback" in logged) is in_full


HANGS = """
from metallb.kube import progress
from metallb.kube.reconciler import Reconciler
from metallb.kube.serving import HealthServer
import aiohttp
async def hangs(key):
    await asyncio.Event().wait()
queue = Reconciler("service", hangs)
queue.add("default/web")
work = asyncio.create_task(queue.run())
async with HealthServer(port=0, host="127.0.0.1") as health, aiohttp.ClientSession() as session:
    for expected in (200, 503):
        async with session.get(f"http://127.0.0.1:{health.port}/healthz") as answer:
            print(answer.status, await answer.text())
        progress.in_force()._limit_s = 0.0
        await asyncio.sleep(0)
work.cancel()
"""


def test_a_process_that_hangs_says_so_when_it_is_asked() -> None:
    done = run("\n        ".join(HANGS.strip().splitlines()))
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert said[0] == "200 ok"
    assert said[1].startswith("503 ")
    assert any("service default/web: no progress for 0 s" in line for line in said)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert msgspec.json.decode(line)["event"] == "stuck"

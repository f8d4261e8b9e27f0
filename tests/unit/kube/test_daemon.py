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
        [sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, timeout=30, check=False
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

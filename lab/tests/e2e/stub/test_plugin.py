"""The pytest plugin: labs for tests, and a session that fails if one of them leaves something."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

Stub = Callable[..., tuple[str, ...]]

SETTING = """
import asyncio
import pytest
from kubelab.engines import Commands
from kubelab.launch import Options

@pytest.fixture(scope="session")
def lab_options():
    return Options(commands=Commands({stub}, {stub}, {stub}))
"""

TIDY = """
async def test_one(lab):
    assert (await lab.run("client", ["hostname"])).stdout == "client\\n"

def test_two_shares_it(lab):
    assert lab.name.endswith("-1")

async def test_three_has_its_own(lab, fresh_lab, lab_options):
    other = await fresh_lab(options=lab_options)
    assert other.name != lab.name
"""

UNTIDY = """
async def test_a_process_stays(lab):
    into = ["nsenter", f"--target={lab.record.pid}", "--net", "--"]
    process = await asyncio.create_subprocess_exec(*into, "setpriv", "--pdeathsig=KILL", "sleep", "1000")
    while b"sleep" not in open(f"/proc/{process.pid}/cmdline", "rb").read():
        await asyncio.sleep(0)
"""


async def session(folder: Path, text: str) -> tuple[int, str]:
    """Run pytest on these tests alone; answers its exit code and output."""
    (folder / "test_inner.py").write_text(text, encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "asyncio_mode=auto", f"--rootdir={folder}"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *options, "-c", "/dev/null", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_tests_share_a_lab_or_have_their_own(tmp_path: Path, stub: Stub) -> None:
    code, out = await session(tmp_path, SETTING.format(stub=stub()) + TIDY)
    assert (code, "3 passed" in out) == (0, True), out


async def test_a_session_whose_lab_leaves_a_process_fails(tmp_path: Path, stub: Stub) -> None:
    code, out = await session(tmp_path, SETTING.format(stub=stub()) + UNTIDY)
    assert code == 1, out
    assert "labs have left this behind:" in out
    assert "is still in a namespace of the lab: sleep 1000" in out

"""Labs whose components are stubs: the lab's own part alone, up in half a second."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from kubelab import launch, state
from kubelab.engines import PYTHON, Commands
from kubelab.lab import Lab
from kubelab.launch import Options
from kubelab.pytest_plugin import Ledger
from kubelab.state import LabNotFoundError

Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture(scope="session")
def stub() -> Callable[..., tuple[str, ...]]:
    """The command of a stub component with options."""

    def command(*options: str) -> tuple[str, ...]:
        return (PYTHON, "-S", "-E", str(Path(__file__).with_name("component.py")), *options)

    return command


@pytest.fixture(scope="session")
def stub_options(stub: Callable[..., tuple[str, ...]]) -> Options:
    return Options(commands=Commands(stub(), stub(), stub()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub_lab(lab_ledger: Ledger, stub_options: Options) -> AsyncIterator[Lab]:
    """A lab of stubs that the tests of a module share; they leave it as they found it."""
    started = await lab_ledger.start(None, stub_options)
    yield started
    await started.down()


@pytest.fixture
def until() -> Until:
    """Wait until something holds that nothing tells of."""

    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110  # there is no event to wait for
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def lab_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name that no other test uses; whatever runs under it at the end is ended."""
    name = f"test-{os.getpid()}-{abs(hash(request.node.nodeid)) % 10**8}"
    yield name
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _gone(name)).result()


async def _gone(name: str) -> None:
    with contextlib.suppress(LabNotFoundError):
        await launch.stop(state.layout(name))

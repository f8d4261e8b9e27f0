"""Labs for tests: one that a whole session shares, fresh ones for a single test, and proof that none leaves anything.

Fixtures:
- `lab`: a running lab, shared by all tests of a pytest process: under xdist each worker has its own. A project changes
  it by a fixture `lab_cluster` or `lab_options` of its own.
- `fresh_lab`: `lab = await fresh_lab(cluster=..., options=...)` starts a lab for one test only.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from kubelab.cluster import Cluster
    from kubelab.lab import Lab
    from kubelab.launch import Options
    from kubelab.traces import Traces

Result = TypeVar("Result")


class FreshLab(Protocol):
    """What the fixture `fresh_lab` is."""

    def __call__(self, cluster: Cluster | None = None, options: Options | None = None) -> Awaitable[Lab]:
        """Start a lab that ends with the test."""


class Ledger:
    """The labs that a pytest process has started, and how to recognise what they would leave."""

    def __init__(self) -> None:
        self._count = 0
        self._traces: dict[str, Traces] = {}
        self._ended_s: dict[str, float] = {}

    async def start(self, cluster: Cluster | None, options: Options | None) -> Lab:
        """Start a lab under a name that no other pytest process uses; it ends with this process at the latest."""
        from kubelab import traces
        from kubelab.lab import Lab
        from kubelab.launch import Options

        self._count += 1
        links = traces.host_links()
        with_lifeline = dataclasses.replace(options or Options(), lifeline=True)
        started = await Lab.up(cluster, name=f"test-{os.getpid()}-{self._count}", options=with_lifeline)
        self._traces[started.name] = traces.of(started, links)
        return started

    def leaks(self) -> list[str]:
        """What is left of all the labs; they should all be gone."""
        from kubelab import traces

        return [line for name, each in self._traces.items() for line in traces.left(each, self._ended_s.get(name))]

    def ended(self, lab: Lab) -> None:
        """A lab is down: what starts from now on is none of its."""
        from kubelab import traces

        self._ended_s[lab.name] = traces.now()


@pytest.fixture(scope="session")
def lab_ledger() -> Iterator[Ledger]:
    """The session's labs; its end fails if any of them left something."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    ledger = Ledger()
    yield ledger
    leaks = ledger.leaks()
    if leaks:
        pytest.fail("labs have left this behind:\n" + "\n".join(leaks), pytrace=False)


@pytest.fixture(scope="session")
def lab_cluster() -> Cluster | None:
    """The cluster of the shared lab; None for the default."""
    return None


@pytest.fixture(scope="session")
def lab_options() -> Options | None:
    """How the shared lab is started; None for the defaults."""
    return None


@pytest.fixture(scope="session")
def lab(lab_ledger: Ledger, lab_cluster: Cluster | None, lab_options: Options | None) -> Iterator[Lab]:
    """A running lab that the tests of this process share: leave it as you found it."""
    shared = _outside_the_loop(lab_ledger.start(lab_cluster, lab_options))
    yield shared
    _outside_the_loop(shared.down())
    lab_ledger.ended(shared)


@pytest.fixture
def fresh_lab(lab_ledger: Ledger) -> Iterator[FreshLab]:
    """Starts labs that end with the test."""
    started: list[Lab] = []

    async def start(cluster: Cluster | None = None, options: Options | None = None) -> Lab:
        new = await lab_ledger.start(cluster, options)
        started.append(new)
        return new

    yield start
    for each in started:
        _outside_the_loop(each.down())
        lab_ledger.ended(each)


def _outside_the_loop(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a thread, where the event loop of a test cannot be in its way."""
    run: Callable[[Coroutine[Any, Any, Result]], Result] = asyncio.run
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run, work).result()

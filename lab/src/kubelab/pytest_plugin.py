"""Labs for tests: one that a whole session shares, fresh ones for a single test, and proof that none leaves anything.

Fixtures:
- `lab`: a running lab, shared by all tests of a pytest process: under xdist each worker has its own. A project changes
  it by a fixture `lab_cluster` or `lab_options` of its own.
- `fresh_lab`: `lab = await fresh_lab(cluster=..., options=...)` starts a lab for one test only.

`requests(config)` has what service accounts asked the API servers of all these labs for: at the end of a session, also
of one that xdist has spread over workers, a project can hold its roles against it (`pytest_sessionfinish`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

if TYPE_CHECKING:
    from kubelab.askings import Asked
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
        self._logs: dict[str, int] = {}
        self.requests: set[Asked] = set()
        """What service accounts have asked the labs for that have ended."""

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
        # The log's name goes with the lab; what was opened before can be read to its end. Another API server has none.
        with contextlib.suppress(FileNotFoundError):
            self._logs[started.name] = os.open(started.layout.log("audit"), os.O_RDONLY | os.O_CLOEXEC)
        return started

    def leaks(self) -> list[str]:
        """What is left of all the labs; they should all be gone."""
        from kubelab import traces

        return [line for name, each in self._traces.items() for line in traces.left(each, self._ended_s.get(name))]

    def ended(self, lab: Lab) -> None:
        """A lab is down: what starts from now on is none of its."""
        from kubelab import traces

        self._ended_s[lab.name] = traces.now()
        self._read(lab.name)

    def close(self) -> None:
        """No lab runs any more."""
        for name in list(self._logs):
            self._read(name)

    def _read(self, name: str) -> None:
        from kubelab import askings

        log = self._logs.pop(name, None)
        if log is not None:
            with os.fdopen(log, "rb") as lines:
                self.requests |= askings.read(lines)


_REQUESTS: pytest.StashKey[set[Asked]] = pytest.StashKey()
_FOR_XDIST = "kubelab_requests"


def requests(config: pytest.Config) -> set[Asked]:
    """What service accounts have asked for in all labs of the session that have ended, those of xdist's workers too."""
    return config.stash.setdefault(_REQUESTS, set())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands over what it has seen."""
    handed_over = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        handed_over[_FOR_XDIST] = [tuple(each) for each in requests(session.config)]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended; one that died has handed over nothing."""
    from kubelab.askings import Asked

    seen = getattr(node, "workeroutput", {}).get(_FOR_XDIST, [])
    requests(node.config).update(Asked(*each) for each in seen)


@pytest.fixture(scope="session")
def lab_ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """The session's labs; its end fails if any of them left something."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    ledger = Ledger()
    yield ledger
    ledger.close()
    requests(request.config).update(ledger.requests)
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

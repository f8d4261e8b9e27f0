"""An API server to talk to: the one of `$KUBECONFIG`, else the lab's own, started by its command line."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kubelab.apiserver.standalone import Background
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials, Tls, find

STANDALONE = "kubelab.apiserver.standalone"


_PORTS = itertools.count()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Ports that nobody else takes: the kernel gives none of them by itself, and each process of a run has its own."""

    def find() -> int:
        while True:
            port = 10_000 + (os.getpid() % 200) * 100 + next(_PORTS) % 100
            try:
                with socket.create_server(("127.0.0.1", port)):
                    return port
            except OSError:
                continue

    return find


@dataclass
class ApiServer:
    """The lab's API server. Started again it has the same port, new certificates in the same files, and no objects."""

    folder: Path
    port: int = 0
    background: Background = field(init=False)

    def __post_init__(self) -> None:
        self.background = Background(self.folder)

    async def start(self) -> None:
        self.port = await asyncio.to_thread(self.background.start, self.port)

    async def stop(self) -> None:
        await asyncio.to_thread(self.background.stop)

    @property
    def credentials(self) -> Credentials:
        return find({}, kubeconfig=self.folder / "kubeconfig")

    @property
    def credentials_by_file(self) -> Credentials:
        """The same administrator, by files that are read again when they change."""
        folder = self.folder
        tls = Tls(ca_file=folder / "ca.crt", cert_file=folder / "admin.crt", key_file=folder / "admin.key")
        return Credentials(self.credentials.server, tls=tls)


@dataclass
class Process(ApiServer):
    """The same as a process, which can be killed."""

    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = (sys.executable, "-m", STANDALONE, "--dir", str(self.folder), "--port", str(self.port))
        self.process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while (line := (await self.process.stdout.readline()).decode()).strip() != "ready":
                assert line, "the API server ended before it was ready"
        self.port = int(self.credentials.server.rpartition(":")[2])

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.communicate()


@pytest.fixture
async def api_server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """The lab's API server, fresh for each test."""
    server = ApiServer(tmp_path)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def mortal_api_server(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[ApiServer]:
    """The same as a process; `stop` kills it."""
    server = Process(tmp_path, free_port())
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@pytest.fixture
def credentials(request: pytest.FixtureRequest) -> Credentials:
    """An administrator of the API server under test."""
    if "KUBECONFIG" in os.environ:
        return find(os.environ)
    server: ApiServer = request.getfixturevalue("api_server")
    return server.credentials


@pytest.fixture
async def client(credentials: Credentials) -> AsyncIterator[KubeClient]:
    async with KubeClient(credentials, agent="metallb-tests", field_manager="metallb-tests") as opened:
        yield opened

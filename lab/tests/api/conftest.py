"""The API server under test: the one that KUBECONFIG names, else an embedded one of our own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubelab.apiclient import ApiClient, ApiFailure, Resource

TOOLS = Path(__file__).parents[3] / ".tools"
BINARIES = {
    "kubectl-1.20": TOOLS / "kubectl-1.20" / "usr" / "bin" / "kubectl",
    "kubectl-1.35": TOOLS / "kubectl-1.35" / "kubectl",
}
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
ACCOUNTS = Resource("", "v1", "serviceaccounts", namespaced=True)
START_S = 20.0
_numbers = itertools.count()


@dataclass(frozen=True)
class Cluster:
    """Where the server is. `embedded` ones have no controllers."""

    kubeconfig: Path
    embedded: bool


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    named = os.environ.get("KUBECONFIG")
    if named:
        yield Cluster(Path(named), embedded=False)
        return
    folder = tmp_path_factory.mktemp("apiserver")
    command = [sys.executable, "-m", "kubelab.apiserver.standalone", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Cluster(folder / "kubeconfig", embedded=True)
        finally:
            process.terminate()
            assert process.wait(START_S) == 0


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[ApiClient]:
    async with ApiClient.from_kubeconfig(cluster.kubeconfig, user_agent="api-test") as found:
        yield found


@pytest.fixture
async def namespace(client: ApiClient) -> AsyncIterator[str]:
    name = f"api-test-{os.getpid()}-{next(_numbers)}"
    await client.create(NAMESPACES, {"metadata": {"name": name}})
    try:
        await client.create(ACCOUNTS, {"metadata": {"name": "default"}}, name)
    except ApiFailure as failure:
        # Where controllers run they make it.
        if not failure.already_exists:
            raise
    yield name
    await client.delete(NAMESPACES, name)


@dataclass(frozen=True)
class Kubectl:
    """One kubectl binary at the server under test."""

    binary: Path
    kubeconfig: Path
    home: Path

    def __call__(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """What a command prints on standard output; on failure both outputs are told."""
        done = subprocess.run(
            [str(self.binary), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home), "PATH": os.environ["PATH"]},
            check=False,
        )
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout if check else done.stdout + done.stderr


@pytest.fixture(params=sorted(BINARIES))
def kubectl(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Callable[..., str]:
    binary = BINARIES[request.param]
    if not binary.exists():
        pytest.skip(f"{binary} is not installed: make setup does it")
    return Kubectl(binary, cluster.kubeconfig, tmp_path)

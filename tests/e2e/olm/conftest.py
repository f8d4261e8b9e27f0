"""Labs in which OLM's double installs our bundle from our catalog."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from kubelab.cluster import Cluster, parse
from kubelab.lab import Lab
from kubelab.pytest_plugin import Ledger

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "lab" / "tests" / "vectors" / "olm"
WAIT_S = 100.0
NEXT = "9.9.9"
Object = dict[str, Any]


class Administrator:
    """Sits before a lab with OLM in it, and types."""

    def __init__(self, lab: Lab, version: str) -> None:
        self.lab = lab
        self.version = version

    async def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        return (await self.lab.kubectl(*argv, stdin=stdin)).stdout

    async def apply(self, *objects: Object) -> str:
        return await self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    async def serve(self, version: str) -> None:
        """The catalog of a version is offered under the walkthrough's name."""
        await self.apply(
            {
                "apiVersion": "operators.coreos.com/v1alpha1",
                "kind": "CatalogSource",
                "metadata": {"name": "redhat-operators", "namespace": "openshift-marketplace"},
                "spec": {"sourceType": "grpc", "image": f"metallb-py/operator-catalog:v{version}"},
            }
        )

    async def sees(self, expected: str, *argv: str, stdin: str | None = None) -> None:
        """Asks until the answer is the recorded one, but for ages, chance-made names and the version.

        A webhook that is not there for a moment, since its pod had to go elsewhere, is asked again as well.
        """
        said = ""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while True:
                    done = await self.lab.kubectl(*argv, stdin=stdin, check=False)
                    assert done.code == 0 or "failed calling webhook" in done.stderr, (argv, done.stderr)
                    said = done.stdout
                    if self.masked(said) == self.masked(expected):
                        return
                    await asyncio.sleep(0.2)
        assert self.masked(said) == self.masked(expected), argv

    def masked(self, text: str) -> list[list[str]]:
        """Words, line by line: widths follow from lengths."""
        for version in (self.version, "5.0.0"):
            text = text.replace(version, "VERSION")
        text = re.sub(r"install-\w{5}\b", "install-xxxxx", text)
        text = re.sub(r"\b(\d+m)?\d+s\b|\b\d+m\b(?=$)", "AGE", text, flags=re.MULTILINE)
        text = re.sub(r"^(\S+)-[0-9a-z]{6,10}-\w{5}\b|^(speaker)-\w{5}\b", r"\1\2-xxxxx", text, flags=re.MULTILINE)
        text = re.sub(r"\bv1\.\d+\.\d+\S*", "KUBERNETES", text)
        text = re.sub(r" from \S+ namespace$", "", text, flags=re.MULTILINE)
        return [line.split() for line in text.splitlines()]

    async def until(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(WAIT_S):
            while not (answer := await ask()):  # noqa: ASYNC110  # an administrator, too, asks again and again
                await asyncio.sleep(0.2)
        return answer


def recorded(name: str) -> list[Object]:
    """The commands of a recording with what the real OLM had answered."""
    lines = (json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines())
    return [line for line in lines if "argv" in line]


@pytest.fixture(scope="session")
def recordings() -> Callable[[str], list[Object]]:
    return recorded


@pytest.fixture(scope="session")
def version() -> str:
    """The newest that is packaged."""
    return str(yaml.safe_load((ROOT / "packaging" / "releases.yaml").read_text())[-1]["version"])


@pytest.fixture(scope="session")
def olm_cluster(tmp_path_factory: pytest.TempPathFactory, version: str) -> Cluster:
    """A control plane, two workers, our catalog, and one in which there is a next version."""
    following = tmp_path_factory.mktemp("next")
    command = [sys.executable, "-m", "scripts.olm", "--next", NEXT, "--into", str(following)]
    _run(command)
    images = {
        f"metallb-py/operator-catalog:v{version}": str(ROOT / "packaging" / "catalog"),
        f"metallb-py/operator-bundle:v{version}": str(ROOT / "packaging" / "bundle"),
        f"metallb-py/operator-catalog:v{NEXT}": str(following / "catalog"),
        f"metallb-py/operator-bundle:v{NEXT}": str(following / "bundle"),
    }
    nodes = [{"name": "control-1", "roles": ["control-plane"]}, {"name": "worker-1"}, {"name": "worker-2"}]
    return parse({"nodes": nodes, "olm": {"images": images}}, "test")


def _run(command: list[str]) -> None:
    import subprocess

    subprocess.run(command, cwd=ROOT, check=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def administrator(lab_ledger: Ledger, olm_cluster: Cluster, version: str) -> AsyncIterator[Administrator]:
    started = await lab_ledger.start(olm_cluster, None)
    made = Administrator(started, version)
    await made.serve(version)
    yield made
    await started.down()
    lab_ledger.ended(started)

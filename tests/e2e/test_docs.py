"""What the documentation says to do, is done: commands are run, objects applied (docs/README.md has the rules)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelab.lab import Lab
from kubelab.pytest_plugin import FreshLab

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-service.md"
LABS_OWN = {ROOT / "docs" / page for page in ("how-to/lab.md", "reference/lab.md", "how-to/lab-for-your-operator.md")}
BLOCK = re.compile(r"^```(sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KUBECONFIG = "/run/kubelab/lab/kubeconfig"
LAST = "curl -sf -m 2"
"""When the cluster has taken the dead node's pods out of the Service depends on how busy the machine is."""

STARTS, ENDS = "metallb lab up", "metallb lab down"
pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Block:
    """A block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Those that are to be tried, in order."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])


PAGES = [page for page in sorted(ROOT.glob("docs/*/*.md")) if page not in {TUTORIAL, *LABS_OWN} and any(blocks(page))]


def script(found: list[Block]) -> str:
    """One script of shell blocks; it says where it is."""
    return "".join(f"echo '## {block.place}'\n{block.text}" for block in found)


async def shell(lab: Lab, text: str, timeout_s: float) -> str:
    """Runs a script as a person at the host's shell would; gives all that was printed."""
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    text = re.sub(r"--timeout=\d+s", f"--timeout={timeout_s:.0f}s", text)  # a person at a quiet machine waits less
    environment = lab.kubectl_environment() | {"KUBELAB_NAME": lab.name, "PATH": path}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", text),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while piece := await process.stdout.read(4096):
                printed += piece
            code: int | str = await process.wait()
    except TimeoutError:
        code = f"not done within {timeout_s} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    said = printed.decode(errors="replace")
    if code != 0:
        pytest.fail(f"exit code: {code}; printed so far:\n{said[-3000:]}")
    return said


async def test_the_tutorial_leads_to_a_page_and_over_a_nodes_death(fresh_lab: FreshLab) -> None:
    text = script([block for block in blocks(TUTORIAL) if block.language == "sh"])
    for once in (STARTS, ENDS, KUBECONFIG):
        assert text.count(once) == 1, once
    lab = await fresh_lab()
    # The fixture starts and ends the lab, so that it ends with the tests whatever happens.
    text = text.replace(STARTS, "true").replace(ENDS, "true").replace(KUBECONFIG, str(lab.kubeconfig))
    assert text.count(LAST) == 1
    text = text.replace(LAST, f"{LAST} --retry 60 --retry-all-errors")
    said = await shell(lab, text, 300.0)
    assert 'Assigned IP ["198.51.100.100"]' in said
    assert " is cut off" in said
    codes = re.findall(r"\b(?:200|000)\b", said[said.index("docs/tutorial") :].split(" is cut off", 1)[1])
    assert codes[-10:].count("200") >= 5, "the client did not get over the node's death"


NOT_HERE = {"BFDProfile": "backend native can't do BFD"}
"""Kinds whose objects have no use under the lab's backend, and how that is said."""


@pytest.fixture(scope="module")
def web(installed: Any) -> Iterator[None]:
    """The Service that the pages speak of."""

    async def create() -> None:
        await installed.apply(installed.load_balancer("web", "web"))
        await installed.until(lambda: installed.addresses("web"), "an address of web")

    with ThreadPoolExecutor(1) as apart:  # the tests' event loops are not this fixture's
        apart.submit(asyncio.run, create()).result()
        yield
        apart.submit(asyncio.run, installed.kubectl("delete", "service", "web")).result()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
async def test_what_a_page_shows_works(cluster: Any, web: None, page: Path) -> None:
    made: list[dict[str, Any]] = []
    try:
        for block in blocks(page):
            if block.language == "sh":
                await shell(cluster.lab, script([block]), 300.0)
            else:
                made += await applied(cluster, block)
    finally:
        if made:
            await cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=yaml.safe_dump_all(reversed(made)))


def identity(found: dict[str, Any]) -> tuple[str, str, str]:
    metadata = found["metadata"]
    return found["kind"], metadata.get("namespace", "default"), metadata["name"]


async def there_are(cluster: Any, wanted: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Those of some objects that are there."""
    text = await cluster.kubectl("get", "-f", "-", "--ignore-not-found", "-o", "json", stdin=yaml.safe_dump_all(wanted))
    found = json.loads(text or '{"kind": "List", "items": []}')
    return {identity(each) for each in (found["items"] if found["kind"] == "List" else [found])}


async def applied(cluster: Any, block: Block) -> list[dict[str, Any]]:
    """Applies the objects of a block and gives those that are new; those that were there are tried by a dry run only.

    New Services of type LoadBalancer must get an address.
    """
    every = list(yaml.safe_load_all(block.text))
    for each in (one for one in every if one["kind"] in NOT_HERE):
        done = await cluster.lab.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(each), check=False)
        assert NOT_HERE[each["kind"]] in done.stderr, block.place
    here = [each for each in every if each["kind"] not in NOT_HERE]
    if not here:
        return []
    known = await there_are(cluster, here)
    if old := [each for each in here if identity(each) in known]:
        tried = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-")
        await cluster.kubectl(*tried, stdin=yaml.safe_dump_all(old))
    if new := [each for each in here if identity(each) not in known]:
        await cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(new))
    for each in new:
        if each["kind"] == "Service" and each["spec"].get("type") == "LoadBalancer":
            name, namespace = each["metadata"]["name"], each["metadata"]["namespace"]
            ask = lambda name=name, namespace=namespace: cluster.addresses(name, namespace)  # noqa: E731  # for one wait
            await cluster.until(ask, f"{block.place}: an address of {name}")
    return new

"""The example of the docs: somebody else's operator, written with kopf, in a lab."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kubelab.cluster import parse_text
from kubelab.faults import FaultError
from kubelab.lab import Lab
from kubelab.pytest_plugin import FreshLab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("whole")]

EXAMPLES = Path(__file__).parents[3] / "examples"
GREETING = """
apiVersion: example.org/v1
kind: Greeting
metadata: {name: first}
spec: {to: WHOM}
"""


async def greet(lab: Lab, whom: str) -> None:
    await lab.kubectl("apply", "-f", "-", stdin=GREETING.replace("WHOM", whom))
    async with asyncio.timeout(60):
        while f"Hello, {whom}!" not in (await lab.kubectl("get", "greetings", "first")).stdout:  # noqa: ASYNC110  # as a person would
            await asyncio.sleep(0.1)


async def forget_the_past(lab: Lab) -> None:
    """All watches end, and whoever resumes has to list again: of a real API server only a new one does that."""
    if lab.engine == "embedded":
        lab.end_watches("compact")
    else:
        with pytest.raises(FaultError, match="kill and start it"):
            lab.end_watches("compact")
        lab.kill("apiserver")
        await lab.start()


async def test_an_operator_written_with_kopf_does_its_work(fresh_lab: FreshLab) -> None:
    lab = await fresh_lab(parse_text((EXAMPLES / "cluster.yaml").read_text(), "cluster.yaml"))
    await lab.kubectl("create", "configmap", "greeter", f"--from-file={EXAMPLES / 'greeter.py'}")
    await lab.kubectl("apply", "-f", str(EXAMPLES / "greeter.yaml"))
    await lab.kubectl("rollout", "status", "deployment/greeter", "--timeout=30s")
    await greet(lab, "world")
    await greet(lab, "cluster")

    await forget_the_past(lab)  # what comes while it has to find its way again is not lost
    await greet(lab, "again")
    await lab.kubectl("delete", "greeting", "first", "--timeout=20s")

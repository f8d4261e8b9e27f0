"""Foreign hands on what the operator made, for minutes: all is put right, and comes to rest each time."""

from __future__ import annotations

import time

from tests.e2e.conftest import Cluster, prepare
from tests.e2e.test_operator_chaos import chaos
from tests.soak.result import Result, say

from kubelab.lab import Lab

ROUND_S = 60.0


async def run(minutes: float) -> Result:
    """Rounds of a minute, each with a rest after it that is looked at, too."""
    result, began = Result({"rounds": 0, "disturbed": 0, "writes": 0}), time.monotonic()
    async with Lab.running(name="soak-chaos") as lab:
        cluster = Cluster(lab)
        await prepare(cluster)
        while not result.problems and time.monotonic() - began < 60 * minutes:
            seed = result.figures["rounds"]
            try:
                found = await chaos(cluster, min(ROUND_S, 60 * minutes), seed)
            except AssertionError as error:
                result.want(False, f"round {seed}: {error}")
                break
            result.figures["rounds"] += 1
            for name, count in found.items():
                result.figures[name] += count
            say(f"chaos: round {seed}: {found}")
    return result

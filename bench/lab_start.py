"""How long a lab takes to start: until its API answers, and until all nodes are ready. Three runs, medians."""

from __future__ import annotations

import asyncio
import statistics
import time

from installation import report

from kubelab.lab import Lab
from kubelab.launch import Options

RUNS = 3


async def once(number: int) -> tuple[float, float]:
    """Seconds until the API answers, and until the lab is ready."""
    began = time.monotonic()
    steps: list[tuple[float, str]] = []
    options = Options(told=lambda message: steps.append((time.monotonic() - began, message)))
    async with Lab.running(name=f"bench-start-{number}", options=options):
        ready = time.monotonic() - began
    api = next((at for at, message in steps if "apiserver" in message), ready)
    return api, ready


async def main() -> None:
    runs = [await once(number) for number in range(RUNS)]
    api, ready = (statistics.median(figures) for figures in zip(*runs, strict=True))
    report("lab_start", api_ready_s=round(api, 2), lab_ready_s=round(ready, 2), runs=RUNS)


if __name__ == "__main__":
    asyncio.run(main())

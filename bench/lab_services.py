"""How a lab carries many Services: creating them until every node has their rules, and what watchers see."""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import time
from pathlib import Path
from typing import Any

from installation import report

from kubelab.apiclient import ApiClient, PatchKind, Resource
from kubelab.lab import Lab

SERVICES = Resource("", "v1", "services", namespaced=True)
SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", namespaced=True)
NODES = ("control-1", "worker-1", "worker-2", "worker-3")
AT_ONCE = 32
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "kubelab/web:1"}]}
"""


class Watcher:
    """Follows all Services, and knows when it has seen a name, and a change of one."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self.changed: asyncio.Queue[float] = asyncio.Queue()

    async def run(self, client: ApiClient, version: str) -> None:
        async for event in client.watch(SERVICES, "default", resource_version=version):
            now = time.monotonic()
            if event.kind == "ADDED":
                self.seen[event.object["metadata"]["name"]] = now
            elif event.kind == "MODIFIED":
                self.changed.put_nowait(now)


def service(number: int) -> dict[str, Any]:
    """One more of them."""
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"metadata": {"name": f"s{number}"}, "spec": spec}


async def create(client: ApiClient, count: int) -> tuple[dict[str, float], str]:
    """When each was answered, and the cluster address of the last."""
    done: dict[str, float] = {}
    numbers = iter(range(count))
    address = ""

    async def some() -> None:
        nonlocal address
        for number in numbers:
            made = await client.create(SERVICES, service(number), "default")
            done[f"s{number}"] = time.monotonic()
            address = made["spec"]["clusterIP"]

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())
    return done, address


async def until_slices(client: ApiClient, count: int) -> None:
    """Wait until every Service has its slice."""
    while await slices_of(client) < count:  # noqa: ASYNC110  # a figure, not a test
        await asyncio.sleep(0.2)


async def slices_of(client: ApiClient) -> int:
    """How many there are; the list itself would keep the server from its work."""
    page = await client.request("GET", SLICES.path("default"), params={"limit": "1"})
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount") or 0)


async def until_rules(lab: Lab, count: int) -> None:
    """Wait until every node has rules of every Service."""
    for node in NODES:
        while await rules_of(lab, node) < count:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.5)


async def rules_of(lab: Lab, node: str) -> int:
    """How many of the Services a node leads to endpoints."""
    listed = await lab.run(f"node/{node}", ["nft", "list", "map", "inet", "kubelab", "services4"])
    return len(set(re.findall(r"goto entry4/default/s\d+/", listed.stdout)))


async def quiet_ms(client: ApiClient, watcher: Watcher, changes: int) -> list[float]:
    """Milliseconds from sending a change to its being seen by a watcher, while nothing else goes on."""
    found = []
    for number in range(changes):
        while not watcher.changed.empty():
            watcher.changed.get_nowait()
        began = time.monotonic()
        patch = {"metadata": {"annotations": {"n": str(number)}}}
        await client.patch(SERVICES, "s0", patch, "default", kind=PatchKind.MERGE)
        found.append(1000 * (await watcher.changed.get() - began))
        await asyncio.sleep(0.005)
    return sorted(found)


async def measured(lab: Lab, count: int, watchers: int, changes: int) -> None:
    """Do all of it once, and print the figures."""
    async with ApiClient.from_kubeconfig(Path(lab.kubeconfig)) as client:
        await lab.kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
        await lab.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        before = await client.list(SERVICES, "default")
        others = await slices_of(client)
        eyes = [Watcher() for _ in range(watchers)]
        following = [asyncio.create_task(eye.run(client, before.resource_version)) for eye in eyes]
        await asyncio.sleep(1)
        began = time.monotonic()
        done, _ = await create(client, count)
        created = time.monotonic() - began
        while any(len(eye.seen) < count for eye in eyes):  # noqa: ASYNC110  # times are the watchers' own
            await asyncio.sleep(0.01)
        behind = max(eye.seen[name] - at for eye in eyes for name, at in done.items())
        await until_slices(client, count + others)
        await until_rules(lab, count)
        everywhere = time.monotonic() - began
        await asyncio.sleep(2)
        quiet = await quiet_ms(client, eyes[0], changes)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    report(
        "lab_services",
        services=count,
        watchers=watchers,
        created_s=round(created, 2),
        rules_everywhere_s=round(everywhere, 2),
        watchers_behind_s=round(behind, 3),
        quiet_ms={"median": round(statistics.median(quiet), 2), "p99": round(quiet[int(len(quiet) * 0.99)], 2)},
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=5000)
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--changes", type=int, default=500, help="how many are made when all is quiet")
    given = parser.parse_args()
    async with Lab.running(name="bench-services") as lab:
        await measured(lab, given.services, given.watchers, given.changes)


if __name__ == "__main__":
    asyncio.run(main())

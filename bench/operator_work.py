"""How soon the operator does its work: workloads after the resource, foreign hands undone; what it writes when idle."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

from installation import NAMESPACE, ROOT, memory_mib, report

from kubelab import changes
from kubelab.apiclient import ApiClient, WatchEvent
from kubelab.changes import first, has
from kubelab.lab import Lab
from kubelab.resource import PatchKind, Resource

USER = f"system:serviceaccount:{NAMESPACE}:manager-account"
QUIET_S = 20.0
METALLBS = Resource("metallb.io", "v1beta1", "metallbs", namespaced=True)
DAEMON_SETS = Resource("apps", "v1", "daemonsets", namespaced=True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", namespaced=True)
CONFIG_MAPS = Resource("", "v1", "configmaps", namespaced=True)
METALLB = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "MetalLB",
    "metadata": {"name": "metallb", "namespace": NAMESPACE},
}
EDITS: list[tuple[Resource, str, dict[str, Any]]] = [
    (DAEMON_SETS, "speaker", {"metadata": {"labels": {"app": "theirs"}}}),
    (DAEMON_SETS, "speaker", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 77}}}}),
    (DEPLOYMENTS, "controller", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 77}}}}),
    (CONFIG_MAPS, "metallb-excludel2", {"data": {"excludel2.yaml": "theirs"}}),
]
"""What foreign hands do; each of it is the operator's to undo."""


async def watch(client: ApiClient, resource: Resource, name: str) -> AsyncIterator[WatchEvent]:
    version = await client.version(resource, NAMESPACE)
    return client.watch(resource, NAMESPACE, resource_version=version, field_selector=f"metadata.name={name}")


async def applied_s(client: ApiClient) -> float:
    """From the resource's creation until both workloads are there."""
    watches = [await watch(client, DAEMON_SETS, "speaker"), await watch(client, DEPLOYMENTS, "controller")]
    began = time.monotonic()
    await client.create(METALLBS, METALLB, NAMESPACE)
    return max(await asyncio.gather(*(first(each, lambda change: change.kind == "ADDED") for each in watches))) - began


async def undone_s(client: ApiClient, resource: Resource, name: str, change: dict[str, Any]) -> tuple[float, float]:
    """From an edit, and from a deletion, until the object is as it should be."""
    seen = await watch(client, resource, name)
    await client.patch(resource, name, change, NAMESPACE, kind=PatchKind.MERGE)
    edited = await first(seen, lambda event: has(event.object, change))
    undone = await first(seen, lambda event: not has(event.object, change))
    await client.delete(resource, name, NAMESPACE)
    gone = await first(seen, lambda event: event.kind == "DELETED")
    back = await first(seen, lambda event: event.kind == "ADDED")
    return undone - edited, back - gone


async def written(lab: Lab) -> int:
    """How often the operator has written anything but its Lease and events."""
    rights = await lab.kubectl("get", "--raw", "/debug/rights")
    return changes.written(json.loads(rights.stdout), USER)


async def available(lab: Lab) -> None:
    await lab.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=90s")


def figures(seconds: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(seconds), 3), "max": round(max(seconds), 3)}


async def main(rounds: int) -> None:
    os.chdir(ROOT)
    async with Lab.running(name="bench-operator") as lab, ApiClient.from_kubeconfig(lab.kubeconfig) as client:
        await lab.kubectl("apply", "-k", "manifests")
        for each in ("metallb-operator-webhook-server", "metallb-operator-controller-manager"):
            await lab.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{each}", "--timeout=60s")
        applied = []
        for number in range(rounds):
            if number:
                await lab.kubectl("delete", "metallb", "-n", NAMESPACE, "metallb", "--timeout=60s")
                await lab.kubectl("wait", "-n", NAMESPACE, "--for=delete", "daemonset/speaker", "--timeout=60s")
            applied.append(await applied_s(client))
            await available(lab)
        edits, deletions = [], []
        for _ in range(rounds):
            for resource, name, change in EDITS:
                edited, deleted = await undone_s(client, resource, name, change)
                edits.append(edited)
                deletions.append(deleted)
                await available(lab)
        await asyncio.sleep(QUIET_S / 4)
        before = await written(lab)
        await asyncio.sleep(QUIET_S)
        report(
            "operator_work",
            applied_s=figures(applied),
            edit_undone_s=figures(edits),
            deletion_undone_s=figures(deletions),
            writes_when_idle=await written(lab) - before,
            idle_s=QUIET_S,
            rss_mib=memory_mib(lab)["operator"],
            rounds=rounds,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each is done")
    asyncio.run(main(parser.parse_args().rounds))

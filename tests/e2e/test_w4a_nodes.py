"""Walkthrough W4a: speakers run where the resource says, and only there addresses are announced."""

from __future__ import annotations

import json
from typing import Any

import pytest

NAMESPACE = "metallb-system"
WORKER = "node-role.kubernetes.io/worker"
pytestmark = pytest.mark.e2e


async def speaker_nodes(cluster: Any) -> set[str]:
    pods = await cluster.items("pods", NAMESPACE, "-l", "component=speaker")
    return {pod["spec"].get("nodeName", "") for pod in pods if "deletionTimestamp" not in pod["metadata"]}


async def patch(cluster: Any, spec: dict[str, Any]) -> None:
    """The operator does not tolerate the taint: until it runs elsewhere nobody checks MetalLB resources, none is taken."""
    change = json.dumps({"spec": spec})

    async def is_taken() -> bool:
        done = await cluster.lab.kubectl(
            "patch", "metallb", "-n", NAMESPACE, "metallb", "--type=merge", "-p", change, check=False
        )
        assert done.code == 0 or "failed calling webhook" in done.stderr
        return bool(done.code == 0)

    await cluster.until(is_taken, "a webhook that answers", 60.0)


async def test_speakers_follow_node_selector_and_tolerations(cluster: Any) -> None:
    workers = {node.name for node in cluster.lab.cluster.nodes if node.name.startswith("worker")}
    tainted = min(workers)
    spec = {
        "nodeSelector": {WORKER: ""},
        "speakerTolerations": [{"key": "Example", "operator": "Exists", "effect": "NoExecute"}],
    }
    await cluster.kubectl("taint", "nodes", tainted, "Example=:NoExecute")
    try:
        await patch(cluster, spec)

        async def only_workers() -> bool:
            return await speaker_nodes(cluster) == workers

        await cluster.until(only_workers, "speakers on the workers only, on the tainted one too", 40.0)
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/speaker", "--timeout=60s")
        table = await cluster.kubectl("get", "daemonset", "-n", NAMESPACE, "speaker")
        assert table.splitlines()[1].split()[6] == f"kubernetes.io/os=linux,{WORKER}="
        await cluster.apply(cluster.load_balancer("w4a", "web"))
        address = (await cluster.until(lambda: cluster.addresses("w4a"), "an address"))[0]
        await cluster.until(lambda: cluster.fetch(address), "an answer")
        assert await cluster.announcer(address) in workers
    finally:
        await cluster.kubectl("taint", "nodes", tainted, "Example:NoExecute-")
        await patch(cluster, {"nodeSelector": None, "speakerTolerations": None})
        await cluster.kubectl("delete", "service", "w4a", "--ignore-not-found")

    async def everywhere() -> bool:
        return await speaker_nodes(cluster) == {node.name for node in cluster.lab.cluster.nodes}

    await cluster.until(everywhere, "speakers on all nodes again", 40.0)
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")

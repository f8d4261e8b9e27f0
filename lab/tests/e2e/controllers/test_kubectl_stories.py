"""What real kubectls printed in front of a real cluster, said again by the same kubectls in front of ours.

`LAB_KUBECTL_SHOWS=1` prints how each text differs.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiclient import Resource

ROOT = Path(__file__).parents[4]
VECTORS = ROOT / "lab" / "tests" / "vectors" / "kubectl"
BINARIES = {
    "1.20": ROOT / ".tools" / "kubectl-1.20" / "usr" / "bin" / "kubectl",
    "1.35": ROOT / ".tools" / "kubectl-1.35" / "kubectl",
}
NODES = Resource("", "v1", "nodes", False)
PATIENCE_S = 60.0
LOOK_AGAIN_S = 0.1
READING = {"get", "describe", "explain", "logs", "api-resources", "api-versions", "version", "cluster-info"}

UNLIKE = {
    "kubectl explain metallb.spec": "our own kinds say it in other words",
    "kubectl get ns metallb-system": "whether a namespace that ends is still seen is a matter of moments",
}
"""Commands that are said but not compared, and why."""

MASKS = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000)", "<time>"),
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "<time>"),
    (r"https?://(SERVER|127\.0\.0\.1:\d+)", "<server>"),
    (r"/tmp/\S*?(LIVE|MERGED)-\d+", r"\1"),
    (r"\b(10\.96|198\.18)\.\d+\.\d+", "<address>"),
    (r"(203\.0\.113\.10|127\.0\.0\.1)(:\d+)?", "<advertised>"),
    (r"\b80:3\d{4}/|\b81:3\d{4}/|\b3\d{4}/TCP", "<port>/"),
    (r'("?nodePort"?: )3\d{4}', r"\1<port>"),
    (r'([Rr]esource ?[Vv]ersion[\\"]*: *[\\"]*)\d+', r"\1<version>"),
    (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-<chosen>"),
    (r"\b(controller|demo)-[a-z0-9]{8,10}(-[a-z0-9]{5}\b)?", r"\1-<chosen>"),
    (r"\b(speaker|web)-[a-z0-9]{5}\b", r"\1-<chosen>"),
    (r"pod-template-hash=[a-z0-9]+", "pod-template-hash=<chosen>"),
    (r"(?<![\w.])(\d+[smhd])+(?![\w.])|<invalid>", "<age>"),
    (r"<age> \(x\d+ over <age>\)", "<age>"),
    (r"\x1b\[[0-9;]*m", ""),
    (r"(?m)^@@ -\d+,\d+ \+\d+,\d+ @@$", "@@"),
    (r"(?m)^.*frrk8s\.metallb\.io.*\n", ""),
    (r"(?m)^kubernetes +IPv4 +\d+ ", "kubernetes IPv4 <port> "),
    (r" +ConfigMapName: +openshift-service-ca.crt\n +(ConfigMap)?Optional: .*\n", ""),
    (r"-{2,}", "--"),
    (r"[ \t]+", " "),
    (r" +\n", "\n"),
)


@dataclass
class Kubectl:
    """One binary at the cluster under test."""

    binary: Path
    kubeconfig: Path
    home: Path

    async def __call__(self, line: dict[str, Any]) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            str(self.binary),
            *line["argv"][1:],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"KUBECONFIG": str(self.kubeconfig), "HOME": str(self.home), "PATH": os.environ["PATH"]},
        )
        out, err = await asyncio.wait_for(process.communicate((line.get("stdin") or "").encode()), 60)
        assert process.returncode is not None
        return process.returncode, masked(out.decode()) + "\n" + masked(err.decode())


def masked(text: str) -> str:
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return "\n".join(sorted(text.strip().splitlines()))


def difference(wanted: str, found: str) -> str:
    lines = difflib.unified_diff(wanted.splitlines(), found.splitlines(), "recorded", "here", lineterm="", n=0)
    return "\n".join(lines)


async def told(kubectl: Kubectl, line: dict[str, Any]) -> str:
    """How a command's outcome differs from the recorded one; a reader looks again until controllers are done."""
    loop = asyncio.get_running_loop()
    wanted = masked(line["stdout"]) + "\n" + masked(line["stderr"])
    end = loop.time() + (PATIENCE_S if line["argv"][1] in READING else 0)
    while True:
        status, found = await kubectl(line)
        wrong = difference(wanted, found)
        if status != line["exit"]:
            wrong = f"exit {status} instead of {line['exit']}\n{wrong}"
        if not wrong or loop.time() > end:
            return wrong
        await asyncio.sleep(LOOK_AGAIN_S)


async def prepare(cluster: Any, kubectl: Kubectl) -> None:
    """A cluster as the recorded one: MetalLB's kinds, and a node that says nothing about itself."""
    argv = ["kubectl", "apply", "--server-side", "-f", str(ROOT / "manifests" / "crds")]
    status, text = await kubectl({"argv": argv})
    assert status == 0, text
    labels = {"node-role.kubernetes.io/worker": "", "kubernetes.io/os": "linux"}
    await cluster.client.create(NODES, {"metadata": {"name": "n1", "labels": labels}})


@pytest.mark.parametrize("version", sorted(BINARIES))
async def test_kubectl_says_what_it_said_of_a_real_cluster(cluster: Any, tmp_path: Path, version: str) -> None:
    if not BINARIES[version].exists():
        pytest.skip(f"kubectl {version} is not installed: make setup does it")
    kubectl = Kubectl(BINARIES[version], tmp_path / "kubeconfig", tmp_path / "home")
    await prepare(cluster, kubectl)
    wrong = []
    for text in (VECTORS / f"kubectl-{version}.jsonl").read_text().splitlines():
        line = json.loads(text)
        command = " ".join(line["argv"])
        found = await told(kubectl, line)
        if found and command not in UNLIKE:
            wrong.append(f"### {command}\n{found}")
    assert not wrong, f"{len(wrong)} are not as recorded:\n" + "\n".join(wrong)

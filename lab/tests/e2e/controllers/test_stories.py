"""Two recorded stories told again to the lab's API server and controllers: every exchange, and what is not as recorded.

A failing test prints the first difference of each exchange that is not as recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiclient import ApiClient, ApiFailure, Resource
from kubelab.conformance.running import differences

VECTORS = Path(__file__).parents[2] / "vectors" / "apiserver"
PODS = Resource("", "v1", "pods", True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", True)
PATIENCE_S = 60.0
SHOWN = 800
"""Characters of a difference."""
LOOK_AGAIN_S = 0.05

MOMENT = "an answer from the midst of what a controller does in several steps"
UNLIKE: dict[str, dict[str, str]] = {
    "deletion": {},
    "workloads": {
        "node status n1": MOMENT,
        "node status n2": MOMENT,
        "node status n3": MOMENT,
        "daemonset table": "the real server leaves this one annotation out of tables",
    },
}
"""Exchanges that are told but not compared, and why."""

MASKS = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"10\.96\.\d+\.\d+|198\.18\.\d+\.\d+", "<address>"),
    (r"kube-api-access-[a-z0-9]{5}", "kube-api-access-<chosen>"),
    (r"default-scheduler-.*", "default-scheduler-<host>"),
    (r"-----BEGIN.*-----END CERTIFICATE-----\s*", "<certificates>"),
    (r":3\d{4}/", ":<port>/"),
    (r"\.[0-9a-f]{16}\b", ".<serial>"),
)
CHOSEN = {"nodePort", "resourceVersion", "uid", "time", "generation", "observedGeneration"}
REPLICA_SET = re.compile(r'[Rr]eplica ?[Ss]et "[a-z]+-([a-z0-9]+)"')
SUFFIX = re.compile(r"-[a-z0-9]{5,10}\b|\.[0-9a-f]{16}\b")
IMAGE = re.compile(r'"image": "([^"]+)"')
AGE = re.compile(r"(\d+[smhdy])+|<unknown>")


@dataclass
class Told:
    """A story as far as it was told: what the recorded names are called here, and what differed."""

    client: ApiClient
    names: dict[str, str] = field(default_factory=dict)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    async def tell(self, line: dict[str, Any], *, compare: bool) -> None:
        loop = asyncio.get_running_loop()
        await self.meet(line)
        end = loop.time() + (PATIENCE_S if line["method"] == "GET" and compare else 0)
        while True:
            status, answer = await self.ask(line)
            self.learn(line["response"], answer)
            wrong = self.difference(line, status, answer) if compare else ""
            if not wrong or loop.time() > end:
                break
            await asyncio.sleep(LOOK_AGAIN_S)  # controllers take their time: a reader looks again
        if wrong:
            self.wrong.append((line["name"], wrong))

    async def meet(self, line: dict[str, Any]) -> None:
        """Wait for the pod here that stands for the one a recorded request is about, if it has not been met yet."""
        pod = line["response"] if isinstance(line["response"], dict) else {}
        meta = pod.get("metadata") or {}
        if line["method"] == "GET" or not meta.get("generateName") or meta["name"] in self.names:
            return
        base, node = self.here(meta["generateName"]), pod["spec"].get("nodeName")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for one in (await self.client.list(PODS, meta["namespace"])).items:
                    theirs = one["metadata"]
                    fits = theirs.get("generateName") == base and one["spec"].get("nodeName") == node
                    if fits and theirs["name"] not in self.names.values():
                        self.names[meta["name"]] = theirs["name"]
                        return
                await asyncio.sleep(LOOK_AGAIN_S)

    async def ask(self, line: dict[str, Any]) -> tuple[int, Any]:
        body, content_type = line.get("body"), line["headers"].get("Content-Type", "application/json")
        path = self.here(line["path"])
        accept = line["headers"].get("Accept", "application/json")
        try:
            answer = await self.client.request(
                line["method"],
                path,
                body=None if body is None else json.loads(self.here(json.dumps(body))),
                content_type=content_type,
                accept=accept,
            )
        except ApiFailure as failure:
            return failure.code, failure.message
        return 200, answer

    def here(self, text: str) -> str:
        """A recorded text with the names that things have here."""
        for recorded in sorted(self.names, key=len, reverse=True):
            text = text.replace(recorded, self.names[recorded])
        return text

    def difference(self, line: dict[str, Any], status: int, answer: Any) -> str:
        wanted = line["response"]
        if isinstance(wanted, str):
            return ""
        if line["status"] >= 400:
            message = masked(self.here(wanted["message"]))
            if (status, masked(answer)) != (line["status"], message):
                return f"{status} {answer!r} instead of {line['status']} {message!r}"
            return ""
        if status != 200:
            return f"{status} {answer!r} instead of {line['status']}"
        recorded = ordered(masked(json.loads(self.here(json.dumps(wanted)))))
        return next(differences(recorded, ordered(masked(answer))), "")[:SHOWN]

    def learn(self, wanted: Any, answer: Any) -> None:
        """Note what generated names, hashes and uids are called here."""
        if isinstance(wanted, dict) and isinstance(answer, dict):
            self._learn_object(wanted, answer)
            for name in wanted.keys() & answer.keys():
                self.learn(wanted[name], answer[name])
        elif isinstance(wanted, str) and isinstance(answer, str):
            one, other = REPLICA_SET.search(wanted), REPLICA_SET.search(answer)
            if one and other:
                self.names[one[1]] = other[1]
        elif isinstance(wanted, list) and isinstance(answer, list):
            for one, other in zip(sorted(wanted, key=place), sorted(answer, key=place), strict=False):
                self.learn(one, other)

    def _learn_object(self, wanted: dict[str, Any], answer: dict[str, Any]) -> None:
        for label in ("pod-template-hash", "controller-revision-hash"):
            one, other = wanted.get(label), answer.get(label)
            if isinstance(one, str) and isinstance(other, str):
                self.names[one] = other
        if isinstance(wanted.get("uid"), str) and wanted["uid"] and isinstance(answer.get("uid"), str):
            self.names[wanted["uid"]] = answer["uid"]
        if wanted.get("generateName") and self.here(wanted["generateName"]) == answer.get("generateName"):
            self.names[wanted["name"]] = answer["name"]


def place(item: Any) -> str:
    """What an item of a list is put in order by: nothing that is chosen by chance."""
    if not isinstance(item, dict):
        return ""
    meta = item.get("metadata") or (item.get("object") or {}).get("metadata") or {}
    if "involvedObject" in item:
        return f"{item['involvedObject']['kind']} {item['reason']} {SUFFIX.sub('', item['message'])}"
    labels, spec = meta.get("labels") or {}, item.get("spec") or {}
    name = (
        labels.get("app", "") if "pod-template-hash" in labels else meta.get("generateName") or meta.get("name") or ""
    )
    images = IMAGE.findall(json.dumps(item))
    cells = [cell for cell in (item.get("cells") or [])[1:] if not AGE.fullmatch(str(cell))]
    return f"{SUFFIX.sub('', name)} {images[:1]} {spec.get('nodeName', '')} {[SUFFIX.sub('', str(cell)) for cell in cells]}"


def ordered(value: Any) -> Any:
    """Lists of objects in an order that does not depend on chance."""
    if isinstance(value, dict):
        return {name: in_order_of_addresses(ordered(part)) for name, part in value.items()}
    if isinstance(value, list):
        parts = [ordered(part) for part in value]
        whole = bool(parts) and isinstance(parts[0], dict) and ("metadata" in parts[0] or "cells" in parts[0])
        return sorted(parts, key=lambda part: (place(part), json.dumps(part, sort_keys=True))) if whole else parts
    return value


def in_order_of_addresses(value: Any) -> Any:
    """Endpoints of a slice stand in no order."""
    if isinstance(value, list) and all(isinstance(each, dict) and "addresses" in each for each in value):
        return sorted(value, key=lambda each: [str(address) for address in each["addresses"]])
    return value


def is_foreign(item: Any) -> bool:
    """Whether an item is there because the recorded server is OpenShift's."""
    if not isinstance(item, dict):
        return False
    places = (item.get("configMap"), item.get("metadata"), item.get("involvedObject"), item.get("object"))
    names = [str((part.get("metadata") or part).get("name")) for part in places if isinstance(part, dict)]
    return any(name.startswith("openshift") for name in names)


def masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        if value.get("generateName"):
            value = value | {"name": "<chosen>"}
        return {mask_text(key): masked(part, key) for key, part in value.items() if key != "managedFields"}
    if isinstance(value, list):
        return [masked(part, name) for part in value if not is_foreign(part)]
    if name in CHOSEN and value:
        return "<chosen>"
    if name == "cells" and isinstance(value, str) and AGE.fullmatch(value):
        return "<age>"
    return mask_text(value) if isinstance(value, str) else value


def mask_text(text: str) -> str:
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text, flags=re.DOTALL)
    return text


async def keep_alive(client: ApiClient, living: set[str]) -> None:
    """Renew the nodes' leases, as kubelets would."""
    count = 0
    while True:
        count += 1
        for name in sorted(living):
            spec = {"holderIdentity": name, "renewTime": f"2026-11-23T22:30:00.{count:06}Z"}
            meta = {"name": name, "namespace": "kube-node-lease"}
            made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
            try:
                await client.patch(LEASES, name, {"spec": spec}, "kube-node-lease")
            except ApiFailure:
                with contextlib.suppress(ApiFailure):
                    await client.create(LEASES, made)
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(("story", "servers"), [("deletion", ""), ("workloads", "lose nodes")], indirect=["servers"])
async def test_a_recorded_story_goes_the_same_way(cluster: Any, story: str) -> None:
    lines = [json.loads(line) for line in (VECTORS / f"{story}.jsonl").read_text().splitlines()]
    told = Told(cluster.client)
    living = {"n1", "n2", "n3"} if story == "workloads" else set()
    kubelets = asyncio.create_task(keep_alive(cluster.client, living))
    try:
        for line in lines:
            if line["name"] == "node n1 lost":
                living.discard("n1")
            await told.tell(line, compare=line["name"] not in UNLIKE[story])
    finally:
        kubelets.cancel()
        await asyncio.gather(kubelets, return_exceptions=True)
    text = "\n".join(f"{name}: {difference}" for name, difference in told.wrong)
    assert not told.wrong, f"{len(told.wrong)} of {len(lines)} are not as recorded:\n{text}"

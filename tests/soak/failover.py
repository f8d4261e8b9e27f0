"""A tenth of all packets lost and every processor busy, for minutes: no address moves, and none has two nodes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.e2e.conftest import NAMESPACE, Cluster, prepare
from tests.soak.result import Result, say

from kubelab.faults import Direction
from kubelab.lab import Lab
from kubelab.witness import Record

LOSS: Final = 0.1
ASKS_S: Final = 0.02
PROBES_S: Final = 0.25
PATIENCE_S: Final = 10.0
"""How long a request may take: TCP sends its first packet again after 1, 3 and 7 s."""

SILENCE_S: Final = 1.0
"""Longest time without an answer. A fifth of the questions have none, so 50 in a row by chance never happen."""

DOUBLE_S: Final = 0.1
FAILED_SHARE: Final = 0.03
"""Four attempts, each over two lossy hops each way, fail together in 1.4 % of the cases."""

SERVICES: Final = {"lossy0": "IPv4", "lossy1": "IPv4", "lossy2": "IPv4", "lossy3": "IPv4", "lossy6": "IPv6"}
TELLING: Final = ("serviceAnnounced", "serviceWithdrawn", "standstill")
CLIENT: Final = {"IPv4": "198.51.100.200", "IPv6": "2001:db8:100::200"}
BURN: Final = "import hashlib\nwhile True: hashlib.sha256(bytes(1 << 16)).digest()"


async def run(minutes: float) -> Result:
    """One lab with MetalLB."""
    result = Result({"loss": LOSS, "addresses": len(SERVICES)})
    async with Lab.running(name="soak-failover") as lab:
        cluster = Cluster(lab)
        await prepare(cluster)
        addresses = await served(cluster)
        before = await moves(cluster)
        async with burning(), losing(lab):
            witnesses = {name: await witness(lab, name, address, minutes) for name, address in addresses.items()}
            probing = await probe(lab, addresses["lossy0"], minutes)
            began = time.monotonic()
            while time.monotonic() - began < 60 * minutes:
                await asyncio.sleep(min(15.0, 60 * minutes))
                say(f"failover: {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}")
            summary = json.loads((await probing.communicate())[0].splitlines()[-1])
            records = {name: Record.parse((await each.communicate())[0]) for name, each in witnesses.items()}
        judge(result, records, summary)
        after = await moves(cluster)
        result.figures["moves_logged"] = len(after) - len(before)
        result.want(after == before, f"speakers say that they took or gave addresses: {after[len(before) :][:6]}")
    return result


def judge(result: Result, records: dict[str, Record], summary: dict[str, Any]) -> None:
    """What clients saw."""
    answered = asked = 0
    for name, record in records.items():
        macs = [each.mac for each in record.answers if each.asked]
        changes = sum(earlier != later for earlier, later in itertools.pairwise(macs))
        gap_s, double_s = record.longest_gap_s(), record.longest_double_s()
        answered, asked = answered + len(macs), asked + record.asked
        result.want(bool(macs), f"{name}: nobody ever answered")
        result.want(not changes, f"{name}: its owner changed {changes} times")
        result.want(double_s <= DOUBLE_S, f"{name}: two nodes answered for {double_s} s")
        result.want(gap_s <= SILENCE_S, f"{name}: {gap_s} s without an answer")
        result.figures["longest_gap_s"] = max(gap_s, result.figures.get("longest_gap_s", 0.0))
    result.figures |= {"asked": asked, "answered": answered, "requests": summary["sent"], "failed": summary["failed"]}
    share = summary["failed"] / max(1, summary["sent"])
    result.want(share <= FAILED_SHARE, f"{share:.1%} of the client's requests failed: more than the loss explains")


async def served(cluster: Cluster) -> dict[str, str]:
    """Services that are announced, by name their address."""
    for name, family in SERVICES.items():
        spec = {"ipFamilies": [family], "ipFamilyPolicy": "SingleStack"}
        await cluster.apply(cluster.load_balancer(name, "web", **spec))
    found = {}
    for name in SERVICES:
        (found[name],) = await cluster.until(lambda name=name: cluster.addresses(name), "an address")  # type: ignore[misc]
        await cluster.until(lambda name=name: cluster.fetch(found[name]), "an answer")  # type: ignore[misc]
    return found


async def moves(cluster: Cluster) -> list[str]:
    """Which speaker began or ceased to announce what, since it started."""
    found: list[str] = []
    for pod in await cluster.items("pods", NAMESPACE, "-l", "component=speaker"):
        log = await cluster.kubectl("logs", "-n", NAMESPACE, pod["metadata"]["name"])
        told = [line for line in log.splitlines() if any(f'"event":"{each}"' in line for each in TELLING)]
        found += [f"{pod['spec']['nodeName']}: {line}" for line in told]
    return sorted(found, key=lambda line: line.partition('"ts":')[2])


async def witness(lab: Lab, name: str, address: str, minutes: float) -> Any:
    argv = [sys.executable, "-m", "kubelab.witness", "--interval", str(ASKS_S), "--seconds", str(60 * minutes)]
    return await lab.popen("client", [*argv, "eth0", CLIENT[SERVICES[name]], address])


async def probe(lab: Lab, address: str, minutes: float) -> Any:
    argv = [sys.executable, "-m", "kubelab.probe", "--interval", str(PROBES_S), "--seconds", str(60 * minutes)]
    return await lab.popen("client", [*argv, "--timeout", str(PATIENCE_S), f"http://{address}/"])


@asynccontextmanager
async def losing(lab: Lab) -> AsyncIterator[None]:
    """Each packet is lost with this chance, once on its way."""
    machines = [host.name for host in lab.plan.hosts]
    for machine in machines:
        lab.drop(machine, LOSS, Direction.FROM)
    try:
        yield
    finally:
        for machine in machines:
            lab.drop(machine, 0.0)


@asynccontextmanager
async def burning() -> AsyncIterator[None]:
    """As many programs that only calculate as there are processors."""
    count = os.cpu_count() or 1
    programs = [await asyncio.create_subprocess_exec(sys.executable, "-c", BURN) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            await program.wait()

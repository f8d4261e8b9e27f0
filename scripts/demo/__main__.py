"""Runs the demo: `python -m scripts.demo [--keep] [--name NAME]`. Exit code 0 only if every step was verified."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from kubelab.lab import CommandError, Lab
from kubelab.launch import Options, StartError
from kubelab.preflight import PreflightError
from kubelab.state import LabRunsError

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NAMESPACE = "metallb-system"
LONGEST_GAP_S = 2.0
PROXIES_KNOW_S = 5.0
"""So long after a node's death the proxies may still send connections to its pods."""

PROBE_S = 20.0
CUT_AFTER_S = 4.0


class StepError(Exception):
    """A step did not come out as it must."""


class Story:
    """Prints what is done and what came of it."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def step(self, title: str) -> None:
        """A new chapter."""
        print(f"\n\033[1m[{time.monotonic() - self._began:5.1f} s] {title}\033[0m", flush=True)

    def say(self, text: str) -> None:
        """A line of it."""
        print(f"    {text}", flush=True)


class Demo:
    """The steps, in order; each verifies what it shows."""

    def __init__(self, lab: Lab, story: Story) -> None:
        self._lab = lab
        self._story = story

    async def kubectl(self, *args: str, show: bool = True) -> str:
        """Runs kubectl and shows command and output as a person would see them."""
        done = await self._lab.kubectl(*args)
        if show:
            self._story.say(f"\033[36m$ kubectl {' '.join(args)}\033[0m")
            for line in done.stdout.rstrip().splitlines():
                self._story.say(line)
        return done.stdout

    async def install(self) -> None:
        """The operator, from the manifests that a user would apply."""
        await self.kubectl("apply", "-k", "manifests")
        for deployment in ("controller-manager", "webhook-server"):
            await self.kubectl(
                "rollout", "status", "-n", NAMESPACE, f"deployment/metallb-operator-{deployment}", "--timeout=30s"
            )

    async def start_metallb(self) -> None:
        """One resource, and MetalLB runs."""
        await self.kubectl("apply", "-f", "scripts/demo/metallb.yaml")
        await self.kubectl(
            "wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=30s", show=False
        )
        table = await self.kubectl("get", "deployment", "-n", NAMESPACE, "controller")
        _require(table.splitlines()[1].split()[1] == "1/1", "the controller is not 1/1")
        table = await self.kubectl("get", "daemonset", "-n", NAMESPACE, "speaker")
        nodes = len(self._lab.cluster.nodes)
        counts = table.splitlines()[1].split()[1:4]
        _require(counts == [str(nodes)] * 3, f"the speaker does not run on each of the {nodes} nodes")
        _require("kubernetes.io/os=linux" in table, "the speaker's node selector is not kubernetes.io/os=linux")

    async def serve(self) -> str:
        """Addresses, a web server on two nodes, and a Service that gets one of the addresses."""
        await self.kubectl("apply", "-f", "scripts/demo/addresses.yaml")
        await self.kubectl("apply", "-f", "scripts/demo/web.yaml")
        await self.kubectl("rollout", "status", "deployment/web", "--timeout=30s", show=False)
        await self.kubectl("get", "pods", "-l", "app=web", "-o", "wide")
        address = await self._until(self._address, "the Service gets no address")
        await self.kubectl("get", "service", "web")
        return address

    async def fetch(self, address: str) -> str:
        """A client outside the cluster fetches a page; gives the node that announces the address."""
        page = await self._until(lambda: self._page(address), "the client gets no page")
        self._story.say(
            f"\033[36m$ curl http://{address}/\033[0m        (on the machine `client`, no part of the cluster)"
        )
        self._story.say(page.strip())
        node = await self._until(lambda: self._announcer(address), "no node's address is in the client's ARP table")
        self._story.say(f"{address} is announced by {node}: the client's ARP table has its Ethernet address")
        return node

    async def survive(self, address: str, node: str) -> None:
        """The announcing node's link is cut while the client goes on asking."""
        argv = [
            sys.executable,
            "-m",
            "kubelab.probe",
            "--interval",
            "0.05",
            "--seconds",
            str(PROBE_S),
            f"http://{address}/",
        ]
        self._story.say(f"the client sends a request each 50 ms, on new connections, for {PROBE_S:.0f} s")
        probe = await self._lab.popen("client", argv)
        await asyncio.sleep(CUT_AFTER_S)
        self._lab.cut(node)
        self._story.say(f"after {CUT_AFTER_S:.0f} s the link of {node} is cut")
        out, err = await probe.communicate()
        _require(bool(out), f"the client's requests did not run: {err.decode()[-300:]}")
        summary = json.loads(out.splitlines()[-1])
        first, last = summary["first_failure_s"], summary["last_failure_s"]
        self._story.say(f"{summary['sent']} requests, {summary['answered']} answered, {summary['failed']} failed")
        if first is None:
            self._story.say("no request failed")
        else:
            self._story.say(f"first failure after {first:.2f} s, last after {last:.2f} s")
        gap, began = summary["longest_gap_s"], summary["gap_began_s"]
        self._story.say(f"longest time without an answer: {gap:.2f} s")
        _require(gap <= LONGEST_GAP_S, f"the gap is longer than {LONGEST_GAP_S} s")
        self._story.say("what failed after that went to a pod of the dead node: the cluster takes its time to see it")
        _require(last is None or last <= began + PROXIES_KNOW_S, "requests failed long after the node's death")
        node_now = await self._until(lambda: self._announcer(address), "nobody announces the address")
        _require(node_now != node, f"{node} is dead and still announces")
        self._story.say(f"{address} is announced by {node_now} now")
        await self.kubectl("get", "nodes")

    async def _address(self) -> str:
        path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
        return (await self._lab.kubectl("get", "service", "web", "-o", path)).stdout.strip()

    async def _page(self, address: str) -> str:
        done = await self._lab.run("client", ["curl", "-sf", "--max-time", "1", f"http://{address}/"], check=False)
        return done.stdout if done.code == 0 else ""

    async def _announcer(self, address: str) -> str:
        neighbour = await self._lab.run("client", ["ip", "-o", "neigh", "show", address])
        for node in self._lab.cluster.nodes:
            link = await self._lab.run(f"node/{node.name}", ["cat", "/sys/class/net/eth0/address"])
            if link.stdout.strip() and link.stdout.strip() in neighbour.stdout:
                return node.name
        return ""

    async def _until(self, ask: Callable[[], Awaitable[str]], problem: str, timeout_s: float = 20.0) -> str:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = await ask()
            if answer:
                return answer
            await asyncio.sleep(0.2)
        raise StepError(problem)


def _require(true: bool, problem: str) -> None:  # noqa: FBT001  # an assertion that stays
    if not true:
        raise StepError(problem)


async def tell(name: str, *, keep: bool) -> None:
    """The whole story; the lab is taken down at its end, however it ends, unless it is to be kept."""
    story = Story()
    story.step("A cluster in a box: 1 control node, 3 workers, 1 client, on one layer-2 network")
    began = time.monotonic()
    lab = await Lab.up(name=name, options=Options(lifeline=not keep, told=story.say))
    story.say(f"up after {time.monotonic() - began:.1f} s")
    demo = Demo(lab, story)
    try:
        await demo.kubectl("get", "nodes", "-o", "wide")
        story.step("The operator is installed")
        await demo.install()
        story.step("One MetalLB resource: the operator starts controller and speakers")
        await demo.start_metallb()
        story.step("Addresses, a web server on two nodes, a Service of type LoadBalancer")
        address = await demo.serve()
        story.step("A client outside the cluster fetches a page")
        node = await demo.fetch(address)
        story.step("The announcing node dies, the client goes on")
        await demo.survive(address, node)
        story.step("Everything was as it should be")
    finally:
        if keep:
            story.say(f"the lab goes on: .venv/bin/metallb lab status --name {name}")
            story.say(f"    .venv/bin/metallb lab kubectl --name {name} -- get pods -A")
            story.say(f"    .venv/bin/metallb lab run --name {name} client -- curl -s http://ADDRESS/")
            story.say(f"    .venv/bin/metallb lab down --name {name}")
        else:
            await lab.down()
            story.say("the lab is down")


def main() -> int:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the lab running")
    parser.add_argument("--name", default="demo", help="the lab's name")
    given = parser.parse_args()
    os.chdir(ROOT)
    try:
        asyncio.run(tell(given.name, keep=given.keep))
    except (StepError, CommandError, StartError, PreflightError, LabRunsError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

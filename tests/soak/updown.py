"""Labs that go up and down, one after the other, some by a kill: the machine is as it was before."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.soak.result import Result, say

from kubelab import state, traces
from kubelab.lab import Lab

ROUNDS: Final = 20
KILLED_EVERY: Final = 5
"""Of so many labs one ends by the death of its first process."""

REST_S: Final = 10.0
"""How long the kernel may take to clear up after the last one."""

Machine = dict[str, list[str]]


async def run(minutes: float) -> Result:
    """Twenty labs, or as many as the time allows, at least two."""
    result, began = Result({"rounds": 0}), time.monotonic()
    before = machine()
    up_s, down_s = [], []
    for number in range(ROUNDS):
        if number > 1 and time.monotonic() - began > 60 * minutes:
            break
        links, started = traces.host_links(), time.monotonic()
        lab = await Lab.up(name="soak-updown")
        ready = time.monotonic()
        known = traces.of(lab, links)
        await use(lab)
        ending, killed = time.monotonic(), number % KILLED_EVERY == KILLED_EVERY - 1
        if killed:
            os.kill(lab.record.pid, signal.SIGKILL)
        await lab.down()
        left = traces.left(known)
        result.want(not left, f"lab {number}{' (killed)' if killed else ''} left: {left[:5]}")
        up_s.append(ready - started)
        down_s.append(time.monotonic() - ending)
        result.figures["rounds"] += 1
        say(f"updown: lab {number}: up in {up_s[-1]:.1f} s, down in {down_s[-1]:.1f} s")
    result.figures |= {"up_s": round(statistics.median(up_s), 2), "down_s": round(statistics.median(down_s), 2)}
    for line in differences(before):
        result.want(False, f"the machine is not as it was: {line}")
    return result


async def use(lab: Lab) -> None:
    """Something of everything that could stay: a pod, a fault, a program at a node."""
    await lab.kubectl("create", "deployment", "web", "--image=kubelab/web:1")
    await lab.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    lab.drop("worker-1", 0.1)
    lab.cut("worker-2")
    lab.pause("agent/worker-3")
    await lab.popen("client", ["sleep", "600"])


def machine() -> Machine:
    """What a lab could leave on the machine, by kind."""
    return {
        "namespaces": sorted({_network_of(each) for each in Path("/proc").iterdir() if each.name.isdigit()} - {""}),
        "named namespaces": _lines(["ip", "netns", "list"]),
        "links": [each["ifname"] for each in json.loads("\n".join(_lines(["ip", "-json", "link"])) or "[]")],
        "routes": _lines(["ip", "route", "show", "table", "all"]),
        "firewall": _lines(["nft", "list", "tables"]),
        "mounts": [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()],
        "cgroups": [str(each) for each in Path("/sys/fs/cgroup").glob("**/") if "kubelab-soak" in each.name],
        "folders": [str(each) for each in state.layout("soak-updown").directory.parent.glob("*")],
    }


def differences(before: Machine) -> list[str]:
    """What is there now and was not; looked for until it is gone, as the kernel needs a moment."""
    deadline = time.monotonic() + REST_S
    while True:
        now = machine()
        found = [f"{kind}: {each}" for kind in before for each in sorted(set(now[kind]) - set(before[kind]))]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)  # noqa: TID251  # the kernel tells nobody when it has cleared up


def _network_of(process: Path) -> str:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:
        return ""


def _lines(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()

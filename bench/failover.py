"""How long an address is without an answer, and how long two nodes answer for it, when nodes and speakers fail.

    bench/failover.py --rounds 20 --families 4,6 --only node-death,sigkill

A client asks for the address by ARP or NDP every 10 ms and sees who answers, and opens a connection every 20 ms. Each
round harms the node that announces, and mends it. Prints a line of JSON for each round, and a table at the end: min,
median and max are of the longest time without an answer to ARP or NDP after the harm, gap the same for connections;
double is the longest time for which two nodes answered in turn, after the harm or after the mending.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

from installation import NAMESPACE, installed, report

from kubelab.lab import Lab, LabProcess
from kubelab.witness import Record

CLIENT = {4: "198.51.100.200", 6: "2001:db8:100::200"}
POOL = """
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: bench, namespace: metallb-system}
spec: {addresses: [198.51.100.100-198.51.100.149, "2001:db8:100::1:0/112"]}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  type: LoadBalancer
  ipFamilies: [IPv{family}]
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
"""
WEB = "scripts/demo/web.yaml"
BEFORE_S, HARM_S, AFTER_S = 1.0, 3.0, 4.0
Step = Callable[["Scene"], Awaitable[None]]


@dataclass
class Scene:
    """One address, who announces it, and where its speaker runs."""

    lab: Lab
    family: int
    address: str
    home: str = ""
    node: str = ""
    mac: str = ""
    pod: str = ""

    async def look(self) -> None:
        """Who announces now?"""
        macs = {}
        for each in self.lab.cluster.nodes:
            path = "/sys/class/net/eth0/address"
            macs[(await self.lab.run(f"node/{each.name}", ["cat", path])).stdout.strip()] = each.name
        seen = await self.watch(0.3)
        (self.mac,) = Record.parse(await finish(seen)).by()[-1:]
        self.node = macs[self.mac]
        pods = json.loads((await self.lab.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json")).stdout)["items"]
        speakers = (each for each in pods if each["metadata"]["labels"].get("component") == "speaker")
        running = (each for each in speakers if not each["metadata"].get("deletionTimestamp"))
        self.pod = next(each["metadata"]["name"] for each in running if each["spec"]["nodeName"] == self.node)

    async def at_home(self) -> None:
        """Waits until the elected node announces again, and stays so: what was harmed before takes its time."""
        async with asyncio.timeout(60):
            same = 0
            while same < 3:
                await self.look()
                same = same + 1 if self.node == self.home else 0
                await asyncio.sleep(0.5)

    async def watch(self, seconds: float) -> LabProcess:
        """Asks every 10 ms who has the address."""
        argv = ["-m", "kubelab.witness", "--seconds", str(seconds), "eth0", CLIENT[self.family], self.address]
        return await self.lab.popen("client", [sys.executable, *argv])

    async def probe(self, seconds: float) -> LabProcess:
        """Opens a connection every 20 ms."""
        host = f"[{self.address}]" if self.family == 6 else self.address
        argv = ["-m", "kubelab.probe", "--interval", "0.02", "--seconds", str(seconds), f"http://{host}/"]
        return await self.lab.popen("client", [sys.executable, *argv])


async def cut(scene: Scene) -> None:
    scene.lab.cut(scene.node)


async def mend(scene: Scene) -> None:
    scene.lab.restore(scene.node)
    await scene.lab.start()


async def die(scene: Scene) -> None:
    """All processes end and the cable has no carrier any more."""
    scene.lab.cut(scene.node)
    scene.lab.kill(f"node/{scene.node}")


async def without_api(scene: Scene) -> None:
    scene.lab.pause("apiserver")
    await asyncio.sleep(0.5)
    scene.lab.cut(scene.node)


async def mend_api(scene: Scene) -> None:
    scene.lab.restore(scene.node)
    scene.lab.resume("apiserver")


async def kill(scene: Scene) -> None:
    scene.lab.kill(f"pod/{NAMESPACE}/{scene.pod}")


async def stop(scene: Scene) -> None:
    scene.lab.pause(f"pod/{NAMESPACE}/{scene.pod}")


async def go_on(scene: Scene) -> None:
    scene.lab.resume(f"pod/{NAMESPACE}/{scene.pod}")


async def delete(scene: Scene) -> None:
    await scene.lab.kubectl("delete", "pod", "-n", NAMESPACE, scene.pod, "--wait=false")


async def nothing(_scene: Scene) -> None:
    pass


SCENARIOS: dict[str, tuple[Step, Step]] = {
    "node-death": (die, mend),
    "link-cut": (cut, mend),
    "link-cut-without-api": (without_api, mend_api),
    "sigkill": (kill, nothing),
    "sigstop": (stop, go_on),
    "graceful": (delete, nothing),
}


@dataclass
class Round:
    """What one round showed, in milliseconds."""

    scenario: str
    family: int
    silence_ms: float
    gap_ms: float
    failed: int
    double_harm_ms: float
    double_mend_ms: float


@dataclass
class Row:
    """The rounds of one scenario and family."""

    rounds: list[Round] = field(default_factory=list)

    def cells(self) -> list[str]:
        silences = sorted(each.silence_ms for each in self.rounds)
        doubles = [max(each.double_harm_ms, each.double_mend_ms) for each in self.rounds]
        gaps = sorted(each.gap_ms for each in self.rounds)
        figures = [silences[0], silences[len(silences) // 2], silences[-1]]
        last = [gaps[len(gaps) // 2], gaps[-1], max(doubles)]
        return [str(len(self.rounds)), *(f"{each:.0f}" for each in [*figures, *last])]


async def finish(process: LabProcess) -> str:
    out, err = await process.communicate()
    if not out:
        raise RuntimeError(err.decode())
    return out.decode().splitlines()[-1]


async def play(scene: Scene, name: str) -> Round:
    """One round."""
    harm, mended = SCENARIOS[name]
    await scene.at_home()
    watching = await scene.watch(60)
    probing = await scene.probe(BEFORE_S + HARM_S)
    await asyncio.sleep(BEFORE_S)
    began = time.monotonic()
    await harm(scene)
    harmed = time.monotonic()
    await asyncio.sleep(HARM_S - (harmed - began))
    mending = time.monotonic()
    await mended(scene)
    summary = json.loads(await finish(probing))
    await asyncio.sleep(AFTER_S)
    watching.terminate()
    seen = Record.parse(await finish(watching))
    return Round(
        name,
        scene.family,
        round(1000 * seen.between(began, mending).longest_gap_s(), 1),
        round(1000 * summary["longest_gap_s"], 1),
        summary["failed"],
        round(1000 * seen.between(began, mending).longest_double_s(), 1),
        round(1000 * seen.between(mending, seen.ended_s).longest_double_s(), 1),
    )


async def prepare(lab: Lab, family: int) -> Scene:
    """A Service that a worker announces: with the control node the API would die."""
    for number in range(20):
        name = f"web-{family}-{number}"
        await lab.kubectl("apply", "-f", "-", stdin=SERVICE.format(name=name, family=family))
        shown = ""
        while not shown:
            path = "-o=jsonpath={.status.loadBalancer.ingress[0].ip}"
            shown = (await lab.kubectl("get", "service", name, path)).stdout
        scene = Scene(lab, family, shown)
        await asyncio.sleep(1.0)
        await scene.look()
        if scene.node.startswith("worker"):
            scene.home = scene.node
            return scene
    raise RuntimeError("no address is announced by a worker")


async def settle(lab: Lab) -> None:
    """Waits until all that was harmed is well again."""
    await lab.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
    await lab.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/speaker", "--timeout=60s")
    await lab.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    await asyncio.sleep(3.0)


async def main(rounds: int, families: list[int], names: list[str]) -> None:
    """Plays all rounds of all scenarios."""
    rows: dict[tuple[str, int], Row] = {}
    async with installed("bench-failover") as lab:
        await lab.kubectl("apply", "-f", "-", stdin=POOL)
        await lab.kubectl("apply", "-f", WEB)
        await lab.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        for family in families:
            scene = await prepare(lab, family)
            for name in names:
                for _ in range(rounds):
                    await settle(lab)
                    played = await play(scene, name)
                    rows.setdefault((name, family), Row()).rounds.append(played)
                    report("failover", **asdict(played))
    print(f"{'milliseconds':24}{'n':>4}{'min':>8}{'median':>8}{'max':>8}{'gap':>8}{'gap max':>9}{'double':>8}")
    for (name, family), row in rows.items():
        first, *rest = row.cells()
        print(f"{name + ' IPv' + str(family):24}{first:>4}" + "".join(f"{each:>8}" for each in rest))


def read_command_line() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--families", default="4,6")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, separated by commas")
    given = parser.parse_args()
    asyncio.run(main(given.rounds, [int(each) for each in given.families.split(",")], given.only.split(",")))


if __name__ == "__main__":
    read_command_line()

"""How long an address is without an answer, and how long two nodes answer for it, when nodes and speakers fail.

    bench/failover.py --rounds 20 --families 4,6 --kinds node-death,sigkill

A Service has an address of each family, which one node announces. A client asks for each by ARP or NDP every 10 ms and
sees who answers, and opens a connection to each every 20 ms. Each round harms the node that announces, and mends it;
with `-without-api` the API server stands still meanwhile. Prints a line of JSON for each round and family, one for each
kind and family, and a table at the end: min, median and max are of the longest time without an answer to ARP or NDP
after the harm, gap the same for connections; double is the longest time for which two nodes answered in turn, after the
harm or after the mending.

Failed connections are told by their errors. One that is open while its address moves is known to the node of before
only: what the next node makes of it is `ConnectionResetError`, counted as torn; all others are lost. After a node's death
they are many, until the cluster takes the node's pods out of the Service.

A round that can't be played is a line with `error`; the next one begins when all is well again, in another lab if need
be. The exit code is 1 if there were such.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter as Count
from collections.abc import Awaitable, Callable, Iterable
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
  ipFamilies: [{families}]
  ipFamilyPolicy: {policy}
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
"""
WEB = "scripts/demo/web.yaml"
BEFORE_S, HARM_S, AFTER_S = 1.0, 3.0, 4.0
ROUND_S = 120.0
LABS = 5
"""In so many labs rounds are played, at most: one that does not get well again is left."""

Step = Callable[["Scene"], Awaitable[None]]


@dataclass
class Scene:
    """The addresses of a Service by family, who announces them, and where its speaker runs."""

    lab: Lab
    addresses: dict[int, str]
    home: str = ""
    node: str = ""
    pod: str = ""

    async def look(self) -> None:
        """Who announces now?"""
        macs = {}
        for each in self.lab.cluster.nodes:
            path = "/sys/class/net/eth0/address"
            macs[(await self.lab.run(f"node/{each.name}", ["cat", path])).stdout.strip()] = each.name
        seen = [await self.watch(family, 0.3) for family in self.addresses]
        answered = [Record.parse((await finish(each))[-1]).by() for each in seen]
        if not all(answered):
            raise RuntimeError(f"nobody answers for one of {self.addresses}")
        if len({each[-1] for each in answered}) > 1:
            raise RuntimeError(f"more than one node answers for {self.addresses}")
        self.node = macs[answered[0][-1]]
        pods = json.loads((await self.lab.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json")).stdout)["items"]
        speakers = (each for each in pods if each["metadata"]["labels"].get("component") == "speaker")
        running = (each for each in speakers if not each["metadata"].get("deletionTimestamp"))
        self.pod = next(each["metadata"]["name"] for each in running if each["spec"]["nodeName"] == self.node)

    async def at_home(self) -> None:
        """Waits until the elected node announces again, and stays so: what was harmed before takes its time."""
        async with asyncio.timeout(60):
            same = 0
            while same < 3:
                try:
                    await self.look()
                except (RuntimeError, StopIteration):
                    self.node = ""
                same = same + 1 if self.node == self.home else 0
                await asyncio.sleep(0.5)

    async def watch(self, family: int, seconds: float) -> LabProcess:
        """Asks every 10 ms who has the address."""
        asked = ["eth0", CLIENT[family], self.addresses[family]]
        argv = ["-m", "kubelab.witness", "--seconds", str(seconds), *asked]
        return await self.lab.popen("client", [sys.executable, *argv])

    async def probe(self, family: int, seconds: float) -> LabProcess:
        """Opens a connection every 20 ms."""
        host = f"[{self.addresses[family]}]" if family == 6 else self.addresses[family]
        argv = ["-m", "kubelab.probe", "--each", "--interval", "0.02", "--seconds", str(seconds), f"http://{host}/"]
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


def without_api(harm: Step, mended: Step) -> tuple[Step, Step]:
    """The same while the API server stands still."""

    async def both(scene: Scene) -> None:
        scene.lab.pause("apiserver")
        await asyncio.sleep(0.5)
        await harm(scene)

    async def all_well(scene: Scene) -> None:
        scene.lab.resume("apiserver")
        await mended(scene)

    return both, all_well


SCENARIOS: dict[str, tuple[Step, Step]] = {
    "node-death": (die, mend),
    "link-cut": (cut, mend),
    "sigkill": (kill, nothing),
    "sigstop": (stop, go_on),
    "graceful": (delete, nothing),
}
SCENARIOS |= {f"{name}-without-api": without_api(*SCENARIOS[name]) for name in list(SCENARIOS)[:-1]}


@dataclass
class Round:
    """What one round showed, in milliseconds."""

    scenario: str
    family: int
    silence_ms: float
    gap_ms: float
    torn: int
    lost: int
    errors: dict[str, int]
    double_harm_ms: float
    double_mend_ms: float


@dataclass
class Row:
    """The rounds of one scenario and family."""

    rounds: list[Round] = field(default_factory=list)

    errors: int = 0

    def figures(self) -> dict[str, object]:
        """Least, median and most of each."""
        doubles = [max(each.double_harm_ms, each.double_mend_ms) for each in self.rounds]
        return {
            "rounds": len(self.rounds),
            "errors": self.errors,
            "silence_ms": spread(each.silence_ms for each in self.rounds),
            "gap_ms": spread(each.gap_ms for each in self.rounds),
            "double_ms": spread(doubles),
            "torn": spread(each.torn for each in self.rounds),
            "lost": spread(each.lost for each in self.rounds),
        }


def spread(found: Iterable[float]) -> list[float]:
    """Least, median, most; empty for nothing."""
    ranked = sorted(found)
    return [ranked[0], ranked[len(ranked) // 2], ranked[-1]] if ranked else []


def told(lines: list[str]) -> Count[str]:
    """How often the probe's connections failed, by the kind of error."""
    answers = (json.loads(line) for line in lines)
    return Count(each["error"].partition(":")[0] for each in answers if each["error"])


async def finish(process: LabProcess) -> list[str]:
    out, err = await process.communicate()
    if not out:
        raise RuntimeError(err.decode())
    return out.decode().splitlines()


@dataclass
class Looking:
    """What the client does with one address during a round."""

    family: int
    watching: LabProcess
    probing: LabProcess
    first: str = ""

    async def begun(self) -> None:
        """Waits for the first connection: programs take their time to start."""
        assert self.probing.stdout is not None
        self.first = (await self.probing.stdout.readline()).decode()

    async def seen(self, name: str, began: float, mending: float) -> Round:
        """What came of it."""
        *each, last = [self.first, *await finish(self.probing)]
        summary, errors = json.loads(last), told(each)
        self.watching.terminate()
        seen = Record.parse((await finish(self.watching))[-1])
        return Round(
            name,
            self.family,
            round(1000 * seen.between(began, mending).longest_gap_s(), 1),
            round(1000 * summary["longest_gap_s"], 1),
            errors["ConnectionResetError"],
            errors.total() - errors["ConnectionResetError"],
            dict(errors),
            round(1000 * seen.between(began, mending).longest_double_s(), 1),
            round(1000 * seen.between(mending, seen.ended_s).longest_double_s(), 1),
        )


async def play(scene: Scene, name: str) -> list[Round]:
    """One round, seen by each family."""
    harm, mended = SCENARIOS[name]
    await scene.at_home()
    looking = [
        Looking(family, await scene.watch(family, 60), await scene.probe(family, BEFORE_S + HARM_S))
        for family in scene.addresses
    ]
    for each in looking:
        await each.begun()
    await asyncio.sleep(BEFORE_S)
    began = time.monotonic()
    await harm(scene)
    await asyncio.sleep(HARM_S - (time.monotonic() - began))
    mending = time.monotonic()
    await mended(scene)
    await asyncio.sleep(AFTER_S)
    return [await each.seen(name, began, mending) for each in looking]


async def prepare(lab: Lab, families: list[int]) -> Scene:
    """A Service that a worker announces: with the control node the API would die."""
    for number in range(20):
        name = f"web-{number}"
        policy = "SingleStack" if len(families) == 1 else "RequireDualStack"
        listed = ", ".join(f"IPv{family}" for family in families)
        await lab.kubectl("apply", "-f", "-", stdin=SERVICE.format(name=name, families=listed, policy=policy))
        shown: list[str] = []
        while not shown:
            path = "-o=jsonpath={.status.loadBalancer.ingress[*].ip}"
            shown = (await lab.kubectl("get", "service", name, path)).stdout.split()
        scene = Scene(lab, dict(zip(families, shown, strict=True)))
        await asyncio.sleep(1.0)
        await scene.look()
        if scene.node.startswith("worker"):
            scene.home = scene.node
            return scene
    raise RuntimeError("no address is announced by a worker")


def restarts(container: dict[str, int]) -> int:
    """How often it was started anew."""
    return container["restartCount"]


async def settle(lab: Lab) -> None:
    """Waits until all that was harmed is well again. Pods that crashed are replaced: each time they wait for longer."""
    await lab.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
    pods = json.loads((await lab.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json")).stdout)["items"]
    crashed = [each["metadata"]["name"] for each in pods if any(map(restarts, each["status"]["containerStatuses"]))]
    if crashed:
        await lab.kubectl("delete", "pods", "-n", NAMESPACE, *crashed)
    await lab.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/speaker", "--timeout=60s")
    await lab.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    await asyncio.sleep(1.0)


Rows = dict[tuple[str, int], Row]


async def play_all(left: list[str], families: list[int], rows: Rows) -> None:
    """Plays in one lab what is left to be played, and takes it off the list; what fails stays out of the figures."""
    async with installed("bench-failover") as lab:
        await lab.kubectl("apply", "-f", "-", stdin=POOL)
        await lab.kubectl("apply", "-f", WEB)
        await lab.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        scene = await prepare(lab, families)
        while left:
            await settle(lab)
            name = left.pop(0)
            try:
                async with asyncio.timeout(ROUND_S):
                    played = await play(scene, name)
            except Exception as error:
                for family in families:
                    rows.setdefault((name, family), Row()).errors += 1
                report("failover", scenario=name, error=f"{type(error).__name__}: {error}")
                raise
            for each in played:
                rows.setdefault((name, each.family), Row()).rounds.append(each)
                report("failover", **asdict(each))


async def main(rounds: int, families: list[int], names: list[str]) -> bool:
    """Plays all rounds of all scenarios; false: some could not be played."""
    rows: Rows = {}
    left = [name for name in names for _ in range(rounds)]
    most = len(left)
    for _ in range(LABS):
        try:
            await play_all(left, families, rows)
        except Exception as error:  # noqa: BLE001  # another lab may do better
            print(f"another lab, {len(left)} of {most} rounds are left: {error}", file=sys.stderr)
        if not left:
            break
    for (name, family), row in rows.items():
        report("failover-summary", scenario=name, family=family, **row.figures())
    print(
        f"{'milliseconds':26}{'n':>4}{'min':>8}{'median':>8}{'max':>8}{'gap':>8}{'gap max':>9}{'double':>8}{'lost':>6}"
    )
    for (name, family), row in rows.items():
        if row.rounds:
            figures = row.figures()
            silence, gap, double, lost = (figures[key] for key in ("silence_ms", "gap_ms", "double_ms", "lost"))
            cells = [*silence, *gap[1:], double[-1]]  # type: ignore[misc,index]  # spreads
            shown = "".join(f"{each:>8.0f}" for each in cells)
            print(f"{name + ' IPv' + str(family):26}{len(row.rounds):>4}{shown}{lost[-1]:>6}")  # type: ignore[index]
    return not left and not any(row.errors for row in rows.values())


def read_command_line() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--families", default="4,6")
    parser.add_argument("--kinds", default=",".join(SCENARIOS), help="scenarios, separated by commas")
    given = parser.parse_args()
    names = given.kinds.split(",")
    if unknown := set(names) - SCENARIOS.keys():
        parser.error(f"--kinds: want some of {', '.join(SCENARIOS)}; not {', '.join(sorted(unknown))}")
    families = [int(each) for each in given.families.split(",")]
    sys.exit(0 if asyncio.run(main(given.rounds, families, names)) else 1)


if __name__ == "__main__":
    read_command_line()

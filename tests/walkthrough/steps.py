"""The walkthrough after the installation, in whichever namespace that was: commands as written, then what they brought.

The commands are in `transcript.yaml`. A section there may have a look of its own here: a coroutine in `Walk.looks`.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml

TRANSCRIPT: dict[str, list[dict[str, str]]] = yaml.safe_load((Path(__file__).parent / "transcript.yaml").read_text())
SECTIONS = list(TRANSCRIPT)
WORKERS = {"worker-1", "worker-2"}
CONTROL_ONLY = {
    "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
    "tolerations": [{"operator": "Exists"}],
}
DAEMON = ("daemonset", "speaker")


class Walk:
    """An administrator who goes through the sections, in order."""

    def __init__(self, administrator: Any, cluster: Any, namespace: str) -> None:
        self.administrator = administrator
        self.cluster = cluster
        self.namespace = namespace
        self.looks: dict[str, Callable[[], Awaitable[None]]] = {
            "W0 an IP failover is noticed": self._nothing_runs,
            "W4a speakers on certain nodes": self._only_they_announce,
            "W4a it is taken back": self._the_others_announce_again,
            "W4b a class of runtimes": self._more_is_logged,
            "W4d limits": self._limits_are_described,
            "W4c priority and affinity": self._neighbours_only,
            "W5 a Service is reached from outside": self._it_is_served_beyond_a_nodes_death,
        }

    async def do(self, section: str) -> None:
        """Every command of a section, and the look."""
        for step in TRANSCRIPT[section]:
            command, says, given = (
                step.get(each, "").replace("NAMESPACE", self.namespace) for each in ("run", "says", "with")
            )
            program, *argv = shlex.split(command)
            assert program == "kubectl"
            await self.administrator.sees(says, *argv, stdin=given or None)
        if look := self.looks.get(section):
            await look()

    async def _speakers(self) -> list[dict[str, Any]]:
        pods = await self.cluster.items("pods", self.namespace, "-l", "component=speaker")
        return [each for each in pods if "deletionTimestamp" not in each["metadata"]]

    async def _condition(self, kind: str) -> dict[str, str]:
        found = await self.cluster.get("metallb", "metallb", self.namespace)
        conditions = found.get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    async def _nothing_runs(self) -> None:
        message = (await self._condition("Degraded"))["message"]
        assert "kubectl delete deployment ipfailover-keepalived -n default" in message
        found = await self.cluster.items("daemonsets,deployments", self.namespace)
        assert {each["metadata"]["name"] for each in found}.isdisjoint({"speaker", "controller"})

    async def _only_they_announce(self) -> None:
        """A Service whose pods are all on a node without speaker is not announced if its traffic must stay there."""
        cluster = self.cluster

        async def only_there() -> bool:
            return {each["spec"].get("nodeName") for each in await self._speakers()} == WORKERS

        await cluster.until(only_there, "speakers on the workers only")
        await cluster.apply(
            self._made("IPAddressPool", "passing", addresses=["198.51.100.150-198.51.100.159"]),
            self._made("L2Advertisement", "passing"),
            cluster.web("apart", replicas=1, **CONTROL_ONLY),
            cluster.load_balancer("anywhere", "apart"),
            cluster.load_balancer("there", "apart", externalTrafficPolicy="Local"),
        )
        (address,) = await cluster.until(lambda: cluster.addresses("anywhere"), "an address")
        await cluster.until(lambda: cluster.fetch(address), "an answer through a worker")
        assert await cluster.announced_by(address) in WORKERS
        (local,) = await cluster.until(lambda: cluster.addresses("there"), "an address")

        async def is_silent() -> bool:
            return await cluster.announcer(local) == "" and await cluster.fetch(local) is None

        await cluster.until(is_silent, "no answer for what only the node without speaker could serve")

    async def _the_others_announce_again(self) -> None:
        cluster = self.cluster
        (local,) = await cluster.until(lambda: cluster.addresses("there"), "an address")

        async def by_the_node_with_the_pod() -> bool:
            answer = await cluster.fetch(local) or {}
            return bool(answer.get("node") == await cluster.announcer(local) == "control-1")

        await cluster.until(by_the_node_with_the_pod, "an answer of the node with the pod")
        await cluster.kubectl("delete", "service", "there", "anywhere")
        await cluster.kubectl("delete", "deployment", "apart")
        await cluster.kubectl("delete", "ipaddresspool,l2advertisement", "-n", self.namespace, "passing")

    def _made(self, kind: str, name: str, **spec: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "metallb.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}

    async def _more_is_logged(self) -> None:
        for pod in await self.cluster.items("pods", self.namespace, "-l", "component in (controller,speaker)"):
            assert "--log-level=debug" in pod["spec"]["containers"][0]["args"]

    async def _limits_are_described(self) -> None:
        pods = await self.cluster.items("pods", self.namespace, "-l", "component in (controller,speaker)")
        for pod in pods:
            limit = "300m" if pod["metadata"]["labels"]["component"] == "speaker" else "200m"
            text = await self.cluster.kubectl("describe", "pod", "-n", self.namespace, pod["metadata"]["name"])
            assert text.partition("Limits:")[2].splitlines()[1].split() == ["cpu:", limit]

    async def _neighbours_only(self) -> None:
        """Pods are where another one is, and those that are not are told of in the scheduler's words."""

        async def told() -> bool:
            message = (await self._condition("Progressing")).get("message", "")
            return all(each in message for each in ("Pods speaker-", "can't be scheduled", "pod affinity rules"))

        await self.cluster.until(told, "the scheduler's words in the status")

        async def placed() -> bool:
            """The scheduler may look at the speakers before it has placed the controller."""
            table = await self.administrator.kubectl(
                *("get", "pod", "-o=custom-columns=NODE:.spec.nodeName,NAME:.metadata.name", "-n", self.namespace)
            )
            header, *rows = (line.split() for line in table.splitlines())
            assert header == ["NODE", "NAME"]
            nodes = [node for node, name in rows if name.startswith(("controller-", "speaker-"))]
            return sorted(map(nodes.count, set(nodes))) == [2, 2] and nodes.count("<none>") == 2

        await self.cluster.until(placed, "controller and a speaker on one node; two speakers wait")

    async def _it_is_served_beyond_a_nodes_death(self) -> None:
        cluster = self.cluster
        await cluster.apply(cluster.web("web"))
        addresses = await cluster.until(lambda: cluster.addresses("shop"), "addresses")
        for address in addresses:
            await cluster.until(lambda address=address: cluster.fetch(address), "an answer")
        address, node = await self._announced_by_a_worker()
        cluster.lab.cut(node)
        try:

            async def elsewhere() -> bool:
                answer = await cluster.fetch(address)
                return bool(answer) and await cluster.announcer(address) not in {"", node}

            await cluster.until(elsewhere, "an answer through another node")
        finally:
            cluster.lab.restore(node)
        await cluster.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=150s")

    async def _announced_by_a_worker(self) -> tuple[str, str]:
        """With the control node the API would die."""
        names = ["shop", *(f"shop{number}" for number in range(20))]
        for name in names:
            await self.cluster.apply(self.cluster.load_balancer(name, "web"))
            address = (await self.cluster.until(lambda name=name: self.cluster.addresses(name), "an address"))[0]
            await self.cluster.until(lambda address=address: self.cluster.fetch(address), "an answer")
            node = await self.cluster.announced_by(address)
            if node in WORKERS:
                return address, node
        raise AssertionError("no address of twenty is announced by a worker")

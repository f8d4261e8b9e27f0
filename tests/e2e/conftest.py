"""One lab with MetalLB in it for all end-to-end tests of a run; each test leaves it as it found it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelab.lab import Lab

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "metallb-system"

pytestmark = pytest.mark.e2e


class Cluster:
    """The lab as a user of MetalLB sees it: kubectl, a client's packets, and waiting for what has to come."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    async def kubectl(self, *args: str, stdin: str | None = None) -> str:
        return (await self.lab.kubectl(*args, stdin=stdin)).stdout

    async def apply(self, *objects: dict[str, Any]) -> None:
        await self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    async def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
        return found

    async def items(self, kind: str, namespace: str = "default", *args: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self.kubectl("get", kind, "-n", namespace, "-o", "json", *args))[
            "items"
        ]
        return found

    async def until(self, ask: Callable[[], Awaitable[Any]], what: str, timeout_s: float = 20.0) -> Any:
        """Asks until the answer is true; the API has no event for most of what a user waits for."""
        deadline = time.monotonic() + timeout_s
        while True:
            answer = await ask()
            if answer:
                return answer
            if time.monotonic() > deadline:
                state = await self.lab.kubectl("get", "pods,svc,metallb,events", "-A", check=False)
                pytest.fail(f"{what}: not within {timeout_s} s\n{state.stdout[-6000:]}")
            await asyncio.sleep(0.1)

    async def addresses(self, service: str, namespace: str = "default") -> list[str]:
        found = await self.get("service", service, namespace)
        return [entry["ip"] for entry in found["status"].get("loadBalancer", {}).get("ingress", [])]

    async def fetch(self, address: str, port: int = 80) -> dict[str, Any] | None:
        """One request of the client; None where nothing answers."""
        host = f"[{address}]" if ":" in address else address
        done = await self.lab.run("client", ["curl", "-sf", "--max-time", "1", f"http://{host}:{port}/"], check=False)
        return json.loads(done.stdout) if done.code == 0 else None

    async def events(self, name: str, reason: str, namespace: str = "default") -> list[str]:
        found = await self.items("events", namespace, f"--field-selector=involvedObject.name={name},reason={reason}")
        return [event["message"] for event in found]

    async def announcer(self, address: str) -> str:
        """The node whose Ethernet address the client has for an address; it is asked for anew."""
        family = "-6" if ":" in address else "-4"
        await self.lab.run("client", ["ip", family, "neigh", "flush", "all"], check=False)
        await self.fetch(address)
        entry = (await self.lab.run("client", ["ip", family, "-o", "neigh", "show", address])).stdout
        for node in self.lab.cluster.nodes:
            mac = (await self.lab.run(f"node/{node.name}", ["cat", "/sys/class/net/eth0/address"])).stdout.strip()
            if mac and mac in entry:
                return node.name
        return ""

    @staticmethod
    def web(name: str, *, replicas: int = 2, **pod: Any) -> dict[str, Any]:
        """A Deployment of the lab's web server, one pod a node."""
        labels = {"app": name}
        spread = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [spread]}},
                        "containers": [
                            {
                                "name": "web",
                                "image": "kubelab/web:1",
                                "env": [
                                    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                                    {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                                ],
                                "ports": [{"name": "http", "containerPort": 8080}],
                                "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
                            }
                        ],
                        **pod,
                    },
                },
            },
        }

    @staticmethod
    def load_balancer(name: str, app: str, **spec: Any) -> dict[str, Any]:
        """A Service of type LoadBalancer for it."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "type": "LoadBalancer",
                "selector": {"app": app},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
                **spec,
            },
        }


METALLB = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "MetalLB",
    "metadata": {"name": "metallb", "namespace": NAMESPACE},
}
POOL = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "IPAddressPool",
    "metadata": {"name": "first", "namespace": NAMESPACE},
    "spec": {"addresses": ["198.51.100.100-198.51.100.149", "2001:db8:100::1:0/112"]},
}
ADVERTISEMENT = {
    "apiVersion": "metallb.io/v1beta1",
    "kind": "L2Advertisement",
    "metadata": {"name": "all", "namespace": NAMESPACE},
}


@pytest.fixture(scope="session")
def install() -> Callable[[Lab], Cluster]:
    """Puts the operator, MetalLB, a pool, an advertisement and a web server on two nodes into a lab."""

    def put(lab: Lab) -> Cluster:
        made = Cluster(lab)
        apart(prepare(made))
        return made

    return put


@pytest.fixture(scope="session")
def wrapped() -> Callable[[Lab], Cluster]:
    """A lab as a user of MetalLB sees it, whatever is in it."""
    return Cluster


@pytest.fixture(scope="session")
def installed(lab: Lab, install: Callable[[Lab], Cluster]) -> Cluster:
    """The shared lab with MetalLB."""
    return install(lab)


@pytest.fixture(scope="module")
def own_cluster(lab_ledger: Any, install: Callable[[Lab], Cluster]) -> Iterator[Cluster]:
    """A lab with MetalLB for one module only."""
    lab = apart(lab_ledger.start(None, None))
    yield install(lab)
    apart(lab.down())
    lab_ledger.ended(lab)


@pytest.fixture
def cluster(installed: Cluster) -> Cluster:
    """The same, once what the test before has stirred up has come to rest."""
    apart(settle(installed))
    return installed


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a fixture's work on an event loop of its own: the tests' is not there yet."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def prepare(cluster: Cluster) -> None:
    await cluster.kubectl("apply", "-k", str(ROOT / "manifests"))
    # From here on the API asks the webhooks about every resource of the configuration.
    for server in ("metallb-operator-webhook-server", "metallb-operator-controller-manager"):
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{server}", "--timeout=60s")
    await cluster.apply(METALLB)
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
    await cluster.apply(POOL, ADVERTISEMENT, cluster.web("web"))


async def settle(cluster: Cluster) -> None:
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
    await cluster.kubectl("rollout", "status", "deployment/web", "--timeout=60s")

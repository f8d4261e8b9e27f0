"""One lab with MetalLB in it for all end-to-end tests of a run; each test leaves it as it found it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource
from kubelab.cluster import Cluster as LabFile
from kubelab.cluster import parse_text
from kubelab.lab import CommandError, Lab
from kubelab.places import PlaceError

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "metallb-system"

PATIENCE_S = 90.0
"""How long a test waits for what has to come: on a quiet machine all of it comes within a few seconds."""

TRIES = 3
"""How often a story is told that a busy machine can spoil; a fault of ours shows each time."""

HANGS_S = 600.0
"""A test that takes longer hangs."""

_METALLB_KINDS = (
    *("metallbs", "ipaddresspools", "l2advertisements", "bgpadvertisements", "communities", "bfdprofiles"),
    *("servicel2statuses", "configurationstates"),
)
RESOURCES = {
    each.plural: each
    for each in (
        *(Resource("", "v1", kind, namespaced=True) for kind in ("services", "pods", "events", "secrets")),
        *(Resource("", "v1", kind, namespaced=True) for kind in ("configmaps", "endpoints")),
        Resource("", "v1", "nodes", namespaced=False),
        *(Resource("apps", "v1", kind, namespaced=True) for kind in ("daemonsets", "deployments")),
        Resource("coordination.k8s.io", "v1", "leases", namespaced=True),
        Resource("discovery.k8s.io", "v1", "endpointslices", namespaced=True),
        Resource("networking.k8s.io", "v1", "networkpolicies", namespaced=True),
        *(Resource("metallb.io", "v1beta1", kind, namespaced=True) for kind in _METALLB_KINDS),
        Resource("metallb.io", "v1beta2", "bgppeers", namespaced=True),
    )
}
"""What tests read again and again, which a request does in a tenth of what kubectl costs."""

SELECTORS = {"-l": "label_selector", "--field-selector": "field_selector"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A busy machine is no failure, here neither; what is told of a test applies."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(HANGS_S))


class Cluster:
    """The lab as a user of MetalLB sees it: kubectl, a client's packets, and waiting for what has to come."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.patience_s = PATIENCE_S
        self._macs: dict[str, str] = {}

    async def kubectl(self, *args: str, stdin: str | None = None) -> str:
        return (await self.lab.kubectl(*args, stdin=stdin, timeout_s=2 * PATIENCE_S)).stdout

    async def apply(self, *objects: dict[str, Any]) -> None:
        await self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    async def rest(self) -> None:
        """Waits until what was stirred up has come to rest."""
        await settle(self)

    async def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """One object, as kubectl shows it."""
        resource = resource_of(kind)
        if resource is None:
            found: dict[str, Any] = json.loads(await self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))
            return found
        async with ApiClient.from_kubeconfig(self.lab.kubeconfig) as api:
            return shown(await api.get(resource, name, namespace))

    async def items(self, kind: str, namespace: str = "default", *args: str) -> list[dict[str, Any]]:
        """All objects of a kind, as kubectl shows them; `args` are kubectl's."""
        resources, selectors = [resource_of(each) for each in kind.split(",")], selectors_of(args)
        if selectors is None or None in resources:
            text = await self.kubectl("get", kind, "-n", namespace, "-o", "json", *args)
            found: list[dict[str, Any]] = json.loads(text)["items"]
            return found
        async with ApiClient.from_kubeconfig(self.lab.kubeconfig) as api:
            lists = [await api.list(each, namespace, **selectors) for each in resources if each is not None]
        return [shown(item) for each in lists for item in each.items]

    async def until(self, ask: Callable[[], Awaitable[Any]], what: str, timeout_s: float = PATIENCE_S) -> Any:
        """Asks until the answer is true; the API has no event for most of what a user waits for.

        A refusal is an answer, too: not yet.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            refused = ""
            try:
                if answer := await ask():
                    return answer
            except (ApiFailure, CommandError) as error:
                refused = f" ({error})"
            if time.monotonic() > deadline:
                state = await self.lab.kubectl("get", "pods,svc,metallb,events", "-A", check=False)
                pytest.fail(f"{what}: not within {timeout_s} s{refused}\n{state.stdout[-6000:]}")
            await asyncio.sleep(0.1)

    async def is_told(self, story: Callable[[], Awaitable[list[str]]]) -> None:
        """A story goes as it should, at the last try; it gives what was not so.

        A machine that stands still for seconds lets a Lease run out and has nodes taken for dead.
        """
        wrong = []
        for _ in range(TRIES):
            wrong.append(await story())
            if not wrong[-1]:
                return
            print(f"told again: {wrong[-1]}")  # -rP shows it
            await self.rest()
        pytest.fail(f"each time something else than it should be: {wrong}")

    async def addresses(self, service: str, namespace: str = "default") -> list[str]:
        found = await self.get("service", service, namespace)
        return [entry["ip"] for entry in found["status"].get("loadBalancer", {}).get("ingress", [])]

    async def fetch(self, address: str, port: int = 80) -> dict[str, Any] | None:
        """One request of the client; None where nothing answers."""
        host = f"[{address}]" if ":" in address else address
        done = await self.lab.run("client", ["curl", "-sf", "--max-time", "2", f"http://{host}:{port}/"], check=False)
        return json.loads(done.stdout) if done.code == 0 else None

    async def kill_pod(self, name: str, namespace: str = NAMESPACE) -> None:
        """Its processes die, and another pod takes its place: one that dies again and again would be held back."""
        with contextlib.suppress(PlaceError):  # dead already
            self.lab.kill(f"pod/{namespace}/{name}")
        await self.kubectl(
            *("delete", "pod", "-n", namespace, name, "--grace-period=0", "--force", "--wait=false"),
            "--ignore-not-found",
        )

    async def events(self, name: str, reason: str, namespace: str = "default") -> list[str]:
        found = await self.items("events", namespace, f"--field-selector=involvedObject.name={name},reason={reason}")
        return [event["message"] for event in found]

    async def announcer(self, address: str) -> str:
        """The node whose Ethernet address the client has for an address; it is asked for anew. Empty if nobody's."""
        family = "-6" if ":" in address else "-4"
        await self.lab.run("client", ["ip", family, "neigh", "flush", "all"], check=False)
        await self.fetch(address)
        entry = (await self.lab.run("client", ["ip", family, "-o", "neigh", "show", address])).stdout
        return next((node for mac, node in (await self.macs()).items() if mac in entry), "")

    async def announced_by(self, address: str) -> str:
        """The same, once there is one. An election may move it the next moment: speakers come, and pods get ready."""
        found: str = await self.until(lambda: self.announcer(address), f"a node that announces {address}")
        return found

    async def macs(self) -> dict[str, str]:
        """Nodes by the Ethernet addresses of their `eth0`, which stay the same."""
        if not self._macs:
            path = "/sys/class/net/eth0/address"
            for node in self.lab.cluster.nodes:
                self._macs[(await self.lab.run(f"node/{node.name}", ["cat", path])).stdout.strip()] = str(node.name)
        return self._macs

    async def remove_services(self) -> None:
        """All that ask for an address."""
        async with ApiClient.from_kubeconfig(self.lab.kubeconfig) as api:
            for each in (await api.list(RESOURCES["services"])).items:
                if each["spec"]["type"] == "LoadBalancer":
                    name, namespace = each["metadata"]["name"], each["metadata"]["namespace"]
                    with contextlib.suppress(ApiFailure):  # gone already
                        await api.delete(RESOURCES["services"], name, namespace)

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


def resource_of(kind: str) -> Resource | None:
    """By the names that kubectl takes, of those that are read directly."""
    return next((RESOURCES[each] for each in (kind, f"{kind}s", f"{kind}es") if each in RESOURCES), None)


def selectors_of(args: tuple[str, ...]) -> dict[str, str] | None:
    """What kubectl's arguments select; None if they say anything else."""
    words = [part for each in args for part in (each.split("=", 1) if each.startswith("--") else [each])]
    if len(words) % 2 or any(each not in SELECTORS for each in words[::2]):
        return None
    return {SELECTORS[flag]: value for flag, value in zip(words[::2], words[1::2], strict=True)}


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Without what kubectl does not show unless it is asked to."""
    found["metadata"].pop("managedFields", None)
    return found


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


SITE = """
networks:
  - {name: lan, ipv4: 198.51.100.0/24, ipv6: "2001:db8:100::/64"}
  - {name: far, ipv4: 203.0.113.0/24, ipv6: "2001:db8:600::/64"}
clients:
  - {name: client}
  - {name: remote, networks: [far]}
routers:
  - {name: edge, networks: [lan, far]}
"""
"""The default lab, and a router with somebody behind it, as most clients of a cluster are."""


@pytest.fixture(scope="session")
def lab_cluster() -> LabFile:
    """What the shared lab is."""
    return parse_text(SITE, "test")


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
    await cluster.apply(cluster.web("web"))
    # From here on the API asks the webhooks about every resource of the configuration.
    for server in ("metallb-operator-webhook-server", "metallb-operator-controller-manager"):
        await cluster.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{server}", "--timeout=150s")
    await cluster.apply(METALLB)
    await cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=150s")
    await cluster.apply(POOL, ADVERTISEMENT)


async def settle(cluster: Cluster) -> None:
    """Waits until nothing that a test before may have stirred up still moves: what restarts, joins, ends, is refused."""
    stirring = ["nothing is known"]

    async def is_at_rest() -> bool:
        async with ApiClient.from_kubeconfig(cluster.lab.kubeconfig) as api:
            stirring[:] = [line async for line in unrest(api, len(cluster.lab.cluster.nodes))]
            if not stirring:
                await checks_changes(api)
        return not stirring

    try:
        await cluster.until(is_at_rest, "rest after the test before", cluster.patience_s)
    except pytest.fail.Exception:
        cluster.patience_s = PATIENCE_S / 10  # what is broken does not hold up all others
        pytest.fail(f"after the test before: {'; '.join(stirring) or 'changes are not checked'}")


async def unrest(api: ApiClient, nodes: int) -> AsyncIterator[str]:
    """What is not as a test expects it to be."""
    metallb = await api.get(RESOURCES["metallbs"], "metallb", NAMESPACE)
    conditions = metallb.get("status", {}).get("conditions", [])
    known = {each["type"]: each["status"] for each in conditions if is_new(metallb, each)}
    if known != {"Available": "True", "Progressing": "False", "Degraded": "False", "Upgradeable": "True"}:
        yield f"MetalLB is {known}"
    for node in (await api.list(RESOURCES["nodes"])).items:
        taints = [each["key"] for each in node["spec"].get("taints", []) if each["effect"] != "NoSchedule"]
        if not is_ready(node) or taints or node["spec"].get("unschedulable"):
            yield f"{node['metadata']['name']} is not ready, tainted or cordoned"
    for kind in ("deployments", "daemonsets"):
        for each in (await api.list(RESOURCES[kind], NAMESPACE)).items:
            if not is_rolled_out(each, nodes):
                yield f"{each['metadata']['name']} is not rolled out"
    for pod in (await api.list(RESOURCES["pods"], NAMESPACE)).items:
        if "deletionTimestamp" in pod["metadata"] or not is_ready(pod):
            yield f"{pod['metadata']['name']} is not ready or ends"
    web = (await api.list(RESOURCES["pods"], "default", label_selector="app=web")).items
    if [is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in web] != [True, True]:
        yield "the web server is not twice there"


def is_new(found: dict[str, Any], condition: dict[str, Any]) -> bool:
    return bool(condition.get("observedGeneration") == found["metadata"]["generation"])


def is_ready(found: dict[str, Any]) -> bool:
    return any((each["type"], each["status"]) == ("Ready", "True") for each in found["status"].get("conditions", []))


def is_rolled_out(found: dict[str, Any], nodes: int) -> bool:
    status, spec = found["status"], found["spec"]
    if found["metadata"]["generation"] != status.get("observedGeneration"):
        return False
    if found["kind"] == "DaemonSet":
        return bool([status.get(each) for each in OF_DAEMONS] == [nodes] * len(OF_DAEMONS))
    return bool([status.get(each, 0) for each in OF_DEPLOYMENTS] == [spec["replicas"]] * len(OF_DEPLOYMENTS))


OF_DAEMONS = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
OF_DEPLOYMENTS = ("replicas", "updatedReplicas", "availableReplicas")


async def checks_changes(api: ApiClient) -> None:
    """Both webhook servers answer; where one does not, the API server refuses."""
    for resource, name in ((RESOURCES["metallbs"], "metallb"), (RESOURCES["ipaddresspools"], "first")):
        change = {"metadata": {"annotations": {"example.org/asked": "yes"}}}
        path, kind = resource.path(NAMESPACE, name), PatchKind.MERGE.value
        await api.request("PATCH", path, body=change, params={"dryRun": "All"}, content_type=kind)

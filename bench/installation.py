"""What benchmarks share: a lab with MetalLB in it, Services by the hundred, and the memory of its processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from kubelab.apiclient import ApiClient, Resource
from kubelab.lab import Lab
from kubelab.launch import Options
from kubelab.objects import Object

ROOT = Path(__file__).resolve().parent.parent
SERVICES = Resource("", "v1", "services", namespaced=True)
POOLS = Resource("metallb.io", "v1beta1", "ipaddresspools", namespaced=True)
NAMESPACE = "metallb-system"
IN_FLIGHT = 32

METALLB = """
apiVersion: metallb.io/v1beta1
kind: MetalLB
metadata: {name: metallb, namespace: metallb-system}
"""
ADVERTISEMENT = """
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
"""


def report(name: str, **figures: object) -> None:
    """Prints the one JSON line of a benchmark, with what it ran on."""
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    print(json.dumps({"bench": name, **figures, "machine": machine}), flush=True)


@contextlib.asynccontextmanager
async def installed(name: str) -> AsyncIterator[Lab]:
    """A lab in which MetalLB is available; it ends with the block."""
    os.chdir(ROOT)
    async with Lab.running(name=name, options=Options()) as lab:
        await lab.kubectl("apply", "-k", "manifests")
        for each in ("metallb-operator-webhook-server", "metallb-operator-controller-manager"):
            await lab.kubectl("rollout", "status", "-n", NAMESPACE, f"deployment/{each}", "--timeout=60s")
        await lab.kubectl("apply", "-f", "-", stdin=METALLB)
        await lab.kubectl("wait", "-n", NAMESPACE, "--for=condition=Available", "metallb/metallb", "--timeout=60s")
        await lab.kubectl("apply", "-f", "-", stdin=ADVERTISEMENT)
        yield lab


def service(number: int) -> Object:
    """A Service of type LoadBalancer without selector: its endpoints are nobody's."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"s{number}", "namespace": "default"},
        "spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]},
    }


def pool(*addresses: str) -> Object:
    """An IPAddressPool."""
    return {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        "metadata": {"name": "bench", "namespace": NAMESPACE},
        "spec": {"addresses": list(addresses)},
    }


async def create_all(client: ApiClient, resource: Resource, objects: Iterable[Object]) -> None:
    """Creates objects of a kind in `default`, some at once."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(obj: Object) -> None:
        async with gate:
            await client.create(resource, obj, namespace="default")

    async with asyncio.TaskGroup() as group:
        for each in objects:
            group.create_task(one(each))


async def create_services(client: ApiClient, numbers: range) -> None:
    """Creates Services, some at once."""
    await create_all(client, SERVICES, map(service, numbers))


async def assigned(client: ApiClient, wanted: int, timeout_s: float) -> float:
    """Waits until that many Services have an address; gives the seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        services = (await client.list(SERVICES, namespace="default")).items
        have = sum(1 for each in services if each.get("status", {}).get("loadBalancer", {}).get("ingress"))
        if have >= wanted:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    raise SystemExit(f"only {have} of {wanted} Services have an address after {timeout_s:.0f} s")


def memory_mib(lab: Lab) -> dict[str, float]:
    """Resident memory of controller and speakers in MiB, as the kernel counts it; of speakers the largest.

    `responder` is the process by which a speaker answers; both hold the interpreter's pages, which are there once.
    """
    found: dict[str, float] = {}
    for process in lab.processes:
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        answers = any(b"metallb.speaker.answering" in argument for argument in line)
        for role in ("controller", "speaker", "operator", "responder"):
            if (b"metallb" in line and role.encode() in line) or (answers and role == "responder"):
                status = Path(f"/proc/{process.pid}/status").read_text()
                kib = int(status.split("VmRSS:")[1].split()[0])
                found[role] = max(found.get(role, 0.0), round(kib / 1024, 1))
    return found

"""A whole lab with MetalLB: many Services wait, a pool appears; and memory at 1 Service and at all.

    bench/memory.py --services 5000

Each Service has an EndpointSlice. Memory is told in MiB for each role, of speakers the largest: `speaker` and
`responder` as the kernel counts resident pages, `speaker_and_responder` their sum, in which what both map counts twice,
and `proportional` the same with each page divided by those that map it.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from installation import NAMESPACE, POOLS, assigned, create_all, create_services, installed, memory_mib, pool, report
from speaker_alone import footprint_mib

from kubelab.apiclient import ApiClient, Resource
from kubelab.lab import Lab

SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", namespaced=True)
SETTLE_S = 5.0


def endpoint_slice(number: int) -> dict[str, object]:
    """The EndpointSlice of a Service with one endpoint."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"s{number}-bench",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": f"s{number}", "endpointslice.kubernetes.io/managed-by": "bench"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["198.18.1.1"], "conditions": {"ready": True}, "nodeName": "worker-1"}],
        "ports": [{"port": 80, "protocol": "TCP"}],
    }


async def create(client: ApiClient, numbers: range) -> None:
    """Services and their EndpointSlices, some at once."""
    await create_services(client, numbers)
    await create_all(client, SLICES, map(endpoint_slice, numbers))


def both_mib(lab: Lab) -> dict[str, float]:
    """Of the speaker whose two processes take most."""
    parents = {process.pid: int(_stat(process.pid)[1]) for process in lab.processes}
    found = []
    for process in lab.processes:
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        if b"metallb.speaker.answering" in line:
            found.append(footprint_mib([parents[process.pid], process.pid]))
    figures = max(found, key=lambda each: each["sum"])
    return {f"both_{name}": figures[name] for name in ("sum", "charged", "proportional")}


def _stat(pid: int) -> list[str]:
    """The fields after the name: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


async def main(services: int) -> None:
    """Measures."""
    async with installed("bench-memory") as lab, ApiClient.from_kubeconfig(lab.kubeconfig) as client:
        await create(client, range(1))
        created = await client.create(POOLS, pool("198.19.0.0/16"), namespace=NAMESPACE)
        await assigned(client, 1, 30)
        await asyncio.sleep(SETTLE_S)
        at_one = {**memory_mib(lab), **both_mib(lab)}
        await client.delete(POOLS, created["metadata"]["name"], namespace=NAMESPACE)
        began = time.monotonic()
        await create(client, range(1, services))
        creating = time.monotonic() - began
        await asyncio.sleep(SETTLE_S)
        await client.create(POOLS, pool("198.19.0.0/16"), namespace=NAMESPACE)
        took = await assigned(client, services, 120 + services / 20)
        await asyncio.sleep(SETTLE_S)
        report(
            "memory",
            services=services,
            all_assigned_s=round(took, 2),
            per_second=round(services / took),
            created_in_s=round(creating, 2),
            rss_mib_at_1=at_one,
            rss_mib_at_all={**memory_mib(lab), **both_mib(lab)},
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", type=int, default=1000)
    asyncio.run(main(parser.parse_args().services))

"""A whole lab with MetalLB: 1,000 Services wait, a pool appears; and memory at 1 and at 1,000 Services."""

from __future__ import annotations

import asyncio
import time

from installation import NAMESPACE, POOLS, assigned, create_services, installed, memory_mib, pool, report

from kubelab.apiclient import ApiClient

SERVICES = 1000
SETTLE_S = 3.0


async def main() -> None:
    async with installed("bench-memory") as lab, ApiClient.from_kubeconfig(lab.kubeconfig) as client:
        await create_services(client, range(1))
        created = await client.create(POOLS, pool("198.19.0.0/16"), namespace=NAMESPACE)
        await assigned(client, 1, 30)
        await asyncio.sleep(SETTLE_S)
        at_one = memory_mib(lab)
        await client.delete(POOLS, created["metadata"]["name"], namespace=NAMESPACE)
        began = time.monotonic()
        await create_services(client, range(1, SERVICES))
        creating = time.monotonic() - began
        await asyncio.sleep(SETTLE_S)
        await client.create(POOLS, pool("198.19.0.0/16"), namespace=NAMESPACE)
        took = await assigned(client, SERVICES, 120)
        await asyncio.sleep(SETTLE_S)
        report(
            "memory",
            services=SERVICES,
            all_assigned_s=round(took, 2),
            per_second=round(SERVICES / took),
            created_in_s=round(creating, 2),
            rss_mib_at_1=at_one,
            rss_mib_at_1000=memory_mib(lab),
        )


if __name__ == "__main__":
    asyncio.run(main())

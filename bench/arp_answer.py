"""How soon a speaker answers an ARP request, seen by a client: idle, and while 300 Services are created and assigned."""

from __future__ import annotations

import asyncio
import json
import sys

from installation import NAMESPACE, POOLS, assigned, create_services, installed, pool, report

from kubelab.apiclient import ApiClient
from kubelab.lab import Lab

QUESTIONS = 500
BUSY_SERVICES = 300
WEB = "scripts/demo/web.yaml"


async def ask(lab: Lab, address: str) -> dict[str, object]:
    """Asks for one address from the client; gives what came of it."""
    argv = ["-m", "kubelab.arping", "--interval", "0.01", "--count", str(QUESTIONS)]
    done = await lab.run("client", [sys.executable, *argv, "eth0", "198.51.100.200", address], check=False)
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


async def main() -> None:
    async with installed("bench-arp") as lab, ApiClient.from_kubeconfig(lab.kubeconfig) as client:
        await client.create(POOLS, pool("198.51.100.100-198.51.100.100", "198.19.0.0/16"), namespace=NAMESPACE)
        await lab.kubectl("apply", "-f", WEB)
        await lab.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
        await assigned(client, 1, 30)
        await asyncio.sleep(2.0)
        idle = await ask(lab, "198.51.100.100")
        busy, _ = await asyncio.gather(ask(lab, "198.51.100.100"), create_services(client, range(BUSY_SERVICES)))
        report("arp_answer", questions=QUESTIONS, idle=idle, busy=busy)


if __name__ == "__main__":
    asyncio.run(main())

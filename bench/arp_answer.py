"""How soon a speaker with 5,000 Services answers an ARP request, seen by a neighbour on its cable.

Idle; while all Services are decided about anew, garbage is collected and metrics are read, without a pause; and while
another host scans the network, 10,000 requests a second, for addresses that nobody has and for those of the Services.
In the last case some answers may be late or lost: `answered` says how many came. Needs root, starts no lab.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys

import uvloop
from speaker_alone import Alone, address, enter_namespace

SERVICES = 5000
QUESTIONS = 1000
INTERVAL_S = 0.005
SCAN_PER_S = 10_000

SCAN = """
import socket, sys, time
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("peer", 0x0806))
head = bytes.fromhex("ffffffffffff 0200000000aa 0806 0001 0800 06 04 0001 0200000000aa c6336401 000000000000")
print("ready", flush=True)
began, sent = time.monotonic(), 0
while True:
    due = int((time.monotonic() - began) * int(sys.argv[1]))
    for number in range(sent, due):
        sock.send(head + (int(sys.argv[2]) + number % int(sys.argv[3])).to_bytes(4, "big"))
    sent = due
    time.sleep(0.001)
"""


async def ask(*, all_wanted: bool = True) -> dict[str, float]:
    """Asks for the addresses of Services in turn; gives microseconds until the answers."""
    targets = [address(number) for number in range(0, SERVICES, SERVICES // 50)]
    argv = ["-m", "kubelab.arping", "--interval", str(INTERVAL_S), "--count", str(QUESTIONS), "peer", "198.51.100.200"]
    asking = await asyncio.create_subprocess_exec(sys.executable, *argv, *targets, stdout=asyncio.subprocess.PIPE)
    out, _ = await asking.communicate()
    answer = json.loads(out)
    if all_wanted and answer["answered"] != QUESTIONS:
        raise SystemExit(f"only {answer['answered']} of {QUESTIONS} requests were answered")
    found: dict[str, float] = answer["latency_us"]
    return found if all_wanted else {**found, "answered": answer["answered"]}


async def busy(alone: Alone) -> dict[str, float]:
    """Asks while the speaker has all that it can do."""
    passes = 0

    async def work() -> None:
        nonlocal passes
        while True:
            await alone.review()
            gc.collect()
            alone.metrics.render()
            passes += 1

    working = asyncio.create_task(work())
    try:
        return {**await ask(), "passes": passes}
    finally:
        working.cancel()


async def scanned(first: int, count: int, *, all_wanted: bool = True) -> dict[str, float]:
    """Asks while somebody asks for each of so many addresses."""
    arguments = map(str, (SCAN_PER_S, first, count))
    scan = await asyncio.create_subprocess_exec(sys.executable, "-c", SCAN, *arguments, stdout=asyncio.subprocess.PIPE)
    assert scan.stdout is not None
    await scan.stdout.readline()
    try:
        return await ask(all_wanted=all_wanted)
    finally:
        scan.kill()
        await scan.wait()


async def main() -> None:
    alone = Alone()
    alone.fill(SERVICES)
    async with alone.running():
        while len(alone.announcer.announced) < SERVICES:  # noqa: ASYNC110  # has no event
            await asyncio.sleep(0.05)
        await asyncio.sleep(6.0)  # the announcements of all are over
        figures = {
            "services": SERVICES,
            "questions": QUESTIONS,
            "idle": await ask(),
            "busy": await busy(alone),
            "scanned": await scanned(0x0A000000, 0xFFFF),
            "scanned_ours": await scanned(0xC6130000, SERVICES, all_wanted=False),
            "review_s": round(await alone.review(), 3),
            "memory_mib": alone.memory_mib(),
            "idle_cpu_percent": await alone.idle_cpu_percent(),
        }
    from installation import report  # brings the lab's memory with it

    report("arp_answer", **figures)


if __name__ == "__main__":
    enter_namespace()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

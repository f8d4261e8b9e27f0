"""Routers with a daemon: nodes announce addresses to them by BGP, and clients behind them reach all who do."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kubelab.cluster import parse_text
from kubelab.lab import Lab, LabProcess
from kubelab.launch import Options
from kubelab.pytest_plugin import FreshLab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CLUSTER = """
networks:
  - {name: lan, ipv4: 198.51.100.0/24, ipv6: "2001:db8:100::/64"}
  - {name: far, ipv4: 203.0.113.0/24, ipv6: "2001:db8:600::/64"}
clients:
  - {name: remote, networks: [far]}
routers:
  - {name: edge, networks: [lan, far], bgp: {daemon: DAEMON, asn: 64512, nodesASN: 64500, bfd: true}}
"""
ANNOUNCED = {"-4": "198.19.0.7", "-6": "2001:db8:400::7"}
SPEAKER = """
router id ADDRESS4;
protocol device { }
protocol static { ipv4; route 198.19.0.7/32 blackhole; }
protocol static { ipv6; route 2001:db8:400::7/128 blackhole; }
protocol bgp four { local ADDRESS4 as 64500; neighbor 198.51.100.1 as 64512; connect retry time 1; connect delay time 1;
  ipv4 { import none; export where source = RTS_STATIC; }; }
protocol bgp six { local ADDRESS6 as 64500; neighbor 2001:db8:100::1 as 64512; connect retry time 1; connect delay time 1;
  ipv6 { import none; export where source = RTS_STATIC; }; }
"""
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


async def speak(lab: Lab, node: str, folder: Path) -> LabProcess:
    """A node that has the addresses and announces them, by BIRD."""
    four, six = map(str, lab.plan.nodes[node].addresses)
    file = folder / f"{node}.conf"
    file.write_text(SPEAKER.replace("ADDRESS4", four).replace("ADDRESS6", six))
    await lab.run(f"node/{node}", ["ip", "address", "add", f"{ANNOUNCED['-4']}/32", "dev", "lo"])
    await lab.run(f"node/{node}", ["ip", "address", "add", f"{ANNOUNCED['-6']}/128", "dev", "lo"])
    bird = shutil.which("bird") or str(Path(sys.executable).with_name("bird"))
    return await lab.popen(f"node/{node}", [bird, "-f", "-c", str(file), "-s", "/run/bird.ctl"])


async def next_hops(lab: Lab, family: str) -> int:
    """Over how many paths the router sends to the announced address."""
    address = ANNOUNCED[family]
    shown = (await lab.run("router/edge", ["ip", family, "route", "show", "exact", address])).stdout
    return shown.count("via ") if address in shown else 0


@pytest.mark.parametrize("daemon", ["frr", "bird"])
async def test_a_client_behind_the_router_reaches_all_nodes_that_announce(
    fresh_lab: FreshLab, stub_options: Options, tmp_path: Path, daemon: str
) -> None:
    lab = await fresh_lab(parse_text(CLUSTER.replace("DAEMON", daemon), "test"), stub_options)

    async def has(paths: int) -> None:
        async with asyncio.timeout(60):
            while [await next_hops(lab, each) for each in ANNOUNCED] != [paths, paths]:  # noqa: ASYNC110  # the kernel tells nobody here
                await asyncio.sleep(0.1)

    first = await speak(lab, "worker-1", tmp_path)
    second = await speak(lab, "worker-2", tmp_path)
    await has(2)
    for address in ANNOUNCED.values():
        await lab.run("remote", ["ping", "-c1", "-W1", address])
    first.terminate()
    await first.wait()
    await has(1)
    for address in ANNOUNCED.values():
        await lab.run("remote", ["ping", "-c1", "-W1", address])
    second.terminate()
    await second.wait()
    await has(0)

"""The node agent's command: `python -m kubelab.kubelet CONFIG.json`; prints `ready` once its node is Ready."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from kubelab.apiclient import ApiClient
from kubelab.kubeconfig import KubeconfigError
from kubelab.kubelet.agent import Agent
from kubelab.kubelet.config import AgentConfig, ConfigError, load
from kubelab.kubelet.layouts import LayoutError
from kubelab.kubelet.podnetwork import NetworkError


def main(arguments: list[str] | None = None) -> int:
    """Run a node agent until SIGTERM or SIGINT. Its pods go on: a new agent finds them."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        print("usage: python -m kubelab.kubelet CONFIG.json", file=sys.stderr)  # noqa: T201  # a command speaks to its user
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        config = load(Path(words[0]))
        uvloop.run(_serve(config))
    except (ConfigError, KubeconfigError, LayoutError, NetworkError, OSError) as error:
        print(f"node agent: {error}", file=sys.stderr)  # noqa: T201  # the same
        return 1
    return 0


async def _serve(config: AgentConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ApiClient.from_kubeconfig(config.kubeconfig, user_agent="kubelab-kubelet") as client:
        agent = Agent(config, client)
        running = asyncio.create_task(agent.run())
        ready = asyncio.create_task(_announce(agent))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (running, ready, stopped):
            task.cancel()
        results = await asyncio.gather(running, ready, stopped, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


async def _announce(agent: Agent) -> None:
    await agent.registration.ready.wait()
    print("ready", flush=True)  # noqa: T201  # what the one who started this process waits for

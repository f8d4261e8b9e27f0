"""Nodes and speakers die, stand still and come back: the client goes on, and one node at a time answers it.

Each test is a story that is told again, twice at most, when it went otherwise: a machine that stands still for as long
as a speaker may be silent makes elections of its own. A fault of ours shows each time. Figures are made by
`bench/failover.py`, and `make soak ONLY=failover` looks for what happens seldom.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from kubelab.probe import Answer, Summary, summarise
from kubelab.witness import Record

NAMESPACE = "metallb-system"
CLIENT = {4: "198.51.100.200", 6: "2001:db8:100::200"}
DUAL = {"ipFamilyPolicy": "RequireDualStack"}
pytestmark = pytest.mark.e2e
INTERVAL_S = 0.05
SILENCE_S = 5.0
"""A quiet machine needs 0.45 s."""

DOUBLE_S = 1.0
"""A quiet machine has no moment with two answers."""

OPEN = 4
"""Connections that are open while an address moves are known to the node before only, and lost with it: it moves twice."""

WATCHED_S = 1.5
"""For how long it is looked at what stays as it is."""


def missing(**claims: bool) -> list[str]:
    """What of this is not so."""
    return [name.replace("_", " ") for name, holds in claims.items() if not holds]


@dataclass
class Seen:
    """Who answered for an address, by parts, and what came of requests to it; there when the block is over."""

    record: Record = field(default_factory=Record)
    requests: Summary = field(default_factory=Summary)
    moments: list[float] = field(default_factory=list)

    @property
    def parts(self) -> list[Record]:
        """What was seen between the marks."""
        ends = [*self.moments[1:], self.record.ended_s]
        return [self.record.between(began, ended) for began, ended in zip(self.moments, ends, strict=True)]


class Watch:
    """All that is seen of some addresses; marks divide it into parts."""

    def __init__(self, addresses: list[str]) -> None:
        self.of = {address: Seen() for address in addresses}

    def mark(self) -> None:
        """Something happens now."""
        for each in self.of.values():
            each.moments.append(time.monotonic())

    @property
    def all(self) -> list[Seen]:
        return list(self.of.values())


@asynccontextmanager
async def watching(cluster: Any, *addresses: str) -> AsyncIterator[Watch]:
    """Asks every 10 ms who has each address, and fetches from it every 50 ms, for the length of the block."""
    made = Watch(list(addresses))
    async with contextlib.AsyncExitStack() as stack:
        for address, seen in made.of.items():
            await stack.enter_async_context(witnessed(cluster, address, seen))
            await stack.enter_async_context(asked(cluster, address, seen))
        made.mark()
        await asyncio.sleep(0.5)
        yield made


@asynccontextmanager
async def witnessed(cluster: Any, address: str, seen: Seen) -> AsyncIterator[None]:
    source = CLIENT[6 if ":" in address else 4]
    argv = [sys.executable, "-m", "kubelab.witness", "--seconds", "600", "eth0", source, address]
    process = await cluster.lab.popen("client", argv)
    try:
        yield
    finally:
        process.terminate()
        out, err = await process.communicate()
    assert out, err.decode()
    seen.record = Record.parse(out)


@asynccontextmanager
async def asked(cluster: Any, address: str, seen: Seen) -> AsyncIterator[None]:
    url = f"http://[{address}]/" if ":" in address else f"http://{address}/"
    argv = ["-m", "kubelab.probe", "--each", "--interval", str(INTERVAL_S), "--seconds", "600", "--timeout", "2", url]
    process = await cluster.lab.popen("client", [sys.executable, *argv], stderr=asyncio.subprocess.DEVNULL)
    first = await process.stdout.readline()
    rest = asyncio.ensure_future(process.stdout.read())
    try:
        yield
    finally:
        process.kill()
        lines = [first, *(await rest).splitlines(keepends=True)]
        await process.wait()
    answers = [Answer(**json.loads(line)) for line in lines if line.endswith(b"\n")]
    seen.requests = summarise(answers, 0.0, max(each.done_s for each in answers))


@dataclass(frozen=True)
class Home:
    """A Service, and the worker that announces it: with the control node the API would die."""

    addresses: list[str]
    node: str
    mac: str


async def home(cluster: Any, name: str, **spec: Any) -> Home:
    for number in range(20):
        await cluster.apply(cluster.load_balancer(f"{name}{number}", "web", **spec))
        ask = lambda number=number: cluster.addresses(f"{name}{number}")  # noqa: E731  # for one wait
        addresses = await cluster.until(ask, "an address")
        for address in addresses:
            await cluster.until(lambda address=address: cluster.fetch(address), "an answer")
        node = await cluster.announced_by(addresses[0])
        if node.startswith("worker"):
            macs = {each: mac for mac, each in (await cluster.macs()).items()}
            await comes_to(cluster, addresses, node)
            return Home(addresses, node, macs[node])
    pytest.fail("no address of twenty is announced by a worker")


async def comes_to(cluster: Any, addresses: list[str], node: str) -> None:
    """Waits until the node announces all of them, and looks on for a while."""

    async def so() -> bool:
        return {await cluster.announcer(address) for address in addresses} == {node}

    await cluster.until(so, f"{addresses} at {node}")
    await asyncio.sleep(WATCHED_S)


async def leaves(cluster: Any, addresses: list[str], node: str) -> None:
    """Waits until others announce them."""

    async def so() -> bool:
        return not {await cluster.announcer(address) for address in addresses} & {"", node}

    await cluster.until(so, f"{addresses} at another node than {node}")


async def speaker_on(cluster: Any, node: str) -> str:
    async def found() -> str:
        pods = await cluster.items("pods", NAMESPACE, "-l", "component=speaker")
        there = [
            each["metadata"]
            for each in pods
            if each["spec"].get("nodeName") == node and "deletionTimestamp" not in each["metadata"]
        ]
        return there[0]["name"] if there else ""

    name: str = await cluster.until(found, f"a speaker on {node}")
    return name


async def says(cluster: Any, pod: str, text: str) -> int:
    """How often a speaker has said so."""
    return str(await cluster.kubectl("logs", "-n", NAMESPACE, pod)).count(text)


async def says_again(cluster: Any, pod: str, text: str, before: int) -> None:
    async def so() -> bool:
        return await says(cluster, pod, text) > before

    await cluster.until(so, f"{text} in the log of {pod}")


DEAD, JOINED = "a speaker is dead", "a speaker joined"


@pytest.fixture(autouse=True)
async def leave_it_as_it_was(cluster: Any) -> AsyncIterator[None]:
    yield
    for node in cluster.lab.cluster.nodes:
        cluster.lab.restore(node.name)
    await cluster.remove_services()


@pytest.mark.parametrize("cable", [True, False], ids=["a cut cable", "beyond a switch"])
async def test_a_nodes_death_is_survived_and_of_one_that_returns_only_one_answers_at_a_time(
    cluster: Any,
    cable: bool,  # noqa: FBT001  # a column
) -> None:
    async def story() -> list[str]:
        found = await home(cluster, "returns", **DUAL)
        others = [str(node.name) for node in cluster.lab.cluster.nodes if node.name != found.node]
        other = await speaker_on(cluster, others[-1])
        deaths = await says(cluster, other, DEAD)
        async with watching(cluster, *found.addresses) as watch:
            watch.mark()
            if cable:
                cluster.lab.cut(found.node)
            else:
                cluster.lab.drop(found.node, 1.0)  # its own link stays up: nothing but silence tells
            await leaves(cluster, found.addresses, found.node)
            await says_again(cluster, other, DEAD, deaths)  # gossip takes it for dead, too
            for address in found.addresses:
                await served(cluster, address)
            watch.mark()
            cluster.lab.restore(found.node)
            await comes_to(cluster, found.addresses, found.node)
        return [problem for each in watch.all for problem in wrong(each, found.mac)]

    def wrong(seen: Seen, mac: str) -> list[str]:
        before, gone, back = seen.parts
        return missing(
            it_was_at_home=before.by() == [mac],
            another_answers_soon=gone.longest_gap_s() <= SILENCE_S,
            it_is_silent_when_it_is_gone=mac not in gone.by()[1:],
            one_answers_at_a_time=back.longest_double_s() <= DOUBLE_S,
            there_is_an_answer_when_it_returns=back.longest_gap_s() <= SILENCE_S,
            what_it_had_it_has_again=back.by()[-1:] == [mac],
        )

    await cluster.is_told(story)


async def served(cluster: Any, address: str) -> None:
    """Until the cluster takes the node for dead, proxies send a part of the connections to its pods: they fail."""

    async def so() -> bool:
        return all([await cluster.fetch(address) for _ in range(10)])

    await cluster.until(so, f"ten answers of {address} in a row")


async def test_without_the_control_node_addresses_move_all_the_same(cluster: Any) -> None:
    async def story() -> list[str]:
        found = await home(cluster, "headless")
        cluster.lab.cut("control-1")
        async with watching(cluster, *found.addresses) as watch:
            watch.mark()
            cluster.lab.cut(found.node)
            await leaves(cluster, found.addresses, found.node)
            await asyncio.sleep(WATCHED_S)
            watch.mark()
            cluster.lab.restore("control-1")
            await cluster.kubectl("wait", "--for=condition=Ready", "node/control-1", "--timeout=150s")
            await asyncio.sleep(WATCHED_S)
        cluster.lab.restore(found.node)
        before, gone, back = watch.all[0].parts
        return missing(
            it_was_at_home=before.by() == [found.mac],
            another_answers_soon=gone.longest_gap_s() <= SILENCE_S,
            one_takes_over=len(gone.by()) <= 2,
            it_is_silent_while_it_is_gone=found.mac not in back.by(),
            one_answers_at_a_time=back.longest_double_s() <= DOUBLE_S,
        )

    await cluster.is_told(story)


async def test_a_killed_speaker_is_replaced_at_once_and_comes_back(cluster: Any) -> None:
    async def story() -> list[str]:
        found = await home(cluster, "killed")
        pod = await speaker_on(cluster, found.node)
        async with watching(cluster, *found.addresses) as watch:
            watch.mark()
            cluster.lab.kill(f"pod/{NAMESPACE}/{pod}")
            await leaves(cluster, found.addresses, found.node)
            await comes_to(cluster, found.addresses, found.node)
        (seen,) = watch.all
        return missing(
            it_was_at_home=seen.record.by()[0] == found.mac,
            another_answers_soon=seen.record.longest_gap_s() <= SILENCE_S,
            one_answers_at_a_time=seen.record.longest_double_s() <= DOUBLE_S,
            the_proxy_on_the_node_serves_on=seen.requests.failed <= OPEN,
        )

    await cluster.is_told(story)


async def test_a_speaker_that_stood_still_answers_nothing_old_and_takes_back_what_it_had(cluster: Any) -> None:
    async def story() -> list[str]:
        found = await home(cluster, "stopped")
        pod = await speaker_on(cluster, found.node)
        async with watching(cluster, *found.addresses) as watch:
            watch.mark()
            cluster.lab.pause(f"pod/{NAMESPACE}/{pod}")
            try:
                await leaves(cluster, found.addresses, found.node)
                await asyncio.sleep(WATCHED_S)
            finally:
                watch.mark()
                cluster.lab.resume(f"pod/{NAMESPACE}/{pod}")
            await comes_to(cluster, found.addresses, found.node)
        before, still, back = watch.all[0].parts
        return missing(
            it_was_at_home=before.by() == [found.mac],
            another_answers_soon=still.longest_gap_s() <= SILENCE_S,
            it_answers_nothing_while_it_stands=found.mac not in still.by()[1:],
            one_answers_at_a_time=back.longest_double_s() <= DOUBLE_S,
            there_is_an_answer_when_it_goes_on=back.longest_gap_s() <= SILENCE_S,
            what_it_had_it_has_again=back.by()[-1:] == [found.mac],
            it_says_that_it_stood=await says(cluster, pod, '"event":"standstill"') > 0,
        )

    await cluster.is_told(story)


async def test_a_speaker_that_is_told_to_stop_hands_over(cluster: Any) -> None:
    async def story() -> list[str]:
        found = await home(cluster, "handover")
        pod = await speaker_on(cluster, found.node)
        async with watching(cluster, *found.addresses) as watch:
            watch.mark()
            await cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod, "--wait=false")
            await leaves(cluster, found.addresses, found.node)
            await comes_to(cluster, found.addresses, found.node)
        (seen,) = watch.all
        return missing(
            requests_are_served=seen.requests.failed <= OPEN,
            there_is_a_page_all_the_time=seen.requests.longest_gap_s <= DOUBLE_S,
            there_is_an_answer_all_the_time=seen.record.longest_gap_s() <= DOUBLE_S,
            one_answers_at_a_time=seen.record.longest_double_s() <= DOUBLE_S,
        )

    await cluster.is_told(story)


async def test_speakers_that_are_replaced_one_by_one_keep_the_service_up(cluster: Any) -> None:
    async def story() -> list[str]:
        found = await home(cluster, "rolls")
        async with watching(cluster, *found.addresses) as watch:
            await cluster.kubectl("rollout", "restart", "-n", NAMESPACE, "daemonset/speaker")
            await cluster.kubectl("rollout", "status", "-n", NAMESPACE, "daemonset/speaker", "--timeout=150s")
            await comes_to(cluster, found.addresses, found.node)
        (seen,) = watch.all
        return missing(
            requests_are_served=seen.requests.failed <= OPEN,
            there_is_a_page_all_the_time=seen.requests.longest_gap_s <= DOUBLE_S,
            one_answers_at_a_time=seen.record.longest_double_s() <= DOUBLE_S,
        )

    await cluster.is_told(story)


async def test_an_api_server_that_is_away_changes_nothing_for_traffic(cluster: Any) -> None:
    async def story() -> list[str]:
        found = await home(cluster, "outage")
        async with watching(cluster, *found.addresses) as watch:
            watch.mark()
            cluster.lab.pause("apiserver")
            try:
                await asyncio.sleep(5.0)  # nothing to wait for: that nothing changes is the point
                asks = ["curl", "-s", "--max-time", "5", "http://127.0.0.1:17472/healthz"]
                health = (await cluster.lab.run(f"node/{found.node}", asks, check=False)).stdout
            finally:
                cluster.lab.resume("apiserver")
            await comes_to(cluster, found.addresses, found.node)
        (seen,) = watch.all
        return missing(
            all_requests_are_served=seen.requests.failed == 0,
            nobody_else_answers=seen.record.by() == [found.mac],
            the_speaker_calls_itself_healthy=health == "ok",
        )

    await cluster.is_told(story)


async def test_nodes_that_can_not_gossip_see_on_the_wire_who_has_the_address(cluster: Any) -> None:
    """Each side takes the other for dead; of the two that announce, the elected one goes on."""
    nft = ["nft", "add table inet apart"]
    for hook in ("input", "output"):
        nft.append(f"add chain inet apart {hook} {{ type filter hook {hook} priority 0; }}")
        nft += [f"add rule inet apart {hook} {protocol} dport 7946 drop" for protocol in ("udp", "tcp")]

    async def story() -> list[str]:
        found = await home(cluster, "apart")
        pod = await speaker_on(cluster, found.node)
        others = [str(node.name) for node in cluster.lab.cluster.nodes if node.name != found.node]
        other = await speaker_on(cluster, others[-1])
        deaths, joins = await says(cluster, other, DEAD), await says(cluster, other, JOINED)
        async with watching(cluster, *found.addresses) as watch:
            watch.mark()
            await cluster.lab.run(f"node/{found.node}", [nft[0], "; ".join(nft[1:])])
            try:
                # The signs of life are missed, and somebody else announces.
                await says_again(cluster, pod, '"event":"nodeSeen"', 0)
                await comes_to(cluster, found.addresses, found.node)
                watch.mark()
                await says_again(cluster, other, DEAD, deaths)  # gossip takes it for dead, too
                await asyncio.sleep(WATCHED_S)
            finally:
                watch.mark()
                await cluster.lab.run(f"node/{found.node}", ["nft", "delete table inet apart"])
            await says_again(cluster, other, JOINED, joins)
            await comes_to(cluster, found.addresses, found.node)
        before, apart, settled, back = watch.all[0].parts
        gaps = [each.longest_gap_s() for each in (apart, settled, back)]
        return missing(
            it_was_at_home=before.by() == [found.mac],
            one_soon_goes_on=apart.longest_double_s() <= DOUBLE_S,
            it_is_the_elected_one=settled.by() == [found.mac],
            so_it_stays=back.by() == [found.mac],
            there_is_an_answer_all_the_time=max(gaps) <= SILENCE_S,
        )

    await cluster.is_told(story)

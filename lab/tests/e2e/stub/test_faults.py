"""Faults: what is cut, dropped, killed or paused is, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from kubelab.faults import Direction, Fault, FaultError
from kubelab.lab import Lab
from kubelab.launch import Options
from kubelab.places import PlaceError
from kubelab.pytest_plugin import FreshLab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

Until = Callable[[Callable[[], bool]], Awaitable[None]]
PINGS = 200


@pytest_asyncio.fixture(loop_scope="module")
async def lab(stub_lab: Lab) -> AsyncIterator[Lab]:
    """The shared lab, its network mended after the test; neighbours are known before it, so that only pings are lost."""
    await pings(stub_lab, 1)
    yield stub_lab
    for host in stub_lab.plan.hosts:
        stub_lab.restore(host.name)
    assert stub_lab.faults() == []


async def pings(lab: Lab, count: int, target: str = "198.51.100.11") -> int:
    """How many of so many pings from the client were answered."""
    argv = ["ping", "-q", "-n", "-c", str(count), "-i", "0.002", "-W", "0.3", target]
    done = await lab.run("client", argv, check=False)
    match = re.search(r"(\d+) received", done.stdout)
    assert match is not None, done
    return int(match[1])


async def test_a_cut_node_is_alone_until_it_is_restored(lab: Lab) -> None:
    lab.cut("worker-1")
    assert await pings(lab, 3) == 0
    assert await pings(lab, 3, "198.51.100.12") == 3
    assert "NO-CARRIER" in (await lab.run("node/worker-1", ["ip", "link", "show", "eth0"])).stdout
    lab.restore("worker-1")
    assert await pings(lab, 3) == 3


@pytest.mark.parametrize("direction", list(Direction), ids=lambda each: each.value)
async def test_all_packets_can_be_dropped(lab: Lab, direction: Direction) -> None:
    lab.drop("node/worker-1", 1.0, direction)
    assert await pings(lab, 3) == 0
    lab.drop("worker-1", 0.0)
    assert await pings(lab, 3) == 3


async def test_packets_of_others_are_not_dropped(lab: Lab) -> None:
    lab.drop("worker-1", 1.0)
    assert await pings(lab, 20, "198.51.100.12") == 20


@pytest.mark.parametrize("direction", [Direction.FROM, Direction.TO], ids=lambda each: each.value)
async def test_half_of_the_packets_are_dropped(lab: Lab, direction: Direction) -> None:
    lab.drop("worker-1", 0.5, direction)
    # 200 throws of a fair coin: 7 standard deviations to each side.
    assert 50 <= await pings(lab, PINGS) <= 150


async def test_a_new_share_replaces_the_old(lab: Lab) -> None:
    lab.drop("worker-1", 1.0, Direction.TO)
    lab.drop("worker-1", 0.25, Direction.FROM)
    assert lab.faults() == [Fault("drop", "worker-1", "25.0000% of packets from it, network lan")]


async def test_faults_in_force_are_listed(lab: Lab) -> None:
    lab.cut("client")
    lab.drop("worker-2", 0.1)
    lab.pause("controllers")
    found = lab.faults()
    lab.resume("controllers")
    assert [(each.kind, each.target) for each in found] == [
        ("cut", "client"),
        ("drop", "worker-2"),
        ("pause", "controllers"),
    ]
    assert found[1].detail == "10.0000% of packets from and to it, network lan"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
async def test_a_share_outside_0_to_1_is_refused(lab: Lab, share: float) -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        lab.drop("worker-1", share)


async def test_a_machine_that_is_not_there_is_refused(lab: Lab) -> None:
    with pytest.raises(PlaceError, match="'worker-9' is no machine of this lab; there are: control-1, worker-1"):
        lab.cut("worker-9")
    with pytest.raises(PlaceError, match="is not on network 'wan'; it is on: lan"):
        lab.cut("worker-1", "wan")


async def test_a_process_that_is_not_there_is_refused(lab: Lab) -> None:
    with pytest.raises(PlaceError, match="'scheduler' is no process of this lab; there are: apiserver, controllers"):
        lab.pause("scheduler")
    with pytest.raises(PlaceError, match="'pod/default/nobody' does not run in this lab; these do: pod/default/web"):
        lab.pause("pod/default/nobody")


async def test_a_paused_node_stops_with_all_its_pods_and_goes_on_when_resumed(lab: Lab) -> None:
    paused = lab.pause("node/worker-2")
    assert len(paused) == 2
    stopped = {each.pid for each in lab.processes if each.state == "T"}
    assert stopped == {each.pid for each in paused}
    assert {each.target for each in lab.faults()} == {"agent/worker-2", "pod/default/web-worker-2/main"}
    lab.resume("node/worker-2")
    assert not any(each.state == "T" for each in lab.processes)


async def test_only_the_pod_of_the_name_is_paused(lab: Lab) -> None:
    paused = lab.pause("pod/default/web-worker-3/main")
    assert [each.command for each in paused] == ["sleep 1000"]
    lab.resume("pod/default/web-worker-3")


async def test_a_killed_node_loses_its_agent_and_pods_and_others_lose_nothing(
    fresh_lab: FreshLab, stub_options: Options, until: Until
) -> None:
    lab = await fresh_lab(options=stub_options)
    before = len(lab.processes)
    killed = lab.kill("node/worker-1")
    assert len(killed) == 2
    await until(lambda: len(lab.processes) == before - 2)
    await until(lambda: lab.record.processes["agent/worker-1"].code == -9)
    with pytest.raises(PlaceError, match="no process of 'node/worker-1' runs"):
        lab.kill("node/worker-1")


async def test_pods_live_on_when_their_agent_is_killed_and_go_with_the_node(
    fresh_lab: FreshLab, stub_options: Options, until: Until
) -> None:
    lab = await fresh_lab(options=stub_options)
    lab.kill("agent/worker-1")
    await until(lambda: lab.record.processes["agent/worker-1"].code == -9)
    await lab.run("pod/default/web-worker-1", ["true"])
    assert [each.command for each in lab.kill("node/worker-1")] == ["sleep 1000"]


async def test_faults_of_a_dead_lab_say_so(fresh_lab: FreshLab, stub_options: Options, until: Until) -> None:
    lab = await fresh_lab(options=Options(commands=stub_options.commands))
    scene = lab.scene
    await lab.down()
    from kubelab import faults

    with pytest.raises(FaultError, match=r"nsenter|ip: "):
        faults.in_force(scene)

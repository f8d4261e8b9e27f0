"""A whole lab from outside: what kubectl says, what a client gets, and what faults do to it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kubelab import overview, traces
from kubelab.apiserver.injected import Injected
from kubelab.cluster import Cluster, parse
from kubelab.faults import FaultError
from kubelab.kubelet import cpulimits
from kubelab.lab import CommandError, Lab
from kubelab.places import PlaceError
from kubelab.pytest_plugin import FreshLab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("whole")]

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

PORT = 30080


async def status_of(lab: Lab, node: str) -> str:
    path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return (await lab.kubectl("get", "node", node, "-o", path)).stdout


async def pods(lab: Lab) -> list[dict[str, str]]:
    """The pods of the deployment: name and node."""
    listed = json.loads((await lab.kubectl("get", "pods", "-l", "app=web", "-o", "json")).stdout)
    return [{"name": each["metadata"]["name"], "node": each["spec"]["nodeName"]} for each in listed["items"]]


async def test_all_nodes_are_ready_when_the_lab_is(web: Lab) -> None:
    wide = (await web.kubectl("get", "nodes", "--no-headers", "-o", "wide")).stdout.splitlines()
    assert [line.split()[:3] for line in wide] == [
        ["control-1", "Ready", "control-plane"],
        ["worker-1", "Ready", "worker"],
        ["worker-2", "Ready", "worker"],
        ["worker-3", "Ready", "worker"],
    ]


PAGES = {
    "a node": f"http://198.51.100.11:{PORT}/",
    "a node without a pod": f"http://198.51.100.10:{PORT}/",
}


async def page(lab: Lab, url: str) -> str:
    return (await lab.run("client", ["curl", "-sf", "--max-time", "5", url])).stdout


@pytest.mark.parametrize("url", PAGES.values(), ids=PAGES)
async def test_the_client_gets_the_page_from(web: Lab, url: str) -> None:
    assert "Directory listing" in await page(web, url)


async def test_the_client_gets_the_page_by_ipv6(web: Lab) -> None:
    assert "Directory listing" in await page(web, f"http://[2001:db8:100::13]:{PORT}/")


async def test_commands_run_in_pods_with_the_pods_environment_and_addresses(web: Lab) -> None:
    pod = (await pods(web))[0]
    where = f"pod/default/{pod['name']}"
    shown = (
        await web.run(where, ["sh", "-c", "hostname; echo $KUBERNETES_SERVICE_HOST; ip -br -4 address show eth0"])
    ).stdout
    name, host, address = shown.splitlines()
    assert (name, host) == (pod["name"], "198.18.128.1")
    assert address.split()[2].startswith("198.18.")


async def test_a_killed_pod_is_started_again(web: Lab, eventually: Eventually) -> None:
    pod = (await pods(web))[0]
    web.kill(f"pod/default/{pod['name']}/main")

    async def restarted() -> bool:
        path = "jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}"
        return (await web.kubectl("get", "pod", pod["name"], "-o", path)).stdout == "1 true"

    await eventually(restarted)


async def test_a_node_that_is_cut_off_is_not_ready_until_it_is_back(web: Lab, eventually: Eventually) -> None:
    web.cut("worker-3")

    async def is_unknown() -> bool:
        return await status_of(web, "worker-3") == "Unknown"

    async def is_ready() -> bool:
        return await status_of(web, "worker-3") == "True"

    await eventually(is_unknown)
    web.restore("worker-3")
    await eventually(is_ready)


async def test_traffic_goes_on_while_the_api_server_is_paused(web: Lab) -> None:
    web.pause("apiserver")
    try:
        for url in PAGES.values():
            await page(web, url)
    finally:
        web.resume("apiserver")
    await web.kubectl("get", "nodes", "--request-timeout=10s")


async def test_an_api_server_that_was_killed_comes_back_with_its_objects(web: Lab, eventually: Eventually) -> None:
    before = await pods(web)
    await web.kubectl("create", "configmap", "kept", "--from-literal=k=v")
    web.kill("apiserver")

    async def refused() -> bool:
        done = await web.kubectl("get", "configmap", "kept", check=False)
        return done.code != 0 and "refused" in done.stderr

    await eventually(refused)
    assert await web.start() == ["apiserver"]
    assert (await web.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.k}")).stdout == "v"
    assert await pods(web) == before
    assert await web.start() == []
    web.kill("apiserver")
    assert await web.start() == ["apiserver"], "at once, too"
    await web.kubectl("scale", "deployment/web", "--replicas=3")
    await web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")


async def test_a_killed_node_comes_back_with_its_pods(web: Lab, eventually: Eventually) -> None:
    pod = (await pods(web))[0]
    web.kill(f"node/{pod['node']}")

    async def is_ready(status: str) -> bool:
        return (await status_of(web, pod["node"])) == status

    await eventually(lambda: is_ready("Unknown"))
    assert await web.start() == [f"agent/{pod['node']}"]
    await eventually(lambda: is_ready("True"))
    await web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert pod["name"] in [each["name"] for each in await pods(web)]


async def test_connections_to_the_api_server_can_be_reset_and_come_back(web: Lab, eventually: Eventually) -> None:
    assert web.reset("control-1", 6443) > 4

    async def ready() -> bool:
        return await status_of(web, "worker-1") == "True"

    await eventually(ready)
    await web.kubectl("scale", "deployment/web", "--replicas=2")
    await web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")


async def test_a_slowed_api_server_answers_late(web: Lab) -> None:
    async with web.slowed("apiserver", stands_s=0.3):
        began = time.monotonic()
        await web.kubectl("get", "nodes")
        assert time.monotonic() - began > 0.3
    assert not [each for each in web.faults() if each.kind == "pause"]


async def test_a_lab_without_ipv4_does_its_work_and_is_gone_after_its_pods_lives_and_a_nodes_death(
    fresh_lab: FreshLab, ipv6_cluster: Cluster, pages: str
) -> None:
    lab = await fresh_lab(ipv6_cluster)
    await lab.kubectl("apply", "-f", "-", stdin=pages)
    await lab.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "Directory listing" in await page(lab, f"http://[2001:db8:100::10]:{PORT}/")
    found = json.loads((await lab.kubectl("get", "service,pods", "-l", "!provider", "-o", "json")).stdout)["items"]
    given = [*found[0]["spec"]["clusterIPs"], *(ip["ip"] for each in found[1:] for ip in each["status"]["podIPs"])]
    assert all(address.startswith("2001:db8:") for address in given)
    remains = traces.of(lab, traces.host_links())
    node = (await pods(lab))[0]["node"]
    killed = lab.kill(f"node/{node}")
    assert any("http.server" in each.command for each in killed)
    assert not any(f"agent-{node}.json" in each.command for each in lab.processes if each.state != "Z")
    await lab.down()
    assert traces.left(remains) == []


@pytest.mark.parametrize("name", ["apiserver", "controllers", "agent/worker-2"])
async def test_down_leaves_nothing_whichever_process_was_killed(fresh_lab: FreshLab, name: str) -> None:
    lab = await fresh_lab(parse({"networks": [{"name": "lan", "ipv4": "198.51.100.0/24"}]}, "test"))
    remains = traces.of(lab, traces.host_links())
    lab.kill(name)
    async with asyncio.timeout(60):
        await lab.down()
    assert traces.left(remains) == []


async def test_a_container_that_runs_out_of_memory_says_so_and_is_started_again(
    web: Lab, eventually: Eventually
) -> None:
    pod = (await pods(web))[0]
    path = "jsonpath={.status.containerStatuses[0].lastState.terminated.reason} {.status.containerStatuses[0].ready}"
    web.out_of_memory(f"pod/default/{pod['name']}/main")

    async def told() -> bool:
        return (await web.kubectl("get", "pod", pod["name"], "-o", path)).stdout == "OOMKilled true"

    await eventually(told)
    web.kill(f"pod/default/{pod['name']}/main")

    async def forgotten() -> bool:
        return (await web.kubectl("get", "pod", pod["name"], "-o", path)).stdout.startswith("Error")

    await eventually(forgotten)


async def test_a_pods_clock_can_be_wrong(web: Lab, eventually: Eventually) -> None:
    where = f"pod/default/{(await pods(web))[1]['name']}"

    async def is_ahead_by(hours: float) -> bool:
        try:
            seen = int((await web.run(where, ["date", "+%s"])).stdout)
        except (PlaceError, CommandError):  # it is just being started again
            return False
        return abs(seen - time.time() - hours * 3600) < 60

    with pytest.raises(FaultError, match="name the pod"):
        web.skew_clock(f"{where}/main", 60)
    web.skew_clock(where, -7200)
    assert [(each.kind, each.target, each.detail) for each in web.faults()] == [("clock", where, "-7200 s")]
    await eventually(lambda: is_ahead_by(-2))
    web.skew_clock(where, 0)
    assert web.faults() == []


async def test_the_api_server_refuses_what_it_is_told_to_and_goes_on_afterwards(web: Lab) -> None:
    if web.engine == "real":
        with pytest.raises(FaultError, match="the embedded engine's"):
            web.api_fault(Injected("429"))
        return
    web.api_fault(Injected("429", resources=("configmaps",), verbs=("list",)))
    assert [(each.kind, each.detail) for each in web.faults()] == [("api", "answers 429 verbs list on configmaps")]
    assert (await web.kubectl("get", "pods", check=False)).code == 0
    refused = await web.kubectl("get", "configmaps", check=False)
    assert refused.code != 0
    assert "too many requests" in refused.stderr
    web.api_fault(None)
    assert web.faults() == []
    assert (await web.kubectl("get", "configmaps", check=False)).code == 0


async def test_status_shows_the_cluster_and_says_what_it_can_not_ask(web: Lab) -> None:
    seen = await overview.look(web)
    assert next((each["name"], each["ready"]) for each in seen["nodes"]) == ("control-1", "True")
    assert {each["name"] for each in seen["pods"]} == {each["name"] for each in await pods(web)}
    web.drop("client", 0.5)
    web.kill("apiserver")
    try:
        seen = await overview.look(web)
    finally:
        web.restore("client")
        await web.start()
    assert "the API server does not answer" in seen["error"]
    assert [each["kind"] for each in seen["faults"]] == ["drop"]


HIERARCHY = cpulimits.hierarchy(Path("/proc/mounts").read_text())
BUSY = """
apiVersion: v1
kind: Pod
metadata: {name: busy}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: example.org/web:1
      command: [busy]
      resources: {limits: {cpu: 100m}}
"""


async def test_a_container_gets_no_more_processor_time_than_its_limit(web: Lab, eventually: Eventually) -> None:
    await web.kubectl("apply", "-f", "-", stdin=BUSY)
    await web.kubectl("wait", "--for=condition=Ready", "pod/busy", "--timeout=30s")
    if HIERARCHY is None:  # the limit is shown, and the pod runs all the same
        return
    group = HIERARCHY.root / cpulimits.group_of(web.layout.directory)

    async def is_held_back() -> bool:
        """The kernel has kept it waiting in several periods."""
        stats = [dict(line.split() for line in each.read_text().splitlines()) for each in group.glob("*.main/cpu.stat")]
        return any(int(each["nr_throttled"]) > 3 for each in stats)

    await eventually(is_held_back)
    await web.kubectl("delete", "pod", "busy")

    async def is_gone() -> bool:
        return not list(group.glob("*.main"))

    await eventually(is_gone)

"""Pods as processes: started, probed, restarted, stopped, seen from outside by their status, files and traffic."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Node, World

pytestmark = pytest.mark.e2e

SLEEP = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
# Ready once the script says so: a signal must not come before its trap is set.
UP = {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 0.05, "failureThreshold": 1}


def shell(script: str, name: str = "c", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "shell", "args": [script], **more}


async def started(world: World) -> Node:
    node = await world.node("worker-1", 11)
    await node.start()
    return node


def logged(node: Node, pod: dict[str, Any], container: str = "c", attempt: int = 0) -> str:
    """A container's whole log, without times."""
    path = node.files(pod) / container / f"{attempt}.log"
    return "".join(line.partition(" ")[2] for line in path.read_text().splitlines(keepends=True))


async def ended(world: World, name: str) -> dict[str, Any]:
    """The terminated state of a pod's only container that is not restarted."""
    await world.api.until(lambda: world.api.status(name).get("phase") in {"Succeeded", "Failed"})
    state = world.api.status(name)["containerStatuses"][0]["state"]["terminated"]
    assert isinstance(state, dict)
    return state


async def said(world: World, node: Node, script: str, name: str = "p", **spec: Any) -> str:
    """What a shell script prints as a pod of its own."""
    container = shell(script, **spec.pop("container", {}))
    pod = await world.pod(name, "worker-1", restartPolicy="Never", containers=[container], **spec)
    await ended(world, name)
    return logged(node, pod)


async def test_a_pod_gets_addresses_of_both_families_and_answers(world: World) -> None:
    node = await world.node("worker-1", 11)
    await node.start()
    pod = await world.pod("one", "worker-1")
    await world.api.until(lambda: world.api.ready("one"))
    status = world.api.status("one")
    assert status["podIPs"] == [{"ip": "198.18.11.2"}, {"ip": "2001:db8:200:11::2"}]
    assert await world.curl(node.machine, "http://198.18.11.2:8080/") == "one 198.18.11.1"
    assert await world.curl(node.machine, "http://[2001:db8:200:11::2]:8080/") == "one 2001:db8:200:11::1"
    public = json.loads((node.files(pod) / "web.json").read_text())
    assert set(public) == {"pid", "container_id", "started_at"}
    assert "http.server" in node.machine.run("cat", f"/proc/{public['pid']}/cmdline")


async def test_the_node_registers_renews_its_lease_and_comes_back_when_removed(world: World) -> None:
    await started(world)
    api = world.api
    node = api.objects["nodes", "", "worker-1"]
    assert node["spec"]["podCIDRs"] == ["198.18.11.0/24", "2001:db8:200:11::/64"]
    lease = ("leases", "kube-node-lease", "worker-1")
    await api.until(lambda: lease in api.objects)
    first = api.objects[lease]["spec"]["renewTime"]
    await api.until(lambda: api.objects[lease]["spec"]["renewTime"] != first)
    await api.remove("nodes", "", "worker-1")
    await api.until(lambda: ("nodes", "", "worker-1") in api.objects)


async def test_what_a_program_sees_is_its_own(world: World) -> None:
    node = await started(world)
    script = "hostname; ls /sys/class/net | xargs; ls / | xargs; id -u; grep Cap /proc/self/status | cut -f2 | xargs; touch /tmp/x && echo tmp; ls /proc | grep -c '^[0-9]'"
    text = await said(
        world, node, script, container={"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}}
    )
    lines = text.splitlines()
    assert lines[:2] == ["p", "eth0 lo"]
    assert not {"root_of_machine", "farm", "work"} & (set(lines[2].split()) - {"work"})
    assert lines[3] == "0"
    assert lines[4] == "0000000000000000 0000000000002000 0000000000002000 0000000000002000 0000000000000000"
    assert lines[5] == "tmp"
    assert int(lines[6]) < 8


async def test_a_host_network_pod_sees_the_nodes_interfaces_and_addresses(world: World) -> None:
    node = await started(world)
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    text = await said(
        world, node, "hostname; ls /sys/class/net | xargs; echo $IP", hostNetwork=True, container={"env": env}
    )
    assert text.splitlines() == ["worker-1", "cni0 eth0 lo", "198.51.100.11"]


async def test_another_user_has_no_rights_and_a_read_only_root_is_read_only(world: World) -> None:
    node = await started(world)
    security = {"runAsUser": 65534, "runAsGroup": 7, "readOnlyRootFilesystem": True}
    script = "id -u; id -g; grep CapEff /proc/self/status | cut -f2; touch /x 2>&1; touch /tmp/x 2>&1; echo data > /data/x && cat /data/x"
    mounts = [{"name": "d", "mountPath": "/data"}]
    text = await said(
        world,
        node,
        script,
        container={"securityContext": security, "volumeMounts": mounts},
        volumes=[{"name": "d", "emptyDir": {}}],
    )
    lines = text.splitlines()
    assert lines[:3] == ["65534", "7", "0000000000000000"]
    assert "Read-only" in lines[3]
    assert "Read-only" in lines[4]
    assert lines[5] == "data"


async def test_programs_are_told_fields_values_and_each_other(world: World) -> None:
    node = await started(world)
    await world.api.put("secrets", {"metadata": {"name": "s", "namespace": "default"}, "data": {"k": "dmFsdWU="}})
    env = [
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    text = await said(world, node, "echo $(NODE) $(WORD) $KUBERNETES_SERVICE_HOST", container={"env": env})
    assert text == "worker-1 value 198.18.128.1\n"


async def test_a_pod_waits_for_a_missing_secret_says_so_and_goes_on(world: World) -> None:
    await started(world)
    mounts = [{"name": "cert", "mountPath": "/cert"}]
    volumes = [{"name": "cert", "secret": {"secretName": "later"}}]
    await world.pod("p", "worker-1", containers=[shell(SLEEP, volumeMounts=mounts)], volumes=volumes)
    text = 'MountVolume.SetUp failed for volume "cert" : secret "later" not found'
    await world.api.until(lambda: text in world.api.events("FailedMount"))
    await world.api.until(lambda: "containerStatuses" in world.api.status("p"))
    state = world.api.status("p")["containerStatuses"][0]["state"]
    assert state == {"waiting": {"reason": "ContainerCreating"}}
    await world.api.put("secrets", {"metadata": {"name": "later", "namespace": "default"}, "data": {}})
    await world.api.until(lambda: world.api.ready("p"))


async def test_a_mounted_config_map_follows_its_object_within_a_mount_of_another(world: World) -> None:
    node = await started(world)
    for name in ("outer", "inner"):
        await world.api.put("configmaps", {"metadata": {"name": name, "namespace": "default"}, "data": {name: "1"}})
    mounts = [{"name": "inner", "mountPath": "/etc/m/inner"}, {"name": "outer", "mountPath": "/etc/m"}]
    volumes = [{"name": name, "configMap": {"name": name, "defaultMode": 0o400}} for name in ("outer", "inner")]
    script = "cat /etc/m/outer /etc/m/inner/inner; echo; until grep -q 2 /etc/m/outer; do sleep 0.02; done; cat /etc/m/outer; touch /etc/m/x"
    pod = await world.pod(
        "p", "worker-1", restartPolicy="Never", containers=[shell(script, volumeMounts=mounts)], volumes=volumes
    )
    said = node.files(pod) / "c" / "0.log"
    async with asyncio.timeout(60):
        while not (said.exists() and logged(node, pod).startswith("11")):  # noqa: ASYNC110  # files have no event
            await asyncio.sleep(0.02)
    await world.api.put("configmaps", {"metadata": {"name": "outer", "namespace": "default"}, "data": {"outer": "2"}})
    await ended(world, "p")
    assert logged(node, pod).startswith("11\n2touch: cannot touch '/etc/m/x': Read-only")


async def test_a_projected_token_is_there(world: World) -> None:
    node = await started(world)
    await world.api.put(
        "configmaps", {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "CA"}}
    )
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
    text = await said(
        world,
        node,
        f"cd {path}; for f in token ca.crt namespace; do cat $f; echo; done",
        serviceAccountName="speaker",
        container={"volumeMounts": [{"name": "api", "mountPath": path, "readOnly": True}]},
        volumes=[{"name": "api", "projected": {"sources": sources, "defaultMode": 420}}],
    )
    lines = text.splitlines()
    assert lines[0].startswith("token-default-speaker-")
    assert lines[1:] == ["CA", "default"]


async def test_init_containers_prepare_what_the_others_find(world: World) -> None:
    node = await started(world)
    mounts = {"volumeMounts": [{"name": "d", "mountPath": "/data"}]}
    pod = await world.pod(
        "p",
        "worker-1",
        restartPolicy="Never",
        initContainers=[shell("echo one > /data/x", "i1", **mounts), shell("echo two >> /data/x", "i2", **mounts)],
        containers=[shell("cat /data/x", **mounts)],
        volumes=[{"name": "d", "emptyDir": {}}],
    )
    await ended(world, "p")
    assert logged(node, pod) == "one\ntwo\n"


async def test_a_crashing_program_backs_off_and_leaves_its_last_words(world: World) -> None:
    node = await started(world)
    script = "echo from the log; echo last words > /dev/termination-log; exit 3"
    pod = await world.pod("p", "worker-1", containers=[shell(script)])
    await world.api.until(lambda: _waits(world, "p") == "CrashLoopBackOff")
    status = world.api.status("p")["containerStatuses"][0]
    last = status["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"], last["message"]) == (3, "Error", "last words\n")
    assert logged(node, pod, attempt=status["restartCount"]) == "from the log\n"
    assert world.api.status("p")["phase"] == "Running"


def _waits(world: World, name: str) -> str:
    statuses = world.api.status(name).get("containerStatuses") or [{"state": {}}]
    return str(statuses[0]["state"].get("waiting", {}).get("reason", ""))


async def test_an_unknown_image_is_said_to_be_unknown(world: World) -> None:
    await started(world)
    await world.pod("p", "worker-1", containers=[{"name": "c", "image": "nobody/knows:1"}])
    await world.api.until(lambda: _waits(world, "p") == "ImagePullBackOff")
    said = [obj.get("status", {}) for *_, plural, obj in world.api.log if plural == "pods"]
    reasons = [
        status["containerStatuses"][0]["state"]["waiting"]["reason"]
        for status in said
        if status.get("containerStatuses")
    ]
    assert reasons.index("ErrImagePull") < reasons.index("ImagePullBackOff")


async def test_deleting_a_pod_ends_all_its_processes_and_leaves_nothing(world: World) -> None:
    node = await started(world)
    script = f"(setsid sleep 1000 &); touch /tmp/up; {SLEEP}"
    pod = await world.pod("p", "worker-1", containers=[shell(script, readinessProbe=UP)])
    await world.api.until(lambda: world.api.ready("p"))
    assert "sleep 1000" in node.machine.run("ps", "-eo", "args")
    await world.api.delete("pods", "default", "p", grace_s=5)
    await world.api.until(lambda: not world.api.pod("p"))
    assert "sleep 1000" not in node.machine.run("ps", "-eo", "args")
    assert "veth" not in node.machine.run("ip", "-o", "link")
    assert not node.files(pod).exists()
    assert world.api.events("Killing") == ["Stopping container c"]


async def test_who_ignores_sigterm_is_killed_after_its_grace(world: World) -> None:
    await started(world)
    script = "trap '' TERM; touch /tmp/up; while :; do sleep 0.05; done"
    await world.pod("p", "worker-1", containers=[shell(script, readinessProbe=UP)])
    await world.api.until(lambda: world.api.ready("p"))
    begun = time.monotonic()
    await world.api.delete("pods", "default", "p", grace_s=1)
    await world.api.until(lambda: not world.api.pod("p"))
    assert time.monotonic() - begun >= 1


async def test_probes_decide_readiness_and_restarts(world: World) -> None:
    node = await started(world)
    probe = {"exec": {"command": ["test", "!", "-e", "/data/sick"]}, "periodSeconds": 0.1, "failureThreshold": 1}
    mounts = [{"name": "d", "mountPath": "/data"}]
    container = shell(SLEEP, livenessProbe=probe, volumeMounts=mounts)
    pod = await world.pod("p", "worker-1", containers=[container], volumes=[{"name": "d", "emptyDir": {}}])
    await world.api.until(lambda: world.api.ready("p"))
    sick = node.files(pod) / "volumes" / "d" / "sick"
    sick.touch()
    await world.api.until(lambda: "Container c failed liveness probe, will be restarted" in world.api.events("Killing"))
    sick.unlink()
    await world.api.until(lambda: world.api.status("p")["containerStatuses"][0]["restartCount"] >= 1)
    tcp = {"tcpSocket": {"port": 8080}, "periodSeconds": 0.1, "failureThreshold": 1}
    ready = {"name": "web", "image": "web", "args": ["t", "8080"], "readinessProbe": tcp}
    await world.pod("t", "worker-1", containers=[ready])
    await world.api.until(lambda: world.api.ready("t"))


async def test_pods_outlive_an_outage_of_the_api_and_of_their_agent(world: World) -> None:
    node = await started(world)
    pod = await world.pod("one", "worker-1")
    wait = "while ! [ -e /data/go ]; do sleep 0.05; done; exit 7"
    mounts = [{"name": "d", "mountPath": "/data"}]
    volumes = [{"name": "d", "emptyDir": {}}]
    crash = await world.pod("two", "worker-1", containers=[shell(wait, volumeMounts=mounts)], volumes=volumes)
    await world.api.until(lambda: world.api.ready("one") and world.api.ready("two"))
    pid = node.pid(pod)
    await node.stop(signal.SIGKILL)
    assert await world.curl(node.machine, "http://198.18.11.2:8080/") == "one 198.18.11.1"
    (node.files(crash) / "volumes" / "d" / "go").touch()
    code = node.files(crash) / "c" / "0.status"
    async with asyncio.timeout(60):
        while b"exit-code" not in code.read_bytes():  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.02)
    await node.start()
    await world.api.until(lambda: world.api.status("two")["containerStatuses"][0]["restartCount"] >= 1)
    assert world.api.status("two")["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 7
    assert node.pid(pod) == pid
    assert world.api.status("one")["containerStatuses"][0]["restartCount"] == 0
    await world.pod("three", "worker-1")
    await world.api.until(lambda: world.api.ready("three"))
    addresses = [world.api.status(name)["podIP"] for name in ("one", "two", "three")]
    assert len(set(addresses)) == 3
    await world.api.outage()
    await asyncio.sleep(0.3)
    assert node.pid(pod) == pid
    world.api.down = False
    await world.pod("four", "worker-1")
    await world.api.until(lambda: world.api.ready("four"))
    await world.api.delete("pods", "default", "one", grace_s=1)
    await world.api.until(lambda: not world.api.pod("one"))


async def test_what_was_deleted_while_no_agent_looked_is_ended(world: World) -> None:
    node = await started(world)
    pod = await world.pod("one", "worker-1")
    await world.api.until(lambda: world.api.ready("one"))
    files, pid = node.files(pod), node.pid(pod)
    await node.stop()
    await world.api.remove("pods", "default", "one")
    await node.start()
    async with asyncio.timeout(60):
        while files.exists():  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.02)
    assert node.machine.run("cat", f"/proc/{pid}/cmdline", check=False) == ""


async def test_logs_are_served_to_the_api_server_only(world: World) -> None:
    node = await started(world)
    await world.pod("p", "worker-1", containers=[shell(f"echo one; echo two; {SLEEP}")])
    await world.api.until(lambda: world.api.ready("p"))
    pki = world.folder / "pki"
    url = "https://198.51.100.11:10250"

    def ask(who: str, path: str, *more: str) -> str:
        identity = ["--cert", str(pki / f"{who}.crt"), "--key", str(pki / f"{who}.key")] if who else []
        return node.machine.run("curl", "-sk", "-m", "30", *identity, *more, f"{url}{path}", check=False)

    log = "/containerLogs/default/p/c"
    assert await asyncio.to_thread(ask, "", "/healthz") == "ok"
    assert await asyncio.to_thread(ask, "", log) == "Unauthorized"
    assert await asyncio.to_thread(ask, "stranger", log) == "Unauthorized"
    async with asyncio.timeout(60):
        while await asyncio.to_thread(ask, "server", log) != "one\ntwo\n":  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.02)
    assert await asyncio.to_thread(ask, "server", f"{log}?tailLines=1") == "two\n"
    assert (await asyncio.to_thread(ask, "server", f"{log}?timestamps=true&tailLines=1")).startswith("2")
    assert await asyncio.to_thread(ask, "server", f"{log}?limitBytes=2") == "on"
    assert "tailLines: 'x'" in await asyncio.to_thread(ask, "server", f"{log}?tailLines=x")
    assert 'container "d" not found' in await asyncio.to_thread(ask, "server", "/containerLogs/default/p/d")
    assert json.loads(await asyncio.to_thread(ask, "server", "/pods"))["items"][0]["metadata"]["name"] == "p"
    identity = ("--cert", str(pki / "server.crt"), "--key", str(pki / "server.key"))
    follower = node.machine.start("curl", "-skN", *identity, f"{url}{log}?follow=true", stdout=subprocess.PIPE)
    assert follower.stdout is not None
    lines = [await asyncio.to_thread(follower.stdout.readline) for _ in range(2)]
    await world.api.delete("pods", "default", "p", grace_s=0)
    rest, _ = await asyncio.to_thread(follower.communicate)
    assert [*lines, rest] == ["one\n", "two\n", ""]


async def test_a_program_writes_on_while_its_agent_is_paused(world: World) -> None:
    node = await started(world)
    pod = await world.pod("p", "worker-1", containers=[shell("i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done")])
    await world.api.until(lambda: world.api.ready("p"))
    node.send(signal.SIGSTOP)
    await asyncio.sleep(0.3)
    node.send(signal.SIGCONT)

    def numbers() -> list[int]:
        return [int(line) for line in logged(node, pod).splitlines(keepends=True) if line.endswith("\n")]

    async with asyncio.timeout(60):
        while len(found := numbers()) < 20:
            assert found == list(range(1, len(found) + 1))
            await asyncio.sleep(0.05)
    assert found == list(range(1, len(found) + 1))

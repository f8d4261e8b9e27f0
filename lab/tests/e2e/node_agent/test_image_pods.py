"""Pods from the root file systems of images: what a program in them is, sees, may do and leaves behind."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import platform
import re
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Node, World

pytestmark = pytest.mark.e2e

IMAGE, ROOT_IMAGE = "example.org/tools:1", "example.org/root:1"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
NET_RAW = (b"\x01\x00\x00\x02" + (1 << 13).to_bytes(4, "little") + bytes(12)).decode("latin-1")
UP = {"exec": {"command": ["test", "-e", "/up"]}, "periodSeconds": 0.05, "failureThreshold": 1}
STRICT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["NET_RAW"]}}


def programs() -> dict[str, bytes]:
    """A few of this machine's programs with the libraries that they are linked with, by their places in the image."""
    found = {}
    for name in ("sh", "cat", "sleep", "test"):
        path = Path("/usr/bin", name)
        found[f"bin/{name}"] = path.read_bytes()
        said = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(0x", said):
            found[library.lstrip("/")] = Path(library).read_bytes()
    return found


def layer(files: dict[str, bytes], capable: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode, info.size = 0o755, len(content)
            if name == capable:
                info.pax_headers = {"SCHILY.xattr.security.capability": NET_RAW}
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def layout(folder: Path) -> Path:
    """Two images of the same layers: one is for user 7, the other for root."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    tools = programs()
    users = b"root:x:0:0::/:\nsmith:x:7:8::/home:\n"
    below = blob(layer(tools | {"etc/passwd": users, "etc/gone": b"", "bin/capable": tools["bin/cat"]}, "bin/capable"))
    above = blob(layer({"etc/.wh.gone": b"", "etc/here": b"from the image\n"}))
    entries = []
    for name, user in ((IMAGE, "smith"), (ROOT_IMAGE, "")):
        settings = {
            "User": user,
            "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": ["echo default"],
            "Env": ["A=image", "B=image"],
        }
        config = blob(json.dumps({"architecture": ARCHITECTURE, "config": settings}).encode())
        manifest = blob(json.dumps({"config": config, "layers": [below, above]}).encode())
        entries.append(manifest | {"annotations": {"org.opencontainers.image.ref.name": name}})
    (folder / "index.json").write_text(json.dumps({"manifests": entries}))
    return folder


def tools(script: str = "", image: str = IMAGE, **more: Any) -> dict[str, Any]:
    return {"name": "c", "image": image, **({"args": [script]} if script else {}), **more}


async def started(world: World) -> Node:
    node = await world.node("worker-1", 11, layouts=[str(layout(world.folder / "layout"))])
    await node.start()
    return node


async def ended(world: World, name: str) -> dict[str, Any]:
    await world.api.until(lambda: world.api.status(name).get("phase") in {"Succeeded", "Failed"}, 60)
    state = world.api.status(name)["containerStatuses"][0]["state"]["terminated"]
    assert isinstance(state, dict)
    return state


def logged(node: Node, pod: dict[str, Any], attempt: int = 0) -> str:
    path = node.files(pod) / "c" / f"{attempt}.log"
    return "".join(line.partition(" ")[2] for line in path.read_text().splitlines(keepends=True))


async def said(world: World, node: Node, name: str, container: dict[str, Any], **spec: Any) -> str:
    pod = await world.pod(name, "worker-1", restartPolicy="Never", containers=[container], **spec)
    state = await ended(world, name)
    assert state["exitCode"] == 0, logged(node, pod)
    return logged(node, pod)


async def test_a_pod_sees_its_images_files_environment_and_user(world: World) -> None:
    node = await started(world)
    assert await said(world, node, "default", tools()) == "default\n"
    script = (
        "cat /etc/here; test -e /etc/gone || echo gone; test -e /usr/lib/os-release || echo alone; echo $A $B $HOSTNAME"
    )
    env = [{"name": "B", "value": "pod"}]
    assert await said(world, node, "files", tools(script, env=env)) == "from the image\ngone\nalone\nimage pod files\n"
    status = await said(world, node, "user", tools("cat /proc/self/status; cat /proc/1/cmdline"))
    assert re.search(r"^Uid:\t7\t7\t7\t7$", status, re.MULTILINE)
    assert re.search(r"^Gid:\t8\t8\t8\t8$", status, re.MULTILINE)
    other = await said(world, node, "other", tools("cat /proc/self/status", securityContext={"runAsUser": 9}))
    assert re.search(r"^Uid:\t9\t9\t9\t9$", other, re.MULTILINE)


async def test_a_program_that_is_not_root_has_what_its_file_and_its_pod_allow_both(world: World) -> None:
    node = await started(world)

    def effective(status: str) -> int:
        return int(status.partition("CapEff:\t")[2].partition("\n")[0], 16)

    plain = await said(world, node, "plain", tools("cat /proc/self/status", securityContext=STRICT))
    ask = ["/bin/capable", "/proc/self/status"]
    capable = await said(world, node, "capable", tools(command=ask, securityContext=STRICT))
    by_another = await said(world, node, "another", tools("capable /proc/self/status", securityContext=STRICT))
    assert (effective(plain), effective(capable), effective(by_another)) == (0, 1 << 13, 0)
    assert "NoNewPrivs:\t1" in capable
    less = STRICT | {"capabilities": {"drop": ["ALL"]}}
    pod = await world.pod(
        "less", "worker-1", restartPolicy="Never", containers=[tools(command=ask, securityContext=less)]
    )
    assert (await ended(world, "less"))["exitCode"] != 0
    assert "not permitted" in logged(node, pod)
    root = await said(world, node, "root", tools("cat /proc/self/status", ROOT_IMAGE, securityContext=STRICT))
    assert effective(root) == 1 << 13


async def test_each_life_begins_with_the_images_files_and_ends_with_its_code(world: World) -> None:
    node = await started(world)
    script = "test -e /once && exit 9; echo x > /once; exit 3"
    mounts = [{"name": "kept", "mountPath": "/kept"}]
    pod = await world.pod("p", "worker-1", containers=[tools(script, ROOT_IMAGE)])
    await world.api.until(lambda: restarts(world, "p") >= 2, 60)
    last = world.api.status("p")["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 3
    await world.api.delete("pods", "default", "p", 0)
    await world.api.until(lambda: not world.api.pod("p"), 60)
    async with asyncio.timeout(60):
        while node.files(pod).exists():  # noqa: ASYNC110  # files have no event
            await asyncio.sleep(0.02)
    container = tools(
        "echo x > /not; cat /kept/word", volumeMounts=mounts, securityContext={"readOnlyRootFilesystem": True}
    )
    await world.api.put("configmaps", {"metadata": {"name": "m"}, "data": {"word": "kept\n"}}, "default")
    text = await said(world, node, "q", container, volumes=[{"name": "kept", "configMap": {"name": "m"}}])
    assert text.endswith("kept\n")
    assert "Read-only file system" in text or "read-only" in text.lower() or "denied" in text.lower()


async def test_a_pod_outlives_its_node_agent_and_is_probed_from_inside(world: World) -> None:
    node = await started(world)
    script = "trap 'exit 4' TERM; echo x > /up; while :; do sleep 0.05; done"
    container = tools(script, ROOT_IMAGE, readinessProbe=UP)
    pod = await world.pod("p", "worker-1", restartPolicy="Never", containers=[container])
    await world.api.until(lambda: world.api.ready("p"), 60)
    before = node.pid(pod, "c")
    await node.stop(signal.SIGKILL)
    await node.start()
    await world.api.until(lambda: world.api.ready("p"), 60)
    assert node.pid(pod, "c") == before
    world.lan.run("kill", "-TERM", str(before))
    assert (await ended(world, "p"))["exitCode"] == 4


async def test_who_must_not_be_root_and_what_cannot_be_unpacked_is_said(world: World) -> None:
    node = await started(world)
    await world.pod("root", "worker-1", containers=[tools("", ROOT_IMAGE, securityContext={"runAsNonRoot": True})])
    await world.api.until(
        lambda: (
            waiting(world, "root")
            == ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")
        ),
        60,
    )
    for file in (world.folder / "layout/blobs/sha256").iterdir():
        if file.stat().st_size > 5000 or b"whiteout" in file.read_bytes()[:100]:
            file.write_bytes(b"not what it was")
    await world.pod("broken", "worker-1", containers=[tools("", ROOT_IMAGE)])
    await world.api.until(lambda: waiting(world, "broken")[0] == "CreateContainerError", 60)
    assert "has the digest sha256:" in waiting(world, "broken")[1]
    assert node.agent is not None


def restarts(world: World, name: str) -> int:
    return max([status["restartCount"] for status in world.api.status(name).get("containerStatuses", [])], default=0)


def waiting(world: World, name: str) -> tuple[str, str]:
    for status in world.api.status(name).get("containerStatuses", []):
        found = status["state"].get("waiting") or {}
        return found.get("reason", ""), found.get("message", "")
    return "", ""

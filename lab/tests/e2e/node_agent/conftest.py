"""Machines made of namespaces, a small API server inside them, and node agents to try on both."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from kubelab.pki import Authority, Subject

REAPER = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
print("up", flush=True)
while True:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    signal.sigwait({signal.SIGCHLD})
"""

LISTENER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
channel = socket.socket(fileno=int(sys.argv[2]))
socket.send_fds(channel, [b"x"], [listener.fileno()])
"""

# Answers every request with the client's address and the server's name; speaks HTTP on v4 and v6 and echoes UDP.
WEB = """
import http.server, os, socket, sys, threading
name, port = sys.argv[1], int(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{name} {self.client_address[0].removeprefix('::ffff:')}\\n".encode()
        self.send_response(200 if not os.path.exists("/tmp/sick") else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        print("served", self.client_address[0], flush=True)
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
def echo():
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))
    while True:
        data, peer = udp.recvfrom(2000)
        udp.sendto(f"{name} {data.decode()}".encode(), peer)
threading.Thread(target=echo, daemon=True).start()
print("web is up", flush=True)
Server(("::", port), Handler).serve_forever()
"""


@dataclass
class Lan:
    """A process namespace with one bridge, to which machines are plugged. Its first process takes all down with it."""

    first: int
    folder: Path
    machines: dict[str, Machine] = field(default_factory=dict)

    def run(self, *argv: str, check: bool = True) -> str:
        return _run(self.enter(), argv, check=check)

    def enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.first), "-n", "-m", "-p", "--"]

    def machine(self, name: str, number: int) -> Machine:
        """A machine with the addresses 198.51.100.<number> and 2001:db8:100::<number>, forwarding, with its own /sys."""
        net = self.folder / f"{name}.net"
        net.touch()
        self.run("unshare", f"--net={net}", "true")
        self.run("ip", "link", "add", f"p-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(net))
        self.run("ip", "link", "set", f"p-{name}", "master", "wire", "up")
        made = self.machines[name] = Machine(name, self, net, self._hold(net))
        made.run("sh", "-c", "for f in ip_forward conf/all/forwarding; do echo 1 > /proc/sys/net/ipv4/$f; done")
        made.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        for command in (
            "link set lo up",
            "link set eth0 up",
            f"addr add 198.51.100.{number}/24 dev eth0",
            f"addr add 2001:db8:100::{number}/64 dev eth0 nodad",
            "route add 198.19.0.0/16 dev eth0",
            "route add 2001:db8:400::/64 dev eth0",
        ):
            made.run("ip", *command.split())
        return made

    def _hold(self, net: Path) -> subprocess.Popen[str]:
        script = "mount -t sysfs sysfs /sys && echo up && exec sleep infinity"
        holder = subprocess.Popen(
            [*self.enter(), "nsenter", f"--net={net}", "unshare", "--mount", "sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        return holder


@dataclass
class Machine:
    """A network and a mount namespace."""

    name: str
    lan: Lan
    net: Path
    holder: subprocess.Popen[str]

    def enter(self) -> list[str]:
        return ["nsenter", "-t", str(_inside(self.holder.pid)), "-n", "-m", "-p", "--"]

    def run(self, *argv: str, check: bool = True) -> str:
        return _run(self.enter(), argv, check=check)

    def start(self, *argv: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen([*self.enter(), *argv], text=True, **more)

    def curl(self, url: str, *more: str) -> str:
        return self.run("curl", "-s", "-S", "-m", "30", *more, url).strip()

    def listen(self, port: int) -> socket.socket:
        """A socket that listens on this machine's loopback, in this process."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            argv = [*self.enter(), sys.executable, "-c", LISTENER, str(port), str(theirs.fileno())]
            subprocess.run(argv, pass_fds=[theirs.fileno()], check=True)
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(fileno=descriptors[0])


def _inside(pid: int) -> int:
    """nsenter and unshare fork when they enter a process namespace: the process inside is their child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


def _run(enter: list[str], argv: tuple[str, ...], *, check: bool) -> str:
    done = subprocess.run([*enter, *argv], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    # The namespaces end with this process, also if it is killed and no fixture gets its turn.
    argv = [
        "setpriv",
        "--pdeathsig=KILL",
        "--",
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
    ]
    first = subprocess.Popen([*argv, sys.executable, "-S", "-c", REAPER], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "up\n"
    made = Lan(_inside(first.pid), tmp_path)
    made.run("mount", "-t", "tmpfs", "tmpfs", "/run")
    made.run("ip", "link", "set", "lo", "up")
    made.run("ip", "link", "add", "wire", "type", "bridge", "mcast_snooping", "0")
    made.run("ip", "link", "set", "wire", "up")
    made.run("sh", "-c", "echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables", check=False)
    made.run("sh", "-c", "echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables", check=False)
    yield made
    os.kill(made.first, signal.SIGKILL)
    first.wait()
    first.stdout.close()
    for machine in made.machines.values():
        machine.holder.wait()
        assert machine.holder.stdout is not None
        machine.holder.stdout.close()


# --- the API server --------------------------------------------------------------------------------------------------


def merge(target: Any, patch: Any) -> Any:
    """A merge patch in which conditions are merged by type, as a strategic one does."""
    if not isinstance(target, dict) or not isinstance(patch, dict):
        return patch
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif key == "conditions" and isinstance(result.get(key), list):
            kept = {item["type"]: item for item in result[key]}
            for item in value:
                kept[item["type"]] = merge(kept.get(item["type"], {}), item)
            result[key] = list(kept.values())
        else:
            result[key] = merge(result.get(key), value)
    return result


@dataclass
class Api:
    """Objects in memory, served to node agents; tests change and await them directly."""

    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    log: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)
    version: int = 1
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    down: bool = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=503)
        parts = request.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        plural, name, sub = (*parts, "", "")[:3]
        if request.query.get("watch"):
            return await self._watch(request, plural, namespace)
        return await self._object(request, plural, namespace, name, sub)

    async def _object(  # noqa: PLR0911  # an answer for each case
        self, request: web.Request, plural: str, namespace: str, name: str, sub: str
    ) -> web.StreamResponse:
        key = (plural, namespace, name)
        body = await request.json() if request.can_read_body else {}
        if request.method == "GET" and not name:
            items = [obj for at, obj in self.objects.items() if at[0] == plural and self._matches(request, at, obj)]
            return web.json_response(
                {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": str(self.version)}, "items": items}
            )
        if request.method == "POST" and sub == "token":
            body["status"] = {"token": f"token-{namespace}-{name}-{self.version}"}
            self.version += 1
            return web.json_response(body, status=201)
        if request.method == "POST":
            key = (plural, namespace, body["metadata"]["name"])
            if key in self.objects:
                return self._status(409, "AlreadyExists")
            return web.json_response(await self.put(plural, body, namespace), status=201)
        if key not in self.objects:
            return self._status(404, "NotFound")
        if request.method == "GET":
            return web.json_response(self.objects[key])
        if request.method == "PATCH":
            return web.json_response(await self.put(plural, merge(self.objects[key], body), namespace))
        wanted = ((body.get("preconditions") or {}).get("uid"), self.objects[key]["metadata"]["uid"])
        if wanted[0] not in {None, wanted[1]}:
            return self._status(409, "Conflict")
        return web.json_response(await self.remove(plural, namespace, name))

    def _status(self, code: int, reason: str) -> web.Response:
        return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": reason}, status=code)

    def _matches(self, request: web.Request, at: tuple[str, str, str], obj: dict[str, Any]) -> bool:
        field_name, _, value = request.query.get("fieldSelector", "").partition("=")
        if field_name == "spec.nodeName":
            return bool(obj.get("spec", {}).get("nodeName") == value)
        namespace = request.path.partition("/namespaces/")[2].partition("/")[0]
        return (not field_name or at[2] == value) and (not namespace or at[1] == namespace)

    async def _watch(self, request: web.Request, plural: str, namespace: str) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion") or 0)
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        at = 0
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while not self.down:
                for version, kind, where, obj in self.log[at:]:
                    key = (where, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                    if version > since and where == plural and self._matches(request, key, obj):
                        await stream.write(json.dumps({"type": kind, "object": obj}).encode() + b"\n")
                at = len(self.log)
                async with self.changed:
                    await self.changed.wait_for(lambda seen=at: len(self.log) > seen or self.down)
            assert request.transport is not None
            request.transport.abort()
        return stream

    async def put(self, plural: str, obj: dict[str, Any], namespace: str = "") -> dict[str, Any]:
        meta = obj["metadata"]
        namespace = namespace or meta.get("namespace", "")
        key = (plural, namespace, meta["name"])
        old = self.objects.get(key)
        self.version += 1
        fresh = {"uid": old["metadata"]["uid"] if old else meta.get("uid") or f"uid-{self.version}"}
        new = obj | {"metadata": meta | fresh | {"namespace": namespace, "resourceVersion": str(self.version)}}
        if old is not None and _same(old, new):
            self.version -= 1
            return old
        self.objects[key] = new
        await self._tell("MODIFIED" if old else "ADDED", plural, new)
        return new

    async def remove(self, plural: str, namespace: str, name: str) -> dict[str, Any]:
        obj = self.objects.pop((plural, namespace, name))
        self.version += 1
        obj = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.version)}}
        await self._tell("DELETED", plural, obj)
        return obj

    async def delete(self, plural: str, namespace: str, name: str, grace_s: int) -> None:
        """As the real server deletes a pod that runs: mark it and wait for its node agent."""
        obj = self.objects[plural, namespace, name]
        marks = {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace_s}
        await self.put(plural, obj | {"metadata": obj["metadata"] | marks}, namespace)

    async def _tell(self, kind: str, plural: str, obj: dict[str, Any]) -> None:
        async with self.changed:
            self.log.append((self.version, kind, plural, obj))
            self.changed.notify_all()

    async def outage(self) -> None:
        self.down = True
        async with self.changed:
            self.changed.notify_all()

    async def until(self, what: Callable[[], Any], seconds: float = 100) -> Any:
        """Wait until something is true of the objects; its value."""
        try:
            async with asyncio.timeout(seconds), self.changed:
                await self.changed.wait_for(what)
        except TimeoutError:
            shown = {at: obj.get("status") or obj.get("message") for at, obj in self.objects.items()}
            raise AssertionError(json.dumps([[*at, what] for at, what in shown.items()], indent=1)) from None
        return what()

    def pod(self, name: str) -> dict[str, Any]:
        return self.objects.get(("pods", "default", name), {})

    def status(self, name: str) -> dict[str, Any]:
        return self.pod(name).get("status", {})

    def ready(self, name: str) -> bool:
        return any(c["type"] == "Ready" and c["status"] == "True" for c in self.status(name).get("conditions", []))

    def events(self, reason: str) -> list[str]:
        return [
            o["message"] for (plural, *_), o in self.objects.items() if plural == "events" and o["reason"] == reason
        ]


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    def masked(obj: dict[str, Any]) -> dict[str, Any]:
        return obj | {"metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}

    return masked(old) == masked(new)


# --- node agents -----------------------------------------------------------------------------------------------------


@dataclass
class Node:
    """A machine with a node agent."""

    machine: Machine
    config: Path
    state: Path
    logs: Path
    agent: subprocess.Popen[str] | None = None

    async def start(self) -> float:
        """Start the agent; seconds until it said that it is ready."""
        begun = time.monotonic()
        with self.logs.open("a") as log:
            self.agent = self.machine.start(
                sys.executable, "-P", "-m", "kubelab.kubelet", str(self.config), stdout=subprocess.PIPE, stderr=log
            )
        assert self.agent.stdout is not None
        async with asyncio.timeout(60):
            line = await asyncio.to_thread(self.agent.stdout.readline)
        assert line == "ready\n", self.logs.read_text()
        return time.monotonic() - begun

    def send(self, number: signal.Signals) -> None:
        """To the agent, and to nsenter, which stops when the agent stops."""
        assert self.agent is not None
        os.kill(_inside(self.agent.pid), number)
        if number == signal.SIGCONT:
            os.kill(self.agent.pid, number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.agent is not None
        self.send(number)
        await asyncio.to_thread(self.agent.wait)
        assert self.agent.stdout is not None
        self.agent.stdout.close()
        self.agent = None

    def files(self, pod: dict[str, Any]) -> Path:
        meta = pod["metadata"]
        return self.state / "pods" / self.machine.name / f"default_{meta['name']}_{meta['uid']}"

    def pid(self, pod: dict[str, Any], container: str = "web") -> int:
        return int(json.loads((self.files(pod) / f"{container}.json").read_text())["pid"])


def web_container(name: str, **more: Any) -> dict[str, Any]:
    """A web server that is ready when it answers; its period is shorter than the API would allow."""
    probe = {"httpGet": {"path": "/", "port": "http", "scheme": "HTTP"}, "periodSeconds": 0.05, "failureThreshold": 1}
    ports = [{"name": "http", "containerPort": 8080}]
    return {"name": "web", "image": "web", "args": [name, "8080"], "ports": ports, "readinessProbe": probe, **more}


@dataclass
class World:
    """A LAN, an API server on every node's loopback, nodes and a client."""

    lan: Lan
    api: Api
    folder: Path
    runners: list[web.AppRunner] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)

    async def node(self, name: str, number: int, **more: Any) -> Node:
        machine = self.lan.machine(name, number)
        await self._serve(machine)
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        kubeconfig = self.folder / "kubeconfig"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "x",
                    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                    "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:8001"}}],
                    "users": [{"name": "x", "user": {}}],
                }
            )
        )
        pki = self._pki()
        config = {
            "node": name,
            "kubeconfig": str(kubeconfig),
            "addresses": [f"198.51.100.{number}", f"2001:db8:100::{number}"],
            "labels": {"node-role.kubernetes.io/worker": ""},
            "taints": [],
            "pod_cidrs": [f"198.18.{number}.0/24", f"2001:db8:200:{number}::/64"],
            "cluster_cidrs": ["198.18.0.0/17", "2001:db8:200::/56"],
            "service_cidrs": ["198.18.128.0/17", "2001:db8:300::/112"],
            "state_dir": str(state),
            "images": {"web": {"": ["{python}", "-c", WEB]}, "shell": {"": ["/bin/sh", "-c"]}},
            "server_cert": {"cert": str(pki / "node.crt"), "key": str(pki / "node.key")},
            "client_ca": str(pki / "ca.crt"),
            "api_endpoints": [],
            "backoff_s": 0.2,
            **more,
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(config))
        made = self.nodes[name] = Node(machine, path, state, self.folder / f"{name}.log")
        for other in self.nodes.values():
            if other is not made:
                _route(made, other)
                _route(other, made)
        return made

    async def _serve(self, machine: Machine) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.api.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.SockSite(runner, machine.listen(8001)).start()
        self.runners.append(runner)

    def _pki(self) -> Path:
        folder = self.folder / "pki"
        if not folder.exists():
            folder.mkdir()
            authority = Authority(time.time(), lambda n: n // 3)
            (folder / "ca.crt").write_bytes(authority.certificate)
            subjects = {
                "node": Subject("system:node:x", ("system:nodes",), ("localhost",)),
                "server": Subject("kube-apiserver-kubelet-client", ("system:masters",)),
                "stranger": Subject("stranger", ("people",)),
            }
            for name, subject in subjects.items():
                identity = authority.issue(subject)
                (folder / f"{name}.crt").write_bytes(identity.certificate)
                (folder / f"{name}.key").write_bytes(identity.key)
        return folder

    async def pod(self, name: str, node: str, **spec: Any) -> dict[str, Any]:
        """Create a pod whose containers have the API server's defaults."""
        containers = spec.pop("containers", None) or [web_container(name)]
        labels = spec.pop("labels", {})
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": labels, "generation": 1},
            "spec": {
                "nodeName": node,
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 5,
                "containers": containers,
                **spec,
            },
            "status": {"phase": "Pending"},
        }
        return await self.api.put("pods", body)

    async def curl(self, machine: Machine, url: str, *more: str) -> str:
        return await asyncio.to_thread(machine.curl, url, *more)

    async def service(self, name: str, ips: list[str], port: int = 80, **more: Any) -> None:
        status = more.pop("status", {})
        protocol = more.pop("protocol", "TCP")
        ports = [{"name": "main", "port": port, "protocol": protocol, "nodePort": more.pop("node_port", None)}]
        spec = {"type": "ClusterIP", "clusterIPs": ips, "ports": ports, **more}
        meta = {"name": name, "namespace": "default"}
        body = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, "status": status}
        await self.api.put("services", body)

    async def slice(self, service: str, family: int, endpoints: list[tuple[str, str]], **more: Any) -> None:
        """Endpoints as (address, node) on port 8080."""
        conditions = {"ready": True, "serving": True, "terminating": False}
        body = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service}-{family}",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": f"IPv{family}",
            "ports": [{"name": "main", "port": 8080, "protocol": more.get("protocol", "TCP")}],
            "endpoints": [
                {"addresses": [address], "nodeName": node, "conditions": conditions} for address, node in endpoints
            ],
        }
        await self.api.put("endpointslices", body)


def _route(node: Node, other: Node) -> None:
    """What a cluster's network provides: the way to the other node's pods."""
    config = json.loads(other.config.read_text())
    for network, gateway in zip(config["pod_cidrs"], config["addresses"], strict=True):
        node.machine.run("ip", "route", "add", network, "via", gateway)


@pytest_asyncio.fixture
async def world(lan: Lan, tmp_path: Path) -> AsyncIterator[World]:
    made = World(lan, Api(), tmp_path)
    yield made
    for node in made.nodes.values():
        if node.agent is not None:
            await node.stop()
    await made.api.outage()
    for runner in made.runners:
        await runner.cleanup()

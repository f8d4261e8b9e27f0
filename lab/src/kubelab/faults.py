"""Faults of a lab: links cut, packets dropped, processes killed or paused; what is in force is read from the kernel."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from kubelab.cluster import Cluster, Host, Plan
from kubelab.objects import Json
from kubelab.places import PlaceError, containers, find_container, machine_files, way_to_wire
from kubelab.processes import STOPPED, ZOMBIE, Process, ProcessTable
from kubelab.state import Layout, ProcessRecord, Record

SHARE_STEPS = 1_000_000
"""A share of dropped packets is told to the kernel in parts of this."""
_TABLE = "drop-"
_DEATH_S = 2.0
"""How long the kernel may take to end a process."""
_ROUNDS = 20
"""How often to look again for processes that were started while others were signalled."""


class Direction(Enum):
    """Which packets of a machine a fault is about."""

    FROM = "from"
    TO = "to"
    BOTH = "both"


class FaultError(Exception):
    """A fault could not be put in force; the message says why."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault in force: `cut`, `drop` or `pause`, what it is about, and more in words."""

    kind: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True)
class Scene:
    """The running lab that faults are for."""

    layout: Layout
    record: Record
    cluster: Cluster
    plan: Plan

    @property
    def init_pid(self) -> int:
        """The lab's init as the host sees it."""
        return self.record.pid

    def host(self, name: str) -> Host:
        """A machine by its name, or by `node/NAME`, `client/NAME` or `router/NAME`.

        Raises:
            PlaceError: there is none.
        """
        bare = name.removeprefix("node/").removeprefix("client/").removeprefix("router/")
        for host in self.plan.hosts:
            if host.name == bare:
                return host
        known = ", ".join(host.name for host in self.plan.hosts)
        raise PlaceError(f"{name!r} is no machine of this lab; there are: {known}")

    def ports(self, name: str, network: str | None) -> list[str]:
        """The switch ports of a machine: on one network, or all.

        Raises:
            PlaceError: there is no such machine, or it is not on that network.
        """
        host = self.host(name)
        ports = [each.port for each in host.interfaces if network in (None, each.network)]
        if not ports:
            on = ", ".join(each.network for each in host.interfaces)
            raise PlaceError(f"{name!r} is not on network {network!r}; it is on: {on}")
        return ports


def cut(scene: Scene, machine: str, network: str | None = None) -> None:
    """Take a machine's cable out of the switch: both ends lose their carrier.

    Raises:
        PlaceError, FaultError: see there.
    """
    _set_links(scene, machine, network, "down")


def restore(scene: Scene, machine: str, network: str | None = None) -> None:
    """Put a machine's cable back, and drop no packets of it any more.

    Raises:
        PlaceError, FaultError: see there.
    """
    _set_links(scene, machine, network, "up")
    drop(scene, machine, 0.0, network=network)


def drop(
    scene: Scene, machine: str, share: float, direction: Direction = Direction.BOTH, network: str | None = None
) -> None:
    """Drop this share (0 to 1) of a machine's packets at random, each for itself; 0 ends it. Replaces an earlier share.

    Raises:
        ValueError: the share is not between 0 and 1.
        PlaceError, FaultError: see there.
    """
    rules = "".join(drop_rules(port, share, direction) for port in scene.ports(machine, network))
    _on_the_wire(scene, ["nft", "-f", "-"], rules)


def drop_rules(port: str, share: float, direction: Direction) -> str:
    """What nft is to do so that a switch port drops this share of packets. Pure.

    Raises:
        ValueError: the share is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share {share}: must be between 0 and 1")
    table = f"netdev {_TABLE}{port}"
    lines = [f"add table {table}", f"delete table {table}"]
    hooks = {"ingress": (Direction.FROM, Direction.BOTH), "egress": (Direction.TO, Direction.BOTH)}
    parts = round(share * SHARE_STEPS)
    chosen = [hook for hook, directions in hooks.items() if direction in directions]
    chance = "" if parts == SHARE_STEPS else f"numgen random mod {SHARE_STEPS} < {parts} "
    if parts:
        lines.append(f"add table {table}")
        for hook in chosen:
            lines.append(f'add chain {table} {hook} {{ type filter hook {hook} device "{port}" priority 0; }}')
            lines.append(f"add rule {table} {hook} {chance}counter drop")
    return "\n".join(lines) + "\n"


def kill(scene: Scene, target: str) -> list[Process]:
    """Kill a process, a pod's processes, or a node's agent and all its pods; answers what was killed, once it is dead.

    Raises:
        PlaceError: there is no such process.
    """
    return _signal_all(scene, target, signal.SIGKILL)


def pause(scene: Scene, target: str) -> list[Process]:
    """Stop the same processes as `kill` would, until `resume`; answers them.

    Raises:
        PlaceError: there is no such process.
    """
    return _signal_all(scene, target, signal.SIGSTOP)


def resume(scene: Scene, target: str) -> list[Process]:
    """Let paused processes go on; answers them.

    Raises:
        PlaceError: there is no such process.
    """
    return _signal_all(scene, target, signal.SIGCONT)


def start(scene: Scene) -> dict[str, int]:
    """Have the lab start its own processes that have ended, e.g. by `kill`. They are not ready yet.

    Answers which, with the ids that they had in the lab's record.
    """
    table = ProcessTable.read(scene.init_pid)
    ended = {name: process.pid for name, process in scene.record.processes.items() if not _runs(process, table)}
    os.kill(scene.init_pid, signal.SIGUSR1)
    return ended


def _runs(process: ProcessRecord, table: ProcessTable) -> bool:
    """Whether it runs: the record may be a moment behind."""
    found = table.find(process.pid) if process.code is None else None
    return found is not None and found.state != ZOMBIE


def reset(scene: Scene, machine: str, port: int) -> int:
    """Reset a machine's TCP connections from or to a port, as a firewall does that lost its state; answers how many.

    Raises:
        PlaceError: there is no such machine.
        FaultError: the kernel cannot do that.
    """
    into = machine_files(scene.host(machine).name, scene.layout, scene.init_pid).enter()
    which = f"( sport = :{port} or dport = :{port} )"
    command = [*into, "ss", "--no-header", "--kill", "--tcp", "--numeric", "state", "established", which]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise FaultError(f"ss: {' '.join(answer.stderr.split()) or 'failed'}")
    return len(answer.stdout.splitlines())


def in_force(scene: Scene) -> list[Fault]:
    """The faults that are in force.

    Raises:
        FaultError: the lab's switch cannot be asked.
    """
    return [*_cut_links(scene), *_drops(scene), *_pauses(scene)]


def _set_links(scene: Scene, machine: str, network: str | None, state: str) -> None:
    commands = [f"link set dev {port} {state}" for port in scene.ports(machine, network)]
    _on_the_wire(scene, ["ip", "-batch", "-"], "\n".join(commands) + "\n")


def _on_the_wire(scene: Scene, command: Sequence[str], text: str = "") -> str:
    """Run a command on the lab's switch and answer its output."""
    answer = subprocess.run(
        [*way_to_wire(scene.init_pid), *command], input=text, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise FaultError(f"{command[0]}: {' '.join(answer.stderr.split()) or 'failed'}")
    return answer.stdout


def _targets(scene: Scene, target: str, table: ProcessTable) -> list[Process]:
    """The processes that a target means, agents before pods, parents before children.

    Raises:
        PlaceError: there is no such process.
    """
    component = scene.record.processes.get(target)
    if component is not None:
        process = table.find(component.pid) if component.code is None else None
        return [process] if process is not None else []
    kind = target.partition("/")[0]
    if kind == "node":
        return _processes_of_node(scene, scene.host(target).name, table)
    if kind == "pod":
        return _processes_of_pod(scene, target, table)
    known = ", ".join(scene.record.processes)
    raise PlaceError(
        f"{target!r} is no process of this lab; there are: {known}, node/NAME, pod/NAMESPACE/NAME[/CONTAINER]"
    )


def _processes_of_node(scene: Scene, node: str, table: ProcessTable) -> list[Process]:
    agent = scene.record.processes.get(f"agent/{node}")
    agent_process = table.find(agent.pid) if agent is not None and agent.code is None else None
    roots = [] if agent_process is None else [agent_process.pid]
    roots += [each.pid for each in containers(scene.layout, table) if each.node == node]
    members = table.tree(roots)
    networks = {process.network for process in members} | {_network_of(scene, node)}
    return members + _others_in(networks, members, table)


def _processes_of_pod(scene: Scene, target: str, table: ProcessTable) -> list[Process]:
    """A pod's processes; also those that left their parents, if the pod has a network of its own to know them by."""
    found = find_container(target, scene.layout, table)
    members = table.tree([each.pid for each in found])
    whole_pod = target.count("/") == 2  # noqa: PLR2004  # no container named
    networks = {process.network for process in members} - {_network_of(scene, found[0].node)}
    return members + _others_in(networks, members, table) if whole_pod else members


def _others_in(networks: set[str], members: Sequence[Process], table: ProcessTable) -> list[Process]:
    known = {process.pid for process in members}
    return table.where(lambda each: each.network in networks and each.network != "" and each.pid not in known)


def _network_of(scene: Scene, machine: str) -> str:
    """A machine's network namespace as /proc names it."""
    file = machine_files(machine, scene.layout, scene.init_pid).file("net")
    return f"net:[{file.stat().st_ino}]"


def _signal_all(scene: Scene, target: str, number: signal.Signals) -> list[Process]:
    """Signal everything that a target means, also what is started meanwhile."""
    done: dict[int, Process] = {}
    for _ in range(_ROUNDS):
        new = [each for each in _found(scene, target, done) if each.pid not in done]
        for process in new:
            with contextlib.suppress(ProcessLookupError):
                _signal(process.pid, number)
            done[process.pid] = process
        if not new:
            break
    if not done:
        raise PlaceError(f"no process of {target!r} runs")
    return list(done.values())


def _signal(pid: int, number: signal.Signals) -> None:
    """Signal a process; one that is to die is dead when this returns.

    Raises:
        ProcessLookupError: it is gone already.
    """
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, number)
        if number == signal.SIGKILL:
            select.select([handle], [], [], _DEATH_S)
    finally:
        os.close(handle)


def _found(scene: Scene, target: str, done: dict[int, Process]) -> list[Process]:
    """What a target means now; a pod that is gone once it was signalled is no error."""
    try:
        return _targets(scene, target, ProcessTable.read(scene.init_pid))
    except PlaceError:
        if done:
            return []
        raise


def _cut_links(scene: Scene) -> Iterator[Fault]:
    down = {
        link["ifname"] for link in json.loads(_on_the_wire(scene, ["ip", "-json", "link"])) if "UP" not in link["flags"]
    }
    for host in scene.plan.hosts:
        for each in host.interfaces:
            if each.port in down:
                yield Fault("cut", host.name, f"network {each.network}")


def _drops(scene: Scene) -> Iterator[Fault]:
    found: dict[tuple[str, int], list[str]] = {}
    for entry in json.loads(_on_the_wire(scene, ["nft", "-json", "list", "ruleset"]))["nftables"]:
        rule = entry.get("rule")
        if rule is not None and rule["table"].startswith(_TABLE):
            found.setdefault((rule["table"].removeprefix(_TABLE), _parts(rule["expr"])), []).append(rule["chain"])
    for host in scene.plan.hosts:
        for each in host.interfaces:
            for (port, parts), hooks in found.items():
                if port == each.port:
                    way = {"ingress": "from", "egress": "to"}
                    ways = " and ".join(sorted(way[hook] for hook in hooks))
                    yield Fault(
                        "drop", host.name, f"{parts / SHARE_STEPS:.4%} of packets {ways} it, network {each.network}"
                    )


def _parts(expressions: Json) -> int:
    """The number that a drop rule compares with; one that compares nothing drops all."""
    return next((int(each["match"]["right"]) for each in expressions if "match" in each), SHARE_STEPS)


def _pauses(scene: Scene) -> Iterator[Fault]:
    table = ProcessTable.read(scene.init_pid)
    names: dict[int, str] = {}
    for each in containers(scene.layout, table):
        for process in table.tree([each.pid]):
            names[process.pid] = f"pod/{each.namespace}/{each.pod}/{each.name}"
    for name, component in scene.record.processes.items():
        process_found = table.find(component.pid) if component.code is None else None
        if process_found is not None:
            names[process_found.pid] = name
    for process in table.where(lambda each: each.state == STOPPED):
        yield Fault("pause", names.get(process.pid, f"process {process.lab_pid}"), process.command)

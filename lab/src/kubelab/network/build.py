"""Builds the lab's network in the namespace that is to be its wire: bridges, machines, cables, addresses, routes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from kubelab.cluster import Cluster, Plan
from kubelab.network import commands, kernel, namespaces
from kubelab.network.kernel import MountFlags
from kubelab.network.namespaces import Inside, Machine


class NetworkError(Exception):
    """A part of the network could not be made; the message says which, and what the tool said."""


def build(cluster: Cluster, plan: Plan, directory: Path, keep: tuple[Path, ...] = ()) -> dict[str, Machine]:
    """Make the whole network of a lab; this process's network namespace becomes the wire.

    `directory` exists and becomes the private tmpfs for namespace files; `keep`: see `Inside`. Answers the machines by
    name. Nothing has to be undone on failure but ending this process's namespaces.

    Raises:
        NetworkError: a command failed.
        OSError: the kernel refuses a namespace or mount.
    """
    kernel.mount("namespaces", directory, "tmpfs", MountFlags.NOSUID | MountFlags.NODEV, "mode=700,size=1m")
    kernel.mount("none", directory, flags=MountFlags.PRIVATE)
    namespaces.write_settings({**commands.WIRE_SETTINGS, **commands.BRIDGE_NETFILTER})
    machines: dict[str, Machine] = {}
    wire = commands.bridge_commands(plan)
    for host in plan.hosts:
        machine = machines[host.name] = Machine(host.name, directory)
        namespaces.create(machine, Inside(_settings(host.name, plan), keep))
        wire += commands.plug_commands(host, machine.file("net"))
    run_ip(wire)
    for host in plan.hosts:
        run_ip(
            commands.host_commands(host, plan, cluster), ["nsenter", f"--net={machines[host.name].file('net')}", "--"]
        )
    return machines


def _settings(name: str, plan: Plan) -> commands.Settings:
    if name in plan.routers:
        return commands.ROUTER_SETTINGS
    return commands.NODE_SETTINGS if name in plan.nodes else commands.CLIENT_SETTINGS


def run_ip(lines: Sequence[str], prefix: Sequence[str] = ()) -> None:
    """Run commands in one `ip -batch`, here or where `prefix` enters.

    Raises:
        NetworkError: a command failed; it is named.
    """
    answer = subprocess.run(
        [*prefix, "ip", "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise NetworkError(_blame(lines, answer.stderr))


def _blame(lines: Sequence[str], complaint: str) -> str:
    """The command that `ip -batch` stumbled over, and what it said: it names the line as `Command failed -:7`."""
    said = [line for line in complaint.splitlines() if line and not line.startswith("Command failed")]
    number = complaint.rpartition("Command failed -:")[2].strip()
    command = lines[int(number) - 1] if number.isdigit() and int(number) <= len(lines) else "-batch"
    return f"ip {command}: {' '.join(said) or 'failed'}"

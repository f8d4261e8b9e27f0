"""What a lab would leave on the host if it leaked: looked for by its namespaces, its folder and the host's links."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kubelab.lab import Lab
from kubelab.network.namespaces import KINDS
from kubelab.places import machine_files

NAMESPACE_KINDS = ("net", "mnt", "pid", "uts", "ipc")


@dataclass(frozen=True, slots=True)
class Traces:
    """By what a lab's remains are known: namespaces (`net:[4026532001]`), folder; and the host's links before it."""

    namespaces: frozenset[str]
    folder: Path
    host_links: frozenset[str]


def host_links() -> frozenset[str]:
    """The network links of this process's namespace."""
    return frozenset(name for _, name in socket.if_nameindex())


def of(lab: Lab, links_before: frozenset[str]) -> Traces:
    """The traces of a lab that runs now."""
    init = lab.record.pid
    host = set(_namespaces_of(Path("/proc/self")))
    found = {each for process in lab.processes for each in _namespaces_of(Path(f"/proc/{process.pid}"))}
    for machine in lab.plan.hosts:
        files = machine_files(machine.name, lab.layout, init)
        found |= {f"{kind}:[{files.file(kind).stat().st_ino}]" for kind in KINDS}
    return Traces(frozenset(found - host), lab.layout.directory, links_before)


def now() -> float:
    """Seconds since the machine started, by which processes are told apart."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def left(traces: Traces, ended_s: float | None = None) -> list[str]:
    """What is left of a lab that should be gone, a line each; nothing if all is well.

    `ended_s` is when it ended (see `now`), the present moment by default. The kernel gives the numbers of namespaces
    that are gone to new ones: a process that started later, or under another lab's init, is another lab's.
    """
    ended = now() if ended_s is None else ended_s
    return [*_processes_left(traces, ended), *_mounts_left(traces), *_files_left(traces), *_links_left(traces)]


def _processes_left(traces: Traces, ended_s: float) -> Iterator[str]:
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or not traces.namespaces.intersection(_namespaces_of(folder)):
            continue
        if _has_ended(folder) or _started_s(folder) > ended_s or _is_anothers(folder, traces):
            continue
        yield f"process {folder.name} is still in a namespace of the lab: {_command(folder)}"


def _mounts_left(traces: Traces) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if str(traces.folder) in words[4] or traces.namespaces.intersection(words):
            yield f"mount: {line}"


def _files_left(traces: Traces) -> Iterator[str]:
    if traces.folder.exists():
        yield f"folder: {traces.folder}"


def _links_left(traces: Traces) -> Iterator[str]:
    for name in sorted(host_links() - traces.host_links):
        yield f"link on the host: {name}"


def _namespaces_of(folder: Path) -> list[str]:
    found = []
    for kind in NAMESPACE_KINDS:
        try:
            found.append(str((folder / "ns" / kind).readlink()))
        except OSError:
            continue
    return found


def _has_ended(folder: Path) -> bool:
    """Whether a process is gone, or only waits for the host's process 1 to take note of its end."""
    try:
        return (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _is_anothers(folder: Path, traces: Traces) -> bool:
    """Whether a process descends from the init of another lab."""
    while folder.name not in {"0", "1"}:
        command = _command(folder)
        if "kubelab.init " in command:
            return str(traces.folder) + "/" not in command
        try:
            parent = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        except OSError:
            return False
        folder = folder.with_name(parent)
    return False


def _started_s(folder: Path) -> float:
    """When a process started, in seconds since the machine did; infinity if it is gone (proc(5), field 22)."""
    try:
        fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "ended meanwhile"

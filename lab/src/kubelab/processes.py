"""The processes of a lab as the host sees them: which they are, whose they are, and their names inside the lab.

A lab's processes see ids of the lab's own pid namespace; signals from outside need the host's. /proc tells both
(`NSpid` of proc_pid_status(5)).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

STOPPED = "T"
ZOMBIE = "Z"


@dataclass(frozen=True, slots=True)
class Process:
    """A process: its id on the host and in the lab, its parent's on the host, its state (`R`, `S`, `T`...)."""

    pid: int
    lab_pid: int
    parent: int
    state: str
    command: str
    network: str
    """Its network namespace, `net:[4026532001]`; empty if it has ended."""


class ProcessTable:
    """All processes of one lab at one moment."""

    def __init__(self, processes: Iterable[Process]) -> None:
        self._by_pid = {process.pid: process for process in processes}

    @classmethod
    def read(cls, init_pid: int, proc: Path = Path("/proc")) -> ProcessTable:
        """The processes in the pid namespace of the process `init_pid`, or in one below; empty if that is gone."""
        init = _status(proc / str(init_pid))
        if init is None or init["NSpid"].split()[-1] != "1":
            return cls(())
        depth = len(init["NSpid"].split()) - 1
        found = {}
        for folder in proc.iterdir():
            status = _status(folder) if folder.name.isdigit() else None
            if status is not None and len(status["NSpid"].split()) > depth:
                found[int(folder.name)] = _process(folder, status, depth)
        below = set(_below(init_pid, found.values()))
        namespace = _link(proc / str(init_pid) / "ns/pid")
        return cls(
            process
            for pid, process in found.items()
            if pid == init_pid or pid in below or _link(proc / str(pid) / "ns/pid") == namespace
        )

    def __iter__(self) -> Iterator[Process]:
        """The processes in the order of their host ids."""
        return iter(sorted(self._by_pid.values(), key=lambda process: process.pid))

    def __len__(self) -> int:
        return len(self._by_pid)

    def find(self, lab_pid: int) -> Process | None:
        """The process with that id inside the lab."""
        return next((process for process in self if process.lab_pid == lab_pid), None)

    def tree(self, roots: Iterable[int]) -> list[Process]:
        """The processes with these host ids and all their descendants, parents first."""
        found: dict[int, Process] = {}
        for root in roots:
            if root in self._by_pid:
                found.setdefault(root, self._by_pid[root])
            for pid in _below(root, self._by_pid.values()):
                found.setdefault(pid, self._by_pid[pid])
        return list(found.values())

    def where(self, holds: Callable[[Process], bool]) -> list[Process]:
        """The processes for which `holds` says so."""
        return [process for process in self if holds(process)]


def environment(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty if it is gone."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    entries = (entry.partition(b"=") for entry in content.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in entries}


def children(pid: int) -> list[int]:
    """The children of a process's main thread (proc_pid_task(5)); empty if it is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _below(root: int, processes: Iterable[Process]) -> list[int]:
    """The ids of all descendants of `root`, nearest first."""
    by_parent: dict[int, list[int]] = {}
    for process in processes:
        by_parent.setdefault(process.parent, []).append(process.pid)
    found: list[int] = []
    queue = [root]
    while queue:
        queue_next = [child for pid in queue for child in sorted(by_parent.get(pid, ()))]
        found += queue_next
        queue = queue_next
    return found


def _process(folder: Path, status: dict[str, str], depth: int) -> Process:
    return Process(
        pid=int(folder.name),
        lab_pid=int(status["NSpid"].split()[depth]),
        parent=int(status["PPid"]),
        state=status["State"][:1],
        command=_command(folder) or status["Name"],
        network=_link(folder / "ns/net"),
    )


def _status(folder: Path) -> dict[str, str] | None:
    """The fields of a process's status file, None if it is gone."""
    try:
        text = (folder / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in fields}


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""

"""CPU limits of containers by control groups, version 2 or 1, where the machine has them; else they are only shown.

Each limited container has a group `kubelab-LAB-DIGEST/POD.CONTAINER` at the top of the hierarchy. Groups are the one
thing of a lab that no namespace holds: `sweep` takes those away that nobody is in any more.
Sources: the kernel's cgroup-v2.rst ("CPU Interface Files"), sched-bwc.rst; runtimes give periods of 100 ms.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from kubelab.network import kernel
from kubelab.network.kernel import MountFlags

PERIOD_US = 100_000
_SHORTEST_US = 1_000
"""The kernel takes no shorter share of a period."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where a machine's control groups for CPU time are mounted.

    `options` are those of its mount, needed to mount it once more elsewhere.
    """

    root: Path
    version: int
    options: str = ""

    @property
    def is_unified(self) -> bool:
        """Version 2: one hierarchy for all controllers, which a group's parent has to hand down."""
        return self.version == 2  # noqa: PLR2004  # the version's own number

    def limit(self, millis: int) -> tuple[str, str]:
        """The file that holds a limit, and its text for so many thousandths of a processor."""
        quota = max(_SHORTEST_US, PERIOD_US * millis // 1000)
        return ("cpu.max", f"{quota} {PERIOD_US}") if self.is_unified else ("cpu.cfs_quota_us", str(quota))


def hierarchy(mounts: str) -> Hierarchy | None:
    """The hierarchy that the lines of /proc/mounts tell of; None if this machine has none for CPU time. Pure."""
    found: Hierarchy | None = None
    for line in mounts.splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            named = [each for each in options.split(",") if each in {"cpu", "cpuacct"}]
            return Hierarchy(Path(point), 1, ",".join(named))
        if kind == "cgroup2":
            found = Hierarchy(Path(point), 2)
    return found


def mounted(at: Path) -> Hierarchy | None:
    """The machine's hierarchy, mounted once more: a node has a /sys of its own, which hides it. None if it has none."""
    found = hierarchy(Path("/proc/mounts").read_text(encoding="utf-8"))
    if found is None:
        return None
    try:
        if not os.path.ismount(at):
            at.mkdir(parents=True, exist_ok=True)
            safe = MountFlags.NOSUID | MountFlags.NODEV | MountFlags.NOEXEC
            kernel.mount("cgroup", at, "cgroup2" if found.is_unified else "cgroup", safe, found.options)
        handed_down = not found.is_unified or "cpu" in (at / "cgroup.subtree_control").read_text("ascii").split()
    except OSError:
        return None
    return replace(found, root=at) if handed_down else None


def group_of(folder: Path) -> str:
    """The name of a lab's group: it is told by the lab's folder, and another lab of that name has another."""
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return f"kubelab-{folder.name}-{digest}"


@dataclass(frozen=True, slots=True)
class CpuLimits:
    """The groups of one lab in a hierarchy; without one nothing is limited."""

    hierarchy: Hierarchy | None
    group: str

    def apply(self, pod: str, container: str, millis: int, pids: Iterable[int]) -> bool:
        """Hold processes, and all that they start, to so many thousandths of a processor; whether that is so now."""
        if self.hierarchy is None:
            return False
        top = self.hierarchy.root / self.group
        folder = top / f"{pod}.{container}"
        name, text = self.hierarchy.limit(millis)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.hierarchy.is_unified:
                (top / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
            (folder / name).write_text(text, encoding="ascii")
            for pid in pids:
                (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except OSError:
            return False
        return True

    def remove(self, pod: str) -> None:
        """Take a pod's groups away; one that somebody is still in stays for `sweep`."""
        if self.hierarchy is not None:
            for folder in (self.hierarchy.root / self.group).glob(f"{pod}.*"):
                with contextlib.suppress(OSError):
                    folder.rmdir()


def sweep(folder: Path) -> None:
    """Take all groups away that a lab, told by its folder, has left, and nobody is in."""
    found = hierarchy(Path("/proc/mounts").read_text(encoding="utf-8"))
    if found is None:
        return
    top = found.root / group_of(folder)
    for each in [*top.glob("*/"), top]:
        with contextlib.suppress(OSError):
            each.rmdir()

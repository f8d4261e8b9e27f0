"""What Prometheus' clients tell of any process: CPU time, memory, descriptors, its start; from proc_pid_stat(5)."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

_UTIME, _STIME, _STARTTIME, _VSIZE, _RSS = 11, 12, 19, 20, 21
"""Where they stand behind the name."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of this process, at one moment: seconds (of CPU, and since 1970), bytes, numbers."""

    cpu_s: float
    started_s: float
    virtual_bytes: float
    resident_bytes: float
    open_files: float
    most_files: float


def figures(proc: Path = Path("/proc")) -> Figures | None:
    """Now; None where the system does not tell."""
    tick = os.sysconf("SC_CLK_TCK")
    try:
        stat = (proc / "self" / "stat").read_text().rpartition(")")[2].split()
        booted = float((proc / "stat").read_text().partition("\nbtime ")[2].split()[0])
        return Figures(
            cpu_s=(float(stat[_UTIME]) + float(stat[_STIME])) / tick,
            started_s=booted + float(stat[_STARTTIME]) / tick,
            virtual_bytes=float(stat[_VSIZE]),
            resident_bytes=float(stat[_RSS]) * resource.getpagesize(),
            open_files=float(sum(1 for _ in (proc / "self" / "fd").iterdir())),
            most_files=float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        )
    except (OSError, IndexError):
        return None

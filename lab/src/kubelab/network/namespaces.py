"""Namespaces of the lab's machines: made once, kept alive by files, entered by command.

A machine is a network, a mount and a UTS namespace (its own /sys, /run and host name). Each is held by a file bound to
it (namespaces(7)) in a tmpfs that only the lab's own mount namespace sees: when that ends, so do they.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from kubelab.network import kernel
from kubelab.network.commands import Settings
from kubelab.network.kernel import MountFlags, Namespaces

KINDS = {"net": Namespaces.NETWORK, "mnt": Namespaces.MOUNT, "uts": Namespaces.UTS}
"""The namespaces of a machine, by their names in /proc/PID/ns."""
_NSENTER_OPTIONS = {"net": "--net", "mnt": "--mount", "uts": "--uts"}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a machine's namespace files are: `directory`/`name`.net, .mnt, .uts."""

    name: str
    directory: Path

    def file(self, kind: str) -> Path:
        """The file that holds the namespace of a kind (`net`, `mnt`, `uts`)."""
        return self.directory / f"{self.name}.{kind}"

    def enter(self) -> list[str]:
        """The beginning of a command line that runs the rest in this machine (`--` included)."""
        return ["nsenter", *(f"{option}={self.file(kind)}" for kind, option in _NSENTER_OPTIONS.items()), "--"]


@dataclass(frozen=True, slots=True)
class Inside:
    """What a new machine looks like from inside.

    `keep` are folders below /run that stay visible there although /run is the machine's own.
    """

    settings: Settings
    keep: tuple[Path, ...] = ()


def create(machine: Machine, inside: Inside) -> None:
    """Make a machine's namespaces and bind them to its files; its links come later.

    A child process makes them, because a process cannot leave a mount namespace again by itself.

    Raises:
        OSError: the kernel refuses.
    """
    made_read, made_write = os.pipe()
    held_read, held_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(made_read)
        os.close(held_write)
        _be_the_first_process(machine, inside, made_write, held_read)
    os.close(made_write)
    os.close(held_read)
    try:
        with os.fdopen(made_read, "rb") as reports:
            report = reports.read(1000)
        if report != b"made":
            raise OSError(f"machine {machine.name}: {report.decode(errors='replace') or 'its first process died'}")
        for kind in KINDS:
            machine.file(kind).touch()
            kernel.bind(Path(f"/proc/{child}/ns/{kind}"), machine.file(kind))
    finally:
        os.close(held_write)
        os.waitpid(child, 0)


def write_settings(settings: Settings) -> None:
    """Write kernel settings of this process's network namespace; a kernel without IPv6 or a module lacks some files.

    Raises:
        OSError: a setting exists and is refused.
    """
    for name, value in settings.items():
        file = Path("/proc/sys/net", name)
        if file.exists():
            file.write_text(value, encoding="ascii")


def own_run(keep: tuple[Path, ...]) -> None:
    """Give this mount namespace a /run of its own, with the folders of `keep` still in it.

    Raises:
        OSError: the kernel refuses.
    """
    kept = [(folder, os.open(folder, os.O_PATH)) for folder in keep]
    kernel.mount("run", Path("/run"), "tmpfs", MountFlags.NOSUID | MountFlags.NODEV, "mode=755")
    for folder, descriptor in kept:
        folder.mkdir(parents=True, exist_ok=True)
        kernel.mount(f"/proc/self/fd/{descriptor}", folder, flags=MountFlags.BIND | MountFlags.RECURSIVE)
        os.close(descriptor)


def _be_the_first_process(machine: Machine, inside: Inside, report: int, hold: int) -> None:
    """The child's life: make the namespaces, say so, wait until they are bound, end."""
    try:
        kernel.unshare(Namespaces.NETWORK | Namespaces.MOUNT | Namespaces.UTS)
        kernel.mount("none", Path("/"), flags=MountFlags.RECURSIVE | MountFlags.PRIVATE)
        kernel.unmount(machine.directory)
        kernel.mount("sysfs", Path("/sys"), "sysfs", MountFlags.NOSUID | MountFlags.NODEV | MountFlags.NOEXEC)
        own_run(inside.keep)
        socket.sethostname(machine.name)
        write_settings(inside.settings)
        os.write(report, b"made")
    except OSError as error:
        os.write(report, str(error).encode())
    os.close(report)
    os.read(hold, 1)
    os._exit(0)

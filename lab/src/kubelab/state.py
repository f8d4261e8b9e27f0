"""A lab's folder on the host: its files, its lock, and the record of what runs.

Whoever holds the lock is the lab: first `up`, then the lab's init for as long as it lives. The kernel releases it with
the process, so a lab that was killed is known to be dead without asking any process id.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from kubelab.cluster.rules import LABEL_NAME
from kubelab.objects import Object

STATE_VARIABLE = "KUBELAB_STATE"
DEFAULT_ROOT = "/run/kubelab"
DEFAULT_NAME = "lab"
NAME_LIMIT = 40
"""Longest name of a lab: paths of sockets in its folder must stay below 108 bytes (unix(7))."""


class LabNotFoundError(Exception):
    """There is no lab of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is no lab {name!r}; `lab up --name {name}` starts one, `lab status` lists them")


class LabRunsError(Exception):
    """A lab of that name runs already, or is just starting or ending."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"lab {name!r} runs already: use it, end it by `lab down --name {name}`, or give another --name"
        )


class LabDeadError(Exception):
    """The lab's processes are gone, its folder is still there."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"lab {name!r} is dead; `lab logs init --name {name}` may say why, `lab down --name {name}` tidies up"
        )


class ProcessRecord(msgspec.Struct, frozen=True):
    """One of the lab's own processes: its id in the lab's pid namespace, and how it ended if it did.

    `code` is as in `subprocess.Popen.returncode`: negative for a signal.
    """

    pid: int
    ready: bool = False
    code: int | None = None


class Record(msgspec.Struct, kw_only=True):
    """What lab.json holds; written by the lab's init only."""

    name: str
    pid: int
    """The init's process id, as the host sees it."""
    phase: str
    """`starting`, `running`, `stopping`."""
    started_at: float
    """Seconds since the epoch."""
    server: str
    """The API server's URL on the host."""
    cluster: Object
    """The cluster file."""
    addresses: dict[str, list[str]]
    """Machine -> its addresses on its first network."""
    processes: dict[str, ProcessRecord] = {}
    engine: Literal["embedded", "real"] = "embedded"
    """Whose API server and controllers these are: see `kubelab.engines`."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one lab."""

    root: Path
    name: str

    @property
    def directory(self) -> Path:
        """The lab's folder."""
        return self.root / self.name

    @property
    def lock(self) -> Path:
        """Held by the lab while it lives."""
        return self.directory / "lock"

    @property
    def record(self) -> Path:
        """See `Record`."""
        return self.directory / "lab.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for use on the host."""
        return self.directory / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.directory / "pki"

    @property
    def config(self) -> Path:
        """The configuration files that components are started with."""
        return self.directory / "config"

    @property
    def logs(self) -> Path:
        """What components print."""
        return self.directory / "logs"

    @property
    def pods(self) -> Path:
        """The node agents' folder: NODE/NAMESPACE_POD_UID/..."""
        return self.directory / "pods"

    @property
    def temporary(self) -> Path:
        """TMPDIR and HOME of the lab's processes, so that what they leave goes with the lab."""
        return self.directory / "tmp"

    @property
    def namespaces(self) -> Path:
        """Where the lab's own mount namespace has the files that hold its machines' namespaces."""
        return self.directory / "ns"

    def log(self, process: str) -> Path:
        """The log of a process: `init`, `apiserver`, `agent/worker-1`."""
        return self.logs / (process.replace("/", "-") + ".log")


def root_from(environment: dict[str, str] | os._Environ[str]) -> Path:
    """The folder that all labs' folders are in."""
    return Path(environment.get(STATE_VARIABLE) or DEFAULT_ROOT).resolve()


def layout(name: str = DEFAULT_NAME, root: Path | None = None) -> Layout:
    """The files of the lab of that name.

    Raises:
        ValueError: no lab can have that name.
    """
    if not LABEL_NAME.holds(name) or len(name) > NAME_LIMIT:
        raise ValueError(f"lab name {name!r}: must be at most {NAME_LIMIT} lower-case letters, digits and dashes")
    return Layout(root_from(os.environ) if root is None else root.resolve(), name)


def names(root: Path | None = None) -> list[str]:
    """The labs that have a folder, dead or alive."""
    folder = root_from(os.environ) if root is None else root
    try:
        return sorted(entry.name for entry in folder.iterdir() if (entry / "lock").exists())
    except FileNotFoundError:
        return []


def claim(files: Layout) -> int:
    """Take the lab's lock and give it an empty folder; answers the lock's descriptor. Remains of a dead lab go.

    Raises:
        LabRunsError: somebody holds the lock.
        OSError: the folder cannot be written.
    """
    while True:
        try:
            files.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            lock = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # a `down` took the folder away in between
        if not _try_lock(lock):
            os.close(lock)
            raise LabRunsError(files.name)
        if _is_current(lock, files.lock):
            break
        os.close(lock)
    _empty(files)
    for folder in (files.pki, files.config, files.logs, files.pods, files.temporary, files.namespaces):
        folder.mkdir()
    files.pki.chmod(0o700)
    return lock


def is_alive(files: Layout) -> bool:
    """Whether a process holds the lab's lock.

    Raises:
        LabNotFoundError: there is no such lab.
    """
    try:
        lock = os.open(files.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise LabNotFoundError(files.name) from None
    try:
        return not _try_lock(lock)
    finally:
        os.close(lock)


def remove(files: Layout) -> None:
    """Take a dead lab's folder away, and the folder of all labs if it was the last one in the default place.

    Raises:
        LabRunsError: it is not dead.
        LabNotFoundError: there is no such lab.
    """
    try:
        lock = os.open(files.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise LabNotFoundError(files.name) from None
    try:
        if not _try_lock(lock):
            raise LabRunsError(files.name)
        remove_folder(files)
    finally:
        os.close(lock)


def remove_folder(files: Layout) -> None:
    """Remove the folder of a lab whose lock the caller holds: the lock goes last."""
    _empty(files)
    files.lock.unlink(missing_ok=True)
    files.directory.rmdir()
    if files.root == Path(DEFAULT_ROOT):
        with contextlib.suppress(OSError):  # other labs are in it
            files.root.rmdir()


def read_record(files: Layout) -> Record:
    """What the lab's init last wrote.

    Raises:
        LabNotFoundError: it has not written anything yet, or there is no such lab.
    """
    try:
        return msgspec.json.decode(files.record.read_bytes(), type=Record)
    except FileNotFoundError:
        raise LabNotFoundError(files.name) from None


def write_record(files: Layout, record: Record) -> None:
    """Replace lab.json in one step, so that no reader sees half of it.

    Raises:
        OSError: the folder cannot be written.
    """
    new = files.record.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    new.rename(files.record)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(lock: int, path: Path) -> bool:
    """Whether the locked file is still the one at `path`: a `down` may have removed it before the lock was had."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def _empty(files: Layout) -> None:
    """Remove everything in the folder but the lock."""
    for entry in files.directory.iterdir():
        if entry == files.lock:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()

"""The files by which a node agent finds its pods again after a restart, and others find a container's process.

`<pods>/<namespace>_<pod>_<uid>/pod.json` is the pod as last wanted and what became of it; `<container>.json` beside it
is for others: pid, container id, start.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kubelab.kubelet.process import Handles
from kubelab.kubelet.state import Kept
from kubelab.kubelet.status import timestamp
from kubelab.objects import Object

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod as kept on disk. `handles` are the processes of the containers that ran, by name."""

    pod: Object
    addresses: tuple[str, ...]
    containers: dict[str, Kept]
    handles: dict[str, Handles]


@dataclass(frozen=True, slots=True)
class PodFiles:
    """Where a pod's files are."""

    folder: Path

    @classmethod
    def of(cls, pods_dir: Path, namespace: str, name: str, uid: str) -> PodFiles:
        """The files of one pod."""
        return cls(pods_dir / f"{namespace}_{name}_{uid}")

    @property
    def namespace(self) -> Path:
        """The file that holds the pod's network namespace."""
        return self.folder / "netns"

    def volume(self, name: str) -> Path:
        """A volume's folder."""
        return self.folder / "volumes" / name

    def etc(self, name: str) -> Path:
        """A generated file of the containers' /etc."""
        return self.folder / "etc" / name

    def life(self, container: str, attempt: int) -> Path:
        """The files of one life of a container, without their suffix: `.log`, `.out`, `.status`."""
        return self.folder / container / f"{attempt}.x"

    def out_of_memory(self, container: str) -> Path:
        """Who kills the container for want of memory leaves the pid of its program there before."""
        return self.folder / f"{container}.oom"

    @property
    def clock(self) -> Path:
        """By how much the pod's wall clock is to be wrong: the library that does it, and seconds; mostly not there."""
        return self.folder / "clock"

    def message(self, container: str) -> Path:
        """The container's termination message."""
        return self.folder / container / "termination-message"

    def write(self, record: PodRecord) -> None:
        """Keep a record, for this agent's successor and for others.

        Raises:
            OSError: the disk refuses.
        """
        _replace(self.folder / "pod.json", msgspec.json.encode(record))
        for name, kept in record.containers.items():
            public = self.folder / f"{name}.json"
            if kept.run is None:
                public.unlink(missing_ok=True)
                continue
            content = {
                "pid": kept.run.pid,
                "container_id": kept.run.container_id,
                "started_at": timestamp(kept.run.started.wall),
            }
            _replace(public, msgspec.json.encode(content))

    def read(self) -> PodRecord | None:
        """The record, None if there is none that can be read."""
        try:
            return msgspec.json.decode((self.folder / "pod.json").read_bytes(), type=PodRecord)
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("%s: %s", self.folder, error)
            return None

    def remove(self) -> None:
        """Take all files away."""
        shutil.rmtree(self.folder, ignore_errors=True)


def existing(pods_dir: Path) -> Iterator[PodFiles]:
    """The pods that have files."""
    with contextlib.suppress(FileNotFoundError):
        for folder in sorted(pods_dir.iterdir()):
            if folder.is_dir():
                yield PodFiles(folder)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.write_bytes(data)
    temporary.rename(path)

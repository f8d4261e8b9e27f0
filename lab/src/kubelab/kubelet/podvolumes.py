"""The volumes of one pod on disk: made, filled, kept up to date."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from kubelab.kubelet import volumefiles
from kubelab.kubelet.environment import MissingError, PendingError, Place
from kubelab.kubelet.podspec import EmptyDir, FilesVolume, HostPath, Pod, Volume
from kubelab.kubelet.records import PodFiles
from kubelab.kubelet.references import References
from kubelab.kubelet.tokens import Tokens
from kubelab.kubelet.volumes import content, failed_mount

_RETRY_S = 1.0


class PodVolumes:
    """Writes what is due whenever it is due; `ready` is set once all volumes were complete.

    `wanted` is every (kind, name) that the pod refers to, for its environment too: nothing starts before the server has
    told about them.
    """

    def __init__(
        self,
        wanted: set[tuple[str, str]],
        files: PodFiles,
        references: References,
        tokens: Tokens,
        tell: Callable[[str, str], None],
    ) -> None:
        self.due = asyncio.Event()
        self.ready = asyncio.Event()
        self._files, self._references, self._tokens, self._tell = files, references, tokens, tell
        self._wanted = wanted
        self._told: dict[str, str] = {}

    async def keep(self, current: Callable[[], tuple[Pod, Place]]) -> None:
        """Follow what the volumes are made of until cancelled; a failure is tried again."""
        failed = False
        while True:
            if failed:
                await asyncio.wait([waiter := asyncio.ensure_future(self.due.wait())], timeout=_RETRY_S)
                waiter.cancel()
            else:
                await self.due.wait()
            self.due.clear()
            pod, place = current()
            if not self._references.known(pod.namespace, self._wanted):
                continue  # its first answer is on the way, and sets `due`
            written = [self._write(name, volume, pod, place) for name, volume in pod.volumes.items()]
            failed = not all(written)
            if not failed:
                self.ready.set()

    def _write(self, name: str, volume: Volume, pod: Pod, place: Place) -> bool:
        try:
            match volume:
                case FilesVolume():
                    self._write_files(name, volume, pod, place)
                case EmptyDir():
                    make_empty_dir(self._files.volume(name), pod.fs_group)
                case HostPath():
                    check_host_path(volume)
        except PendingError:
            return False
        except (MissingError, OSError) as error:
            text = failed_mount(name, str(error))
            if self._told.get(name) != text:
                self._told[name] = text
                self._tell("FailedMount", text)
            return False
        self._told.pop(name, None)
        return True

    def _write_files(self, name: str, volume: FilesVolume, pod: Pod, place: Place) -> None:
        files = content(
            volume,
            pod,
            place,
            lambda kind, wanted: self._references.get(kind, pod.namespace, wanted),
            lambda token: self._tokens.get(pod, token),
        )
        volumefiles.write(self._files.volume(name), files, str(time.time_ns()), pod.fs_group)


def make_empty_dir(folder: Path, group: int | None) -> None:
    """A folder that every container of the pod may write to."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o777 if group is None else 0o2777)
        if group is not None:
            os.chown(folder, -1, group)


_TYPES: dict[str, Callable[[int], bool]] = {
    "Directory": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


def check_host_path(volume: HostPath) -> None:
    """Make or check a path outside, by its type (kubernetes.io/docs/concepts/storage/volumes, "hostPath").

    Raises:
        OSError: it is not what its type says.
    """
    path = Path(volume.path)
    if volume.kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif volume.kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    elif not path.exists():
        raise FileNotFoundError(f"hostPath {volume.path} does not exist")
    elif volume.kind in _TYPES and not _TYPES[volume.kind](path.stat().st_mode):
        raise OSError(f"hostPath type check failed: {volume.path} is not a {volume.kind}")

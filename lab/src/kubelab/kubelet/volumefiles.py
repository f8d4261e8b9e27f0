"""Puts a volume's files on disk so that readers see all old or all new ones: the kubelet's `..data` link.

`<volume>/..data` points to a folder with the files; each name in the volume is a link through it. An update makes a new
folder and replaces the one link (kubernetes.io/docs/concepts/configuration/configmap, "mounted ConfigMaps are updated
automatically").
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from kubelab.kubelet.volumes import Files

_DATA = "..data"


def write(folder: Path, files: Files, serial: str, group: int | None) -> bool:
    """Bring a volume up to `files`; whether anything changed. `serial` names the new folder, unlike any before.

    Raises:
        OSError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / _DATA
    old = folder / link.readlink() if link.is_symlink() else None
    if old is not None and _same(old, files):
        return False
    fresh = folder / f"..{serial}"
    _fill(fresh, files, group)
    temporary = folder / "..data_tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.rename(link)
    _link_names(folder, {PurePosixPath(path).parts[0] for path in files})
    if old is not None and old != fresh:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _same(folder: Path, files: Files) -> bool:
    there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return there.keys() == files.keys() and all(
        path.read_bytes() == files[name].data and path.stat().st_mode & 0o7777 == files[name].mode
        for name, path in there.items()
    )


def _fill(folder: Path, files: Files, group: int | None) -> None:
    folder.mkdir(mode=0o755)
    for name, (data, mode) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(mode)


def _link_names(folder: Path, names: set[str]) -> None:
    for name in names:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")
    for link in folder.iterdir():
        if link.is_symlink() and link.name != _DATA and link.name not in names:
            link.unlink()

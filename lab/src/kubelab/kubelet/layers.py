"""Unpacks the layers of images, each once for all nodes of a lab, for the kernel's overlay to put together."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

from kubelab.kubelet.layouts import Image

_GONE: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


class UnpackError(Exception):
    """A layer can't be unpacked; the message names it and says why."""


class Layers:
    """The unpacked layers below a folder that all nodes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def of(self, image: Image) -> list[Path]:
        """The folders of an image's layers, the uppermost first, as overlay wants them.

        Raises:
            UnpackError: a layer is not there, not what its digest says, or no archive.
        """
        return [await asyncio.to_thread(self._unpacked, digest, file) for digest, file in reversed(image.layers)]

    def _unpacked(self, digest: str, archive: Path) -> Path:
        # A part of the digest is enough to tell layers apart, and all of an image's have to fit into a mount's options.
        folder = self._folder / digest.partition(":")[2][:24]
        self._folder.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                part = folder.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                unpack(digest, archive, part)
                part.rename(folder)
        return folder


def unpack(digest: str, archive: Path, folder: Path) -> None:
    """Unpack one layer, with owners, rights and capabilities; what it takes away is marked as overlay does.

    Raises:
        UnpackError: as above.
    """
    try:
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        folder.mkdir()
    except OSError as error:
        raise UnpackError(f"layer {digest}: {error}") from error
    if f"sha256:{found}" != digest:
        raise UnpackError(f"layer {digest}: {archive} has the digest sha256:{found}")
    # GNU tar goes through no link that an archive brings, and makes nothing outside of the folder.
    words = ["--extract", "--numeric-owner", "--same-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*"]
    done = subprocess.run(
        ["tar", *words, f"--file={archive}", f"--directory={folder}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise UnpackError(f"layer {digest}: tar: {done.stderr[-500:].strip()}")
    _mark_what_is_gone(folder)


def _mark_what_is_gone(folder: Path) -> None:
    """Whiteouts of the image format become those of overlay (docs.kernel.org/filesystems/overlayfs)."""
    for path in [*folder.rglob(f"{_GONE}*")]:
        path.unlink()
        if path.name == _OPAQUE:
            os.setxattr(path.parent, "trusted.overlay.opaque", b"y")
        else:
            os.mknod(path.with_name(path.name.removeprefix(_GONE)), stat.S_IFCHR, os.makedev(0, 0))

"""Archives that depend on names and contents only: sorted, owned by nobody, of one time."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path


def packed(files: Mapping[str, Path], epoch: int) -> bytes:
    """A .tar.gz of files by their names in it. Executable files stay so; nothing else of a mode is kept."""
    tar_bytes = io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            data = files[name].read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), epoch
            member.mode = 0o755 if files[name].stat().st_mode & 0o100 else 0o644
            tar.addfile(member, io.BytesIO(data))
    made = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=made, mtime=0) as compressed:
        compressed.write(tar_bytes.getvalue())
    return made.getvalue()


def below(folder: Path, prefix: str = "", *, without: frozenset[str] = frozenset()) -> dict[str, Path]:
    """The files below a folder by their paths in it, after a prefix."""
    return {prefix + name: path for name, path in _files(folder) if name not in without}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    return ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())

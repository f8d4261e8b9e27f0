"""Debian's packages: fetched and verified by mmdebstrap (by apt, then), unpacked without running anything of theirs."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from scripts.images import keeping

_COPYRIGHT: Final = "usr/share/doc/{}/copyright"
_LICENCE_LINE: Final = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)
_COMMON_LICENCE: Final = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9.+-]+)")


class FetchError(Exception):
    """Packages could not be had; the message has what the tool said."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package in an image. `control` is its text in dpkg's format, `licences` the names in its copyright file."""

    name: str
    version: str
    architecture: str
    source: str
    sha256: str
    control: str
    licences: tuple[str, ...]


def fetch(suite: str, names: Sequence[str], architecture: str, folder: Path) -> None:
    """Put the newest .deb files of packages, and of what they depend on, into an empty folder.

    Raises:
        FetchError: a package is not there, not signed as it should be, or there is no way to Debian's servers.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy = f'cp "$1"/var/cache/apt/archives/*.deb {shlex.quote(str(folder.resolve()))}'
    done = subprocess.run(
        ["mmdebstrap", "--variant=extract", f"--architectures={architecture}", f"--include={','.join(names)}",
         f"--extract-hook={copy}", "--format=null", suite, "/dev/null"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "Err", "W: Fail"))]
        raise FetchError(f"Debian's packages for {architecture}: " + ("\n".join(said) or done.stderr[-2000:]))


def unpack(folder: Path, names: Iterable[str], root: Path) -> list[Package]:
    """Unpack what is kept of the packages listed into `root`, and leave word of them where scanners look.

    Raises:
        FetchError: the .deb file of a package is not in the folder.
        OSError: the disk refuses.
    """
    found = []
    for name in sorted(names):
        files = sorted(folder.glob(f"{name}_*.deb"))
        if not files:
            raise FetchError(f"{name}: not among what was fetched into {folder}: fetch anew")
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", files[-1]], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None, "it was asked for"
            _extract(process.stdout, root)
        if process.returncode:
            raise FetchError(f"{files[-1]}: dpkg-deb can't read it")
        found.append(_package(files[-1], root))
    _leave_word(found, root)
    return found


def record(packages: Iterable[Package]) -> str:
    """Name, version and hash of each, a line each: what an image was made from."""
    return "".join(f"{each.name} {each.version} {each.architecture} sha256:{each.sha256}\n" for each in packages)


def _extract(stream: IO[bytes], root: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            place = keeping.of_debian(member.name)
            if place is None or member.isdir():
                continue
            target = root / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.issym():
                target.unlink(missing_ok=True)
                target.symlink_to(member.linkname)
            elif member.islnk():
                shutil.copy(root / (keeping.of_debian(member.linkname) or ""), target)
            elif member.isfile():
                content = archive.extractfile(member)
                assert content is not None, "files have content"
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _package(file: Path, root: Path) -> Package:
    control = subprocess.run(["dpkg-deb", "-f", file], capture_output=True, text=True, check=True).stdout
    fields = dict(_fields(control))
    name = fields["Package"]
    return Package(
        name=name,
        version=fields["Version"],
        architecture=fields["Architecture"],
        source=fields.get("Source", name).partition(" ")[0],
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        control=control,
        licences=licences(_copyright(name, root)),
    )


def licences(text: str) -> tuple[str, ...]:
    """The licences that a copyright file names, in order, each once; of one for people only, the texts it refers to."""
    found = [match.strip() for match in _LICENCE_LINE.findall(text)]
    found = found or [match.rstrip(".") for match in _COMMON_LICENCE.findall(text)]
    return tuple(dict.fromkeys(found))


def _copyright(name: str, root: Path) -> str:
    """The text of a package's copyright file, which may be in the folder of another."""
    folder = root / PurePosixPath(_COPYRIGHT.format(name)).parent
    if folder.is_symlink():
        folder = folder.parent / folder.readlink()
    try:
        return (folder / "copyright").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _fields(control: str) -> Iterator[tuple[str, str]]:
    for line in control.splitlines():
        if line[:1].strip() and ":" in line:
            name, _, value = line.partition(":")
            yield name, value.strip()


def _leave_word(packages: Iterable[Package], root: Path) -> None:
    """One file a package, as in images without dpkg: that is where scanners look for known weaknesses."""
    folder = root / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for each in packages:
        text = each.control.rstrip("\n") + "\nStatus: install ok installed\n"
        (folder / each.name).write_text(text, encoding="utf-8")

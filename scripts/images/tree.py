"""A folder of the build context: put in order, so that the same content gives the same layer on every machine."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.images import keeping

CAP_NET_RAW: Final = 13
"""Number of the capability to open packet sockets (linux/capability.h)."""

_ETC: Final = {
    "passwd": "root:x:0:0:root:/:/nonexistent\nnobody:x:65534:65534:nobody:/:/nonexistent\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_LINKS: Final = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}
_EMPTY: Final = ("dev", "proc", "run", "sys", "usr/lib64", "usr/sbin", "var/tmp")


class TreeError(Exception):
    """A tool could not do its work on a folder; the message has what it said."""


def skeleton(root: Path) -> None:
    """What is in no package: links into /usr, mount points, two users."""
    for name, target in _LINKS.items():
        (root / name).symlink_to(target)
    for name in _EMPTY:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir()
    for name, text in _ETC.items():
        (root / "etc" / name).write_text(text, encoding="ascii")


def prune(site: Path) -> None:
    """Remove from installed wheels what nobody runs: tests, sources of compiled modules, pip's notes."""
    for path in sorted(site.rglob("*"), reverse=True):
        if not keeping.of_wheel(str(path.relative_to(site))):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def strip(site: Path, tool: str) -> None:
    """Remove debugging symbols from compiled modules.

    Raises:
        TreeError: the tool can't.
    """
    modules = sorted(site.rglob("*.so"))
    if modules:
        _run([tool, "--strip-unneeded", *map(str, modules)])


def compile_sources(interpreter: Path, root: Path, folder: str) -> None:
    """Compile a folder's modules by the interpreter in the tree `interpreter`, as if `root` were the root.

    The compiled ones are valid whatever time the source says (PEP 552): a start never compiles, and writes nothing.

    Raises:
        TreeError: a module can't be compiled.
    """
    compile_all = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", "/mnt", "-p", "/"]
    links = [word for name, target in _LINKS.items() for word in ("--symlink", target, f"/{name}")]
    sandbox = ["bwrap", "--ro-bind", f"{interpreter}/usr", "/usr", *links, "--bind", str(root), "/mnt", "--unshare-net"]
    seed = ["--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--chdir", "/"]
    _run([*sandbox, *seed, "/usr/bin/python3.11", "-s", *compile_all, f"/mnt/{folder}"])


def normalise(root: Path) -> None:
    """Set rights that depend on nobody's umask. Owner and times are set when the layer is made."""
    for path in _all(root):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
    for name in ("tmp", "var/tmp"):
        if (root / name).is_dir():
            (root / name).chmod(0o1777)


def allow(program: Path, capability: int) -> None:
    """Let a program have a capability whoever starts it, if its container may have it (capabilities(7), revision 2)."""
    mask = 1 << capability
    effective = 1
    data = struct.pack("<5I", 0x02000000 | effective, mask & 0xFFFFFFFF, 0, mask >> 32, 0)
    os.setxattr(program, "security.capability", data)


def _all(root: Path) -> Iterator[Path]:
    yield root
    yield from sorted(root.rglob("*"))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TreeError(f"{command[0]}: {(done.stderr or done.stdout)[-2000:]}")

"""The system calls for namespaces and mounts that Python's standard library lacks (see namespaces(7), mount(2))."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from enum import IntFlag
from pathlib import Path


class Namespaces(IntFlag):
    """Kinds of namespaces (linux/sched.h)."""

    MOUNT = 0x00020000
    UTS = 0x04000000
    IPC = 0x08000000
    PID = 0x20000000
    NETWORK = 0x40000000


class MountFlags(IntFlag):
    """Flags of mount(2) (linux/mount.h)."""

    NONE = 0
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    BIND = 0x1000
    RECURSIVE = 0x4000
    PRIVATE = 0x40000


_MNT_DETACH = 2
_PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def unshare(kinds: Namespaces) -> None:
    """Move this process into new namespaces; a new pid namespace is for its children.

    Raises:
        OSError: the kernel refuses.
    """
    _check(_libc.unshare(int(kinds)), f"unshare({kinds!r})")


@contextlib.contextmanager
def on_one_processor() -> Iterator[None]:
    """Keep this process, and children it starts meanwhile, on one processor.

    A mount namespace can be bound to a file only in an older one. Linux 6.18 numbers namespaces in batches for each
    processor, so age is told rightly only between those made on the same one: bind(2) fails with EINVAL by chance.
    """
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def mount(source: str, target: Path, kind: str = "", flags: MountFlags = MountFlags.NONE, options: str = "") -> None:
    """Mount a file system of `kind`, or change a mount as `flags` say.

    Raises:
        OSError: the kernel refuses.
    """
    what = (source.encode(), os.fsencode(target), kind.encode(), int(flags), options.encode())
    _check(_libc.mount(*what), f"mount {kind or source} on {target}")


def bind(source: Path, target: Path) -> None:
    """Make the file or folder `source` appear at `target`, which exists.

    Raises:
        OSError: the kernel refuses.
    """
    mount(str(source), target, flags=MountFlags.BIND)


def unmount(target: Path) -> None:
    """Take a mount away, at once from view and for good when nobody uses it.

    Raises:
        OSError: nothing is mounted there.
    """
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def set_process_name(name: str) -> None:
    """What `ps` shows as this process's command name (its first 15 bytes)."""
    _check(_libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0), "prctl(PR_SET_NAME)")


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")

"""Which files of packages get into an image, and where. Pure.

Of Debian's packages little is needed: the interpreter, the modules and libraries that the product can come to import,
and what the law asks for (copyright files). There is no shell, no package manager and no user but those two.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

STDLIB: Final = "usr/lib/python3.11"
SITE: Final = "usr/local/lib/python3.11/dist-packages"

_MERGED: Final = frozenset({"bin", "lib", "lib32", "lib64", "libx32", "sbin"})
"""Folders at the root that are links into /usr since Debian 12; its packages still name them."""

_WHOLE: Final = re.compile(
    r"usr/bin/python3\.11"
    r"|usr/lib(64)?/ld-linux[^/]*|usr/lib/[^/]+-linux-gnu/(ld-linux|lib)[^/]*\.so[^/]*"
    r"|usr/share/doc/[^/]+(/copyright)?"
    r"|usr/share/common-licenses/.*"
    r"|etc/(os-release|debian_version)|usr/lib/os-release"
)
_LIBRARIES_WITHOUT: Final = re.compile(
    r"/lib(nss_|BrokenLocale|memusage|pcprofile|thread_db|c_malloc_debug|nsl|anl|mvec)[^/]*$"
)

_TOOLS: Final = frozenset({
    "__phello__", "antigravity", "cgi", "cgitb", "crypt", "curses", "dbm", "distutils", "doctest", "ensurepip",
    "idlelib", "imaplib", "lib2to3", "mailbox", "nntplib", "pdb", "poplib", "pydoc", "pydoc_data", "smtplib", "sqlite3",
    "telnetlib", "this", "tkinter", "turtle", "turtledemo", "unittest", "venv", "xmlrpc",
})  # fmt: skip
"""Modules of the standard library for work on programs, for a screen, or for libraries that are not here."""

_EXTENSIONS_WITHOUT: Final = re.compile(
    r"/lib-dynload/(_crypt|_curses|_dbm|_gdbm|_sqlite3|_test|_ctypes_test|_tkinter|_xx|xx|audioop|nis|ossaudiodev|readline|spwd)"
)
_STDLIB_WITHOUT: Final = re.compile(rf"{STDLIB}/(config-[^/]*|EXTERNALLY-MANAGED|sitecustomize\.py|.*/?tests?(/|$))")

_WHEEL_WITHOUT: Final = re.compile(
    r"(^|/)(tests?|testing|\.hash)(/|$)"
    r"|\.(pyi|pyx|pxd|pxi|c|h|cc|cpp)$"
    r"|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$"
    r"|(^|/)__pycache__(/|$)"
    r"|^bin(/|$)"
)


def of_debian(path: str) -> str | None:
    """Where a file of a Debian package goes, both without a slash in front; None: not in.

    A folder is asked for by its files.
    """
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        return None
    place = str(PurePosixPath("usr", *parts)) if parts[0] in _MERGED else str(PurePosixPath(*parts))
    if place.startswith(f"{STDLIB}/"):
        return place if _of_stdlib(place) else None
    return place if _WHOLE.fullmatch(place) and not _LIBRARIES_WITHOUT.search(place) else None


def _of_stdlib(place: str) -> bool:
    first = place.removeprefix(f"{STDLIB}/").partition("/")[0].removesuffix(".py")
    return first not in _TOOLS and not _STDLIB_WITHOUT.match(place) and not _EXTENSIONS_WITHOUT.search(place)


def of_wheel(path: str) -> bool:
    """Whether a file of an installed wheel gets in, by its path below the folder of packages."""
    return not _WHEEL_WITHOUT.search(path)

"""Builds a kustomization with the program that is there: kubectl's own, or kustomize."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from typing import Final

from metallb.cli.documents import Document, FieldPath, UnreadableError, read_text

_PROGRAMS: Final[Sequence[tuple[str, ...]]] = (("kubectl", "kustomize"), ("kustomize", "build"))
_TIMEOUT_S: Final = 120


def build(folder: str) -> list[Document]:
    """The objects of a kustomization; their lines are not those of any file, so they have none.

    Raises:
        UnreadableError: no such program is on PATH, it fails, or what it prints is no manifest.
    """
    command = next((each for each in _PROGRAMS if shutil.which(each[0])), None)
    if command is None:
        raise UnreadableError(f"{folder}: -k needs kubectl or kustomize on PATH: install one, or give the files by -f")
    shown = " ".join((*command, folder))
    try:
        done = subprocess.run(
            (*command, folder),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise UnreadableError(f"`{shown}`: {error}") from error
    if done.returncode != 0:
        raise UnreadableError(f"`{shown}` failed: {' '.join(done.stderr.split())}")
    return [_without_lines(each) for each in read_text(folder, done.stdout)]


def _without_lines(document: Document) -> Document:
    lines: dict[FieldPath, int] = {}
    return Document(document.file, document.index, document.value, document.root, lines, document.repeated)

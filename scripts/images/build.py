"""Builds the Containerfile's targets by buildah from a finished context into a folder in the OCI image layout."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from scripts.images.context import SOURCES

_NEEDED: Final = {
    "buildah": "buildah", "bwrap": "bubblewrap", "dpkg-deb": "dpkg", "mmdebstrap": "mmdebstrap",
}  # fmt: skip


class BuildError(Exception):
    """An image could not be built; the message has what the tool said."""


def missing(strip: str, package: str) -> list[str]:
    """The Debian packages that this machine lacks for building; `strip` is the tool of an architecture's binutils."""
    needed = _NEEDED | {strip: package}
    return sorted({package for tool, package in needed.items() if shutil.which(tool) is None})


def build(
    context: Path,
    references: Mapping[str, str],
    layout: Path,
    *,
    architecture: str,
    epoch: int,
    arguments: Mapping[str, str],
) -> None:
    """Build each target and put it into `layout` under its reference.

    Raises:
        BuildError: buildah can't.
    """
    shutil.rmtree(layout, ignore_errors=True)
    layout.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=context.parent, prefix="storage-") as storage:
        # Nothing is mounted by this driver: the folder can simply be removed.
        buildah = ["buildah", "--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "vfs"]
        given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        # With --layers, targets that are built one after the other share what they have in common.
        always = ["bud", "-q", "--layers", "--isolation", "chroot", "--timestamp", str(epoch), "--arch", architecture]
        file = ["-f", str(SOURCES / "Containerfile")]
        for target, reference in references.items():
            _run([*buildah, *always, *given, "--target", target, *file, "-t", reference, str(context)])
            _run([*buildah, "push", "-q", reference, f"oci:{layout}:{reference}"])


def _run(command: list[str]) -> None:
    environment = os.environ | {"BUILDAH_FORMAT": "oci"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"{' '.join(command[:1])}: {done.stderr[-2000:]}")

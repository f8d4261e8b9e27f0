"""A tree of the project becomes the files of a release."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from scripts.release import archive, contents

SUMS: Final = "SHA256SUMS"
_DISTRIBUTIONS: Final = (".", "lab")
_CHART_SOURCES: Final = frozenset({"schema.yaml", ".helmignore"})
"""What the chart's files are made of, and Helm's own: no part of a packaged chart."""


class BuildError(Exception):
    """A part could not be built; the message has what the builder said."""


def build(tree: Path, into: Path, epoch: int, say: Callable[[str], None]) -> list[Path]:
    """The release of a tree without anything else in it, in an empty folder; the sums are written last.

    Raises:
        BuildError, contents.ContentsError: a part could not be built.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    version = str(project["version"])
    for folder in _DISTRIBUTIONS:
        say(f"wheel and sdist of {folder if folder != '.' else 'metallb'}")
        _distribution(tree / folder, into, epoch)
    say("manifests, chart, bundle, catalog")
    for name, files in _archives(tree, version).items():
        (into / name).write_bytes(archive.packed(files, epoch))
    for name in ("metallb-operator.yaml", "images.txt"):
        (into / name).write_bytes((tree / "packaging" / name).read_bytes())
    say("list of what the wheel needs")
    lock = (tree / "requirements.lock").read_text()
    needed = contents.document(project["name"], version, project["dependencies"], lock, epoch)
    (into / f"metallb-{version}.cdx.json").write_text(json.dumps(needed, indent=2) + "\n")
    made = sorted(into.iterdir())
    (into / SUMS).write_text("".join(f"{_sum(each)}  {each.name}\n" for each in made))
    return [*made, into / SUMS]


def _archives(tree: Path, version: str) -> dict[str, dict[str, Path]]:
    packaging = tree / "packaging"
    chart = archive.below(packaging / "chart", "metallb-operator/", without=_CHART_SOURCES)
    # Laid out as in the project: the overlays point to the manifests.
    manifests = archive.below(tree / "manifests", "manifests/")
    overlays = archive.below(packaging / "kustomize", "packaging/kustomize/")
    bundle = archive.below(packaging / "bundle", "bundle/")
    catalog = archive.below(packaging / "catalog", "catalog/")
    return {
        f"metallb-operator-{version}.tgz": chart,
        f"metallb-operator-manifests-{version}.tar.gz": manifests | overlays,
        f"metallb-operator-bundle-{version}.tar.gz": bundle | {"bundle.Dockerfile": packaging / "bundle.Dockerfile"},
        f"metallb-operator-catalog-{version}.tar.gz": catalog
        | {"catalog.Dockerfile": packaging / "catalog.Dockerfile"},
    }


def _distribution(folder: Path, into: Path, epoch: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(into.resolve())],
        cwd=folder,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"{folder.name}: hatchling says: {done.stderr.strip() or done.stdout.strip()}")


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""Makes the container images of the installation, a list of what is in each, and a table of their sizes.

`python -m scripts.images [--arch ARCH]... [--image NAME=REFERENCE]... [--into DIR] [--cached] [--output json]`

Into DIR: a folder for each architecture in the OCI image layout, `sbom-NAME-ARCH.cdx.json`, `packages-ARCH.txt`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from scripts.images import build, debian, layout, sbom
from scripts.images.build import BuildError
from scripts.images.context import STRIP, Context, Maker
from scripts.images.debian import FetchError
from scripts.images.names import NamingError, references
from scripts.images.tree import TreeError
from scripts.images.wheels import WheelError
from scripts.olm.names import releases
from scripts.olm.source import ROOT

_WORK: Final = ROOT / ".tools/images"
_NATIVE: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_BINUTILS: Final = {"amd64": "binutils-x86-64-linux-gnu", "arm64": "binutils-aarch64-linux-gnu"}


@dataclass(slots=True)
class Report:
    """What came of it: per architecture the sizes, or why there is no image."""

    made: dict[str, Any] = field(default_factory=dict)
    not_made: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """For people: a table in MB (10^6 bytes)."""
        lines = [f"{'image':<44} {'arch':<6} {'sent':>8} {'unpacked':>9} {'own part':>9}"]
        for architecture, sizes in self.made.items():
            for name, each in sizes["images"].items():
                numbers = (each["compressed_bytes"], each["unpacked_bytes"], each["own_compressed_bytes"])
                sent, unpacked, own = (f"{number / 1e6:.1f} MB" for number in numbers)
                lines.append(f"{name:<44} {architecture:<6} {sent:>8} {unpacked:>9} {own:>9}")
        lines += [f"not made for {architecture}: {why}" for architecture, why in self.not_made.items()]
        return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """The exit code: 1 if an image that was asked for could not be made."""
    given = _arguments(argv)
    try:
        named = references(dict(each.split("=", 1) for each in given.image))
    except (NamingError, ValueError) as error:
        print(f"--image: {error}", file=sys.stderr)
        return 2
    report = Report()
    _WORK.mkdir(parents=True, exist_ok=True)
    with (_WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time: they share what was fetched
        for left in _WORK.glob("storage-*"):  # by one that was killed
            shutil.rmtree(left)
        _make_all(given, named, report)
    print(json.dumps({"made": report.made, "not_made": report.not_made}) if given.output == "json" else report.text())
    return 1 if report.not_made else 0


def _make_all(given: argparse.Namespace, named: Mapping[str, str], report: Report) -> None:
    for architecture in given.arch or [native()]:
        why = _unable(architecture)
        if not why:
            print(f"making images for {architecture} ...", file=sys.stderr)
            try:
                report.made[architecture] = _make(architecture, named, given.into, cached=given.cached)
            except (FetchError, WheelError, TreeError, BuildError, OSError) as error:
                why = str(error)
        if why:
            report.not_made[architecture] = why


def native() -> str:
    """This machine's architecture, as Debian calls it."""
    return _NATIVE.get(platform.machine(), platform.machine())


def epoch() -> int:
    """The time that files and images have: SOURCE_DATE_EPOCH, or the day of the release."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    return int(datetime.fromisoformat(releases()[-1].date).replace(tzinfo=UTC).timestamp())


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.images", description=__doc__.partition("\n")[0])
    parser.add_argument("--arch", action="append", choices=sorted(STRIP), help="again for each; this machine's if none")
    parser.add_argument("--image", action="append", default=[], metavar="NAME=REFERENCE")
    parser.add_argument("--into", type=Path, default=ROOT / "dist/images", metavar="DIR")
    parser.add_argument("--cached", action="store_true", help="use the Debian packages that were fetched last time")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    return parser.parse_args(argv)


def _unable(architecture: str) -> str:
    """Why this machine can't make images for an architecture; empty: it can."""
    if os.geteuid():
        return "only root can unpack packages and give a program a capability"
    if native() not in STRIP:
        return f"modules are compiled by an image's own Python, which does not run on {native()}"
    lacking = build.missing(STRIP[architecture], _BINUTILS[architecture])
    return f"this machine lacks Debian packages. Run: apt-get install {' '.join(lacking)}" if lacking else ""


def _make(architecture: str, named: Mapping[str, str], into: Path, *, cached: bool) -> dict[str, Any]:
    context = Maker(_WORK, epoch(), cached).make(architecture, native())
    folder = into.resolve() / architecture
    labels = {"VERSION": releases()[-1].version, "REVISION": _revision()}
    build.build(context.folder, named, folder, architecture=architecture, epoch=epoch(), arguments=labels)
    _describe(context, named, into, architecture)
    return layout.sizes(layout.images(folder))


def _describe(context: Context, named: Mapping[str, str], into: Path, architecture: str) -> None:
    """Leave beside the images what they were made from."""
    (into / f"packages-{architecture}.txt").write_text(debian.record(context.packages))
    for name, reference in named.items():
        document = sbom.document(reference, architecture, context.packages, context.distributions, epoch())
        (into / f"sbom-{name}-{architecture}.cdx.json").write_text(json.dumps(document, indent=2) + "\n")


def _revision() -> str:
    """The commit, where there is one: of a clean tree, for another can't be found again."""
    if _git("status", "--porcelain"):
        return ""
    return _git("rev-parse", "HEAD")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

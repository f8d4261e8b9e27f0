"""Builds the release of the commit that is checked out: `python -m scripts.release [--into DIR]`.

Wheels and sdists, single manifest, manifests with overlays, Helm chart, OLM bundle and catalog, list of images, SBOM,
checksums. The tree must be clean: what is published is what is committed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scripts.release.build import BuildError, build
from scripts.release.contents import ContentsError

ROOT: Final = Path(__file__).resolve().parents[2]
_SHOWN: Final = 5


def changes(root: Path) -> list[str]:
    """What is not committed, one path a line as git tells it."""
    return _git(root, "status", "--porcelain").decode().splitlines()


def refusal(changed: Sequence[str]) -> str:
    """Why a tree with changes is not released."""
    shown = "".join(f"\n  {each}" for each in changed[:_SHOWN])
    more = f"\n  and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return (
        f"release: the tree is not clean: what is published must be what is committed. Commit or remove:{shown}{more}"
    )


def main(argv: Sequence[str], root: Path = ROOT) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.release", description=__doc__)
    parser.add_argument("--into", type=Path, default=root / "dist" / "release")
    given = parser.parse_args(argv)
    try:
        if changed := changes(root):
            print(refusal(changed), file=sys.stderr)
            return 1
        epoch = int(_git(root, "log", "-1", "--format=%ct"))
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "metallb"
            tree.mkdir()
            subprocess.run(  # Debian's Python 3.11.2 would unpack without a filter only
                ["tar", "-x", "-C", tree], input=_git(root, "archive", "HEAD"), capture_output=True, check=True
            )
            made = build(tree, given.into, epoch, print)
    except (BuildError, ContentsError, OSError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"release: {error.cmd[0]} says: {error.stderr.decode().strip()}", file=sys.stderr)
        return 1
    for each in made:
        print(f"{each.stat().st_size:>10}  {each}")
    return 0


def _git(root: Path, *argv: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *argv], capture_output=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

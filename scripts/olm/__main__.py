"""Writes the bundle, the catalog and the list of images, and checks them by the rules of OLM and opm.

`python -m scripts.olm [--image NAME=REFERENCE]... [--next VERSION] [--into DIR]`: a NAME is the last part of an image's
name, such as `operator`, `controller`, `speaker`, `operator-bundle`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml

from scripts.olm import bundle, catalog, rules
from scripts.olm.names import Release, catalog_image, releases
from scripts.olm.service_version import service_version
from scripts.olm.source import PACKAGING, Object, Source, images, label_of

IMAGES_FILE: Final = "images.txt"


def packaged(source: Source, all_releases: Sequence[Release], before: Sequence[Object] = ()) -> dict[str, str]:
    """The text of every generated file by its path below `packaging`."""
    newest = all_releases[-1]
    return (
        bundle.files(source, newest)
        | catalog.files(source, all_releases, before)
        | {IMAGES_FILE: image_list(source, all_releases)}
    )


def image_list(source: Source, all_releases: Sequence[Release]) -> str:
    """Every image of an installation, one a line: what has to be mirrored where there is no way to the Internet."""
    newest = all_releases[-1]
    needed = [each["image"] for each in service_version(source, newest)["spec"]["relatedImages"]]
    packages = [each.bundle_image for each in all_releases]
    return "".join(f"{each}\n" for each in sorted({*needed, *packages, catalog_image(newest.version)}))


def renamed(source: Source, release: Release, given: Mapping[str, str]) -> dict[str, str]:
    """Images of the manifests and what they become, of names as the command line has them.

    Raises:
        KeyError: there is no such image.
    """
    known = {label_of(each): each for each in [*images(source.objects).values(), release.bundle_image]}
    return {known[name]: reference for name, reference in given.items()}


def main(argv: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.olm", description=__doc__)
    parser.add_argument("--image", action="append", default=[], metavar="NAME=REFERENCE")
    parser.add_argument("--into", type=Path, default=PACKAGING)
    parser.add_argument("--next", metavar="VERSION", help="as if this version were released now, too")
    given = parser.parse_args(argv)
    source = Source.read()
    try:
        other = renamed(source, releases()[-1], dict(each.split("=", 1) for each in given.image))
    except (KeyError, ValueError) as error:
        print(f"--image: want NAME=REFERENCE with the name of an image of the installation: {error}", file=sys.stderr)
        return 2
    stands = PACKAGING / catalog.FILE
    before = [each for each in yaml.safe_load_all(stands.read_text()) if each] if stands.exists() else []
    versions = releases(other)
    if given.next:
        versions.append(replace(versions[-1], version=given.next, replaces=versions[-1].version))
    found = packaged(source, versions, before)
    broken = rules.broken(found)
    for each in broken:
        print(each, file=sys.stderr)
    if not broken:
        write(found, given.into)
    return 1 if broken else 0


def write(found: Mapping[str, str], folder: Path) -> None:
    """Write generated files, and remove manifests of the bundle that are no more."""
    for path in (folder / "bundle" / "manifests").glob("*.yaml"):
        if str(path.relative_to(folder)) not in found:
            path.unlink()
    for name, text in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Catalogs and bundles, read from folders that stand for images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from kubelab.objects import Object

_SUFFIXES: Final = (".yaml", ".yml")
_NEEDED: Final = {
    "olm.package": ("defaultChannel",),
    "olm.channel": ("package", "entries"),
    "olm.bundle": ("package", "image"),
}
"""What documents of a catalog must have, beside a schema and a name."""


class ContentError(Exception):
    """A folder is no catalog, or no bundle; the message names it and what it lacks."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One version of an operator: its ClusterServiceVersion, and the other objects in the order of their files."""

    csv: Object
    others: tuple[Object, ...]

    @property
    def name(self) -> str:
        """Of the ClusterServiceVersion."""
        return str(self.csv["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Catalog:
    """A file-based catalog: packages, channels, and the images of bundles."""

    documents: tuple[Object, ...]

    def packages(self) -> list[Object]:
        """Every package."""
        return [each for each in self.documents if each.get("schema") == "olm.package"]

    def channel(self, package: str, name: str) -> Object | None:
        """A channel of a package; the package's default one if the name is empty."""
        wanted = name or next((each["defaultChannel"] for each in self.packages() if each["name"] == package), "")
        for each in self.documents:
            if (each.get("schema"), each.get("package"), each.get("name")) == ("olm.channel", package, wanted):
                return each
        return None

    def image(self, bundle: str) -> str:
        """The image of a bundle; empty if there is no such bundle."""
        for each in self.documents:
            if each.get("schema") == "olm.bundle" and each.get("name") == bundle:
                return str(each["image"])
        return ""


def head(channel: Object) -> str:
    """The newest version of a channel: the one that no other replaces or skips."""
    entries = channel["entries"]
    passed = {each.get("replaces") for each in entries} | {name for each in entries for name in each.get("skips", [])}
    heads = [each["name"] for each in entries if each["name"] not in passed]
    return str(heads[0]) if heads else ""


def following(channel: Object, installed: str) -> str:
    """The version that an installed one is to be replaced by; empty if it is the newest, or unknown here.

    Of several, the one that is nearest to the channel's head: a version that others skip is passed over.
    """
    candidates = [
        each["name"]
        for each in channel["entries"]
        if each.get("replaces") == installed or installed in each.get("skips", [])
    ]
    skipped = {name for each in channel["entries"] for name in each.get("skips", [])}
    return str(next((name for name in candidates if name not in skipped), ""))


@dataclass(frozen=True, slots=True)
class Content:
    """Every image by its reference: the folder that has what would be in it."""

    folders: Mapping[str, str]

    def catalog(self, source: Object) -> Catalog | None:
        """What a CatalogSource offers, None if it names an image that is not here.

        Raises:
            ContentError: its folder is no catalog.
        """
        spec = source.get("spec", {})
        folder = self.folders.get(spec.get("image") or spec.get("address") or "")
        return None if folder is None else _catalog(Path(folder))

    def bundle(self, image: str) -> Bundle:
        """The bundle in an image.

        Raises:
            ContentError: there is none.
        """
        folder = self.folders.get(image)
        if folder is None:
            raise ContentError(f"bundle image {image!r} is not here; these are: {', '.join(sorted(self.folders))}")
        objects = _documents(Path(folder) / "manifests")
        csvs = [each for each in objects if each.get("kind") == "ClusterServiceVersion"]
        if len(csvs) != 1:
            raise ContentError(f"{folder}/manifests: want one ClusterServiceVersion, there are {len(csvs)}")
        return Bundle(csvs[0], tuple(each for each in objects if each is not csvs[0]))


def _catalog(folder: Path) -> Catalog:
    documents = _documents(folder)
    for each in documents:
        needed = _NEEDED.get(str(each.get("schema")), ())
        lacking = [name for name in ("schema", "name", *needed) if not each.get(name)]
        if lacking:
            raise ContentError(f"{folder}: {each.get('schema')} {each.get('name')} lacks {', '.join(lacking)}")
    return Catalog(tuple(documents))


def _documents(folder: Path) -> Sequence[Object]:
    try:
        files = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
        texts = [path.read_text(encoding="utf-8") for path in files]
    except OSError as error:
        raise ContentError(f"{folder}: {error.strerror}") from error
    if not files:
        raise ContentError(f"{folder}: there is no YAML file")
    try:
        return [each for text in texts for each in yaml.load_all(text, Loader=_Loader) if each]
    except yaml.YAMLError as error:
        raise ContentError(f"{folder}: {' '.join(str(error).split())}") from error


_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

"""Reads images from folders in the OCI image layout: what to run by default, as whom, and which layers there are.

Format: github.com/opencontainers/image-spec, image-layout.md, manifest.md and config.md. An image is found by its name
in the layout (`org.opencontainers.image.ref.name`), which is what pods ask for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kubelab.objects import Json, Object

_NAME: Final = "org.opencontainers.image.ref.name"


class LayoutError(Exception):
    """A folder is no image layout, or an image in it can't be read; the message names folder, image and rule."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image as its configuration has it. `layers` are the files of its layers with their digests, lowest first.

    `user` is what the image says, such as `65534:65534` or a name; empty: root.
    """

    name: str
    layers: tuple[tuple[str, Path], ...]
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_dir: str = ""

    def argv(self, command: Sequence[str], args: Sequence[str]) -> list[str]:
        """What runs, by the rules of Kubernetes: a command takes the place of entrypoint and default arguments."""
        if command:
            return [*command, *args]
        return [*self.entrypoint, *(args or self.arguments)]


def read(folders: Iterable[str], architecture: str) -> dict[str, Image]:
    """All images of layouts by name; of one that is there for several architectures, that for this one.

    Raises:
        LayoutError: with the first thing that is wrong.
    """
    found: dict[str, Image] = {}
    for folder in map(Path, folders):
        for entry in _entries(folder):
            name = (entry.get("annotations") or {}).get(_NAME)
            if name:
                found.setdefault(str(name), _image(folder, str(name), entry, architecture))
    return found


def _entries(folder: Path) -> list[Object]:
    index = _json(folder / "index.json", "is not a folder in the OCI image layout")
    return [each for each in index.get("manifests") or [] if isinstance(each, dict)]


def _image(folder: Path, name: str, entry: Object, architecture: str) -> Image:
    where = f"{folder}: image {name}"
    manifest = _json(_blob(folder, entry, where), where)
    if "manifests" in manifest:
        manifest = _json(_blob(folder, _chosen(manifest["manifests"], architecture, where), where), where)
    document = _json(_blob(folder, manifest.get("config"), where), where)
    if document.get("architecture", architecture) != architecture:
        raise LayoutError(f"{where}: is for {document['architecture']}, this machine is {architecture}")
    config = document.get("config") or {}
    layers = manifest.get("layers") or []
    return Image(
        name=name,
        layers=tuple((str(each["digest"]), _blob(folder, each, where)) for each in layers),
        entrypoint=tuple(map(str, config.get("Entrypoint") or ())),
        arguments=tuple(map(str, config.get("Cmd") or ())),
        environment=dict(_pairs(config.get("Env") or ())),
        user=str(config.get("User") or ""),
        working_dir=str(config.get("WorkingDir") or ""),
    )


def _chosen(entries: Sequence[Object], architecture: str, where: str) -> Object:
    for entry in entries:
        if (entry.get("platform") or {}).get("architecture") == architecture:
            return entry
    raise LayoutError(f"{where}: there is none for {architecture}")


def _blob(folder: Path, descriptor: Json, where: str) -> Path:
    """The file that a descriptor means; it is not read yet."""
    digest = str(descriptor.get("digest") or "") if isinstance(descriptor, dict) else ""
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or not value.isalnum():
        raise LayoutError(f"{where}: digest {digest!r}: must be a sha256 digest")
    return folder / "blobs" / algorithm / value


def _json(path: Path, otherwise: str) -> Object:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LayoutError(f"{otherwise}: {path}: {error}") from error
    if not isinstance(found, dict):
        raise LayoutError(f"{otherwise}: {path}: must be a JSON object")
    return found


def _pairs(entries: Iterable[str]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        name, _, value = str(entry).partition("=")
        yield name, value

"""Reads folders in the OCI image layout: which layers an image has, and how big they are (OCI image-spec 1.0)."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NAME: Final = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer. `compressed` is what is sent over the network, `unpacked` what its files take, both in bytes."""

    digest: str
    compressed: int
    unpacked: int


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a layout, with its layers from the bottom to the top."""

    digest: str
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]


def images(folder: Path) -> dict[str, Image]:
    """The images of a layout by their names.

    Raises:
        OSError: it is none, or a part of it is missing.
    """
    index = json.loads((folder / "index.json").read_text())
    return {
        each["annotations"][NAME]: _image(folder, each["digest"])
        for each in index["manifests"]
        if NAME in each.get("annotations", {})
    }


def sizes(found: Mapping[str, Image]) -> dict[str, Any]:
    """What each image takes, and what all of them share."""
    each = {
        name: {
            "digest": image.digest,
            "compressed_bytes": sum(layer.compressed for layer in image.layers),
            "unpacked_bytes": sum(layer.unpacked for layer in image.layers),
            "own_compressed_bytes": sum(layer.compressed for layer in image.layers if layer not in shared(found)),
            "layers": [
                {"digest": layer.digest, "compressed_bytes": layer.compressed, "unpacked_bytes": layer.unpacked}
                for layer in image.layers
            ],
        }
        for name, image in found.items()
    }
    together = shared(found)
    return {
        "images": each,
        "shared": {
            "layers": len(together),
            "compressed_bytes": sum(layer.compressed for layer in together),
            "unpacked_bytes": sum(layer.unpacked for layer in together),
        },
    }


def shared(found: Mapping[str, Image]) -> list[Layer]:
    """The layers that all images have."""
    every = [image.layers for image in found.values()]
    return [layer for layer in every[0] if all(layer in layers for layers in every)] if every else []


def blob(folder: Path, digest: str) -> Path:
    """The file of a digest."""
    return folder / "blobs" / digest.replace(":", "/")


def _image(folder: Path, digest: str) -> Image:
    manifest = json.loads(blob(folder, digest).read_text())
    config = json.loads(blob(folder, manifest["config"]["digest"]).read_text())
    layers = (
        Layer(each["digest"], each["size"], _unpacked(blob(folder, each["digest"]))) for each in manifest["layers"]
    )
    return Image(digest, config, tuple(layers))


def _unpacked(file: Path) -> int:
    with tarfile.open(file) as archive:
        return sum(member.size for member in archive)

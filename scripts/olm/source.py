"""Reads what is packaged: the manifests that are installed by hand, too, and the images that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from metallb.api.kinds import KINDS
from metallb.api.schema import definition

ROOT: Final = Path(__file__).resolve().parents[2]
MANIFESTS: Final = ROOT / "manifests"
PACKAGING: Final = ROOT / "packaging"

Object = dict[str, Any]

_IMAGE_VARIABLE: Final = "_IMAGE"


class SourceError(Exception):
    """The manifests don't fit together; the message names the file's object and what it lacks."""


@dataclass(frozen=True, slots=True)
class Source:
    """All objects of the installation, in the order of the kustomization."""

    objects: tuple[Object, ...]

    @classmethod
    def read(cls, folder: Path = MANIFESTS) -> Source:
        """The installation as `kubectl apply -k` has it.

        Raises:
            OSError: a file that the kustomization names is not there.
        """
        names = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
        found = [each for name in names for each in yaml.safe_load_all((folder / name).read_text()) if each]
        return cls(tuple(found))

    def of(self, *kinds: str) -> list[Object]:
        """The objects of some kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        """One object.

        Raises:
            SourceError: there is none.
        """
        for each in self.of(kind):
            if each["metadata"]["name"] == name:
                return each
        raise SourceError(f"there is no {kind} {name}")

    def deployment_behind(self, service: Object) -> Object:
        """The Deployment whose pods a Service selects.

        Raises:
            SourceError: there is none.
        """
        wanted = service["spec"]["selector"].items()
        for each in self.of("Deployment"):
            if wanted <= each["spec"]["template"]["metadata"]["labels"].items():
                return each
        raise SourceError(f"no Deployment has the pods of Service {service['metadata']['name']}")

    @property
    def definitions(self) -> list[Object]:
        """The CustomResourceDefinitions, by name."""
        return sorted((definition(kind) for kind in KINDS), key=lambda each: str(each["metadata"]["name"]))


def images(objects: object) -> dict[str, str]:
    """Every image that objects name, by a name for people: containers' images, and variables `..._IMAGE`."""
    return dict(sorted(_images(objects)))


def _images(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("image"), str) and value["image"]:
            yield label_of(value["image"]), value["image"]
        if str(value.get("name", "")).endswith(_IMAGE_VARIABLE) and value.get("value"):
            yield label_of(value["value"]), value["value"]
        for each in value.values():
            yield from _images(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _images(each)


def label_of(image: str) -> str:
    """The last part of an image's name, without tag and digest: `controller`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def replaced(value: Any, by: Mapping[str, str]) -> Any:
    """The same objects with other images: each text that is one of the keys becomes its value."""
    if isinstance(value, dict):
        return {key: replaced(each, by) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(each, by) for each in value]
    return by.get(value, value) if isinstance(value, str) else value

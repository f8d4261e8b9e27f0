"""What the packages are called, and which versions there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import yaml

from scripts.olm.source import PACKAGING

PACKAGE: Final = "metallb-operator"
CHANNEL: Final = "stable"
REPOSITORY: Final = "metallb-py"


@dataclass(frozen=True, slots=True)
class Release:
    """One version of the operator, as it is packaged.

    Attributes:
        version: without a `v`.
        date: of its making, `YYYY-MM-DD`: in the bundle's annotation, so that building it again gives the same.
        replaces: the version before, empty for the first.
        images: other names for images: of the manifests' own, the operator is delivered with these.
    """

    version: str
    date: str
    replaces: str = ""
    images: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the ClusterServiceVersion and of the bundle."""
        return service_version_name(self.version)

    @property
    def bundle_image(self) -> str:
        """The image that the bundle is delivered in."""
        made = f"{REPOSITORY}/operator-bundle:v{self.version}"
        return self.images.get(made, made)


def service_version_name(version: str) -> str:
    """`metallb-operator.v0.1.0`."""
    return f"{PACKAGE}.v{version}"


def catalog_image(version: str) -> str:
    """The image that the catalog up to a version is delivered in."""
    return f"{REPOSITORY}/operator-catalog:v{version}"


def releases(images: Mapping[str, str] | None = None) -> list[Release]:
    """All released versions, the oldest first, each replacing the one before it."""
    found: list[Release] = []
    for each in yaml.safe_load((PACKAGING / "releases.yaml").read_text()):
        before = found[-1].version if found else ""
        found.append(Release(each["version"], each["date"], before, images or {}))
    return found

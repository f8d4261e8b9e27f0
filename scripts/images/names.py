"""What the images are called: the names that the manifests ask for, or others. Read by whoever needs a list of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scripts.olm.source import Source, images


@dataclass(frozen=True, slots=True)
class Target:
    """One image: a target of the Containerfile, and the program by which pods start it (upstream's paths)."""

    name: str
    program: str


TARGETS: Final = (Target("controller", "/controller"), Target("operator", "/manager"), Target("speaker", "/speaker"))
"""All images that are made here. Bundle and catalog are packages of files: scripts/olm."""

_TAGGED: Final = re.compile(
    r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
)


class NamingError(Exception):
    """A name for an image can't be used; the message says which and why."""


def references(given: Mapping[str, str] | None = None, source: Source | None = None) -> dict[str, str]:
    """The reference of each target: the manifests', where no other is given.

    Raises:
        NamingError: a target that there is not, or a reference without a tag.
    """
    named = images((source or Source.read()).objects)
    found = {target.name: named[target.name] for target in TARGETS}
    for name, reference in (given or {}).items():
        if name not in found:
            raise NamingError(f"{name}={reference}: there is no such image: want one of {', '.join(found)}")
        if not _TAGGED.fullmatch(reference):
            raise NamingError(f"{name}={reference}: want REPOSITORY:TAG: the digest is known once the image is made")
        found[name] = reference
    return found

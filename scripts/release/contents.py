"""What the wheel needs to run, as CycloneDX's JSON: the distributions that it asks for, and those that they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any, Final

from packaging.utils import NormalizedName, canonicalize_name

from scripts.images import sbom
from scripts.images.wheels import MACHINES, Distribution, WheelError, closure

_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


class ContentsError(Exception):
    """A distribution is needed that is not locked or not installed; the message names it."""


def document(name: str, version: str, requirements: Iterable[str], lock: str, epoch: int) -> dict[str, Any]:
    """The list for a distribution with these requirements, in the versions of a lock.

    Raises:
        ContentsError: the lock does not have what is needed, or the environment is not the lock's.
    """
    pinned = {canonicalize_name(found[1]): found[2] for found in _PINNED.finditer(lock)}
    needed = [_described(each, pinned) for each in sorted(_closure(requirements))]
    made = sbom.document(f"{name}:{version}", "any", [], needed, epoch)
    component = {"type": "application", "bom-ref": f"{name}:{version}", "name": name, "version": version}
    made["metadata"]["component"] = component | {"purl": f"pkg:pypi/{name}@{version}"}
    return made


def _closure(requirements: Iterable[str]) -> set[NormalizedName]:
    installed: dict[str, list[str]] = {
        canonicalize_name(each.name): each.requires or [] for each in metadata.distributions()
    }
    try:
        return {canonicalize_name(each) for each in closure(requirements, installed, MACHINES["amd64"])}
    except WheelError as error:
        raise ContentsError(f"{error}: run `make setup`") from error


def _described(name: NormalizedName, pinned: Mapping[NormalizedName, str]) -> Distribution:
    if name not in pinned:
        raise ContentsError(f"{name} is needed and not in requirements.lock: run `make lock`")
    about = metadata.distribution(name)
    if about.version != pinned[name]:
        raise ContentsError(
            f"{name} {about.version} is installed, requirements.lock has {pinned[name]}: run `make setup`"
        )
    said = about.metadata.json
    licence = str(said.get("license_expression") or said.get("license") or "NOASSERTION")
    return Distribution(name, about.version, licence.strip().partition("\n")[0])

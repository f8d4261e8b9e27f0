"""The list of all that is in an image, in CycloneDX's JSON format (cyclonedx.org/docs/1.5/json). Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from scripts.images.debian import Package
from scripts.images.wheels import Distribution

SPEC: Final = "1.5"
_SPDX: Final = re.compile(r"^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$")

Object = dict[str, Any]


def document(
    reference: str, architecture: str, packages: Sequence[Package], distributions: Sequence[Distribution], epoch: int
) -> Object:
    """What an image has in it; the same inputs give the same document."""
    components = [_debian(each) for each in packages] + [_python(each) for each in distributions]
    content = repr((reference, architecture, components))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "container",
                "bom-ref": reference,
                "name": reference.rpartition(":")[0],
                "version": reference.rpartition(":")[2],
                "properties": [{"name": "architecture", "value": architecture}],
            },
        },
        "components": components,
        "dependencies": [{"ref": reference, "dependsOn": [each["bom-ref"] for each in components]}],
    }


def _debian(package: Package) -> Object:
    purl = (
        f"pkg:deb/debian/{quote(package.name, safe='')}@{quote(package.version, safe='')}"
        f"?arch={package.architecture}&distro=debian-12"
    )
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
        "licenses": _names(package.licences),
        "properties": [{"name": "debian:source", "value": package.source}],
    }


def _python(distribution: Distribution) -> Object:
    purl = f"pkg:pypi/{distribution.name}@{quote(distribution.version, safe='')}"
    known = _SPDX.match(distribution.licence) is not None
    return {
        "type": "library",
        "bom-ref": purl,
        "name": distribution.name,
        "version": distribution.version,
        "purl": purl,
        "licenses": [{"expression": distribution.licence}] if known else _names([distribution.licence]),
    }


def _names(licences: Iterable[str]) -> list[Object]:
    return [{"license": {"name": name}} for name in licences] or [{"license": {"name": "NOASSERTION"}}]

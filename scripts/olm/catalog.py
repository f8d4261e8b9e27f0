"""A file-based catalog: the package, its channel with an upgrade from each version to the next, and every bundle.

Source: olm.operatorframework.io, "File-based catalogs".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import yaml

from scripts.olm.bundle import NOTE, written
from scripts.olm.names import CHANNEL, PACKAGE, Release, service_version_name
from scripts.olm.service_version import icon, service_version
from scripts.olm.source import PACKAGING, Object, Source

FILE: Final = f"catalog/{PACKAGE}/catalog.yaml"
_SHOWN: Final = (
    "customresourcedefinitions",
    "description",
    "displayName",
    "installModes",
    "keywords",
    "links",
    "maturity",
    "minKubeVersion",
    "provider",
)
"""Fields of a ClusterServiceVersion that a catalog shows before anything is installed."""


def documents(source: Source, releases: Sequence[Release], before: Sequence[Object] = ()) -> list[Object]:
    """The catalog of some releases, the oldest first. Bundles of earlier versions are taken over from `before`."""
    newest = releases[-1]
    older = {each["name"]: each for each in before if each["schema"] == "olm.bundle"}
    bundles = [older.get(each.name) or bundle(source, each) for each in releases[:-1]]
    console = yaml.safe_load((PACKAGING / "console.yaml").read_text())
    package = {
        "schema": "olm.package",
        "name": PACKAGE,
        "defaultChannel": CHANNEL,
        "description": console["description"],
        "icon": icon(),
    }
    channel = {
        "schema": "olm.channel",
        "package": PACKAGE,
        "name": CHANNEL,
        "entries": [_entry(each) for each in releases],
    }
    return [package, channel, *bundles, bundle(source, newest)]


def bundle(source: Source, release: Release) -> Object:
    """How the catalog describes the bundle of a release."""
    made = service_version(source, release)
    owned = made["spec"]["customresourcedefinitions"]["owned"]
    images = [{"name": "bundle", "image": release.bundle_image}, *made["spec"]["relatedImages"]]
    return {
        "schema": "olm.bundle",
        "package": PACKAGE,
        "name": release.name,
        "image": release.bundle_image,
        "properties": [
            {"type": "olm.package", "value": {"packageName": PACKAGE, "version": release.version}},
            *(
                {
                    "type": "olm.gvk",
                    "value": {
                        "group": each["name"].partition(".")[2],
                        "kind": each["kind"],
                        "version": each["version"],
                    },
                }
                for each in owned
            ),
            {"type": "olm.csv.metadata", "value": _metadata(made)},
        ],
        "relatedImages": images,
    }


def files(source: Source, releases: Sequence[Release], before: Sequence[Object] = ()) -> dict[str, str]:
    """The catalog's files by their paths."""
    text = NOTE + "---\n".join(written(each) for each in documents(source, releases, before))
    return {FILE: text, "catalog.Dockerfile": _dockerfile()}


def _entry(release: Release) -> Object:
    return {"name": release.name} | ({"replaces": service_version_name(release.replaces)} if release.replaces else {})


def _metadata(csv: Object) -> dict[str, Any]:
    spec = csv["spec"]
    shown = {name: spec[name] for name in _SHOWN if name in spec}
    definitions = shown.pop("customresourcedefinitions")
    return {
        "annotations": csv["metadata"]["annotations"],
        "labels": csv["metadata"]["labels"],
        "apiServiceDefinitions": {},
        "crdDescriptions": definitions,
        **shown,
    }


def _dockerfile() -> str:
    return (
        f"{NOTE}# buildah build -f packaging/catalog.Dockerfile packaging\n"
        "# OPM: an image with operator-registry's `opm`, of your mirror where there is no way to the Internet.\n"
        "ARG OPM=quay.io/operator-framework/opm:latest\nFROM ${OPM}\n\n"
        "COPY catalog /configs\n"
        'ENTRYPOINT ["/bin/opm"]\nCMD ["serve", "/configs", "--cache-dir=/tmp/cache"]\n'
        "LABEL operators.operatorframework.io.index.configs.v1=/configs\n"
    )

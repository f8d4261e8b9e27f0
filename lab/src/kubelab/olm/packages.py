"""PackageManifests: what the catalogs offer, as a console shows and filters it before anything is installed."""

from __future__ import annotations

from typing import Final

from kubelab.objects import Object
from kubelab.olm.catalogs import offered
from kubelab.olm.content import Catalog, head
from kubelab.olm.names import CATALOG_SOURCES, PACKAGE_MANIFESTS
from kubelab.olm.world import World

_SHOWN: Final = (
    "annotations",
    "description",
    "displayName",
    "installModes",
    "keywords",
    "links",
    "maintainers",
    "maturity",
    "minKubeVersion",
    "provider",
)


async def follow(world: World) -> None:
    """Keep a PackageManifest for each package of each catalog, beside its source."""
    await world.for_each(CATALOG_SOURCES, _follow_source)
    await world.for_each(PACKAGE_MANIFESTS, _forget)


async def _follow_source(world: World, source: Object) -> None:
    catalog = offered(world, source)
    if catalog is None:
        return
    for package in catalog.packages():
        made = manifest(source, catalog, package)
        found = world.get(PACKAGE_MANIFESTS, made["metadata"]["namespace"], made["metadata"]["name"])
        if found is None or found.get("status") != made["status"]:
            await world.apply(PACKAGE_MANIFESTS, made)


async def _forget(world: World, there: Object) -> None:
    """One whose source is gone, or offers it no more, goes."""
    status = there["status"]
    source = world.get(CATALOG_SOURCES, status["catalogSourceNamespace"], status["catalogSource"])
    catalog = offered(world, source)
    if catalog is None or status["packageName"] not in [each["name"] for each in catalog.packages()]:
        await world.delete(PACKAGE_MANIFESTS, there)


def manifest(source: Object, catalog: Catalog, package: Object) -> Object:
    """What a catalog says of a package."""
    meta, spec = source["metadata"], source.get("spec") or {}
    channels = [each for each in catalog.documents if _is_channel(each, package["name"])]
    described = [_channel(catalog, each) for each in channels]
    default: Object = next(
        (each["currentCSVDesc"] for each in described if each["name"] == package["defaultChannel"]), {}
    )
    provider = default.get("provider", {})
    return {
        "apiVersion": PACKAGE_MANIFESTS.api_version,
        "kind": "PackageManifest",
        "metadata": {
            "name": package["name"],
            "namespace": meta["namespace"],
            "labels": {
                "catalog": meta["name"],
                "catalog-namespace": meta["namespace"],
                "provider": provider.get("name", ""),
                **default.get("labels", {}),
            },
        },
        "status": {
            "catalogSource": meta["name"],
            "catalogSourceDisplayName": spec.get("displayName", ""),
            "catalogSourceNamespace": meta["namespace"],
            "catalogSourcePublisher": spec.get("publisher", ""),
            "channels": [{**each, "currentCSVDesc": _without_labels(each["currentCSVDesc"])} for each in described],
            "defaultChannel": package["defaultChannel"],
            "packageName": package["name"],
            "provider": provider,
        },
    }


def _is_channel(document: Object, package: str) -> bool:
    return (document.get("schema"), document.get("package")) == ("olm.channel", package)


def _without_labels(description: Object) -> Object:
    return {name: value for name, value in description.items() if name != "labels"}


def _channel(catalog: Catalog, channel: Object) -> Object:
    newest = head(channel)
    versions = {each["name"]: _property(each, "olm.package").get("version", "") for each in _bundles(catalog)}
    return {
        "name": channel["name"],
        "currentCSV": newest,
        "currentCSVDesc": _description(catalog, newest, versions),
        "entries": [{"name": each["name"], "version": versions.get(each["name"], "")} for each in channel["entries"]],
    }


def _bundles(catalog: Catalog) -> list[Object]:
    return [each for each in catalog.documents if each.get("schema") == "olm.bundle"]


def _description(catalog: Catalog, name: str, versions: dict[str, str]) -> Object:
    bundle = next((each for each in _bundles(catalog) if each["name"] == name), {})
    said = _property(bundle, "olm.csv.metadata")
    shown: Object = {field: said[field] for field in _SHOWN if field in said}
    return {
        **shown,
        "customresourcedefinitions": said.get("crdDescriptions", {}),
        "labels": said.get("labels", {}),
        "relatedImages": [each["image"] for each in bundle.get("relatedImages", [])],
        "version": versions.get(name, ""),
    }


def _property(bundle: Object, kind: str) -> Object:
    found: Object = next((each["value"] for each in bundle.get("properties", []) if each["type"] == kind), {})
    return found

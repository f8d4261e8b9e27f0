"""CatalogSources and OperatorGroups: what their status says."""

from __future__ import annotations

from kubelab.objects import Object
from kubelab.olm import judging
from kubelab.olm.content import Catalog, ContentError
from kubelab.olm.names import CATALOG_SOURCES, OPERATOR_GROUPS, SERVICE_VERSIONS
from kubelab.olm.world import World


async def follow_sources(world: World) -> None:
    """Say of every CatalogSource whether its catalog can be had."""
    await world.for_each(CATALOG_SOURCES, _follow_source)


async def _follow_source(world: World, source: Object) -> None:
    await world.put_status(CATALOG_SOURCES, source, _source_status(world, source))


def offered(world: World, source: Object | None) -> Catalog | None:
    """The catalog of a source, None if there is none."""
    if source is None:
        return None
    try:
        return world.content.catalog(source)
    except ContentError:
        return None


def _source_status(world: World, source: Object) -> Object:
    now = world.chance.stamp()
    meta, spec = source["metadata"], source.get("spec") or {}
    address = spec.get("address") or f"{meta['name']}.{meta['namespace']}.svc:50051"
    found: Object = {
        "connectionState": {"address": address, "lastConnect": now, "lastObservedState": "READY"},
        "registryService": {"createdAt": now, "protocol": "grpc"},
    }
    try:
        problem = "" if world.content.catalog(source) else f"catalog image {spec.get('image')!r} is not here"
    except ContentError as error:
        problem = str(error)
    if problem:
        found["connectionState"]["lastObservedState"] = "TRANSIENT_FAILURE"
        found["message"] = problem
    return found


async def follow_groups(world: World) -> None:
    """Say of every OperatorGroup which namespaces it is for, and what its operators offer."""
    await world.for_each(OPERATOR_GROUPS, _follow_group)


async def _follow_group(world: World, group: Object) -> None:
    namespace = group["metadata"]["namespace"]
    targets = sorted(judging.target_namespaces(group))
    await world.put_status(OPERATOR_GROUPS, group, {"lastUpdated": world.chance.stamp(), "namespaces": targets})
    csvs = [
        each
        for each in world.all(SERVICE_VERSIONS, namespace)
        if (each.get("status") or {}).get("phase") not in (None, "Failed", "Deleting")
    ]
    offers = judging.provided_apis(csvs)
    annotations = group["metadata"].get("annotations") or {}
    if annotations.get("olm.providedAPIs", "") != offers:
        patch = {"metadata": {"annotations": {"olm.providedAPIs": offers or None}}}
        await world.patch(OPERATOR_GROUPS, group, patch)

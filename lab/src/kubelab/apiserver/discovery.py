"""Discovery: which groups, versions and resources are served (legacy documents, and aggregated ones: KEP-3352)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from kubelab.apiserver.negotiation import JSON, YAML, Form, ranges
from kubelab.apiserver.resources import Registry, ResourceInfo, Subresource
from kubelab.objects import Object

AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
_AGGREGATED_VERSIONS: Final = frozenset({"v2", "v2beta1"})
VERSION: Final[Object] = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.26.10",
    "compiler": "gc",
    "platform": "linux/amd64",
}
"""What `/version` says: the version whose behaviour is reproduced."""


def aggregated_version(accept: str) -> str:
    """The version of aggregated discovery that a client asks for; empty if it wants the legacy documents."""
    for wanted in ranges(accept):
        parameters = wanted.parameters
        if wanted.media == JSON and parameters.get("as") == "APIGroupDiscoveryList":
            if parameters.get("g") == "apidiscovery.k8s.io" and parameters.get("v") in _AGGREGATED_VERSIONS:
                return parameters["v"]
        elif wanted.media in {JSON, YAML, "*/*", "application/*"} and "as" not in parameters:
            return ""
    return ""


def groups(registry: Registry) -> dict[str, list[str]]:
    """Versions of each named group, the preferred one first: built-in groups in their order, then custom ones."""
    found: dict[str, list[str]] = {}
    custom: dict[str, list[str]] = {}
    for info in registry:
        if not info.group:
            continue
        versions = (found if info.custom is None else custom).setdefault(info.group, [])
        if info.version not in versions:
            versions.append(info.version)
    for group in sorted(custom):
        found[group] = sorted(custom[group], key=version_priority)
    return found


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as Kubernetes prefers them: v2, v1, v1beta1, v1alpha1, then others by name."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (3, 0, 0, version)
    major, stage, minor = match.groups()
    rank = {None: 0, "beta": 1, "alpha": 2}[stage]
    return (rank, -int(major), -int(minor or 0), version)


def legacy_versions(server_address: str) -> Object:
    """`/api`."""
    where = {"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [where]}


def group_list(registry: Registry) -> Object:
    """`/apis`."""
    listed = [_group(group, versions) for group, versions in groups(registry).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(registry: Registry, name: str) -> Object | None:
    """`/apis/GROUP`; None if it is not served."""
    versions = groups(registry).get(name)
    return None if versions is None else {"kind": "APIGroup", "apiVersion": "v1"} | _group(name, versions)


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> Object | None:
    """`/api/v1` or `/apis/GROUP/VERSION`; None if it is not served."""
    infos = [info for info in registry if (info.group, info.version) == (group_name, version)]
    if not infos:
        return None
    document: Object = {"kind": "APIResourceList"}
    if group_name:
        document["apiVersion"] = "v1"
    document["groupVersion"] = infos[0].api_version
    document["resources"] = list(_resources(infos))
    return document


def _resources(infos: Iterable[ResourceInfo]) -> Iterator[Object]:
    for info in sorted(infos, key=lambda one: one.resource):
        yield _resource(info)
        for name, part in _parts(info):
            yield _subresource(info, name, part)


def _parts(info: ResourceInfo) -> list[tuple[str, Subresource]]:
    """Subresources by name; of custom resources as they are made."""
    parts = info.subresources.items()
    return list(parts) if info.custom is not None else sorted(parts)


def _resource(info: ResourceInfo) -> Object:
    found: Object = {
        "name": info.resource,
        "singularName": info.singular,
        "namespaced": info.namespaced,
        "kind": info.kind,
        "verbs": list(info.verbs),
    }
    if info.short_names:
        found["shortNames"] = list(info.short_names)
    if info.categories:
        found["categories"] = list(info.categories)
    if info.storage_hash:
        found["storageVersionHash"] = info.storage_hash
    return found


def _subresource(info: ResourceInfo, name: str, part: Subresource) -> Object:
    found: Object = {"name": f"{info.resource}/{name}", "singularName": "", "namespaced": info.namespaced}
    if part.foreign:
        found |= {"group": part.kind.group, "version": part.kind.version}
    return found | {"kind": part.kind.kind, "verbs": list(part.verbs)}


def aggregated(registry: Registry, *, core: bool, version: str) -> Object:
    """`/api` or `/apis` as one document with all resources."""
    named = {"": ["v1"]} if core else groups(registry)
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [_aggregated_version(registry, name, one) for one in versions],
        }
        for name, versions in named.items()
    ]
    kind = {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{version}"}
    return {**kind, "metadata": {}, "items": items}


def _aggregated_version(registry: Registry, group_name: str, version: str) -> Object:
    infos = [info for info in registry if (info.group, info.version) == (group_name, version)]
    infos.sort(key=lambda one: one.resource)
    return {"version": version, "resources": [_aggregated_resource(info) for info in infos], "freshness": "Current"}


def _aggregated_resource(info: ResourceInfo) -> Object:
    found: Object = {
        "resource": info.resource,
        "responseKind": _response_kind(info, info.kind),
        "scope": "Namespaced" if info.namespaced else "Cluster",
        "singularResource": info.singular,
        "verbs": list(info.verbs),
    }
    if info.short_names:
        found["shortNames"] = list(info.short_names)
    if info.categories:
        found["categories"] = list(info.categories)
    parts = [
        {
            "subresource": name,
            "responseKind": part.kind._asdict() if part.foreign else _response_kind(info, part.kind.kind),
            "verbs": list(part.verbs),
        }
        for name, part in _parts(info)
    ]
    if parts:
        found["subresources"] = parts
    return found


def _response_kind(info: ResourceInfo, kind: str) -> Object:
    """Built-in kinds leave group and version out: they are the document's."""
    if info.custom is None:
        return {"group": "", "version": "", "kind": kind}
    return {"group": info.group, "version": info.version, "kind": kind}


def paths(registry: Registry) -> Object:
    """`/`: the paths that are no objects."""
    found = {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/openapi/v2", "/openapi/v3"}
    found |= {"/openapi/v3/", "/openid/v1/jwks", "/version", "/metrics"}
    for check in ("healthz", "livez", "readyz"):
        found |= {f"/{check}", f"/{check}/ping", f"/{check}/log", f"/{check}/etcd"}
    for name, versions in groups(registry).items():
        found |= {f"/apis/{name}", *(f"/apis/{name}/{version}" for version in versions)}
    return {"paths": sorted(found)}


def form_of(version: str) -> Form:
    """The form of an aggregated document: its media type has parameters."""
    return Form(AGGREGATED.format(version=version))

"""The OpenAPI v3 documents (`/openapi/v3`; KEP-2896): an index with hashes, a document for each group and version."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from kubelab.apiserver.schema.builtin import INT_OR_STRING, QUANTITY, Types
from kubelab.apiserver.schema.custom_definitions import definition_name, definitions_of, kinds_of
from kubelab.apiserver.schema.dialects import V2, V3
from kubelab.apiserver.schema.paths import Served, paths_of
from kubelab.objects import GroupVersionKind, Json, Object

_TWO_WAYS: Final[Mapping[str, Object]] = {
    INT_OR_STRING: {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
}


class Sources(NamedTuple):
    """What the documents are made of: built-in types, CustomResourceDefinitions, and the resources served."""

    types: Types
    crds: tuple[Object, ...]
    resources: tuple[Served, ...]


def path_of(group: str, version: str) -> str:
    """The name of a document in the index: `api/v1`, `apis/apps/v1`."""
    return f"apis/{group}/{version}" if group else f"api/{version}"


def index(types: Types, crds: Iterable[Object], resources: Iterable[Served]) -> Object:
    """The index: for each group and version the address of its document, with a hash that changes when it does."""
    sources = Sources(types, tuple(crds), tuple(resources))
    served = dict.fromkeys(path_of(one.gvk.group, one.gvk.version) for one in sources.resources)
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(sources, path)}"} for path in sorted(served)
        }
    }


def group_document(types: Types, crds: Iterable[Object], resources: Iterable[Served], path: str) -> Object | None:
    """The document of a group and version by its name in the index; None where nothing is served.

    Parts of it are shared between documents: never change it.
    """
    sources = Sources(types, tuple(crds), tuple(resources))
    chosen = _chosen(sources, path)
    if not chosen:
        return None
    custom = _custom(sources, path)
    names = {kind: definition_name(kind) for crd in _own_crds(sources, path) for kind in _kinds(crd)}
    groups = {kind.group for kind in names}
    paths = paths_of(chosen, lambda kind: types.definition_name(kind) or names.get(kind), V3, groups)
    roots = _own_definitions(sources, path)
    schemas = _closure(types, custom, [*_references([paths]), *roots, *custom])
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{types.version}.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _chosen(sources: Sources, path: str) -> list[Served]:
    return [one for one in sources.resources if path_of(one.gvk.group, one.gvk.version) == path]


def _own_crds(sources: Sources, path: str) -> list[Object]:
    prefix = path.rpartition("/")[0]
    return [crd for crd in sources.crds if prefix == f"apis/{crd['spec']['group']}"]


def _kinds(crd: Object) -> Iterator[GroupVersionKind]:
    for kind, list_kind, _ in kinds_of(crd):
        yield kind
        yield list_kind


def _custom(sources: Sources, path: str) -> dict[str, Object]:
    """The definitions of custom kinds in the document."""
    version = path.rpartition("/")[2]
    found: dict[str, Object] = {}
    for crd in _own_crds(sources, path):
        names = {definition_name(kind) for kind in _kinds(crd) if kind.version == version}
        definitions = definitions_of(crd, sources.types, V3)
        found.update((name, definition) for name, definition in definitions.items() if name in names)
    return found


def _own_definitions(sources: Sources, path: str) -> list[str]:
    """The definitions of built-in kinds of that group and version, served or not."""
    return [
        name
        for kind, name in sources.types.kinds.items()
        if path_of(kind.group, kind.version) == path and not name.startswith("io.k8s.apimachinery.")
    ]


def _closure(types: Types, custom: Mapping[str, Object], roots: Iterable[str]) -> dict[str, Object]:
    """The named definitions and all that they refer to."""
    found: dict[str, Object] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = custom.get(name) or _component(types, name)
            waiting += _references([found[name]])
    return found


@functools.cache
def _component(types: Types, name: str) -> Object:
    """A built-in definition as v3 writes it."""
    published = types.definitions[name]
    if name in _TWO_WAYS:
        return {"description": published["description"], **_TWO_WAYS[name]}
    component: Object = _converted(published)
    return component


def _converted(node: Json) -> Json:
    if isinstance(node, list):
        return [_converted(item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        rest = {keyword: value for keyword, value in node.items() if keyword != "$ref"}
        reference = V3.reference(node["$ref"].removeprefix(V2.prefix))
        return {**rest, "allOf": [reference]} if rest else reference
    return {keyword: _converted(value) for keyword, value in node.items()}


def _references(nodes: list[Any]) -> Iterator[str]:
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                yield reference.removeprefix(V3.prefix)
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _hash(sources: Sources, path: str) -> str:
    """Of all that the document is made from: making it only to hash it would cost seconds over all groups."""
    digest = hashlib.sha512(sources.types.version.encode())
    for resource in _chosen(sources, path):
        parts = {name: (tuple(part.kind), tuple(part.verbs)) for name, part in resource.subresources.items()}
        facts = (tuple(resource.gvk), resource.resource, resource.namespaced, tuple(resource.verbs), parts)
        digest.update(msgspec.json.encode(facts))
    for crd in _own_crds(sources, path):
        digest.update(msgspec.json.encode(crd["spec"]))
    return digest.hexdigest().upper()

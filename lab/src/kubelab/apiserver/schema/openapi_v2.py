"""The OpenAPI v2 document (`/openapi/v2`): all definitions, and the paths that older clients look into."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.custom_definitions import definition_name, definitions_of, kinds_of
from kubelab.apiserver.schema.dialects import V2
from kubelab.apiserver.schema.paths import Served, paths_of
from kubelab.objects import GroupVersionKind, Object

MEDIA_TYPE: Final = "application/json"


def document(types: Types, crds: Iterable[Object], resources: Iterable[Served] = ()) -> Object:
    """The document for built-in and custom kinds. Parts of it are shared with `types`: never change it.

    `resources` are the paths to describe; without them kubectl's `--dry-run=server` finds nothing to rely on.
    """
    definitions = dict(types.definitions)
    names: dict[GroupVersionKind, str] = {}
    custom: set[str] = set()
    for crd in crds:
        definitions.update(definitions_of(crd, types, V2))
        custom.add(crd["spec"]["group"])
        names.update((kind, definition_name(kind)) for pair in kinds_of(crd) for kind in pair[:2])
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": f"v{types.version}.0"},
        "paths": paths_of(resources, lambda kind: types.definition_name(kind) or names.get(kind), V2, custom),
        "definitions": definitions,
    }

"""Custom resources: from a CustomResourceDefinition to what the registry serves."""

from __future__ import annotations

from dataclasses import dataclass

from kubelab.apiserver.schema.model import Schema
from kubelab.objects import Object


@dataclass(frozen=True, slots=True, eq=False)
class ScalePaths:
    """Where the scale subresource finds its numbers in a custom object; simple JSON paths such as `.spec.replicas`."""

    spec_replicas: str
    status_replicas: str
    selector: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CustomVersion:
    """One served version of a custom resource: its type and what it adds."""

    definition: str
    """Name of the CustomResourceDefinition."""
    schema: Schema
    raw_schema: Object
    columns: tuple[Object, ...]
    status: bool
    scale: ScalePaths | None
    deprecation: str
    selectable_fields: tuple[str, ...]

"""Custom resources: from a CustomResourceDefinition to what the registry serves. Pure.

Source: apiextensions-apiserver (`apiserver/customresource_discovery_controller.go`, `controller/status`); API concepts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kubelab.apiserver.builtin import fields
from kubelab.apiserver.resources import ResourceInfo, Subresource
from kubelab.apiserver.schema import structural
from kubelab.apiserver.schema.model import Schema
from kubelab.apiserver.schema.rules import has_rules
from kubelab.apiserver.webhooks.conversions import Converter, converter
from kubelab.objects import GroupResource, GroupVersionKind, Object

CRDS: Final = GroupResource("apiextensions.k8s.io", "customresourcedefinitions")
SCALE: Final = GroupVersionKind("autoscaling", "v1", "Scale")
_VERBS: Final = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_PART_VERBS: Final = ("get", "patch", "update")


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
    """The warning that goes with each answer; empty for versions that are not deprecated."""
    selectable_fields: tuple[str, ...]
    ruled: bool
    """Whether the type has validation rules: looked for once, not with every write."""
    converter: Converter | None = None
    """The webhook that converts between versions; None where only the apiVersion changes."""


def infos(definition: Object) -> list[ResourceInfo]:
    """What a definition serves once its names are accepted."""
    spec = definition["spec"]
    names = spec["names"]
    stored = next((version["name"] for version in spec["versions"] if version.get("storage")), "")
    return [_info(definition, spec, names, version, stored) for version in spec["versions"] if version.get("served")]


def _info(definition: Object, spec: Object, names: Object, version: Object, stored: str) -> ResourceInfo:
    custom = _custom(definition, spec, version)
    group, kind = spec["group"], names["kind"]
    gvk = GroupVersionKind(group, version["name"], kind)
    parts = {}
    if custom.status:
        parts["status"] = Subresource("status", gvk, _PART_VERBS)
    if custom.scale is not None:
        parts["scale"] = Subresource("scale", SCALE, _PART_VERBS, foreign=True)
    return ResourceInfo(
        group=group,
        version=version["name"],
        resource=names["plural"],
        kind=kind,
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular") or kind.lower(),
        list_kind=names.get("listKind") or f"{kind}List",
        verbs=_VERBS,
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=parts,
        stored_group=group,
        stored_version=stored,
        custom=custom,
    )


def _custom(definition: Object, spec: Object, version: Object) -> CustomVersion:
    raw = fields.entries(version.get("schema")).get("openAPIV3Schema") or {}
    parts = fields.entries(version.get("subresources"))
    scale = parts.get("scale")
    schema = structural.schema_of(raw)
    return CustomVersion(
        definition=definition["metadata"]["name"],
        schema=schema,
        raw_schema=raw,
        columns=tuple(fields.items(version.get("additionalPrinterColumns"))),
        status=parts.get("status") is not None,
        scale=None if scale is None else _scale(scale),
        deprecation=_deprecation(spec, version),
        selectable_fields=tuple(one["jsonPath"] for one in fields.items(version.get("selectableFields"))),
        ruled=has_rules(schema),
        converter=converter(fields.entries(spec.get("conversion"))),
    )


def _scale(scale: Object) -> ScalePaths:
    return ScalePaths(scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath") or "")


def _deprecation(spec: Object, version: Object) -> str:
    if not version.get("deprecated"):
        return ""
    default = f"{spec['group']}/{version['name']} {spec['names']['kind']} is deprecated"
    return str(version.get("deprecationWarning") or default)


def accept(definition: Object, others: Iterable[Object], now: str) -> Object:
    """The status of a definition whose names have been compared with those of others in its group."""
    spec, status = definition["spec"], fields.entries(definition.get("status"))
    taken = _taken(definition, others)
    wanted = spec["names"]
    accepted = dict(fields.entries(status.get("acceptedNames")))
    reason, message = "NoConflicts", "no conflicts found"
    for name, why in _NAME_RULES:
        value = wanted.get(name)
        clash = [one for one in (value if isinstance(value, list) else [value]) if one and one in taken[name]]
        if clash:
            reason, message = why, f'"{clash[0]}" is already in use'
            continue
        if value:
            accepted[name] = value
        else:
            accepted.pop(name, None)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    else:
        accepted.pop("categories", None)
    fits = reason == "NoConflicts"
    conditions = [dict(one) for one in fields.items(status.get("conditions"))]
    set_condition(conditions, _condition("NamesAccepted", fits, reason, message), now)
    if fits:
        established = _condition("Established", True, "InitialNamesAccepted", "the initial names have been accepted")
    else:
        established = _condition("Established", False, "NotAccepted", "not all names are accepted")
    if fits or not is_established(definition):
        set_condition(conditions, established, now)
    return {**status, "conditions": conditions, "acceptedNames": _ordered(accepted)}


_NAME_RULES: Final = (
    ("plural", "PluralConflict"),
    ("singular", "SingularConflict"),
    ("shortNames", "ShortNamesConflict"),
    ("kind", "KindConflict"),
    ("listKind", "ListKindConflict"),
)
_NAME_ORDER: Final = ("plural", "singular", "shortNames", "kind", "listKind", "categories")


def _ordered(names: Object) -> Object:
    return {name: names[name] for name in _NAME_ORDER if name in names}


def _taken(definition: Object, others: Iterable[Object]) -> dict[str, set[str]]:
    """Names that others of the group hold: resources share one space, kinds another."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        same = other["metadata"]["name"] == definition["metadata"]["name"]
        if same or other["spec"]["group"] != definition["spec"]["group"]:
            continue
        accepted = fields.entries(fields.entries(other.get("status")).get("acceptedNames"))
        resources |= {
            accepted.get("plural", ""),
            accepted.get("singular", ""),
            *fields.items(accepted.get("shortNames")),
        }
        kinds |= {accepted.get("kind", ""), accepted.get("listKind", "")}
    return {"plural": resources, "singular": resources, "shortNames": resources, "kind": kinds, "listKind": kinds}


def _condition(kind: str, holds: bool, reason: str, message: str) -> Object:  # noqa: FBT001  # a row of a table
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": message}


def set_condition(conditions: list[Object], condition: Object, now: str) -> None:
    """Set a condition in place; the time of its last change moves only when its status does."""
    for number, one in enumerate(conditions):
        if one["type"] == condition["type"]:
            since = one["lastTransitionTime"] if one["status"] == condition["status"] else now
            conditions[number] = _timed(condition, since)
            return
    conditions.append(_timed(condition, now))


def _timed(condition: Object, since: str) -> Object:
    return {
        "type": condition["type"],
        "status": condition["status"],
        "lastTransitionTime": since,
        "reason": condition["reason"],
        "message": condition["message"],
    }


def is_established(definition: Object) -> bool:
    """Whether its objects are served."""
    conditions = fields.items(fields.entries(definition.get("status")).get("conditions"))
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

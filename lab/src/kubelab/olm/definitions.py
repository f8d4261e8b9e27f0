"""The CustomResourceDefinitions of operators.coreos.com: names and columns are OLM's, schemas say little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kubelab.objects import Object
from kubelab.olm.names import GROUP, PACKAGE_MANIFESTS

_OPEN: Final[Object] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_APPROVAL: Final[Object] = {"type": "string", "enum": ["Automatic", "Manual"]}
_TEXT: Final[Object] = {"type": "string"}


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    plural: str
    short: tuple[str, ...]
    spec: Object
    columns: tuple[tuple[str, str, str], ...] = ()
    version: str = "v1alpha1"
    group: str = GROUP
    writes_status: bool = True


def _spec(required: tuple[str, ...] = (), **properties: Object) -> Object:
    found = _OPEN | {"properties": properties}
    return found | ({"required": list(required)} if required else {})


_KINDS: Final = (
    _Kind(
        "CatalogSource",
        "catalogsources",
        ("catsrc",),
        _spec(("sourceType",), sourceType=_TEXT, displayName=_TEXT, publisher=_TEXT, image=_TEXT, address=_TEXT),
        (
            ("Display", "string", ".spec.displayName"),
            ("Type", "string", ".spec.sourceType"),
            ("Publisher", "string", ".spec.publisher"),
            ("Age", "date", ".metadata.creationTimestamp"),
        ),
    ),
    _Kind(
        "Subscription",
        "subscriptions",
        ("sub", "subs"),
        _spec(
            ("name", "source", "sourceNamespace"),
            name=_TEXT,
            source=_TEXT,
            sourceNamespace=_TEXT,
            channel=_TEXT,
            startingCSV=_TEXT,
            installPlanApproval=_APPROVAL,
        ),
        (
            ("Package", "string", ".spec.name"),
            ("Source", "string", ".spec.source"),
            ("Channel", "string", ".spec.channel"),
        ),
    ),
    _Kind(
        "InstallPlan",
        "installplans",
        ("ip",),
        _spec(
            ("approval", "approved", "clusterServiceVersionNames"),
            approval=_APPROVAL,
            approved={"type": "boolean"},
            clusterServiceVersionNames={"type": "array", "items": _TEXT},
        ),
        (
            ("CSV", "string", ".spec.clusterServiceVersionNames[0]"),
            ("Approval", "string", ".spec.approval"),
            ("Approved", "boolean", ".spec.approved"),
        ),
    ),
    _Kind(
        "ClusterServiceVersion",
        "clusterserviceversions",
        ("csv", "csvs"),
        _spec(("displayName", "install"), displayName=_TEXT, version=_TEXT, replaces=_TEXT),
        (
            ("Display", "string", ".spec.displayName"),
            ("Version", "string", ".spec.version"),
            ("Release", "string", ".spec.release"),
            ("Replaces", "string", ".spec.replaces"),
            ("Phase", "string", ".status.phase"),
        ),
    ),
    _Kind(
        "OperatorGroup",
        "operatorgroups",
        ("og",),
        _spec(
            (),
            targetNamespaces={"type": "array", "items": _TEXT},
            upgradeStrategy={
                "type": "string",
                "enum": ["Default", "TechPreviewUnsafeFailForward"],
                "default": "Default",
            },
        )
        | {"default": {"upgradeStrategy": "Default"}},
        version="v1",
    ),
    # Served by an API server of its own in the real OLM, in every namespace; here, beside the CatalogSource.
    _Kind(
        "PackageManifest",
        "packagemanifests",
        (),
        _OPEN,
        (("Catalog", "string", ".status.catalogSourceDisplayName"), ("Age", "date", ".metadata.creationTimestamp")),
        version="v1",
        group=PACKAGE_MANIFESTS.group,
        writes_status=False,
    ),
)


def definitions() -> list[Object]:
    """All of them."""
    return [_definition(kind) for kind in _KINDS]


def _definition(kind: _Kind) -> Object:
    version: Object = {
        "name": kind.version,
        "served": True,
        "storage": True,
        **({"subresources": {"status": {}}} if kind.writes_status else {}),
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": kind.spec, "status": _OPEN}}},
    }
    if kind.columns:
        columns = [{"name": name, "type": type_, "jsonPath": path} for name, type_, path in kind.columns]
        version["additionalPrinterColumns"] = columns
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": list(kind.short),
                "categories": ["olm"],
            },
            "versions": [version],
        },
    }

"""Resources, labels and names of OLM, as the real one has them."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from kubelab.objects import Json, Object
from kubelab.resource import Resource

GROUP: Final = "operators.coreos.com"
MANAGER: Final = "olm.install"
FINALIZER: Final = "operators.coreos.com/csv-cleanup"
MANAGED: Final = {"olm.managed": "true"}

CATALOG_SOURCES: Final = Resource(GROUP, "v1alpha1", "catalogsources", True)
SUBSCRIPTIONS: Final = Resource(GROUP, "v1alpha1", "subscriptions", True)
INSTALL_PLANS: Final = Resource(GROUP, "v1alpha1", "installplans", True)
SERVICE_VERSIONS: Final = Resource(GROUP, "v1alpha1", "clusterserviceversions", True)
OPERATOR_GROUPS: Final = Resource(GROUP, "v1", "operatorgroups", True)
PACKAGE_MANIFESTS: Final = Resource("packages.operators.coreos.com", "v1", "packagemanifests", True)
DEFINITIONS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", False)
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", True)
SERVICE_ACCOUNTS: Final = Resource("", "v1", "serviceaccounts", True)
SECRETS: Final = Resource("", "v1", "secrets", True)
SERVICES: Final = Resource("", "v1", "services", True)
NAMESPACES: Final = Resource("", "v1", "namespaces", False)
ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "roles", True)
ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", True)
CLUSTER_ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", False)
CLUSTER_ROLE_BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", False)
WEBHOOKS: Final = Resource("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", False)
_CONFIG_MAPS: Final = Resource("", "v1", "configmaps", True)

RESOURCES: Final = {
    "ClusterServiceVersion": SERVICE_VERSIONS,
    "CustomResourceDefinition": DEFINITIONS,
    "Deployment": DEPLOYMENTS,
    "ServiceAccount": SERVICE_ACCOUNTS,
    "Secret": SECRETS,
    "Service": SERVICES,
    "ConfigMap": _CONFIG_MAPS,
    "Role": ROLES,
    "RoleBinding": ROLE_BINDINGS,
    "ClusterRole": CLUSTER_ROLES,
    "ClusterRoleBinding": CLUSTER_ROLE_BINDINGS,
}
"""Kinds that the double takes from bundles."""

_LONGEST_NAME: Final = 63
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def owner_labels(csv: Object) -> dict[str, str]:
    """What everything of a ClusterServiceVersion is labelled with."""
    return {
        "olm.owner": csv["metadata"]["name"],
        "olm.owner.namespace": csv["metadata"]["namespace"],
        "olm.owner.kind": "ClusterServiceVersion",
    }


def owner_reference(owner: Object) -> Object:
    """A reference that blocks nobody."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"].get("uid", ""),
        "controller": False,
        "blockOwnerDeletion": False,
    }


def hash_of(value: Json) -> str:
    """SHA-224 of a value in base 62: about 38 letters and digits."""
    number = int.from_bytes(hashlib.sha224(json.dumps(value, sort_keys=True).encode()).digest())
    found = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        found = _DIGITS[digit] + found
    return found


def generated(base: str, value: Json) -> str:
    """A name that says what it is of as far as there is room, and ends in a hash."""
    ending = hash_of(value)
    return f"{base[: _LONGEST_NAME - len(ending) - 1]}-{ending}"


def package_label(package: str, namespace: str) -> str:
    """The label of what belongs to a package in a namespace."""
    return f"{GROUP}/{package}.{namespace}"[: len(GROUP) + 1 + _LONGEST_NAME]

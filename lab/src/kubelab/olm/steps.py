"""The steps of an InstallPlan: what a bundle brings, and the accounts and rights that it asks for.

Order and names as OLM's resolver has them: the ClusterServiceVersion, the bundle's other objects, then for each account
the account, its roles and their bindings.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Final

from kubelab.objects import Object
from kubelab.olm.content import Bundle
from kubelab.olm.names import generated, hash_of, owner_labels

_RBAC: Final = "rbac.authorization.k8s.io"
BUNDLE_SECRET: Final = "BundleSecret"  # noqa: S105  # a kind's name
"""How a plan calls a Secret that a bundle brings."""


def steps(bundle: Bundle, namespace: str, replaces: str, source: Object) -> list[Object]:
    """All steps of a bundle in a namespace; `source` is the CatalogSource that it is from."""
    csv = copy.deepcopy(bundle.csv)
    csv["metadata"]["namespace"] = namespace
    if replaces:
        csv["spec"]["replaces"] = replaces
    objects = [csv, *bundle.others, *rights(csv)]
    return [_step(each, bundle.name, source) for each in objects]


def _step(obj: Object, resolving: str, source: Object) -> Object:
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = obj["kind"]
    return {
        "resolving": resolving,
        "resource": {
            "group": group,
            "kind": BUNDLE_SECRET if kind == "Secret" else kind,
            "manifest": json.dumps(obj, separators=(",", ":")),
            "name": obj["metadata"]["name"],
            "sourceName": source["metadata"]["name"],
            "sourceNamespace": source["metadata"]["namespace"],
            "version": version,
        },
        "status": "Unknown",
    }


def rights(csv: Object) -> Iterator[Object]:
    """Accounts, roles and bindings of a ClusterServiceVersion, account by account."""
    install = csv["spec"]["install"].get("spec", {})
    wanted: dict[str, list[tuple[str, Object]]] = {}
    for kind, field in (("Role", "permissions"), ("ClusterRole", "clusterPermissions")):
        for permission in install.get(field, []):
            wanted.setdefault(permission["serviceAccountName"], []).append((kind, permission))
    namespace = csv["metadata"]["namespace"]
    for account, permissions in sorted(wanted.items()):
        if account != "default":
            yield {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": account, "namespace": namespace},
            }
        for kind, permission in permissions:
            yield from _granted(csv, kind, permission)


def _granted(csv: Object, kind: str, permission: Object) -> Iterator[Object]:
    name, namespace = csv["metadata"]["name"], csv["metadata"]["namespace"]
    account = permission["serviceAccountName"]
    if kind == "Role":
        role = generated(f"{name}-{account}", {"name": name, "permission": permission})
    else:
        role = generated(name, {"name": name, "namespace": namespace, "permission": permission})
    yield role_of(csv, kind, role, permission["rules"])
    yield binding_of(csv, kind, role, [account])


def role_of(csv: Object, kind: str, name: str, rules: list[Object]) -> Object:
    """A Role or ClusterRole of a ClusterServiceVersion."""
    labels = owner_labels(csv) | {"olm.permissions.hash": hash_of(rules)}
    return {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": _meta(csv, kind, name, labels), "rules": rules}


def binding_of(csv: Object, kind: str, name: str, accounts: list[str]) -> Object:
    """The binding of a role of the same name to accounts of the ClusterServiceVersion's namespace."""
    namespace = csv["metadata"]["namespace"]
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": _meta(csv, kind, name, owner_labels(csv)),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace} for account in accounts],
    }


def _meta(csv: Object, kind: str, name: str, labels: dict[str, str]) -> Object:
    place = {"namespace": csv["metadata"]["namespace"]} if kind == "Role" else {}
    return {"name": name, **place, "labels": labels}


def batches(plan: list[Object]) -> list[list[int]]:
    """The positions of steps that are taken together: the ClusterServiceVersion, definitions, then all else."""
    found: list[list[int]] = [[], [], []]
    order = {"ClusterServiceVersion": 0, "CustomResourceDefinition": 1}
    for position, step in enumerate(plan):
        found[order.get(step["resource"]["kind"], 2)].append(position)
    return found

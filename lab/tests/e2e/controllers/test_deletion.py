"""Garbage collection, namespaces, and what each namespace has from the start."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiclient import ApiFailure, Resource

CONFIG_MAPS = Resource("", "v1", "configmaps", True)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", True)
NAMESPACES = Resource("", "v1", "namespaces", False)
PODS = Resource("", "v1", "pods", True)
DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", False)
WIDGETS = Resource("example.org", "v1", "widgets", True)
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", False)


def config_map(name: str, *owners: Any, namespace: str = "default", **meta: Any) -> dict[str, Any]:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": True,
        }
        for owner in owners
    ]
    whole = {"name": name, "namespace": namespace, **meta}
    if references:
        whole["ownerReferences"] = references
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": whole, "data": {}}


def there(store: Any) -> set[str]:
    return {name for _, name in store if name != "kube-root-ca.crt"}


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_dependents_go_with_their_owner_and_their_own_with_them(cluster: Any, propagation: str) -> None:
    client, maps = cluster.client, await cluster.eye.on(CONFIG_MAPS)
    owner = await client.create(CONFIG_MAPS, config_map("owner"))
    child = await client.create(CONFIG_MAPS, config_map("child", owner))
    await client.create(CONFIG_MAPS, config_map("grandchild", child))
    other = await client.create(CONFIG_MAPS, config_map("other"))
    await client.create(CONFIG_MAPS, config_map("shared", owner, other))
    await cluster.eye.until(lambda: len(there(maps)) == 5)
    await client.delete(CONFIG_MAPS, "owner", "default", propagation=propagation)
    await cluster.eye.until(lambda: there(maps) == {"other", "shared"})
    await cluster.eye.until(lambda: len(maps["default", "shared"]["metadata"]["ownerReferences"]) == 1)


async def test_orphans_stay_and_forget_their_owner(cluster: Any) -> None:
    client, maps = cluster.client, await cluster.eye.on(CONFIG_MAPS)
    owner = await client.create(CONFIG_MAPS, config_map("owner"))
    await client.create(CONFIG_MAPS, config_map("child", owner))
    await client.delete(CONFIG_MAPS, "owner", "default", propagation="Orphan")
    await cluster.eye.until(lambda: there(maps) == {"child"})
    await cluster.eye.until(lambda: "ownerReferences" not in maps["default", "child"]["metadata"])


async def test_an_object_whose_owner_never_was_is_removed(cluster: Any) -> None:
    client, maps = cluster.client, await cluster.eye.on(CONFIG_MAPS)
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    await client.create(CONFIG_MAPS, config_map("child", ghost))
    await client.create(CONFIG_MAPS, config_map("free"))
    await cluster.eye.until(lambda: there(maps) == {"free"})


async def test_custom_resources_are_owners_and_dependents_too(cluster: Any) -> None:
    client, maps = cluster.client, await cluster.eye.on(CONFIG_MAPS)
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {"group": "example.org", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    definitions = await cluster.eye.on(DEFINITIONS)
    await client.create(DEFINITIONS, definition)
    await cluster.eye.until(
        lambda: any(
            (c["type"], c["status"]) == ("Established", "True")
            for c in (definitions.get(("", "widgets.example.org"), {}).get("status") or {}).get("conditions") or []
        )
    )
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"}}
    owner = await client.create(WIDGETS, widget)
    child = await client.create(CONFIG_MAPS, config_map("child", owner))
    inner = config_map("inner", child)["metadata"]
    await client.create(WIDGETS, {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": inner})
    widgets = await cluster.eye.on(WIDGETS)
    await cluster.eye.until(lambda: set(widgets) == {("default", "w"), ("default", "inner")})
    await client.delete(WIDGETS, "w", "default", propagation="Background")
    await cluster.eye.until(lambda: there(maps) == set() and not widgets)


async def test_a_namespace_goes_with_all_that_is_in_it_and_waits_for_what_holds_it(cluster: Any) -> None:
    client, eye = cluster.client, cluster.eye
    namespaces, maps, accounts = await eye.on(NAMESPACES), await eye.on(CONFIG_MAPS), await eye.on(SERVICE_ACCOUNTS)
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}})
    await eye.until(lambda: ("gone", "default") in accounts and ("gone", "kube-root-ca.crt") in maps)
    await client.create(CONFIG_MAPS, config_map("plain", namespace="gone"))
    await client.create(CONFIG_MAPS, config_map("held", namespace="gone", finalizers=["example.org/f"]))
    await client.delete(NAMESPACES, "gone")

    def conditions() -> dict[str, str]:
        found = (namespaces["", "gone"].get("status") or {}).get("conditions") or []
        return {c["type"]: c["message"] for c in found}

    await eye.until(lambda: "NamespaceFinalizersRemaining" in conditions())
    assert conditions()["NamespaceContentRemaining"] == (
        "Some resources are remaining: configmaps. has 1 resource instances"
    )
    assert {name for namespace, name in maps if namespace == "gone"} == {"held"}
    await client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "gone")
    await eye.until(lambda: ("", "gone") not in namespaces)
    with pytest.raises(ApiFailure):
        await client.get(NAMESPACES, "gone")


async def test_what_every_namespace_has_is_put_back(cluster: Any) -> None:
    eye, client = cluster.eye, cluster.client
    maps, accounts = await eye.on(CONFIG_MAPS), await eye.on(SERVICE_ACCOUNTS)
    await eye.until(lambda: ("default", "default") in accounts and ("default", "kube-root-ca.crt") in maps)
    uid = accounts["default", "default"]["metadata"]["uid"]
    await client.delete(SERVICE_ACCOUNTS, "default", "default")
    await client.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged"}}, "default")
    await eye.until(
        lambda: (
            accounts.get(("default", "default"), {"metadata": {"uid": uid}})["metadata"]["uid"] != uid
            and maps["default", "kube-root-ca.crt"]["data"]["ca.crt"] != "forged"
        )
    )


async def test_cluster_roles_are_aggregated(cluster: Any) -> None:
    eye, client = cluster.eye, cluster.client
    roles = await eye.on(CLUSTER_ROLES)
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    selectors = {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}
    await client.create(CLUSTER_ROLES, head | {"metadata": {"name": "all"}, "aggregationRule": selectors, "rules": []})
    await client.create(CLUSTER_ROLES, head | {"metadata": {"name": "one", "labels": {"to": "all"}}, "rules": [rule]})
    await eye.until(lambda: ("", "all") in roles and roles["", "all"].get("rules") == [rule])
    await client.delete(CLUSTER_ROLES, "one")
    await eye.until(lambda: not roles["", "all"].get("rules"))

"""Objects: create, read, change, delete; what the server adds, keeps and refuses."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource

CONFIG_MAPS = Resource("", "v1", "configmaps", namespaced=True)
SERVICES = Resource("", "v1", "services", namespaced=True)
NODES = Resource("", "v1", "nodes", namespaced=False)
PODS = Resource("", "v1", "pods", namespaced=True)
DEPLOYMENTS = Resource("apps", "v1", "deployments", namespaced=True)
LEASES = Resource("coordination.k8s.io", "v1", "leases", namespaced=True)
EVENTS = Resource("", "v1", "events", namespaced=True)
NEW_EVENTS = Resource("events.k8s.io", "v1", "events", namespaced=True)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports} | spec}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "example.org/c:1"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers} | spec}


async def refused(awaitable: Any) -> ApiFailure:
    with pytest.raises(ApiFailure) as caught:
        await awaitable
    return caught.value


async def test_what_is_created_can_be_read(client: ApiClient, namespace: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a", x="1"), namespace)
    found = await client.get(CONFIG_MAPS, "a", namespace)
    assert found == made
    assert found["metadata"]["namespace"] == namespace
    assert found["metadata"].keys() >= {"uid", "resourceVersion", "creationTimestamp", "managedFields"}


async def test_a_name_is_made_from_its_prefix(client: ApiClient, namespace: str) -> None:
    wanted = {"metadata": {"generateName": "made-"}}
    names = {(await client.create(CONFIG_MAPS, wanted, namespace))["metadata"]["name"] for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("made-") and len(name) == 10 for name in names)


async def test_a_second_object_of_the_same_name_is_refused(client: ApiClient, namespace: str) -> None:
    await client.create(CONFIG_MAPS, config_map("a"), namespace)
    failure = await refused(client.create(CONFIG_MAPS, config_map("a"), namespace))
    assert failure.already_exists
    assert failure.message == 'configmaps "a" already exists'


async def test_an_update_of_an_old_version_is_refused(client: ApiClient, namespace: str) -> None:
    first = await client.create(CONFIG_MAPS, config_map("a", x="1"), namespace)
    second = await client.update(CONFIG_MAPS, first | {"data": {"x": "2"}})
    assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    failure = await refused(client.update(CONFIG_MAPS, first | {"data": {"x": "3"}}))
    assert failure.conflict
    assert (await client.get(CONFIG_MAPS, "a", namespace))["data"] == {"x": "2"}


async def test_a_write_that_changes_nothing_makes_no_version(client: ApiClient, namespace: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a", x="1"), namespace)
    again = await client.update(CONFIG_MAPS, config_map("a", x="1") | {"metadata": made["metadata"]})
    patched = await client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, namespace)
    assert made["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    assert made["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]


async def test_a_dry_run_leaves_nothing_behind(client: ApiClient, namespace: str) -> None:
    path = CONFIG_MAPS.path(namespace)
    shown = await client.request("POST", path, body=config_map("dry"), params={"dryRun": "All"})
    assert shown["metadata"]["uid"]
    assert (await refused(client.get(CONFIG_MAPS, "dry", namespace))).not_found


@pytest.mark.parametrize(
    ("kind", "patch", "data"),
    [
        pytest.param(PatchKind.MERGE, {"data": {"x": None, "y": "2"}}, {"y": "2"}, id="merge"),
        pytest.param(PatchKind.STRATEGIC, {"data": {"y": "2"}}, {"x": "1", "y": "2"}, id="strategic"),
        pytest.param(PatchKind.JSON, [{"op": "replace", "path": "/data/x", "value": "3"}], {"x": "3"}, id="json"),
    ],
)
async def test_each_kind_of_patch_is_done(
    client: ApiClient, namespace: str, kind: PatchKind, patch: Any, data: dict[str, str]
) -> None:
    await client.create(CONFIG_MAPS, config_map("a", x="1"), namespace)
    assert (await client.patch(CONFIG_MAPS, "a", patch, namespace, kind=kind))["data"] == data


async def test_what_somebody_else_applies_is_not_taken_without_force(client: ApiClient, namespace: str) -> None:
    async def apply(manager: str, value: str, *, force: bool = False) -> Any:
        wanted = config_map("a", x=value)
        return await client.patch(
            CONFIG_MAPS, "a", wanted, namespace, kind=PatchKind.APPLY, field_manager=manager, force=force
        )

    await apply("one", "1")
    failure = await refused(apply("two", "2"))
    assert failure.conflict
    assert 'conflict with "one"' in failure.message
    assert (await apply("two", "2", force=True))["data"] == {"x": "2"}


async def test_unknown_fields_are_refused_by_strict_requests_only(client: ApiClient, namespace: str) -> None:
    path = CONFIG_MAPS.path(namespace)
    body = config_map("a") | {"nope": 1}
    failure = await refused(client.request("POST", path, body=body, params={"fieldValidation": "Strict"}))
    assert failure.code == 400
    assert 'unknown field "nope"' in failure.message
    assert "nope" not in await client.create(CONFIG_MAPS, body, namespace)


async def test_status_is_written_through_its_own_door(client: ApiClient, namespace: str) -> None:
    ingress = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    made = await client.create(SERVICES, service("a", type="LoadBalancer") | {"status": ingress}, namespace)
    assert made["status"] == {"loadBalancer": {}}
    await client.patch(SERVICES, "a", {"status": ingress}, namespace)
    assert (await client.get(SERVICES, "a", namespace))["status"] == {"loadBalancer": {}}
    patch = {"metadata": {"annotations": {"by": "test"}}, "status": ingress, "spec": {"selector": {"no": "no"}}}
    done = await client.patch(SERVICES, "a", patch, namespace, subresource="status")
    assert done["status"]["loadBalancer"]["ingress"][0]["ip"] == "198.51.100.7"
    assert done["metadata"]["annotations"] == {"by": "test"}
    assert "selector" not in done["spec"]


async def test_a_status_patch_of_an_old_version_is_refused(client: ApiClient, namespace: str) -> None:
    made = await client.create(SERVICES, service("a"), namespace)
    await client.patch(SERVICES, "a", {"metadata": {"labels": {"x": "y"}}}, namespace)
    version = {"resourceVersion": made["metadata"]["resourceVersion"]}
    patch = {"metadata": version, "status": {"loadBalancer": {}}}
    assert (await refused(client.patch(SERVICES, "a", patch, namespace, subresource="status"))).conflict


async def test_generation_counts_changes_of_the_spec(client: ApiClient, namespace: str) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    made = await client.create(DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec}, namespace)
    labelled = await client.patch(DEPLOYMENTS, "d", {"metadata": {"labels": {"x": "y"}}}, namespace)
    changed = await client.patch(DEPLOYMENTS, "d", {"spec": {"minReadySeconds": 1}}, namespace)
    generations = [one["metadata"]["generation"] for one in (made, labelled, changed)]
    assert generations == [1, 1, 2]


async def test_a_scale_changes_the_replicas(client: ApiClient, namespace: str) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template, "paused": True}
    await client.create(DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec}, namespace)
    scale = await client.get(DEPLOYMENTS, "d", namespace, subresource="scale")
    assert (scale["spec"], scale["status"]["selector"]) == ({}, "a=b")
    await client.patch(DEPLOYMENTS, "d", {"spec": {"replicas": 2}}, namespace, subresource="scale")
    assert (await client.get(DEPLOYMENTS, "d", namespace))["spec"]["replicas"] == 2


async def test_an_object_waits_for_its_finalizers(client: ApiClient, namespace: str) -> None:
    held = config_map("a") | {"metadata": {"name": "a", "finalizers": ["example.org/f"]}}
    await client.create(CONFIG_MAPS, held, namespace)
    await client.delete(CONFIG_MAPS, "a", namespace)
    waiting = await client.get(CONFIG_MAPS, "a", namespace)
    assert waiting["metadata"]["deletionTimestamp"]
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"finalizers": None}}, namespace)
    assert (await refused(client.get(CONFIG_MAPS, "a", namespace))).not_found


async def test_a_deletion_of_another_object_of_the_name_is_refused(client: ApiClient, namespace: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map("a"), namespace)
    assert (await refused(client.delete(CONFIG_MAPS, "a", namespace, uid="other"))).conflict
    await client.delete(CONFIG_MAPS, "a", namespace, uid=made["metadata"]["uid"])


async def test_a_collection_is_deleted_by_its_labels(client: ApiClient, namespace: str) -> None:
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        body = config_map(name) | {"metadata": {"name": name, "labels": {"l": label}}}
        await client.create(CONFIG_MAPS, body, namespace)
    await client.request("DELETE", CONFIG_MAPS.path(namespace), params={"labelSelector": "l=x"})
    left = await client.list(CONFIG_MAPS, namespace, label_selector="l")
    assert [one["metadata"]["name"] for one in left.items] == ["b"]


async def test_a_pod_that_runs_is_given_time_to_end(client: ApiClient, namespace: str) -> None:
    body = pod("p", nodeName="no-such-node", terminationGracePeriodSeconds=7, tolerations=[{"operator": "Exists"}])
    await client.create(PODS, body, namespace)
    await client.delete(PODS, "p", namespace)
    ending = await client.get(PODS, "p", namespace)
    assert ending["metadata"]["deletionGracePeriodSeconds"] == 7
    await client.delete(PODS, "p", namespace, grace_period_s=0)
    assert (await refused(client.get(PODS, "p", namespace))).not_found


async def test_a_binding_gives_a_pod_its_node_once(client: ApiClient, namespace: str) -> None:
    await client.create(PODS, pod("p", schedulerName="nobody"), namespace)
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "somewhere"},
    }
    await client.create_subresource(PODS, "p", "binding", binding, namespace)
    bound = await client.get(PODS, "p", namespace)
    assert bound["spec"]["nodeName"] == "somewhere"
    assert (await refused(client.create_subresource(PODS, "p", "binding", binding, namespace))).conflict
    await client.delete(PODS, "p", namespace, grace_period_s=0)


async def test_addresses_of_one_type_are_patched_as_a_whole_or_not_at_all(client: ApiClient, namespace: str) -> None:
    await client.create(NODES, {"metadata": {"name": namespace}})
    both = [{"type": "InternalIP", "address": address} for address in ("198.51.100.11", "2001:db8::11")]

    async def patch(addresses: list[dict[str, str]]) -> Any:
        body = {"status": {"addresses": addresses}}
        return await client.patch(NODES, namespace, body, kind=PatchKind.STRATEGIC, subresource="status")

    try:
        assert (await patch(both))["status"]["addresses"] == both
        assert "status.addresses[1]: Duplicate value" in (await refused(patch(both))).message
        whole = await patch([{"$patch": "replace"}, *both])
        assert whole["status"]["addresses"] == both
    finally:
        await client.delete(NODES, namespace)


async def test_nothing_is_created_in_a_namespace_that_is_not_there(client: ApiClient) -> None:
    failure = await refused(client.create(CONFIG_MAPS, config_map("a"), "no-such-namespace"))
    assert failure.not_found
    assert failure.message == 'namespaces "no-such-namespace" not found'


async def test_a_lease_must_be_renewed_from_its_latest_version(client: ApiClient, namespace: str) -> None:
    body = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 2}}
    made = await client.create(LEASES, body, namespace)
    first = made | {"spec": made["spec"] | {"holderIdentity": "b"}}
    await client.update(LEASES, first)
    assert (await refused(client.update(LEASES, first))).conflict


async def test_an_event_reads_the_same_through_both_groups(client: ApiClient, namespace: str) -> None:
    body = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace},
        "reason": "Tested",
        "message": "it was",
        "type": "Normal",
    }
    await client.create(EVENTS, body, namespace)
    other = await client.get(NEW_EVENTS, "e", namespace)
    assert (other["note"], other["regarding"]["name"]) == ("it was", "p")


async def test_pages_show_one_version_of_the_list(client: ApiClient, namespace: str) -> None:
    for name in "abcde":
        await client.create(
            CONFIG_MAPS, config_map(name) | {"metadata": {"name": name, "labels": {"t": "p"}}}, namespace
        )
    path, chosen = CONFIG_MAPS.path(namespace), {"labelSelector": "t=p", "limit": "2"}
    first = await client.request("GET", path, params=chosen)
    await client.delete(CONFIG_MAPS, "d", namespace)
    names = [one["metadata"]["name"] for one in first["items"]]
    token = first["metadata"]["continue"]
    while token:
        page = await client.request("GET", path, params=chosen | {"continue": token})
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        names += [one["metadata"]["name"] for one in page["items"]]
        token = page["metadata"].get("continue")
    assert names == ["a", "b", "c", "d", "e"]

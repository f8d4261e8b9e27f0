"""Custom resources: from the definition to the objects, and away again."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubelab.apiclient import ApiClient, ApiFailure, Resource

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
WITHIN_S = 60
_numbers = itertools.count()

SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "default": 3, "maximum": 9},
        "parts": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}},
            },
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
STATUS = {"type": "object", "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}}}
SCHEMA = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}


def definition(group: str) -> dict[str, Any]:
    version = {
        "served": True,
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"},
        },
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "storage": True} | version, {"name": "v1beta1", "storage": False} | version],
        },
    }


async def established(client: ApiClient, name: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        async for event in client.watch(CRDS, field_selector=f"metadata.name={name}"):
            conditions = event.object.get("status", {}).get("conditions") or []
            if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
                return


@pytest.fixture
async def widgets(client: ApiClient) -> AsyncIterator[Resource]:
    group = f"w{os.getpid()}-{next(_numbers)}.example.org"
    await client.create(CRDS, definition(group))
    await established(client, f"widgets.{group}")
    yield Resource(group, "v1", "widgets", namespaced=True)
    try:
        await client.delete(CRDS, f"widgets.{group}")
    except ApiFailure as failure:
        if not failure.not_found:
            raise


def widget(resource: Resource, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": "Widget", "metadata": {"name": name}, "spec": spec}


async def test_defaults_are_set_and_unknown_fields_dropped(
    client: ApiClient, namespace: str, widgets: Resource
) -> None:
    body = widget(widgets, "a", nope=1, parts=[{"name": "x", "nope": 2}], free={"any": {"thing": 1}})
    made = await client.create(widgets, body, namespace)
    assert made["spec"] == {"size": 3, "parts": [{"name": "x", "count": 1}], "free": {"any": {"thing": 1}}}


async def test_a_value_out_of_bounds_is_refused(client: ApiClient, namespace: str, widgets: Resource) -> None:
    with pytest.raises(ApiFailure) as caught:
        await client.create(widgets, widget(widgets, "a", size=10), namespace)
    assert caught.value.code == 422
    assert "spec.size in body should be less than or equal to 9" in caught.value.message


async def test_status_and_spec_have_doors_of_their_own(client: ApiClient, namespace: str, widgets: Resource) -> None:
    body = widget(widgets, "a", size=2) | {"status": {"phase": "Early"}}
    made = await client.create(widgets, body, namespace)
    assert "status" not in made
    patch = {"spec": {"size": 5}, "status": {"phase": "Ok"}, "metadata": {"labels": {"x": "y"}}}
    done = await client.patch(widgets, "a", patch, namespace, subresource="status")
    assert (done["spec"], done["status"], done["metadata"].get("labels")) == ({"size": 2}, {"phase": "Ok"}, None)
    assert done["metadata"]["generation"] == 1
    changed = await client.patch(widgets, "a", {"spec": {"size": 5}, "status": {"phase": "No"}}, namespace)
    assert (changed["status"], changed["metadata"]["generation"]) == ({"phase": "Ok"}, 2)


async def test_every_version_shows_the_same_object(client: ApiClient, namespace: str, widgets: Resource) -> None:
    await client.create(widgets, widget(widgets, "a", size=2), namespace)
    beta = widgets._replace(version="v1beta1")
    seen = await client.get(beta, "a", namespace)
    assert (seen["apiVersion"], seen["spec"]) == (beta.api_version, {"size": 2})
    await client.patch(beta, "a", {"spec": {"size": 4}}, namespace)
    assert (await client.get(widgets, "a", namespace))["spec"] == {"size": 4}


async def test_a_custom_object_is_scaled(client: ApiClient, namespace: str, widgets: Resource) -> None:
    await client.create(widgets, widget(widgets, "a", size=2), namespace)
    await client.patch(widgets, "a", {"spec": {"replicas": 7}}, namespace, subresource="scale")
    scale = await client.get(widgets, "a", namespace, subresource="scale")
    assert scale["spec"] == {"replicas": 7}
    assert (await client.get(widgets, "a", namespace))["spec"]["size"] == 7


async def test_an_update_must_say_of_which_version(client: ApiClient, namespace: str, widgets: Resource) -> None:
    await client.create(widgets, widget(widgets, "a", size=2), namespace)
    body = widget(widgets, "a", size=3)
    body["metadata"]["namespace"] = namespace
    with pytest.raises(ApiFailure) as caught:
        await client.update(widgets, body)
    assert "metadata.resourceVersion: Invalid value" in caught.value.message


async def test_objects_go_with_their_definition(client: ApiClient, namespace: str, widgets: Resource) -> None:
    await client.create(widgets, widget(widgets, "a"), namespace)
    name = f"widgets.{widgets.group}"
    async with asyncio.timeout(WITHIN_S):
        version = await client.version(CRDS)
        await client.delete(CRDS, name)
        async for event in client.watch(CRDS, resource_version=version, field_selector=f"metadata.name={name}"):
            if event.kind == "DELETED":
                break
    with pytest.raises(ApiFailure) as caught:
        await client.get(widgets, "a", namespace)
    assert caught.value.code == 404


async def test_validation_rules_hold(client: ApiClient, namespace: str, widgets: Resource) -> None:
    await client.create(widgets, widget(widgets, "a", size=2), namespace)
    crd = await client.get(CRDS, f"widgets.{widgets.group}")
    rule = {"rule": "self >= oldSelf", "message": "may only grow"}
    for version in crd["spec"]["versions"]:
        size = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]
        size["x-kubernetes-validations"] = [rule]
    await client.update(CRDS, crd)
    async with asyncio.timeout(WITHIN_S):
        while True:
            await client.patch(widgets, "a", {"spec": {"size": 9}}, namespace)
            try:
                await client.patch(widgets, "a", {"spec": {"size": 1}}, namespace)
            except ApiFailure as failure:
                assert failure.code == 422
                assert "spec.size: Invalid value: 1: may only grow" in failure.message
                break


async def test_a_rule_that_does_not_compile_is_refused(client: ApiClient, widgets: Resource) -> None:
    crd = await client.get(CRDS, f"widgets.{widgets.group}")
    for version in crd["spec"]["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        schema["x-kubernetes-validations"] = [{"rule": "self.spec.nope > 1"}]
    with pytest.raises(ApiFailure) as caught:
        await client.update(CRDS, crd)
    assert caught.value.code == 422
    assert "compilation failed: ERROR: <input>:1:10: undefined field 'nope'" in caught.value.message


async def test_a_new_schema_holds_for_new_writes(client: ApiClient, namespace: str, widgets: Resource) -> None:
    await client.create(widgets, widget(widgets, "a", size=5), namespace)
    crd = await client.get(CRDS, f"widgets.{widgets.group}")
    for version in crd["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]["maximum"] = 4
    await client.update(CRDS, crd)
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await client.create(widgets, widget(widgets, "b", size=5), namespace)
            except ApiFailure as failure:
                assert failure.code == 422
                break
            await client.delete(widgets, "b", namespace)
    # What is as it was may stay, though it would be refused today.
    await client.patch(widgets, "a", {"metadata": {"labels": {"x": "y"}}}, namespace)


async def test_discovery_and_openapi_know_the_resource(client: ApiClient, widgets: Resource) -> None:
    listed = await client.request("GET", f"/apis/{widgets.api_version}")
    assert [one["name"] for one in listed["resources"]] == ["widgets", "widgets/status", "widgets/scale"]
    async with asyncio.timeout(WITHIN_S):
        while True:
            index = await client.request("GET", "/openapi/v3")
            if widgets.group in str(index):
                return

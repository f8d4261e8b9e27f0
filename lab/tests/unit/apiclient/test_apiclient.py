"""What the client sends, and what it makes of answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from kubelab.apiclient import ApiClient, ApiFailure, PatchKind, Resource

if TYPE_CHECKING:
    from conftest import ScriptedServer

PODS = Resource("", "v1", "pods", True)
NODES = Resource("", "v1", "nodes", False)
DEPLOYMENTS = Resource("apps", "v1", "deployments", True)


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (PODS, (), "/api/v1/pods"),
        (PODS, ("default",), "/api/v1/namespaces/default/pods"),
        (PODS, ("default", "x"), "/api/v1/namespaces/default/pods/x"),
        (PODS, ("default", "x", "binding"), "/api/v1/namespaces/default/pods/x/binding"),
        (NODES, ("", "n1", "status"), "/api/v1/nodes/n1/status"),
        (NODES, ("ignored", "n1"), "/api/v1/nodes/n1"),
        (DEPLOYMENTS, ("d", "web"), "/apis/apps/v1/namespaces/d/deployments/web"),
    ],
)
def test_paths_are_those_of_the_api_conventions(resource: Resource, arguments: tuple[str, ...], path: str) -> None:
    assert resource.path(*arguments) == path


async def test_each_verb_sends_its_method_path_and_body(scripted: ScriptedServer) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Pod"})

    scripted.answer = answer
    pod = {"kind": "Pod", "metadata": {"name": "x", "namespace": "default"}}
    async with ApiClient(scripted.url, token="t") as client:
        await client.get(PODS, "x", "default")
        await client.create(PODS, pod)
        await client.update(PODS, pod, subresource="status")
        await client.patch(PODS, "x", {"a": 1}, "default", kind=PatchKind.APPLY, field_manager="me", force=True)
        await client.delete(
            PODS, "x", "default", uid="u", resource_version="7", propagation="Foreground", grace_period_s=0
        )
        await client.create_subresource(PODS, "x", "binding", {"kind": "Binding"}, "default")
    seen = [(method, path) for method, path, *_ in scripted.requests]
    base = "/api/v1/namespaces/default/pods"
    assert seen == [
        ("GET", f"{base}/x"),
        ("POST", base),
        ("PUT", f"{base}/x/status"),
        ("PATCH", f"{base}/x"),
        ("DELETE", f"{base}/x"),
        ("POST", f"{base}/x/binding"),
    ]
    patch = scripted.requests[3]
    assert patch[2] == {"fieldManager": "me", "force": "true"}
    assert patch[3]["Content-Type"] == "application/apply-patch+yaml"
    assert patch[3]["Authorization"] == "Bearer t"
    assert json.loads(scripted.requests[4][4]) == {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
        "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 0,
    }


async def test_a_list_is_fetched_page_by_page_and_its_items_say_what_they_are(scripted: ScriptedServer) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        last = request.query.get("continue") == "more"
        metadata = {"resourceVersion": "5"} | ({} if last else {"continue": "more"})
        name = "b" if last else "a"
        return web.json_response(
            {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": [{"metadata": {"name": name}}]}
        )

    scripted.answer = answer
    async with ApiClient(scripted.url) as client:
        found = await client.list(PODS, label_selector="app=web")
    assert [item["metadata"]["name"] for item in found.items] == ["a", "b"]
    assert {(item["apiVersion"], item["kind"]) for item in found.items} == {("v1", "Pod")}
    assert found.resource_version == "5"
    assert all(query["labelSelector"] == "app=web" for _, _, query, _, _ in scripted.requests)


async def test_a_refusal_carries_what_the_status_says(scripted: ScriptedServer) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "code": 409, "reason": "AlreadyExists", "message": 'pods "x" already exists'}
        return web.json_response(body, status=409, headers={"Retry-After": "3"})

    scripted.answer = answer
    async with ApiClient(scripted.url) as client:
        with pytest.raises(ApiFailure) as caught:
            await client.get(PODS, "x", "default")
    failure = caught.value
    assert (failure.code, failure.reason, failure.retry_after_s) == (409, "AlreadyExists", 3.0)
    assert failure.already_exists
    assert not failure.conflict
    assert str(failure) == '409 AlreadyExists: pods "x" already exists'


@pytest.mark.parametrize("body", ["<html>", "[1]", '"x"'])
async def test_an_answer_that_is_no_object_is_a_failure(scripted: ScriptedServer, body: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type="application/json")

    scripted.answer = answer
    async with ApiClient(scripted.url) as client:
        with pytest.raises(ApiFailure) as caught:
            await client.get(PODS, "x", "default")
    assert caught.value.reason == "Unreadable"


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with ApiClient("http://127.0.0.1:1") as client:
        with pytest.raises(ApiFailure) as caught:
            await client.get(PODS, "x", "default")
    assert caught.value.unreachable

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from metallb.kube.access import may
from metallb.kube.apply import StatusWriter, apply_object, merged
from metallb.kube.client import KubeClient
from metallb.kube.errors import ConflictError
from metallb.kube.objects import Key
from metallb.kube.resources import LEASES, SERVICES

KEY = Key("default", "web")
STATUS = {"loadBalancer": {"ingress": [{"ip": "198.51.100.1"}]}}
NOTE = {"metallb.io/ip-allocated-from-pool": "p", "old": None}


def review(allowed: bool) -> web.Response:  # noqa: FBT001  # an example
    return web.json_response({"status": {"allowed": allowed}})


def bare(version: str) -> web.Response:
    return web.json_response({"metadata": {"name": "web", "resourceVersion": version}})


async def test_a_status_is_one_patch_with_its_precondition(server: Any, client: KubeClient) -> None:
    server.then(review(True))
    server.then(bare("8"))
    writer = StatusWriter(client, SERVICES)
    await writer.settle()
    answer = await writer.write(KEY, "7", STATUS, NOTE)
    assert answer.metadata.resource_version == "8"
    asked, written = server.seen
    assert asked.body["spec"]["resourceAttributes"] == {
        "verb": "patch", "version": "v1", "resource": "services", "subresource": "status",
    }  # fmt: skip
    assert (written.method, written.path) == ("PATCH", "/api/v1/namespaces/default/services/web/status")
    assert written.headers["Content-Type"] == "application/merge-patch+json"
    assert written.body == {"metadata": {"resourceVersion": "7", "annotations": NOTE}, "status": STATUS}


@pytest.mark.parametrize("how", ["told at the start", "refused at the first write"])
async def test_where_patch_is_not_allowed_the_same_change_is_an_update(
    how: str, server: Any, client: KubeClient, answer: Any
) -> None:
    writer = StatusWriter(client, SERVICES)
    if how == "told at the start":
        server.then(review(False))
        await writer.settle()
    else:
        server.then(answer(403, "Forbidden"))
    found = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "resourceVersion": "7", "annotations": {"old": "x", "kept": "y"}},
        "spec": {"unknown to us": 1},
        "status": {"conditions": [1], "loadBalancer": {"ingress": [{"ip": "198.51.100.9"}]}},
    }
    server.then(web.json_response(found))
    server.then(bare("8"))
    await writer.write(KEY, "7", STATUS, NOTE)
    assert not writer.by_patch
    put = server.seen[-1]
    assert (put.method, put.path) == ("PUT", "/api/v1/namespaces/default/services/web/status")
    assert put.body["metadata"] == {
        "name": "web",
        "resourceVersion": "7",
        "annotations": {"kept": "y", "metallb.io/ip-allocated-from-pool": "p"},
    }
    assert put.body["spec"] == {"unknown to us": 1}
    assert put.body["status"] == {"conditions": [1], **STATUS}


async def test_an_update_of_an_object_that_has_moved_on_is_a_conflict(server: Any, client: KubeClient) -> None:
    writer = StatusWriter(client, SERVICES)
    writer.by_patch = False
    server.then(web.json_response({"metadata": {"name": "web", "resourceVersion": "9"}}))
    with pytest.raises(ConflictError):
        await writer.write(KEY, "7", STATUS)
    assert len(server.seen) == 1


async def test_an_object_is_applied_under_our_name(server: Any, client: KubeClient) -> None:
    server.then(bare("8"))
    desired = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "speaker", "namespace": "ns"}}
    await apply_object(client, desired)
    assert server.seen[0].path == "/apis/apps/v1/namespaces/ns/daemonsets/speaker"
    assert server.seen[0].query == {"fieldManager": "tester", "force": "true"}
    assert server.seen[0].body == desired
    with pytest.raises(KeyError):
        await apply_object(client, {"apiVersion": "v9", "kind": "Nope", "metadata": {"name": "x"}})


async def test_rights_are_asked_for_one_object(server: Any, client: KubeClient) -> None:
    server.then(review(False))
    assert not await may(client, "update", LEASES, namespace="ns", name="l")
    assert server.seen[0].path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert server.seen[0].body["spec"]["resourceAttributes"] == {
        "verb": "update", "group": "coordination.k8s.io", "version": "v1", "resource": "leases",
        "namespace": "ns", "name": "l",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_is_that_of_rfc_7386_appendix_a(value: Any, patch: Any, result: Any) -> None:
    assert merged(value, patch) == result


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


@given(value=JSON, patch=JSON)
def test_a_merge_patch_applied_twice_is_applied_once(value: Any, patch: Any) -> None:
    once = merged(value, patch)
    assert merged(once, patch) == once

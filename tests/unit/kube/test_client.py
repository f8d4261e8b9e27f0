from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from msgspec.json import Decoder

from metallb.api.core import Service
from metallb.kube import errors
from metallb.kube.answers import Bookmark, Changed, Deleted, Unreadable
from metallb.kube.client import KubeClient
from metallb.kube.credentials import Credentials, FileToken
from metallb.kube.errors import Status, error_of, error_of_status
from metallb.kube.objects import BARE, Key
from metallb.kube.resources import KNOWN, LEASES, NODES, SERVICES, resource_of

SERVICE = Decoder(Service)


def service(name: str, version: str = "1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version, "managedFields": [{"x": 1}]},
        "spec": {"type": "LoadBalancer", "sessionAffinity": "None", **spec},
    }


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (400, {"reason": "BadRequest"}, errors.InvalidError),
        (401, {"reason": "Unauthorized"}, errors.UnauthorizedError),
        (403, {"reason": "Forbidden"}, errors.ForbiddenError),
        (404, {"reason": "NotFound"}, errors.NotFoundError),
        (404, b"404 page not found", errors.NotFoundError),
        (405, {"reason": "MethodNotAllowed"}, errors.InvalidError),
        (409, {"reason": "Conflict"}, errors.ConflictError),
        (409, {"reason": "AlreadyExists"}, errors.AlreadyExistsError),
        (
            409,
            {"reason": "Conflict", "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".data.a"}]}},
            errors.OwnedElsewhereError,
        ),
        (410, {"reason": "Expired"}, errors.GoneError),
        (410, {"reason": "Gone"}, errors.GoneError),
        (413, {"reason": "RequestEntityTooLarge"}, errors.InvalidError),
        (415, {"reason": "UnsupportedMediaType"}, errors.InvalidError),
        (422, {"reason": "Invalid"}, errors.InvalidError),
        (422, {}, errors.InvalidError),
        (429, {"reason": "TooManyRequests"}, errors.RetryLaterError),
        (429, b"slow down", errors.RetryLaterError),
        (500, {"message": "conversion webhook for metallb.io/v1beta1 failed"}, errors.RetryLaterError),
        (500, {"reason": "InternalError"}, errors.RetryLaterError),
        (502, b"<html>bad gateway</html>", errors.RetryLaterError),
        (503, {"reason": "ServiceUnavailable"}, errors.RetryLaterError),
        (504, {"reason": "Timeout", "details": {"retryAfterSeconds": 1}}, errors.RetryLaterError),
        (302, b"", errors.RetryLaterError),
    ],
)
def test_an_answer_becomes_the_error_that_says_what_to_do_next(
    code: int, body: dict[str, Any] | bytes, kind: type[errors.ApiError]
) -> None:
    raw = body if isinstance(body, bytes) else msgspec.json.encode({"kind": "Status", "code": code, **body})
    error = error_of("GET /x", code, raw)
    assert type(error) is kind
    assert error.code == code
    assert "GET /x" in str(error)


def test_the_servers_wish_to_wait_is_kept() -> None:
    by_header = error_of("GET /x", 429, b"", retry_after="7")
    by_body = error_of_status(
        "GET /x", msgspec.json.decode(b'{"code":504,"details":{"retryAfterSeconds":3}}', type=Status)
    )
    by_nonsense = error_of("GET /x", 429, b"", retry_after="tomorrow")
    assert (by_header.retry_after_s, by_body.retry_after_s, by_nonsense.retry_after_s) == (7.0, 3.0, 0.0)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SERVICES.path, "/api/v1/services"),
        (lambda: SERVICES.path("default"), "/api/v1/namespaces/default/services"),
        (lambda: SERVICES.path("default", "web", "status"), "/api/v1/namespaces/default/services/web/status"),
        (lambda: NODES.path("", "n1"), "/api/v1/nodes/n1"),
        (lambda: LEASES.path("a", "b"), "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"),
        (lambda: SERVICES.path("a/../b", "x?y"), "/api/v1/namespaces/a%2F..%2Fb/services/x%3Fy"),
    ],
)
def test_paths_are_those_of_the_api(path: Any, expected: str) -> None:
    assert path() == expected


@pytest.mark.parametrize(
    "path", [lambda: NODES.path("ns", "n1"), lambda: SERVICES.path("", "web"), lambda: SERVICES.path("a", "", "status")]
)
def test_a_path_that_can_not_be_is_refused(path: Any) -> None:
    with pytest.raises(ValueError):
        path()


def test_each_kind_is_found_by_its_api_version_and_stands_once() -> None:
    for resource in KNOWN:
        assert resource_of(resource.api_version, resource.kind) is resource
    assert len({(r.group, r.plural) for r in KNOWN}) == len(KNOWN)
    with pytest.raises(KeyError):
        resource_of("v1", "Nope")


async def test_an_object_is_read_into_the_callers_struct(server: Any, client: KubeClient) -> None:
    server.then(web.json_response(service("web", loadBalancerIP="198.51.100.7")))
    found = await client.get(SERVICES, "web", namespace="default", decoder=SERVICE)
    assert found.spec.load_balancer_ip == "198.51.100.7"
    assert server.seen[0].path == "/api/v1/namespaces/default/services/web"
    assert server.seen[0].headers["User-Agent"] == "test/1"


async def test_a_list_is_read_page_by_page(server: Any, client: KubeClient) -> None:
    server.then(web.json_response({"metadata": {"resourceVersion": "9", "continue": "c1"}, "items": [service("a")]}))
    server.then(web.json_response({"metadata": {"resourceVersion": "9"}, "items": [service("b")]}))
    page = await client.list(SERVICES, decoder=SERVICE, label_selector="a in (b,c)")
    assert [item.metadata.name for item in page.items] == ["a", "b"]
    assert page.resource_version == "9"
    assert server.seen[0].query == {"labelSelector": "a in (b,c)", "limit": "500"}
    assert server.seen[1].query["continue"] == "c1"


async def test_a_list_whose_pages_expire_is_started_again_unpaged(server: Any, client: KubeClient, answer: Any) -> None:
    server.then(web.json_response({"metadata": {"resourceVersion": "9", "continue": "c1"}, "items": [service("a")]}))
    server.then(answer(410, "Expired"))
    server.then(web.json_response({"metadata": {"resourceVersion": "12"}, "items": [service("b")]}))
    page = await client.list(SERVICES, decoder=SERVICE)
    assert [item.metadata.name for item in page.items] == ["b"]
    assert server.seen[2].query["limit"] == "0"


async def test_one_unreadable_object_does_not_cost_the_list(server: Any, client: KubeClient) -> None:
    bad = service("bad", ports="none")
    server.then(web.json_response({"metadata": {"resourceVersion": "9"}, "items": [service("a"), bad]}))
    page = await client.list(SERVICES, decoder=SERVICE)
    assert [item.metadata.name for item in page.items] == ["a"]
    assert [bad.key for bad in page.unreadable] == [Key("default", "bad")]
    assert "ports" in page.unreadable[0].error


async def test_a_null_list_is_an_empty_list(server: Any, client: KubeClient) -> None:
    server.then(web.json_response({"metadata": {"resourceVersion": "9"}, "items": None}))
    assert (await client.list(SERVICES, decoder=SERVICE)).items == []


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b'{"metadata": 3}', b'{"items": [1]}'])
async def test_an_answer_that_is_no_list_is_no_empty_list(body: bytes, server: Any, client: KubeClient) -> None:
    server.then(web.Response(body=body))
    with pytest.raises(errors.MalformedError):
        await client.list(SERVICES, decoder=SERVICE)


@pytest.mark.parametrize(
    ("call", "method", "media", "query", "sent"),
    [
        (
            lambda c: c.create(SERVICES, {"a": 1}, namespace="d", decoder=BARE),
            "POST", "application/json", {"fieldManager": "tester"}, {"a": 1},
        ),
        (
            lambda c: c.replace(SERVICES, "w", {"a": 1}, namespace="d", decoder=BARE),
            "PUT", "application/json", {"fieldManager": "tester"}, {"a": 1},
        ),
        (
            lambda c: c.merge_patch(SERVICES, "w", {"a": None}, namespace="d", subresource="status", decoder=BARE),
            "PATCH", "application/merge-patch+json", {"fieldManager": "tester"}, {"a": None},
        ),
        (
            lambda c: c.json_patch(SERVICES, "w", [{"op": "remove", "path": "/a"}], namespace="d", decoder=BARE),
            "PATCH", "application/json-patch+json", {"fieldManager": "tester"}, [{"op": "remove", "path": "/a"}],
        ),
        (
            lambda c: c.apply(SERVICES, "w", {"a": 1}, namespace="d", decoder=BARE, force=True),
            "PATCH", "application/apply-patch+yaml", {"fieldManager": "tester", "force": "true"}, {"a": 1},
        ),
        (
            lambda c: c.apply(SERVICES, "w", {}, namespace="d", decoder=BARE, subresource="status", manager="part"),
            "PATCH", "application/apply-patch+yaml", {"fieldManager": "part", "force": "false"}, {},
        ),
        (
            lambda c: c.delete(SERVICES, "w", namespace="d", uid="u1"),
            "DELETE", "application/json", {},
            {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "preconditions": {"uid": "u1"}},
        ),
    ],
    ids=["create", "replace", "merge", "json", "apply", "apply as another", "delete"],
)  # fmt: skip
async def test_a_write_is_sent_as_the_api_wants_it(
    call: Any, method: str, media: str, query: dict[str, str], sent: Any, server: Any, client: KubeClient
) -> None:
    server.then(web.json_response({"metadata": {"name": "w", "resourceVersion": "5"}}))
    await call(client)
    seen = server.seen[0]
    assert (seen.method, seen.headers["Content-Type"], seen.query, seen.body) == (method, media, query, sent)


async def test_a_refused_connection_is_unavailable() -> None:
    async with KubeClient(Credentials("http://127.0.0.1:1")) as client:
        with pytest.raises(errors.UnavailableError) as caught:
            await client.get(NODES, "n", decoder=BARE)
    assert caught.value.code == 0


async def test_a_server_that_says_nothing_is_unavailable_after_the_timeout(server: Any) -> None:
    gate = asyncio.Event()

    async def hang(_request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response()

    server.then(hang)
    async with KubeClient(Credentials(server.url), timeout_s=0.05) as client:
        with pytest.raises(errors.UnavailableError, match="no answer in time"):
            await client.get(NODES, "n", decoder=BARE)
    gate.set()


async def test_the_answer_of_each_request_is_observed(server: Any, answer: Any) -> None:
    observed: list[tuple[str, int]] = []
    server.then(answer(404, "NotFound"))
    async with KubeClient(Credentials(server.url), observe=lambda m, c: observed.append((m, c))) as client:
        with pytest.raises(errors.NotFoundError):
            await client.get(NODES, "n", decoder=BARE)
    assert observed == [("GET", 404)]


async def test_a_rotated_token_is_read_again_after_a_401_and_only_once(
    server: Any, answer: Any, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    async def check(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] != "Bearer new":
            return answer(401, "Unauthorized")  # type: ignore[no-any-return]  # the fixture is untyped
        return web.json_response({"metadata": {"name": "n"}})

    server.fallback = check
    async with KubeClient(Credentials(server.url, tokens=FileToken(token))) as client:
        with pytest.raises(errors.UnauthorizedError):
            await client.get(NODES, "n", decoder=BARE)
        assert len(server.seen) == 2
        token.write_text("new")
        assert (await client.get(NODES, "n", decoder=BARE)).metadata.name == "n"


async def test_a_watch_gives_each_event_as_a_value(server: Any, client: KubeClient, stream: Any) -> None:
    mark = {"metadata": {"resourceVersion": "8", "annotations": {"k8s.io/initial-events-end": "true"}}}
    server.then(
        stream(
            {"type": "ADDED", "object": service("a", "5")},
            {"type": "MODIFIED", "object": service("a", "6")},
            {"type": "DELETED", "object": service("a", "7", ports="unreadable too")},
            {"type": "BOOKMARK", "object": mark},
            {"type": "ADDED", "object": service("b", "9", ports=3)},
        )
    )
    async with client.watch(SERVICES, decoder=SERVICE, resource_version="4", timeout_s=60) as events:
        got = [event async for event in events]
    assert isinstance(got[0], Changed)
    assert isinstance(got[1], Changed)
    assert got[1].object.metadata.resource_version == "6"
    assert got[2:4] == [Deleted(Key("default", "a"), "7"), Bookmark("8", initial_end=True)]
    assert isinstance(got[4], Unreadable)
    assert server.seen[0].query == {
        "watch": "1",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "60",
        "resourceVersion": "4",
    }


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}, errors.GoneError),
        (
            {"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError"}},
            errors.RetryLaterError,
        ),
        ({"type": "NEWER", "object": {}}, errors.MalformedError),
        ({"kind": "Service"}, errors.MalformedError),
        (b"not json", errors.MalformedError),
    ],
)
async def test_a_line_that_is_no_event_ends_the_watch(
    line: Any, kind: type[errors.ApiError], server: Any, client: KubeClient, stream: Any
) -> None:
    server.then(stream(line))
    async with client.watch(SERVICES, decoder=SERVICE, resource_version="4", timeout_s=60) as events:
        with pytest.raises(kind):
            await anext(events)

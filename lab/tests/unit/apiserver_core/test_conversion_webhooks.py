"""Custom objects between versions by a webhook, answered without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kubelab.apiserver.server import Server
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.objects import GroupResource

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAME = "towers.lab.example.org"
V1 = "/apis/lab.example.org/v1/namespaces/default/towers"
V2 = V1.replace("/v1/", "/v2/")
STORED = GroupResource("lab.example.org", "towers")
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


def version(name: str, field: str, *, storage: bool = False) -> dict[str, Any]:
    spec = {"type": "object", "properties": {field: {"type": "integer", "maximum": 100}}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {"name": name, "served": True, "storage": storage, "schema": schema}


def conversion(webhooks: Any, path: str = "/convert", **more: Any) -> dict[str, Any]:
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": webhooks.client(path)} | more
    return {"strategy": "Webhook", "webhook": webhook}


def definition(webhooks: Any) -> dict[str, Any]:
    spec = {
        "group": "lab.example.org",
        "scope": "Namespaced",
        "names": {"plural": "towers", "singular": "tower", "kind": "Tower"},
        "conversion": conversion(webhooks),
        "versions": [version("v1", "size"), version("v2", "height", storage=True)],
    }
    return {"metadata": {"name": NAME}, "spec": spec}


def converted(request: Any) -> Any:
    wanted = request["desiredAPIVersion"]
    old, new = ("size", "height") if wanted.endswith("/v2") else ("height", "size")
    objects = [
        {**one, "apiVersion": wanted, "spec": {new if name == old else name: it for name, it in one["spec"].items()}}
        for one in request["objects"]
    ]
    return {"result": {"status": "Success"}, "convertedObjects": objects}


def gone(_: Any) -> Any:
    raise CallError('Post "x": EOF')


def tower(name: str = "t", **spec: int) -> dict[str, Any]:
    api_version = "lab.example.org/v2" if "height" in spec else "lab.example.org/v1"
    return {"apiVersion": api_version, "kind": "Tower", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def towers(ask: Any, webhooks: Any) -> Callable[..., Awaitable[Any]]:
    """Towers are served in two versions; makes one in v1."""
    webhooks.said["/convert"] = converted
    made = await ask("POST", DEFINITIONS, definition(webhooks))
    assert made.status == 201, made.body

    async def make(name: str = "t", size: int = 7) -> Any:
        answer = await ask("POST", V1, tower(name, size=size))
        assert answer.status == 201, answer.body
        return answer.body

    return make


@pytest.mark.usefixtures("towers")
async def test_every_write_in_another_version_is_stored_in_the_one_for_storage(ask: Any, server: Server) -> None:
    table = server.state.storage.table(STORED).objects
    await ask("POST", V1, tower(size=1))
    assert table["default/t"].obj["spec"] == {"height": 1}
    made = (await ask("GET", f"{V1}/t")).body
    replaced = await ask("PUT", f"{V1}/t", {**made, "spec": {"size": 2}})
    assert (replaced.body["spec"], table["default/t"].obj["spec"]) == ({"size": 2}, {"height": 2})
    patched = await ask("PATCH", f"{V1}/t", {"spec": {"size": 3}}, content_type=MERGE)
    assert (patched.body["spec"], table["default/t"].obj["spec"]) == ({"size": 3}, {"height": 3})
    applied = await ask("PATCH", f"{V1}/t?fieldManager=me&force=1", tower(size=4), content_type=APPLY)
    assert (applied.body["spec"], table["default/t"].obj["spec"]) == ({"size": 4}, {"height": 4})
    new = await ask("PATCH", f"{V1}/n?fieldManager=me", tower("n", size=5), content_type=APPLY)
    assert (new.status, table["default/n"].obj["spec"]) == (201, {"height": 5})
    assert {one.obj["apiVersion"] for one in table.values()} == {"lab.example.org/v2"}


async def test_rules_are_those_of_the_version_that_is_written(ask: Any, towers: Any) -> None:
    await towers()
    answer = await ask("PATCH", f"{V1}/t", {"spec": {"size": 101}}, content_type=MERGE)
    assert "spec.size: Invalid value: 101" in answer.body["message"]


async def test_what_is_read_as_it_is_stored_needs_no_webhook(ask: Any, webhooks: Any, towers: Any) -> None:
    await towers()
    webhooks.said["/convert"] = gone
    assert (await ask("GET", f"{V2}/t")).body["spec"] == {"height": 7}
    assert (await ask("PATCH", f"{V2}/t", {"spec": {"height": 8}}, content_type=MERGE)).status == 200
    assert (await ask("DELETE", f"{V2}/t")).status == 200


async def test_a_change_of_nothing_converts_for_nobody_and_writes_nothing(ask: Any, webhooks: Any, towers: Any) -> None:
    made = await towers()
    webhooks.asked.clear()
    answer = await ask("PATCH", f"{V1}/t", {"spec": {"size": 7}}, content_type=MERGE)
    assert answer.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert len(webhooks.asked) == 1


async def test_a_list_is_converted_in_one_review(ask: Any, webhooks: Any, towers: Any) -> None:
    for number in range(3):
        await towers(f"t{number}", number)
    webhooks.asked.clear()
    answer = await ask("GET", V1)
    assert [one["spec"]["size"] for one in answer.body["items"]] == [0, 1, 2]
    assert {one["apiVersion"] for one in answer.body["items"]} == {"lab.example.org/v1"}
    assert [len(request["objects"]) for _, request in webhooks.asked] == [3]


async def test_a_table_shows_the_version_that_is_asked_for(ask: Any, towers: Any) -> None:
    await towers()
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    answer = await ask("GET", f"{V1}?includeObject=Object", accept=accept)
    assert answer.body["rows"][0]["object"]["spec"] == {"size": 7}


async def test_a_watch_shows_the_version_that_is_asked_for(ask: Any, towers: Any, lines: Any) -> None:
    await towers("a", 1)
    events = lines(await ask("GET", f"{V1}?watch=1"))
    first = await anext(events)
    await towers("b", 2)
    second = await anext(events)
    await ask("DELETE", f"{V2}/a")
    third = await anext(events)
    told = [(one["type"], one["object"]["apiVersion"], one["object"]["spec"]) for one in (first, second, third)]
    v1 = "lab.example.org/v1"
    assert told == [("ADDED", v1, {"size": 1}), ("ADDED", v1, {"size": 2}), ("DELETED", v1, {"size": 1})]


async def test_watches_share_what_was_converted(ask: Any, webhooks: Any, towers: Any, lines: Any) -> None:
    made = await towers()
    since = made["metadata"]["resourceVersion"]
    watches = [lines(await ask("GET", f"{V1}?watch=1&resourceVersion={since}")) for _ in range(3)]
    await ask("PATCH", f"{V2}/t", {"spec": {"height": 9}}, content_type=MERGE)
    webhooks.asked.clear()
    for events in watches:
        assert (await anext(events))["object"]["spec"] == {"size": 9}
    assert len(webhooks.asked) == 1


async def test_a_watch_ends_with_the_error_of_its_conversion(ask: Any, webhooks: Any, towers: Any, lines: Any) -> None:
    made = await towers()
    events = lines(await ask("GET", f"{V1}?watch=1&resourceVersion={made['metadata']['resourceVersion']}"))
    webhooks.said["/convert"] = gone
    await ask("PATCH", f"{V2}/t", {"spec": {"height": 9}}, content_type=MERGE)
    told = await anext(events)
    assert (told["type"], told["object"]["code"]) == ("ERROR", 500)
    with pytest.raises(StopAsyncIteration):
        await anext(events)
    initial = await anext(lines(await ask("GET", f"{V1}?watch=1")))
    assert initial["type"] == "ERROR"


async def test_a_webhook_that_fails_leaves_everything_as_it_was(ask: Any, webhooks: Any, towers: Any) -> None:
    await towers()
    before = (await ask("GET", f"{V2}/t")).body
    webhooks.said["/convert"] = gone
    answers = [
        await ask("GET", f"{V1}/t"),
        await ask("GET", V1),
        await ask("POST", V1, tower("new", size=1)),
        await ask("PUT", f"{V1}/t", tower(size=2)),
        await ask("PATCH", f"{V1}/t", {"spec": {"size": 3}}, content_type=MERGE),
        await ask("DELETE", f"{V1}/t"),
    ]
    assert {one.status for one in answers} == {500}
    why = 'conversion webhook for lab.example.org/v2, Kind=Tower failed: Post "x": EOF'
    assert answers[0].body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": why,
        "code": 500,
    }
    assert [one["metadata"]["name"] for one in (await ask("GET", V2)).body["items"]] == ["t"]
    assert (await ask("GET", f"{V2}/t")).body == before


async def test_a_definition_can_always_be_deleted(ask: Any, webhooks: Any, towers: Any) -> None:
    await towers()
    hook = {
        "name": "no.example.org",
        "clientConfig": webhooks.client("/convert"),
        "rules": [
            {"operations": ["*"], "apiGroups": ["lab.example.org"], "apiVersions": ["*"], "resources": ["towers"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    configurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    assert (await ask("POST", configurations, {"metadata": {"name": "w"}, "webhooks": [hook]})).status == 201
    webhooks.said["/convert"] = gone
    assert (await ask("DELETE", f"{V2}/t")).status == 500
    webhooks.asked.clear()
    assert (await ask("DELETE", f"{DEFINITIONS}/{NAME}")).status == 200
    assert (await ask("GET", f"{DEFINITIONS}/{NAME}")).status == 404
    assert webhooks.asked == []


async def test_a_changed_conversion_holds_from_then_on(ask: Any, webhooks: Any, towers: Any) -> None:
    await towers()
    webhooks.said["/other"] = converted
    changed = {"spec": {"conversion": conversion(webhooks, "/other")}}
    assert (await ask("PATCH", f"{DEFINITIONS}/{NAME}", changed, content_type=MERGE)).status == 200
    webhooks.asked.clear()
    await ask("GET", f"{V1}/t")
    assert webhooks.paths() == ["/other"]
    none = {"spec": {"conversion": {"strategy": "None", "webhook": None}}}
    assert (await ask("PATCH", f"{DEFINITIONS}/{NAME}", none, content_type=MERGE)).status == 200
    webhooks.asked.clear()
    assert (await ask("GET", f"{V1}/t")).status == 200
    assert webhooks.asked == []


async def test_objects_of_a_former_storage_version_are_converted_when_read(
    ask: Any, webhooks: Any, towers: Any, server: Server
) -> None:
    await towers("old")
    versions = [version("v1", "size", storage=True), version("v2", "height")]
    answer = await ask("PATCH", f"{DEFINITIONS}/{NAME}", {"spec": {"versions": versions}}, content_type=MERGE)
    assert answer.body["status"]["storedVersions"] == ["v2", "v1"]
    await towers("new")
    webhooks.asked.clear()
    listed = await ask("GET", V1)
    assert [one["spec"] for one in listed.body["items"]] == [{"size": 7}, {"size": 7}]
    assert [len(request["objects"]) for _, request in webhooks.asked] == [1]
    assert (await ask("PATCH", f"{V1}/old", {"spec": {"size": 8}}, content_type=MERGE)).status == 200
    kept = server.state.storage.table(STORED).objects["default/old"].obj
    assert (kept["apiVersion"], kept["spec"]) == ("lab.example.org/v1", {"size": 8})


async def test_a_webhook_may_change_labels_and_nothing_else_of_the_metadata(
    ask: Any, webhooks: Any, towers: Any
) -> None:
    await towers()

    def meddle(request: Any) -> Any:
        said = converted(request)
        for one in said["convertedObjects"]:
            one["metadata"] |= {"labels": {"seen": "yes"}, "generation": 77, "finalizers": ["x.org/y"]}
        return said

    webhooks.said["/convert"] = meddle
    metadata = (await ask("GET", f"{V1}/t")).body["metadata"]
    assert (metadata["labels"], metadata["generation"], "finalizers" in metadata) == ({"seen": "yes"}, 1, False)
    assert metadata["resourceVersion"]


async def test_unknown_fields_of_what_a_webhook_makes_are_dropped(ask: Any, webhooks: Any, towers: Any) -> None:
    await towers()

    def add(request: Any) -> Any:
        said = converted(request)
        for one in said["convertedObjects"]:
            one["spec"]["surprise"] = 1
        return said

    webhooks.said["/convert"] = add
    assert (await ask("GET", f"{V1}/t")).body["spec"] == {"size": 7}


async def test_owners_keep_their_fields_in_their_version(ask: Any, towers: Any) -> None:
    await towers()
    await ask("PATCH", f"{V2}/t?fieldManager=two&force=1", tower(height=9), content_type=APPLY)
    entries = (await ask("GET", f"{V1}/t")).body["metadata"]["managedFields"]
    assert {(one["manager"], one["apiVersion"]) for one in entries} >= {("two", "lab.example.org/v2")}


async def test_a_change_is_made_anew_when_another_comes_while_it_is_converted(
    ask: Any, webhooks: Any, towers: Any
) -> None:
    await towers()
    meddled = asyncio.Event()

    async def meddle(request: Any) -> Any:
        if not meddled.is_set():
            meddled.set()
            await ask("PATCH", f"{V2}/t", {"metadata": {"labels": {"by": "another"}}}, content_type=MERGE)
        return converted(request)

    webhooks.said["/convert"] = meddle
    answer = await ask("PATCH", f"{V1}/t", {"spec": {"size": 8}}, content_type=MERGE)
    assert (answer.body["spec"], answer.body["metadata"]["labels"]) == ({"size": 8}, {"by": "another"})


async def test_a_definition_that_goes_while_its_object_is_made_takes_it_with_it(
    ask: Any, webhooks: Any, towers: Any, server: Server
) -> None:
    await towers()

    async def meddle(request: Any) -> Any:
        webhooks.said["/convert"] = converted
        await ask("DELETE", f"{DEFINITIONS}/{NAME}")
        return converted(request)

    webhooks.said["/convert"] = meddle
    assert (await ask("POST", V1, tower("late", size=1))).status == 404
    assert server.state.storage.list(STORED) == []


async def test_a_webhook_sees_a_request_in_the_version_of_its_rule(ask: Any, webhooks: Any, towers: Any) -> None:
    await towers()
    webhooks.said["/judge"] = lambda _: {"allowed": True}
    hook = {
        "name": "judge.example.org",
        "clientConfig": webhooks.client("/judge"),
        "rules": [
            {"operations": ["*"], "apiGroups": ["lab.example.org"], "apiVersions": ["v2"], "resources": ["towers"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    configurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    await ask("POST", configurations, {"metadata": {"name": "w"}, "webhooks": [hook]})
    await ask("PATCH", f"{V1}/t", {"spec": {"size": 8}}, content_type=MERGE)
    request = next(one for path, one in webhooks.asked if path == "/judge")
    assert (request["object"]["spec"], request["oldObject"]["spec"]) == ({"height": 8}, {"height": 7})
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v2", "v1")
    assert request["object"]["metadata"]["resourceVersion"]


CLIENT = "spec.conversion.webhookClientConfig"
VERSIONS = "spec.conversion.conversionReviewVersions"


@pytest.mark.parametrize(
    ("stanza", "errors"),
    [
        ({"strategy": "Webhook"}, [f"{CLIENT}: Required value: required when", f"{VERSIONS}: Required value"]),
        ({"webhook": {"clientConfig": {}}}, [f"{CLIENT}: Required value: exactly one of", f"{VERSIONS}: Required"]),
        ({"webhook": {"conversionReviewVersions": ["v1", "v1"]}}, [f"{CLIENT}: Required", f"{VERSIONS}[1]: Invalid"]),
        (
            {"webhook": {"clientConfig": {"url": "http://x"}, "conversionReviewVersions": ["v9"]}},
            [f"{CLIENT}.url: Invalid value", f'{VERSIONS}: Invalid value: ["v9"]: must include at least one of v1'],
        ),
        (
            {"strategy": "None", "webhook": {"clientConfig": {}, "conversionReviewVersions": ["v1"]}},
            [f"{CLIENT}: Forbidden: should not be set", f"{VERSIONS}: Forbidden: should not be set"],
        ),
    ],
)
async def test_a_wrong_conversion_is_refused_in_words(
    ask: Any, webhooks: Any, stanza: dict[str, Any], errors: list[str]
) -> None:
    body = definition(webhooks)
    body["spec"]["conversion"] = {"strategy": "Webhook"} | stanza
    answer = await ask("POST", DEFINITIONS, body)
    assert answer.status == 422
    told = [f"{one['field']}: {one['message']}" for one in answer.body["details"]["causes"]]
    assert all(one.startswith(wanted) for one, wanted in zip(told, errors, strict=True)), told


@pytest.mark.usefixtures("towers")
async def test_a_ca_bundle_that_is_none_is_refused_where_one_was_right(ask: Any, webhooks: Any) -> None:
    bad = conversion(webhooks)
    bad["webhook"]["clientConfig"]["caBundle"] = "bm9uZQ=="
    answer = await ask("PATCH", f"{DEFINITIONS}/{NAME}", {"spec": {"conversion": bad}}, content_type=MERGE)
    assert "unable to parse bytes as PEM block" in answer.body["message"]
    other = json.loads(json.dumps(definition(webhooks)).replace("tower", "spire").replace("Tower", "Spire"))
    other["spec"]["conversion"] = bad
    assert (await ask("POST", DEFINITIONS, other)).status == 201

"""Webhooks of admission around every kind of write, answered without a network."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.journal import Journal
from kubelab.apiserver.server import Options, Server
from kubelab.apiserver.webhooks.failures import CallError
from kubelab.apiserver.webhooks.hooks import VALIDATING

MAPS = "/api/v1/namespaces/default/configmaps"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
SCALE = "/apis/apps/v1/namespaces/default/deployments/d/scale"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"

EVENT = {
    "metadata": {"name": "e"},
    "eventTime": "2026-01-01T00:00:00.000000Z",
    "action": "a",
    "reason": "r",
    "type": "Normal",
    "note": "hello",
    "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    "reportingController": "x.org/c",
    "reportingInstance": "i",
}

Configure = Callable[..., Awaitable[None]]


def rule(resources: str = "configmaps", group: str = "", versions: str = "v1", operations: str = "*") -> dict[str, Any]:
    return {
        "operations": operations.split(","),
        "apiGroups": [group],
        "apiVersions": versions.split(","),
        "resources": resources.split(","),
    }


@pytest.fixture
def configure(ask: Any, webhooks: Any) -> Configure:
    """Store a configuration of webhooks, each given by its path and what differs from the usual."""

    async def store(kind: str = "validating", name: str = "w", **hooks: dict[str, Any]) -> None:
        body = {
            "metadata": {"name": name},
            "webhooks": [
                {
                    "name": f"{path}.example.org",
                    "clientConfig": webhooks.client(f"/{path}"),
                    "rules": [rule()],
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
                | differing
                for path, differing in hooks.items()
            ],
        }
        made = await ask("POST", f"{CONFIGURATIONS}/{kind}webhookconfigurations", body)
        assert made.status == 201, made.body

    return store


def allow(_: Any) -> Any:
    return {"allowed": True}


def deny(_: Any) -> Any:
    return {"allowed": False}


def patching(*operations: dict[str, Any]) -> Any:
    patch = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": patch}


async def test_every_kind_of_write_is_judged(ask: Any, webhooks: Any, configure: Configure) -> None:
    webhooks.said["/all"] = allow
    await configure(all={})
    await ask("POST", MAPS, {"metadata": {"name": "a"}})
    await ask("PUT", f"{MAPS}/a", {"metadata": {"name": "a"}, "data": {"x": "1"}})
    await ask("PATCH", f"{MAPS}/a", {"data": {"x": "2"}}, content_type=MERGE)
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"y": "1"}}
    await ask("PATCH", f"{MAPS}/a?fieldManager=me", applied, content_type=APPLY)
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}
    assert (await ask("PATCH", f"{MAPS}/b?fieldManager=me", made, content_type=APPLY)).status == 201
    await ask("DELETE", f"{MAPS}/a", {"propagationPolicy": "Background"})
    told = [(one["operation"], one["name"], one["options"]["kind"]) for _, one in webhooks.asked]
    assert told == [
        ("CREATE", "a", "CreateOptions"),
        ("UPDATE", "a", "UpdateOptions"),
        ("UPDATE", "a", "UpdateOptions"),
        ("UPDATE", "a", "UpdateOptions"),
        ("CREATE", "b", "CreateOptions"),
        ("DELETE", "a", "DeleteOptions"),
    ]
    assert webhooks.asked[3][1]["options"]["fieldManager"] == "me"
    assert webhooks.asked[-1][1]["options"]["propagationPolicy"] == "Background"
    assert webhooks.asked[-1][1]["oldObject"]["data"] == {"x": "2", "y": "1"}


async def test_what_is_denied_is_not_written(ask: Any, webhooks: Any, configure: Configure) -> None:
    assert (await ask("POST", MAPS, {"metadata": {"name": "a"}})).status == 201
    webhooks.said["/no"] = deny
    await configure(no={})
    before = await ask("GET", MAPS)
    answers = [
        await ask("POST", MAPS, {"metadata": {"name": "b"}}),
        await ask("PUT", f"{MAPS}/a", {"metadata": {"name": "a"}, "data": {"x": "1"}}),
        await ask("PATCH", f"{MAPS}/a", {"data": {"x": "2"}}, content_type=MERGE),
        await ask("DELETE", f"{MAPS}/a"),
        await ask("DELETE", MAPS),
    ]
    assert {one.status for one in answers} == {400}
    assert answers[0].body["message"] == 'admission webhook "no.example.org" denied the request without explanation'
    assert (await ask("GET", MAPS)).body == before.body


async def test_a_refused_service_gives_back_what_it_was_to_get(ask: Any, webhooks: Any, configure: Configure) -> None:
    webhooks.said["/no"] = deny
    await configure(no={"rules": [rule("services")]})
    path = "/api/v1/namespaces/default/services"
    body = {"metadata": {"name": "s"}, "spec": {"clusterIP": "198.18.128.77", "ports": [{"port": 80}]}}
    assert (await ask("POST", path, body)).status == 400
    webhooks.said["/no"] = allow
    assert (await ask("POST", path, body)).status == 201


async def test_configurations_of_webhooks_are_never_judged(ask: Any, webhooks: Any, configure: Configure) -> None:
    await configure(no={"rules": [rule("*/*", "*", "*")]})
    assert (await ask("DELETE", f"{CONFIGURATIONS}/validatingwebhookconfigurations/w")).status == 200
    assert webhooks.asked == []


async def test_a_status_is_judged_only_where_a_rule_says_so(ask: Any, webhooks: Any, configure: Configure) -> None:
    webhooks.said |= {"/main": allow, "/status": allow, "/both": allow}
    await configure(
        main={"rules": [rule("nodes")]},
        status={"rules": [rule("nodes/status")]},
        both={"rules": [rule("nodes/*")]},
    )
    await ask("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    assert webhooks.paths() == ["/main", "/both"]
    webhooks.asked.clear()
    await ask("PATCH", "/api/v1/nodes/n/status", {"status": {"phase": "Running"}}, content_type=MERGE)
    assert webhooks.paths() == ["/status", "/both"]
    assert webhooks.asked[0][1]["subResource"] == webhooks.asked[0][1]["requestSubResource"] == "status"


async def test_a_scale_is_judged_and_changed_as_a_scale(ask: Any, webhooks: Any, configure: Configure) -> None:
    labels = {"app": "d"}
    pod = {"containers": [{"name": "c", "image": "i"}]}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    made = await ask("POST", SCALE.removesuffix("/d/scale"), {"metadata": {"name": "d"}, "spec": spec})
    assert made.status == 201, made.body
    webhooks.said["/more"] = lambda _: patching({"op": "replace", "path": "/spec/replicas", "value": 5})
    webhooks.said["/judge"] = allow
    scaled = {"rules": [rule("deployments/scale", "apps")]}
    await configure("mutating", "m", more=scaled)
    await configure("validating", "v", judge=scaled)
    answer = await ask("PATCH", SCALE, {"spec": {"replicas": 3}}, content_type=MERGE)
    assert answer.body["spec"]["replicas"] == 5
    (_, first), (_, second) = webhooks.asked
    assert first["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (first["object"]["spec"], second["object"]["spec"]) == ({"replicas": 3}, {"replicas": 5})
    assert second["oldObject"]["spec"] == {"replicas": 1}


async def test_bindings_tokens_and_reviews_are_judged(ask: Any, webhooks: Any, configure: Configure) -> None:
    webhooks.said["/no"] = deny
    await ask("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    assert (await ask("POST", "/api/v1/namespaces/default/pods", pod)).status == 201
    await configure(no={"rules": [rule("pods/*,serviceaccounts/token,selfsubjectreviews", "*", "*", "CREATE")]})
    named = {"metadata": {"name": "p"}}
    for path, body in (
        ("/api/v1/namespaces/default/pods/p/binding", {**named, "target": {"kind": "Node", "name": "n"}}),
        ("/api/v1/namespaces/default/pods/p/eviction", named),
        ("/api/v1/namespaces/default/serviceaccounts/default/token", {}),
        ("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}),
    ):
        assert (await ask("POST", path, body)).status == 400, path
    kinds = [one["kind"]["kind"] for _, one in webhooks.asked]
    assert kinds == ["Binding", "Eviction", "TokenRequest", "SelfSubjectReview"]


async def test_of_a_collection_each_object_is_judged_and_the_first_refusal_ends_it(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    for name in ("a", "b", "c"):
        await ask("POST", MAPS, {"metadata": {"name": name}})
    webhooks.said["/b"] = lambda request: {"allowed": request["oldObject"]["metadata"]["name"] != "b"}
    await configure(b={})
    assert (await ask("DELETE", MAPS)).status == 400
    assert [one["metadata"]["name"] for one in (await ask("GET", MAPS)).body["items"]] == ["b", "c"]
    assert [one.get("name") for _, one in webhooks.asked] == [None, None]


async def test_a_request_in_another_version_is_converted_for_its_webhook(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    webhooks.said |= {"/equivalent": allow, "/exact": allow}
    core = rule("events")
    await configure(equivalent={"rules": [core]}, exact={"rules": [core], "matchPolicy": "Exact"})
    made = await ask("POST", EVENTS, EVENT)
    assert made.status == 201, made.body
    assert webhooks.paths() == ["/equivalent"]
    request = webhooks.asked[0][1]
    assert (request["kind"]["group"], request["requestKind"]["group"]) == ("", "events.k8s.io")
    assert (request["resource"]["group"], request["requestResource"]["group"]) == ("", "events.k8s.io")
    assert request["object"]["message"] == "hello"


async def test_namespaces_are_selected_by_their_own_labels(ask: Any, webhooks: Any, configure: Configure) -> None:
    webhooks.said |= {"/named": allow, "/labelled": allow}
    selector = {"matchLabels": {"team": "a"}}
    await configure(
        labelled={"rules": [rule("namespaces,configmaps")], "namespaceSelector": selector},
        named={"rules": [rule("namespaces,configmaps")], "objectSelector": selector},
    )
    await ask("POST", "/api/v1/namespaces", {"metadata": {"name": "ours", "labels": {"team": "a"}}})
    await ask("POST", "/api/v1/namespaces", {"metadata": {"name": "theirs"}})
    await ask("POST", "/api/v1/namespaces/ours/configmaps", {"metadata": {"name": "m"}})
    await ask("POST", "/api/v1/namespaces/theirs/configmaps", {"metadata": {"name": "m", "labels": {"team": "a"}}})
    told = [(path, one["namespace"]) for path, one in webhooks.asked]
    assert told == [("/labelled", "ours"), ("/named", "ours"), ("/labelled", "ours"), ("/named", "theirs")]


async def test_an_object_that_loses_its_label_is_judged_once_more(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    webhooks.said["/labelled"] = allow
    await configure(labelled={"objectSelector": {"matchLabels": {"judged": "yes"}}})
    await ask("POST", MAPS, {"metadata": {"name": "a", "labels": {"judged": "yes"}}})
    await ask("PATCH", f"{MAPS}/a", {"metadata": {"labels": None}}, content_type=MERGE)
    await ask("PATCH", f"{MAPS}/a", {"data": {"x": "1"}}, content_type=MERGE)
    assert [one["operation"] for _, one in webhooks.asked] == ["CREATE", "UPDATE"]


async def test_changes_are_made_one_after_the_other_before_anybody_judges(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    webhooks.said["/one"] = lambda _: patching({"op": "add", "path": "/data", "value": {"one": "1"}})
    webhooks.said["/two"] = lambda _: patching({"op": "add", "path": "/data/two", "value": "2"})
    webhooks.said["/judge"] = allow
    await configure("validating", "judges", judge={})
    await configure("mutating", "makers", one={}, two={})
    made = await ask("POST", MAPS, {"metadata": {"name": "a"}})
    assert made.body["data"] == {"one": "1", "two": "2"}
    assert webhooks.paths() == ["/one", "/two", "/judge"]
    assert "uid" not in webhooks.asked[0][1]["object"]["metadata"]
    assert webhooks.asked[2][1]["object"]["data"] == made.body["data"]
    # What webhooks add is owned by nobody, as the real server has it.
    assert "f:data" not in json.dumps(made.body["metadata"].get("managedFields", []))


async def test_what_a_webhook_makes_of_an_object_still_obeys_all_rules(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    webhooks.said["/bad"] = lambda _: patching({"op": "add", "path": "/data", "value": {"no good": "1"}})
    await configure("mutating", "m", bad={})
    assert (await ask("POST", MAPS, {"metadata": {"name": "a"}})).status == 422
    webhooks.said["/bad"] = lambda _: patching({"op": "add", "path": "/data", "value": 7})
    mistyped = await ask("POST", MAPS, {"metadata": {"name": "a"}})
    assert (mistyped.status, "cannot unmarshal number" in mistyped.body["message"]) == (500, True)
    webhooks.said["/bad"] = lambda _: patching({"op": "remove", "path": "/nothing"})
    assert (await ask("POST", MAPS, {"metadata": {"name": "a"}})).status == 500
    webhooks.said["/bad"] = lambda _: patching({"op": "add", "path": "/nonsense", "value": 1})
    kept = await ask("POST", MAPS, {"metadata": {"name": "a"}})
    assert (kept.status, "nonsense" in kept.body) == (201, False)


async def test_a_webhook_that_wants_to_sees_what_others_changed_after_it(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    def add(key: str) -> Any:
        return lambda request: (
            {"allowed": True}
            if key in (request["object"].get("data") or {})
            else patching({"op": "add", "path": "/data", "value": (request["object"].get("data") or {}) | {key: "1"}})
        )

    webhooks.said |= {f"/{name}": add(name) for name in ("a", "b", "c")}
    again = {"reinvocationPolicy": "IfNeeded"}
    await configure("mutating", "m", a=again, b={}, c=again)
    made = await ask("POST", MAPS, {"metadata": {"name": "x"}})
    assert made.body["data"] == {"a": "1", "b": "1", "c": "1"}
    assert webhooks.paths() == ["/a", "/b", "/c", "/a"]
    webhooks.asked.clear()
    await ask("PATCH", f"{MAPS}/x", {"metadata": {"labels": {"l": "1"}}}, content_type=MERGE)
    assert webhooks.paths() == ["/a", "/b", "/c"]


async def test_the_next_webhook_sees_a_change_with_its_defaults(ask: Any, webhooks: Any, configure: Configure) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    webhooks.said["/one"] = lambda _: patching({"op": "replace", "path": "/spec/ports", "value": ports})
    webhooks.said["/two"] = allow
    services = {"rules": [rule("services")]}
    await configure("mutating", "m", one=services, two=services)
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}}
    assert (await ask("POST", "/api/v1/namespaces/default/services", body)).status == 201
    assert [one["protocol"] for one in webhooks.asked[1][1]["object"]["spec"]["ports"]] == ["TCP", "TCP"]


async def test_a_deletion_can_be_refused_but_not_changed(ask: Any, webhooks: Any, configure: Configure) -> None:
    await ask("POST", MAPS, {"metadata": {"name": "a"}})
    webhooks.said["/change"] = lambda _: patching({"op": "add", "path": "/data", "value": {}})
    await configure("mutating", "m", change={})
    answer = await ask("DELETE", f"{MAPS}/a")
    assert answer.status == 500
    assert "attempted to modify the object, which is not supported for this operation" in answer.body["message"]


async def test_all_judges_are_asked_at_once_and_the_first_in_order_is_heard(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    together = asyncio.Barrier(3)

    def saying(message: str) -> Any:
        async def say(_: Any) -> Any:
            await together.wait()
            return {"allowed": False, "status": {"message": message}, "warnings": [message, "same"]}

        return say

    webhooks.said |= {f"/{name}": saying(name) for name in ("first", "second", "third")}
    await configure(first={}, second={}, third={})
    async with asyncio.timeout(60):
        answer = await ask("POST", MAPS, {"metadata": {"name": "a"}})
    assert answer.body["message"].endswith("denied the request: first")
    assert answer.warnings == ['299 - "first"', '299 - "same"', '299 - "second"', '299 - "third"']


async def test_a_webhook_that_cannot_be_asked_ends_the_request_unless_it_may_fail(
    ask: Any, webhooks: Any, configure: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> Any:
        raise CallError('Post "x": EOF')

    webhooks.said["/gone"] = fail
    await configure("mutating", "m", gone={"failurePolicy": "Ignore"})
    await configure("validating", "v", gone={"failurePolicy": "Ignore"})
    assert (await ask("POST", MAPS, {"metadata": {"name": "a"}})).status == 201
    assert caplog.text.count("failing open gone.example.org") == 2
    await configure("validating", "w", gone={})
    failed = await ask("POST", MAPS, {"metadata": {"name": "b"}})
    assert failed.status == 500
    why = 'failed calling webhook "gone.example.org": failed to call webhook: Post "x": EOF'
    assert failed.body["message"] == f"Internal error occurred: {why}"


async def test_a_dry_run_is_judged_as_such(ask: Any, webhooks: Any, configure: Configure) -> None:
    webhooks.said["/all"] = allow
    await configure(all={})
    assert (await ask("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "a"}})).status == 201
    assert webhooks.asked[0][1]["dryRun"] is True
    assert webhooks.asked[0][1]["options"]["dryRun"] == ["All"]
    assert (await ask("GET", f"{MAPS}/a")).status == 404


async def test_a_patch_is_made_anew_when_another_write_comes_between(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    await ask("POST", MAPS, {"metadata": {"name": "a"}})

    async def meddle(request: Any) -> Any:
        if request["userInfo"]["username"] == "admin" and len(webhooks.asked) == 1:
            await ask("PATCH", f"{MAPS}/a", {"data": {"between": "1"}}, content_type=MERGE)
        return {"allowed": True}

    webhooks.said["/slow"] = meddle
    await configure(slow={})
    answer = await ask("PATCH", f"{MAPS}/a", {"data": {"mine": "1"}}, content_type=MERGE)
    assert answer.status == 200
    assert answer.body["data"] == {"between": "1", "mine": "1"}
    assert len(webhooks.asked) == 3


async def test_a_replacement_of_a_version_that_went_by_meanwhile_is_a_conflict(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    made = (await ask("POST", MAPS, {"metadata": {"name": "a"}})).body

    async def meddle(_: Any) -> Any:
        if len(webhooks.asked) == 1:
            await ask("PATCH", f"{MAPS}/a", {"data": {"between": "1"}}, content_type=MERGE)
        return {"allowed": True}

    webhooks.said["/slow"] = meddle
    await configure(slow={})
    answer = await ask("PUT", f"{MAPS}/a", {**made, "data": {"mine": "1"}})
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    webhooks.asked.clear()
    del made["metadata"]["resourceVersion"]
    unconditional = await ask("PUT", f"{MAPS}/a", {**made, "data": {"mine": "1"}})
    assert (unconditional.status, unconditional.body["data"]) == (200, {"mine": "1"})


async def test_two_creations_of_one_name_leave_one_object(ask: Any, webhooks: Any, configure: Configure) -> None:
    together = asyncio.Barrier(2)

    async def wait(_: Any) -> Any:
        await together.wait()
        return {"allowed": True}

    webhooks.said["/slow"] = wait
    await configure(slow={})
    answers = await asyncio.gather(*(ask("POST", MAPS, {"metadata": {"name": "a"}}) for _ in range(2)))
    assert sorted(one.status for one in answers) == [201, 409]


async def test_an_object_that_goes_while_its_deletion_is_judged_is_not_found(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    await ask("POST", MAPS, {"metadata": {"name": "a"}})

    async def meddle(_: Any) -> Any:
        if len(webhooks.asked) == 1:
            await ask("DELETE", f"{MAPS}/a")
        return {"allowed": True}

    webhooks.said["/slow"] = meddle
    await configure(slow={})
    assert (await ask("DELETE", f"{MAPS}/a")).status == 404


async def test_others_are_served_while_a_webhook_takes_its_time(ask: Any, webhooks: Any, configure: Configure) -> None:
    answered = asyncio.Event()

    async def wait(_: Any) -> Any:
        await answered.wait()
        return {"allowed": True}

    webhooks.said["/slow"] = wait
    await configure(slow={"objectSelector": {"matchLabels": {"slow": "yes"}}})
    slow = asyncio.ensure_future(ask("POST", MAPS, {"metadata": {"name": "slow", "labels": {"slow": "yes"}}}))
    assert (await ask("POST", MAPS, {"metadata": {"name": "quick"}})).status == 201
    assert not slow.done()
    answered.set()
    assert (await slow).status == 201


async def test_conditions_choose_requests(ask: Any, webhooks: Any, configure: Configure) -> None:
    webhooks.said["/chosen"] = deny
    conditions = [
        {"name": "updates", "expression": "request.operation == 'UPDATE'"},
        {"name": "big", "expression": "object.data.size > '5'"},
    ]
    await configure(chosen={"matchConditions": conditions})
    assert (await ask("POST", MAPS, {"metadata": {"name": "a"}})).status == 201
    small = await ask("PATCH", f"{MAPS}/a", {"data": {"size": "3"}}, content_type=MERGE)
    big = await ask("PATCH", f"{MAPS}/a", {"data": {"size": "7"}}, content_type=MERGE)
    untold = await ask("PATCH", f"{MAPS}/a", {"data": {"size": None, "x": "1"}}, content_type=MERGE)
    assert (small.status, big.status, untold.status) == (200, 400, 403)
    why = "expression 'object.data.size > '5'' resulted in error: no such key: size"
    assert untold.body["message"] == f'configmaps "a" is forbidden: {why}'


async def test_conditions_that_do_not_compile_are_refused(ask: Any, webhooks: Any) -> None:
    hook = {
        "name": "a.example.org",
        "clientConfig": webhooks.client("/a"),
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "matchConditions": [{"name": "x", "expression": "1 +"}, {"name": "x", "expression": ""}],
    }
    path = f"{CONFIGURATIONS}/validatingwebhookconfigurations"
    answer = await ask("POST", path, {"metadata": {"name": "w"}, "webhooks": [hook]})
    fields = [one["field"].removeprefix("webhooks[0].matchConditions") for one in answer.body["details"]["causes"]]
    assert fields == ["[0].expression", "[1].expression", "[1].name"]


async def test_no_change_is_lost_however_writes_and_webhooks_meet(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    chance = random.Random(5)

    async def dawdle(_: Any) -> Any:
        for _ in range(chance.randrange(6)):
            await asyncio.sleep(0)
        return {"allowed": True}

    webhooks.said |= {"/one": dawdle, "/two": dawdle}
    await configure("mutating", "m", one={})
    await configure("validating", "v", two={})
    await ask("POST", MAPS, {"metadata": {"name": "a"}})
    changes = [ask("PATCH", f"{MAPS}/a", {"data": {f"k{n}": "1"}}, content_type=MERGE) for n in range(30)]
    answers = await asyncio.gather(*changes)
    assert {one.status for one in answers} == {200}
    versions = [int(one.body["metadata"]["resourceVersion"]) for one in answers]
    assert len(set(versions)) == 30
    assert (await ask("GET", f"{MAPS}/a")).body["data"] == {f"k{n}": "1" for n in range(30)}


async def test_a_dry_run_is_refused_where_a_webhook_would_leave_something_behind(
    ask: Any, webhooks: Any, configure: Configure, server: Server
) -> None:
    webhooks.said["/old"] = allow
    await configure(old={})
    # As an API version that no longer exists let it be stored.
    stored = server.state.storage.list(VALIDATING)[0]
    hook = stored["webhooks"][0] | {"sideEffects": "Some"}
    server.state.storage.write(VALIDATING, "", "w", stored | {"webhooks": [hook]})
    answer = await ask("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "a"}})
    why = 'admission webhook "old.example.org" does not support dry run'
    assert (answer.status, answer.body["reason"], answer.body["message"]) == (400, "BadRequest", why)
    assert webhooks.asked == []
    assert (await ask("POST", MAPS, {"metadata": {"name": "a"}})).status == 201


async def test_webhooks_are_asked_again_after_the_server_was_killed(
    webhooks: Any, tmp_path: Path, asker_of: Any
) -> None:
    def start() -> Any:
        return asker_of(Server(Options(webhooks=webhooks, journal=Journal(tmp_path / "journal"))))

    webhooks.said["/no"] = deny
    hook = {
        "name": "no.example.org",
        "clientConfig": webhooks.client("/no"),
        "rules": [rule()],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    path = f"{CONFIGURATIONS}/validatingwebhookconfigurations"
    assert (await start()("POST", path, {"metadata": {"name": "w"}, "webhooks": [hook]})).status == 201
    assert (await start()("POST", MAPS, {"metadata": {"name": "a"}})).status == 400


async def test_a_patch_of_an_unknown_kind_is_a_failure_of_the_webhook(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    webhooks.said["/odd"] = lambda _: patching({"op": "remove", "path": "/x"}) | {"patchType": "Odd"}
    await configure("mutating", "m", odd={})
    failed = await ask("POST", MAPS, {"metadata": {"name": "a"}})
    why = 'failed calling webhook "odd.example.org": unsupported patch type "Odd"'
    assert failed.body["message"] == f"Internal error occurred: {why}"


async def test_conditions_see_the_object_in_the_version_of_the_rule(
    ask: Any, webhooks: Any, configure: Configure
) -> None:
    webhooks.said["/no"] = deny
    condition = {"name": "message", "expression": "object.message == 'hello'"}
    await configure(no={"rules": [rule("events")], "matchConditions": [condition]})
    assert (await ask("POST", EVENTS, EVENT)).status == 400

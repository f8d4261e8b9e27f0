"""Faults of the API server: what they are about gets wrong answers, all else right ones, and their end mends all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from kubelab.apiserver.request import User

FAULTS = "/debug/faults"
MAPS = "/api/v1/namespaces/default/configmaps"
OPERATOR = User("system:serviceaccount:default:operator", ("system:masters",))


async def put(ask: Any, fault: Any) -> Any:
    return await ask("PUT", FAULTS, b"null" if fault is None else fault)


@pytest.mark.parametrize(
    ("status", "reason", "retry_after"),
    [("429", "TooManyRequests", "7"), ("500", "InternalError", ""), ("503", "ServiceUnavailable", "7")],
)
async def test_all_requests_get_the_status_until_the_fault_ends(
    ask: Any, status: str, reason: str, retry_after: str
) -> None:
    assert (await put(ask, {"answer": status, "retryAfterSeconds": 7})).status == 200
    refused = await ask("GET", MAPS)
    assert (refused.status, refused.body["reason"]) == (int(status), reason)
    assert refused.response.header("retry-after") == retry_after
    assert (await ask("GET", "/readyz")).status == int(status)
    assert (await ask("GET", FAULTS)).body == {"fault": {"answer": status, "retryAfterSeconds": 7}}
    await put(ask, None)
    assert (await ask("GET", MAPS)).status == 200
    assert (await ask("GET", FAULTS)).body == {"fault": None}


async def test_a_fault_is_about_the_user_the_verb_and_the_resource_that_it_names(ask: Any) -> None:
    fault = {
        "answer": "500",
        "user": "system:serviceaccount:",
        "verbs": ["create"],
        "resources": ["configmaps"],
    }
    await put(ask, fault)
    operator = ask.as_user(OPERATOR)
    body = {"metadata": {"name": "a"}}
    assert (await operator("POST", MAPS, body)).status == 500
    assert (await operator("GET", MAPS)).status == 200
    assert (await operator("POST", "/api/v1/namespaces/default/secrets", body)).status == 201
    assert (await ask("POST", MAPS, body)).status == 201


async def test_a_share_of_the_requests_is_hit(ask: Any) -> None:
    await put(ask, {"answer": "503", "share": 0.5})
    statuses = [(await ask("GET", MAPS)).status for _ in range(200)]
    assert 50 <= statuses.count(503) <= 150
    assert set(statuses) == {200, 503}


async def test_silence_ends_with_the_right_answer(ask: Any) -> None:
    await put(ask, {"answer": "silence"})
    waiting = asyncio.create_task(ask("GET", MAPS))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    await put(ask, None)
    assert (await waiting).status == 200


async def test_quiet_watches_tell_later_what_they_have_not_told(ask: Any) -> None:
    stream = aiter((await ask("GET", f"{MAPS}?watch=1&resourceVersion=1")).response.body)
    await put(ask, {"answer": "quiet-watches"})
    await ask("POST", MAPS, {"metadata": {"name": "a"}})
    waiting = asyncio.ensure_future(anext(stream))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    assert (await ask("GET", MAPS)).body["items"], "only watches are harmed"
    await put(ask, None)
    assert json.loads(await waiting)["object"]["metadata"]["name"] == "a"


@pytest.mark.parametrize(("action", "resumed"), [("close", "ADDED"), ("compact", "ERROR")])
async def test_watches_end_and_can_be_resumed_unless_the_past_is_forgotten(ask: Any, action: str, resumed: str) -> None:
    version = (await ask("GET", MAPS)).body["metadata"]["resourceVersion"]
    stream = aiter((await ask("GET", f"{MAPS}?watch=1&resourceVersion={version}")).response.body)
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    await ask("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "a"}})
    assert (await ask("POST", f"/debug/watches/{action}")).status == 200
    assert await waiting is None
    await ask("POST", MAPS, {"metadata": {"name": "a"}})
    stream = aiter((await ask("GET", f"{MAPS}?watch=1&resourceVersion={version}")).response.body)
    assert json.loads(await anext(stream))["type"] == resumed
    now = (await ask("GET", MAPS)).body["metadata"]["resourceVersion"]
    await ask("POST", MAPS, {"metadata": {"name": "b"}})
    stream = aiter((await ask("GET", f"{MAPS}?watch=1&resourceVersion={now}")).response.body)
    assert json.loads(await anext(stream))["type"] == "ADDED"


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ({"answer": "418"}, "answer"),
        ({"answer": "500", "share": 0}, "must be above 0 and at most 1"),
        ({"answer": "500", "share": 1.5}, "must be above 0 and at most 1"),
        ({"answer": "429", "retryAfterSeconds": -1}, "must not be negative"),
        ({"answer": "500", "verb": "get"}, "verb"),
        (b"{", "a fault of the API"),
    ],
)
async def test_a_fault_that_can_not_be_is_refused(ask: Any, fault: Any, rule: str) -> None:
    refused = await put(ask, fault)
    assert refused.status == 400
    assert rule in refused.body["message"]
    assert (await ask("GET", FAULTS)).body == {"fault": None}


async def test_only_who_may_do_everything_can_harm(ask: Any) -> None:
    alice = ask.as_user(User("alice"))
    assert (await put(alice, {"answer": "500"})).status == 403
    assert (await alice("POST", "/debug/watches/close")).status == 403
    assert (await ask("POST", "/debug/watches/no-such")).status == 404

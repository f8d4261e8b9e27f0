"""Watches on the inside: sharing, bookmarks, slow readers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from kubelab.apiserver.server import Server

MAPS = "/api/v1/namespaces/default/configmaps"


async def begin(ask: Any, query: str, **headers: str) -> Any:
    answer = await ask("GET", f"{MAPS}?watch=1&{query}", **headers)
    assert answer.status == 200
    return aiter(answer.response.body)


async def version(ask: Any) -> str:
    return str((await ask("GET", MAPS)).body["metadata"]["resourceVersion"])


async def make(ask: Any, name: str) -> None:
    assert (await ask("POST", MAPS, {"metadata": {"name": name}})).status == 201


async def test_watches_of_one_form_share_what_is_sent(ask: Any, server: Server) -> None:
    since = await version(ask)
    streams = [await begin(ask, f"resourceVersion={since}") for _ in range(50)]
    await make(ask, "a")
    chunks = {id(event) for event in [await anext(stream) for stream in streams]}
    forms = server.state.storage.table(("", "configmaps")).events[-1].forms  # type: ignore[arg-type]  # equal to a GroupResource
    assert len(forms) == 1
    assert chunks


async def test_a_reader_that_falls_behind_is_told_to_list_again(ask: Any) -> None:
    since = await version(ask)
    stream = await begin(ask, f"resourceVersion={since}")
    await make(ask, "first")
    assert json.loads(await anext(stream))["type"] == "ADDED"
    for number in range(60):
        await make(ask, f"n{number}")
    told = json.loads(await anext(stream))
    assert (told["type"], told["object"]["code"], told["object"]["reason"]) == ("ERROR", 410, "Expired")
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_watch_from_a_version_no_longer_kept_is_told_so_and_ends(ask: Any) -> None:
    since = await version(ask)
    for number in range(60):
        await make(ask, f"n{number}")
    stream = await begin(ask, f"resourceVersion={since}")
    told = json.loads(await anext(stream))
    assert (told["type"], told["object"]["code"], told["object"]["reason"]) == ("ERROR", 410, "Expired")
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_streaming_list_says_when_it_is_complete(ask: Any) -> None:
    await make(ask, "a")
    stream = await begin(ask, "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan")
    assert json.loads(await anext(stream))["object"]["metadata"]["name"] == "a"
    end = json.loads(await anext(stream))
    assert end["type"] == "BOOKMARK"
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert end["object"]["metadata"]["resourceVersion"] == await version(ask)


async def test_a_bookmark_comes_before_the_time_is_up(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubelab.apiserver.watch.BOOKMARK_INTERVAL_S", 0.01)
    stream = await begin(ask, f"allowWatchBookmarks=true&timeoutSeconds=100&resourceVersion={await version(ask)}")
    async with asyncio.timeout(60):
        mark = json.loads(await anext(stream))
    assert (mark["type"], mark["object"]["kind"]) == ("BOOKMARK", "ConfigMap")


async def test_only_the_first_table_of_a_watch_has_headers(ask: Any) -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    stream = await begin(ask, f"resourceVersion={await version(ask)}", accept=table)
    await make(ask, "a")
    await make(ask, "b")
    events = [json.loads(line) for line in (await anext(stream)).splitlines()]
    assert [event["object"]["rows"][0]["cells"][0] for event in events] == ["a", "b"]
    assert [event["object"]["columnDefinitions"] is None for event in events] == [False, True]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sendInitialEvents=true", "sendInitialEvents requires"),
        ("resourceVersionMatch=NotOlderThan&resourceVersion=1", "is forbidden for watch"),
    ],
)
async def test_parameters_that_do_not_go_together_are_refused(ask: Any, query: str, field: str) -> None:
    answer = await ask("GET", f"{MAPS}?watch=1&{query}")
    assert answer.status == 422
    assert field in answer.body["message"]

"""The local copy: follows, survives, and tells exactly what changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiclient import ApiClient, Resource
from kubelab.informer import Informer, backoff_s

if TYPE_CHECKING:
    from conftest import ScriptedServer

CONFIG_MAPS = Resource("", "v1", "configmaps", True)


class Watched:
    """An informer with its events, and a way to wait for a state of its store."""

    def __init__(self, informer: Informer) -> None:
        self.informer = informer
        self.events: list[tuple[str, str | None, str | None]] = []
        self._changed = asyncio.Event()
        informer.subscribe(self._note)

    def _note(self, kind: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        def value(obj: dict[str, Any] | None) -> str | None:
            return None if obj is None else obj["data"]["value"]

        self.events.append((kind, value(old), value(new)))
        self._changed.set()

    def values(self) -> dict[str, str]:
        return {name: obj["data"]["value"] for (_, name), obj in self.informer.store.items()}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def following(server: ScriptedServer) -> AsyncIterator[Watched]:
    async with ApiClient(server.url) as client:
        watched = Watched(Informer(client, CONFIG_MAPS, draw=lambda: 0.0))
        task = asyncio.create_task(watched.informer.run())
        try:
            yield watched
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_store_follows_additions_changes_and_deletions(scripted: ScriptedServer) -> None:
    await scripted.put("a", "1")
    async with following(scripted) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 60)
        await scripted.put("b", "1")
        await scripted.put("a", "2")
        await scripted.remove("b")
        await watched.until(lambda: len(watched.events) == 4)
        assert watched.events == [
            ("ADDED", None, "1"),
            ("ADDED", None, "1"),
            ("MODIFIED", "1", "2"),
            ("DELETED", "1", None),
        ]
        assert watched.values() == {"a": "2"}


async def test_a_broken_watch_resumes_where_it_was_without_a_new_list(scripted: ScriptedServer) -> None:
    async with following(scripted) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 60)
        await scripted.put("a", "1")
        await watched.until(lambda: len(watched.events) == 1)
        await scripted.cut_watches()
        await scripted.put("b", "1")
        await watched.until(lambda: len(watched.events) == 2)
        assert scripted.lists == 1
        assert [event[0] for event in watched.events] == ["ADDED", "ADDED"]


async def test_bookmarks_move_the_point_to_resume_from(scripted: ScriptedServer) -> None:
    async with following(scripted) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 60)
        await scripted.bookmark()
        bookmark = scripted.version
        await scripted.put("a", "1")
        await watched.until(lambda: len(watched.events) == 1)
        scripted.requests.clear()
        await scripted.cut_watches()
        await scripted.put("b", "1")
        await watched.until(lambda: len(watched.events) == 2)
        resumed = next(query for _, _, query, _, _ in scripted.requests if "watch" in query)
        assert int(resumed["resourceVersion"]) > bookmark


async def test_a_version_too_old_leads_to_a_new_list_and_only_the_differences_are_told(
    scripted: ScriptedServer,
) -> None:
    await scripted.put("same", "1")
    await scripted.put("gone", "1")
    await scripted.put("changed", "1")
    async with following(scripted) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 60)
        watched.events.clear()
        await scripted.cut_watches(down=True)
        await scripted.remove("gone", silently=True)
        scripted.log.clear()
        scripted.version += 100
        scripted.oldest = scripted.version
        await scripted.put("changed", "2")
        await scripted.put("new", "1")
        scripted.down = False
        await watched.until(lambda: len(watched.events) == 3)
        assert sorted(watched.events, key=str) == [("ADDED", None, "1"), ("DELETED", "1", None), ("MODIFIED", "1", "2")]
        assert watched.values() == {"same": "1", "changed": "2", "new": "1"}


async def test_the_store_stays_while_the_server_is_away(scripted: ScriptedServer) -> None:
    await scripted.put("a", "1")
    async with following(scripted) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 60)
        scripted.requests.clear()
        await scripted.cut_watches(down=True)
        await scripted.until_asked(3)
        assert watched.values() == {"a": "1"}
        scripted.down = False
        await scripted.put("a", "2")
        await watched.until(lambda: watched.values() == {"a": "2"})


async def test_a_server_that_lost_its_history_is_listed_anew(scripted: ScriptedServer) -> None:
    await scripted.put("a", "1")
    async with following(scripted) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 60)
        scripted.lose_history()
        await scripted.put("b", "1")
        await scripted.cut_watches()
        await watched.until(lambda: watched.values() == {"b": "1"})
        await scripted.put("c", "1")
        await watched.until(lambda: watched.values() == {"b": "1", "c": "1"})


async def test_a_name_with_a_new_life_is_told_as_a_deletion_and_an_addition(scripted: ScriptedServer) -> None:
    await scripted.put("a", "1", uid="first")
    async with following(scripted) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 60)
        await scripted.put("a", "2", uid="second")
        await watched.until(lambda: len(watched.events) == 3)
        assert watched.events[1:] == [("DELETED", "1", None), ("ADDED", None, "2")]


async def test_an_index_follows_the_store(scripted: ScriptedServer) -> None:
    await scripted.put("a", "red")
    async with following(scripted) as watched:
        informer = watched.informer
        informer.add_index("value", lambda obj: [obj["data"]["value"]])
        await asyncio.wait_for(informer.synced.wait(), 60)
        await scripted.put("b", "red")
        await scripted.put("a", "blue")
        await watched.until(lambda: len(watched.events) == 3)
        assert [obj["metadata"]["name"] for obj in informer.by_index("value", "red")] == ["b"]
        assert [obj["metadata"]["name"] for obj in informer.by_index("value", "blue")] == ["a"]
        await scripted.remove("b")
        await watched.until(lambda: len(watched.events) == 4)
        assert informer.by_index("value", "red") == []


async def test_a_failing_handler_does_not_stop_the_others(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with ApiClient(scripted.url) as client:
        informer = Informer(client, CONFIG_MAPS)

        def fail(*_: object) -> None:
            raise ValueError("mistake")

        informer.subscribe(fail)
        watched = Watched(informer)
        task = asyncio.create_task(informer.run())
        await scripted.put("a", "1")
        await watched.until(lambda: len(watched.events) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "mistake" in caplog.text


def config_map(value: str, version: int, *, uid: str = "a") -> dict[str, Any]:
    meta = {"name": "a", "namespace": "default", "uid": uid, "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value}}


async def test_a_write_of_ones_own_is_seen_at_once_and_not_undone_by_older_news(scripted: ScriptedServer) -> None:
    await scripted.put("a", "1")
    async with following(scripted) as watched:
        informer = watched.informer
        await asyncio.wait_for(informer.synced.wait(), 60)
        informer.assume(config_map("mine", 13))
        assert watched.values() == {"a": "mine"}
        await scripted.put("a", "older")  # version 12: somebody else's, before ours
        await scripted.put("a", "mine")  # version 13: ours
        await scripted.put("a", "newer")
        await watched.until(lambda: watched.values() == {"a": "newer"})
        assert [event[2] for event in watched.events] == ["1", "mine", "newer"]


async def test_what_oneself_deleted_stays_gone_whatever_the_watch_still_brings(scripted: ScriptedServer) -> None:
    await scripted.put("a", "1")
    async with following(scripted) as watched:
        informer = watched.informer
        await asyncio.wait_for(informer.synced.wait(), 60)
        informer.assume_deleted(config_map("1", 11))
        assert watched.values() == {}
        await scripted.put("a", "older")
        await scripted.remove("a")
        await scripted.put("b", "1")
        await watched.until(lambda: "b" in watched.values())
        assert [event[0] for event in watched.events] == ["ADDED", "DELETED", "ADDED"]
        await scripted.put("a", "again", uid="another life")
        await watched.until(lambda: watched.values() == {"a": "again", "b": "1"})


async def test_a_list_made_before_ones_own_write_does_not_undo_it(scripted: ScriptedServer) -> None:
    await scripted.put("other", "1")
    async with following(scripted) as watched:
        informer = watched.informer
        await asyncio.wait_for(informer.synced.wait(), 60)
        scripted.oldest = 50
        scripted.version = 60
        informer.assume(config_map("mine", 1000))
        lists = scripted.lists
        scripted.requests.clear()
        await scripted.cut_watches()
        await scripted.until_asked(4)  # the version, a watch that is too old, a list, a watch
        assert scripted.lists == lists + 1
        assert watched.values() == {"other": "1", "a": "mine"}


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_jittered_between_25_ms_and_5_s(attempt: int, draw: float) -> None:
    assert 0.025 <= backoff_s(attempt, draw) <= 5.0


def test_the_wait_doubles() -> None:
    assert [backoff_s(n, 0.0) for n in (0, 1, 2, 20)] == [0.025, 0.05, 0.1, 2.5]

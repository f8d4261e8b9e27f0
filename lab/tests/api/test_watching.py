"""Watches: what is seen, from when, by whom."""

from __future__ import annotations

import asyncio
from typing import Any

from kubelab.apiclient import ApiClient, Resource, WatchEvent

CONFIG_MAPS = Resource("", "v1", "configmaps", namespaced=True)
WITHIN_S = 60


async def take(client: ApiClient, count: int, namespace: str, **options: Any) -> list[WatchEvent]:
    """The first events of a watch, bookmarks left out."""
    found: list[WatchEvent] = []
    async with asyncio.timeout(WITHIN_S):
        async for event in client.watch(CONFIG_MAPS, namespace, **options):
            if event.kind != "BOOKMARK":
                found.append(event)
            if len(found) == count:
                break
    return found


async def make(client: ApiClient, namespace: str, name: str, **labels: str) -> Any:
    return await client.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": labels}}, namespace)


def told(events: list[WatchEvent]) -> list[tuple[str, str]]:
    return [(event.kind, event.object["metadata"]["name"]) for event in events]


async def test_a_watch_goes_on_where_the_list_ended(client: ApiClient, namespace: str) -> None:
    await make(client, namespace, "before", t="w")
    listed = await client.list(CONFIG_MAPS, namespace, label_selector="t")
    await make(client, namespace, "a", t="w")
    await client.patch(CONFIG_MAPS, "a", {"data": {"x": "y"}}, namespace)
    await client.delete(CONFIG_MAPS, "a", namespace)
    events = await take(client, 3, namespace, resource_version=listed.resource_version, label_selector="t")
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_sees_what_happens_later(client: ApiClient, namespace: str) -> None:
    version = await client.version(CONFIG_MAPS, namespace)
    async with asyncio.TaskGroup() as group:
        watches = [
            group.create_task(take(client, 1, namespace, resource_version=version, label_selector="t"))
            for _ in range(20)
        ]
        await make(client, namespace, "late", t="w")
    assert {tuple(told(watch.result())) for watch in watches} == {(("ADDED", "late"),)}


async def test_leaving_a_selector_looks_like_a_deletion(client: ApiClient, namespace: str) -> None:
    version = await client.version(CONFIG_MAPS, namespace)
    await make(client, namespace, "a", on="yes")
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"on": None}}}, namespace)
    await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"on": "yes"}}}, namespace)
    events = await take(client, 3, namespace, resource_version=version, label_selector="on=yes")
    assert told(events) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]
    assert events[1].object["metadata"]["labels"] == {"on": "yes"}


async def test_a_watch_without_a_version_begins_with_what_is_there(client: ApiClient, namespace: str) -> None:
    await make(client, namespace, "a", t="w")
    await make(client, namespace, "b", t="w")
    events = await take(client, 2, namespace, label_selector="t=w")
    assert told(events) == [("ADDED", "a"), ("ADDED", "b")]


async def test_one_object_is_watched_by_its_name(client: ApiClient, namespace: str) -> None:
    version = await client.version(CONFIG_MAPS, namespace)
    for name in "abc":
        await make(client, namespace, name)
    events = await take(client, 1, namespace, resource_version=version, field_selector="metadata.name=b")
    assert told(events) == [("ADDED", "b")]


async def test_a_watch_ends_when_its_time_is_up(client: ApiClient, namespace: str) -> None:
    version = await client.version(CONFIG_MAPS, namespace)
    async with asyncio.timeout(WITHIN_S):
        events = [
            event.kind async for event in client.watch(CONFIG_MAPS, namespace, resource_version=version, timeout_s=1)
        ]
    assert set(events) <= {"BOOKMARK"}


async def test_versions_of_events_rise(client: ApiClient, namespace: str) -> None:
    version = await client.version(CONFIG_MAPS, namespace)
    for name in "abcd":
        await make(client, namespace, name, t="w")
    events = await take(client, 4, namespace, resource_version=version, label_selector="t")
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    resumed = await take(client, 2, namespace, resource_version=str(versions[1]), label_selector="t")
    assert told(resumed) == [("ADDED", "c"), ("ADDED", "d")]

"""The proxy's shell: changes gathered, refusals answered by a whole table, connections forgotten."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from kubelab.proxy.conntrack import Entry, entries, is_stale
from kubelab.proxy.shell import NftError, Proxy


class Copy:
    """An informer without a server."""

    def __init__(self) -> None:
        self.store: dict[tuple[str, str], Any] = {}
        self.synced = asyncio.Event()
        self.handlers: list[Callable[..., None]] = []
        self.keys: Callable[[Any], list[str]] = lambda _: []

    def subscribe(self, handler: Callable[..., None]) -> None:
        self.handlers.append(handler)

    def add_index(self, _name: str, keys: Callable[[Any], list[str]]) -> None:
        self.keys = keys

    def by_index(self, _name: str, value: str) -> list[Any]:
        return [obj for obj in self.store.values() if value in self.keys(obj)]

    def put(self, obj: dict[str, Any]) -> None:
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        old = self.store.get(key)
        self.store[key] = obj
        for handler in self.handlers:
            handler("MODIFIED" if old else "ADDED", old, obj)

    def remove(self, namespace: str, name: str) -> None:
        old = self.store.pop((namespace, name))
        for handler in self.handlers:
            handler("DELETED", old, None)


async def running(
    examples: Any, apply: Callable[[str], Awaitable[None]], work: Callable[[Proxy, Copy, Copy], Any]
) -> None:
    services, slices = Copy(), Copy()
    proxy = Proxy(examples.node, services, slices, apply=apply)
    task = asyncio.create_task(proxy.run())
    try:
        async with asyncio.timeout(60):
            await work(proxy, services, slices)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nothing_is_written_before_both_collections_are_known(examples: Any) -> None:
    texts: list[str] = []

    async def apply(text: str) -> None:
        texts.append(text)

    async def work(proxy: Proxy, services: Copy, slices: Copy) -> None:
        services.put(examples.service())
        services.synced.set()
        await asyncio.sleep(0.05)
        assert texts == []
        slices.put(examples.slice(examples.endpoint("198.18.1.2")))
        slices.synced.set()
        await proxy.applied.wait()
        assert len(texts) == 1
        assert "198.18.1.2:8080" in texts[0]

    await running(examples, apply, work)


async def test_changes_of_one_moment_are_one_run_and_the_smallest(examples: Any) -> None:
    texts: list[str] = []

    async def apply(text: str) -> None:
        texts.append(text)

    async def work(proxy: Proxy, services: Copy, slices: Copy) -> None:
        services.synced.set()
        slices.synced.set()
        await proxy.applied.wait()
        texts.clear()
        for number in range(1, 21):
            services.put(examples.service(f"s{number}", clusterIPs=[f"198.18.128.{number}"]))
        await proxy.applied.wait()
        assert len(texts) == 1
        assert "delete table" not in texts[0]
        texts.clear()
        services.remove("default", "s7")
        await proxy.applied.wait()
        assert texts == [
            (
                "delete element inet kubelab cluster_ips4 { 198.18.128.7 }\n"
                "delete element inet kubelab refused4 { 198.18.128.7 . tcp . 80 }\n"
            )
        ]

    await running(examples, apply, work)


async def test_a_change_that_nft_refuses_is_followed_by_the_whole_table(examples: Any) -> None:
    texts: list[str] = []

    async def apply(text: str) -> None:
        texts.append(text)
        if len(texts) == 2:
            raise NftError("somebody flushed the table")

    async def work(proxy: Proxy, services: Copy, slices: Copy) -> None:
        services.synced.set()
        slices.synced.set()
        await proxy.applied.wait()
        services.put(examples.service())
        await proxy.applied.wait()
        assert len(texts) == 3
        assert texts[2].startswith("table inet kubelab\ndelete table inet kubelab\n")
        assert "198.18.128.5" in texts[2]

    await running(examples, apply, work)


def test_an_entry_to_a_vanished_endpoint_is_stale_and_one_past_the_service_too() -> None:
    gone = frozenset({("198.18.128.5", 53, "198.18.1.2")})
    new = frozenset({("198.18.128.6", 53, "198.18.1.3")})
    rows = [
        (Entry("198.18.128.5", 53, "198.18.1.2", 2, b""), True),
        (Entry("198.18.128.5", 53, "198.18.1.9", 2, b""), False),
        (Entry("198.18.128.6", 53, "198.18.128.6", 2, b""), True),
        (Entry("198.18.128.6", 53, "198.18.1.3", 2, b""), False),
    ]
    assert [is_stale(entry, gone, new) for entry, _ in rows] == [stale for _, stale in rows]


def test_a_dump_is_read_whole_and_cut_short() -> None:
    def attribute(kind: int, body: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(body), kind) + body + b"\0" * (-len(body) % 4)

    def ends(source: bytes, destination: bytes, port: int) -> bytes:
        addresses = attribute(1, attribute(1, source) + attribute(2, destination))
        return addresses + attribute(2, attribute(1, b"\x11") + attribute(3, port.to_bytes(2, "big")))

    original = ends(bytes([198, 51, 100, 200]), bytes([198, 18, 128, 5]), 53)
    reply = ends(bytes([198, 18, 1, 2]), bytes([198, 51, 100, 200]), 4000)
    body = b"\x02\0\0\0" + attribute(1, original) + attribute(2, reply)
    message = struct.pack("=IHHII", 16 + len(body), 0x100, 0, 1, 0) + body
    assert list(entries(message)) == [Entry("198.18.128.5", 53, "198.18.1.2", 2, original)]
    for length in range(len(message)):
        assert list(entries(message[:length])) == []

"""The counters in a pool's status: true, written once a moment, and never before what Services show is reserved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from metallb.api import v1beta1
from metallb.config.build import Snapshot, build
from metallb.controller.assignment import Assignment
from metallb.controller.poolstatus import QUIET_S, PoolStatus, status_of
from metallb.kube.errors import ConflictError, NotFoundError
from metallb.kube.objects import Bare, Key
from metallb.kube.store import Store

NAMESPACE = "metallb-system"


@dataclass
class FakeApi:
    """Pools in memory; a write is in the cache at once, or when the test `delivers`."""

    store: Store[v1beta1.IPAddressPool] = field(default_factory=Store)
    objects: dict[Key, v1beta1.IPAddressPool] = field(default_factory=dict)
    writes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    at_once: bool = True
    prunes: bool = False
    version: int = 0
    wrote: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, pool: v1beta1.IPAddressPool) -> Bare:
        self.version += 1
        metadata = msgspec.structs.replace(pool.metadata, resource_version=str(self.version))
        self.objects[Key(NAMESPACE, metadata.name)] = msgspec.structs.replace(pool, metadata=metadata)
        if self.at_once:
            self.deliver()
        return Bare(metadata)

    def deliver(self) -> None:
        self.store.replace(self.objects.values())

    async def write(self, key: Key, version: str, status: dict[str, Any]) -> Bare:
        if self.failures:
            raise self.failures.pop(0)
        known = self.objects[key]
        if known.metadata.resource_version != version:
            raise ConflictError("PATCH", "changed", code=409)
        self.writes.append((key.name, status))
        self.wrote.set()
        before = msgspec.to_builtins(known.status) if known.status else {}
        merged = {name: value for name, value in (before | status).items() if value is not None}
        if self.prunes:
            merged.pop("reservations", None)
        shown = msgspec.convert(merged, v1beta1.IPAddressPoolStatus)
        if shown == known.status:
            return Bare(known.metadata)
        return self.put(msgspec.structs.replace(known, status=shown))

    async def next_write(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            await self.wrote.wait()
        self.wrote.clear()
        return self.writes[-1][1]


@dataclass
class World:
    api: FakeApi = field(default_factory=FakeApi)
    assignment: Assignment = field(default_factory=Assignment)
    status: PoolStatus = field(init=False)
    now: float = 1000.0

    def __post_init__(self) -> None:
        writer: Any = self.api
        self.status = PoolStatus(self.assignment, self.api.store, writer, NAMESPACE, now=lambda: self.now)

    def load(self, *pools: v1beta1.IPAddressPool) -> None:
        for pool in pools:
            self.api.put(pool)
        built = build(Snapshot(pools))
        assert built.config is not None
        self.assignment.load(built.config)
        self.status.changed()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.status.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def quiet(self) -> None:
        """Long enough for two writes, were they wanted."""
        await asyncio.sleep(3 * QUIET_S)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("addresses", "avoid", "expected"),
    [
        (("10.0.0.0/24",), False, (1, 0, 255, 0)),
        (("10.0.0.0/24",), True, (1, 0, 253, 0)),
        (("10.0.0.0/23", "2001:db8::/126"), True, (1, 0, 507, 4)),
        (("10.0.0.1/32", "10.0.0.255/32"), True, (1, 0, 0, 0)),
        (("10.0.0.1/32", "2001:db8::/66"), False, (1, 0, 0, 2**62)),
        (("10.0.0.1/32", "2001:db8::/64", "2001:db9::/126"), False, (1, 0, 0, 2**63 - 1)),
        (("10.0.0.1/32", "2001:db8::/32", "2001:db9::/32"), False, (1, 0, 0, 2**63 - 1)),
    ],
)
def test_counters_are_true_whatever_the_size(
    addresses: tuple[str, ...],
    avoid: bool,  # noqa: FBT001  # a column
    expected: tuple[int, ...],
    make_pool: Any,
    make_service: Any,  # a column
    config_of: Any,
) -> None:
    assignment = Assignment()
    assignment.load(config_of(make_pool("p", *addresses, avoid_buggy_ips=avoid)))
    service = make_service()
    assignment.decide(service.key, service)
    found = status_of(assignment, "p")
    assert msgspec.structs.astuple(found) == (*expected, ())


async def test_a_burst_of_changes_is_one_write(world: World, make_pool: Any, make_service: Any) -> None:
    world.load(make_pool("p", "10.0.0.0/24"))
    async with world.running():
        for number in range(50):
            service = make_service(f"s{number}")
            world.assignment.decide(service.key, service)
            world.status.changed()
        assert await world.api.next_write() == {
            "assignedIPv4": 50,
            "assignedIPv6": 0,
            "availableIPv4": 206,
            "availableIPv6": 0,
        }
        world.status.changed()
        await world.quiet()
    assert len(world.api.writes) == 1, "what is shown already is not written again"


async def test_an_address_that_is_shared_counts_once_and_one_given_back_no_more(
    world: World, make_pool: Any, make_service: Any
) -> None:
    world.load(make_pool("p", "10.0.0.0/24"))
    shared = {"metallb.io/allow-shared-ip": "k"}
    services = [make_service(name, annotations=shared, ports=(("TCP", port),)) for name, port in (("a", 1), ("b", 2))]
    async with world.running():
        for service in services:
            world.assignment.decide(service.key, service)
        assert (await world.api.next_write())["assignedIPv4"] == 1
        for service in services:
            world.assignment.decide(service.key, None)
        world.status.changed()
        assert (await world.api.next_write())["assignedIPv4"] == 0


async def test_nothing_is_written_before_the_configuration_is_in_force(world: World, make_pool: Any) -> None:
    world.api.put(make_pool("p", "10.0.0.0/24"))
    async with world.running():
        world.status.changed()
        await world.quiet()
        assert world.api.writes == []


async def test_a_pool_that_is_not_in_force_keeps_what_its_status_says(world: World, make_pool: Any) -> None:
    world.load(make_pool("p", "10.0.0.0/24"))
    async with world.running():
        await world.api.next_write()
        world.api.put(make_pool("refused", "10.0.0.0/8"))
        world.status.changed()
        await world.quiet()
    assert [name for name, _ in world.api.writes] == ["p"]


async def test_its_own_write_is_not_repeated_while_the_cache_lags(
    world: World, make_pool: Any, make_service: Any
) -> None:
    world.load(make_pool("p", "10.0.0.0/24"))
    world.api.at_once = False
    async with world.running():
        await world.api.next_write()
        world.status.changed()
        await world.quiet()
        assert len(world.api.writes) == 1
        service = make_service()
        world.assignment.decide(service.key, service)
        world.status.changed()
        await world.quiet()
        assert len(world.api.writes) == 1, "over a version that is not the latest any more"
        world.api.deliver()
        world.status.changed()
        assert (await world.api.next_write())["assignedIPv4"] == 1


async def test_a_foreign_edit_of_the_status_is_undone(world: World, make_pool: Any) -> None:
    world.load(make_pool("p", "10.0.0.0/24"))
    async with world.running():
        await world.api.next_write()
        edited = world.api.objects[Key(NAMESPACE, "p")]
        world.api.put(msgspec.structs.replace(edited, status=v1beta1.IPAddressPoolStatus(9, 9, 9, 9)))
        world.status.changed()
        assert (await world.api.next_write())["assignedIPv4"] == 0


@pytest.mark.parametrize("failure", [ConflictError("PATCH", "changed", code=409)])
async def test_a_write_that_failed_is_tried_again(world: World, make_pool: Any, failure: Exception) -> None:
    world.api.failures.append(failure)
    world.load(make_pool("p", "10.0.0.0/24"))
    async with world.running():
        assert (await world.api.next_write())["availableIPv4"] == 256


async def test_a_pool_that_is_gone_is_no_error(world: World, make_pool: Callable[..., Any]) -> None:
    world.api.failures.append(NotFoundError("PATCH", "gone", code=404))
    world.load(make_pool("p", "10.0.0.0/24"), make_pool("q", "10.0.1.0/24"))
    async with world.running():
        await world.api.next_write()
        await world.quiet()
    assert [name for name, _ in world.api.writes] == ["q"]


class TestWhatIsRemembered:
    """For a Service that was deleted."""

    @pytest.fixture
    def sticky(self, world: World, make_pool: Any, make_service: Any) -> Callable[[int], None]:
        """A pool with one Service that is deleted while it runs."""

        def load(seconds: int) -> None:
            pool = make_pool("p", "10.0.0.0/24")
            annotations = {"metallb.io/sticky-seconds": str(seconds)}
            metadata = msgspec.structs.replace(pool.metadata, annotations=annotations)
            world.load(msgspec.structs.replace(pool, metadata=metadata))
            service = make_service()
            world.assignment.decide(service.key, service, world.now)
            world.assignment.decide(service.key, None, world.now)

        return load

    async def test_is_shown_and_goes_when_its_time_is_up(self, world: World, sticky: Callable[[int], None]) -> None:
        sticky(1)
        async with world.running():
            assert (await world.api.next_write())["reservations"] == (
                {"service": "default/web", "addresses": ("10.0.0.0",), "until": "1970-01-01T00:16:41Z"},
            )
            world.now += 1
            assert (await world.api.next_write())["reservations"] is None, "and nothing else had to happen for that"
            await world.quiet()
        assert len(world.api.writes) == 2

    async def test_is_written_once_where_the_api_server_does_not_keep_it(
        self, world: World, sticky: Callable[[int], None]
    ) -> None:
        world.api.prunes = True
        sticky(60)
        async with world.running():
            await world.api.next_write()
            for _ in range(3):
                world.status.changed()
                await world.quiet()
            assert len(world.api.writes) == 1

    async def test_is_put_back_when_somebody_edits_it(self, world: World, sticky: Callable[[int], None]) -> None:
        sticky(60)
        async with world.running():
            await world.api.next_write()
            edited = world.api.objects[Key(NAMESPACE, "p")]
            assert edited.status is not None
            status = msgspec.structs.replace(edited.status, reservations=())
            world.api.put(msgspec.structs.replace(edited, status=status))
            world.status.changed()
            assert (await world.api.next_write())["reservations"]

"""The controller's shell: many writes in flight, conflicts, its own writes that are not in the cache yet, and a stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from metallb.advertisement.conflicts import CONDITION, Report
from metallb.api import v1beta1
from metallb.api.core import Namespace, ObjectMeta, Service, ServiceStatus
from metallb.api.net import ServiceKey
from metallb.api.v1beta1_states import AddressConflict
from metallb.config.build import Snapshot
from metallb.config.state import Reading
from metallb.controller.assignment import Assignment
from metallb.controller.reconciler import WORKERS, Outlets, ServiceController
from metallb.controller.status import POOL_ANNOTATION, Notice, StatusChange
from metallb.kube.errors import ConflictError, InvalidError, NotFoundError, RetryLaterError
from metallb.kube.objects import Bare, Key
from metallb.kube.store import Store


@dataclass(frozen=True)
class Stores:
    """The caches of one controller."""

    services: Store[Service] = field(default_factory=Store)
    pools: Store[v1beta1.IPAddressPool] = field(default_factory=Store)
    namespaces: Store[Namespace] = field(default_factory=Store)

    def read(self) -> Reading:
        namespaces = {each.metadata.name: each.metadata.labels for each in self.namespaces}
        return Reading(Snapshot(self.pools.values(), namespaces=namespaces))


@dataclass
class FakeApi:
    """Services in memory, with the precondition of a status write; `gate` holds writes back.

    Attributes:
        deliver: whether a write is in the cache at once.
        failures: raised instead, one a write.
    """

    changed: Callable[[Service, StatusChange], Service]
    services: dict[Key, Service] = field(default_factory=dict)
    stores: Stores = field(default_factory=Stores)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failures: list[Exception] = field(default_factory=list)
    deliver: bool = True
    version: int = 0
    in_flight: int = 0
    most: int = 0
    writes: list[str] = field(default_factory=list)
    notices: list[tuple[str, Notice]] = field(default_factory=list)
    stale: list[bool] = field(default_factory=list)
    loaded: int = 0
    reports: list[Report] = field(default_factory=list)
    controller: ServiceController | None = None

    async def write(self, key: Any, version: str, status: Any, annotations: Any) -> Bare:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await self.gate.wait()
        finally:
            self.in_flight -= 1
        self.writes.append(key.name)
        if self.failures:
            raise self.failures.pop(0)
        known = self.services.get(Key(*key))
        if known is None:
            raise NotFoundError("PATCH", "gone", code=404)
        if known.metadata.resource_version != version:
            raise ConflictError("PATCH", "changed", code=409)
        after = self.put(self.changed(known, StatusChange(status, annotations)), deliver=self.deliver)
        return Bare(after.metadata)

    def put(self, service: Service, *, deliver: bool = True) -> Service:
        key = Key(*service.key)
        self.version += 1
        uid = self.services[key].metadata.uid if key in self.services else f"u-{self.version}"
        metadata = msgspec.structs.replace(service.metadata, resource_version=str(self.version), uid=uid)
        self.services[key] = msgspec.structs.replace(service, metadata=metadata)
        if deliver:
            self.show(key)
        return self.services[key]

    def show(self, key: Key) -> None:
        """The watch brings an object, or that it is gone."""
        found = self.services.get(key)
        change = self.stores.services.remove(key) if found is None else self.stores.services.put(found)
        if change is not None and self.controller is not None:
            self.controller.services.add(key)

    def delete(self, name: str) -> None:
        key = Key("default", name)
        del self.services[key]
        self.show(key)

    def of(self, name: str) -> tuple[str, ...]:
        return tuple(each.ip for each in self.services[Key("default", name)].status.load_balancer.ingress)

    def pool(self, resource: v1beta1.IPAddressPool) -> None:
        metadata = msgspec.structs.replace(resource.metadata, resource_version=f"p{len(self.stale)}{id(resource)}")
        self.stores.pools.put(msgspec.structs.replace(resource, metadata=metadata))
        if self.controller is not None:
            self.controller.reload()

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[ServiceController]:
        outlets = Outlets(
            record=lambda service, notice: self.notices.append((service.metadata.name, notice)),
            config_loaded=self._count_loaded,
            config_judged=lambda evaluation: self.stale.append(bool(evaluation.errors)),
            observe=lambda _outcome: None,
        )
        writer: Any = self
        self.controller = ServiceController(
            Assignment(),
            self.stores.services,
            self.stores.read,
            writer,
            outlets,
            reports=lambda _service: self.reports,
        )
        self.controller.reload()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.controller.config.run()), group.create_task(self.controller.services.run())]
            await self.controller.config.idle()
            yield self.controller
            for task in tasks:
                task.cancel()
        self.controller = None

    def _count_loaded(self) -> None:
        self.loaded += 1


async def turns(count: int = 20) -> None:
    """Lets everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def api(apply_change: Callable[[Service, StatusChange], Service], make_pool: Callable[..., Any]) -> FakeApi:
    made = FakeApi(apply_change)
    made.stores.namespaces.put(Namespace(ObjectMeta(name="default", resource_version="1")))
    made.pool(make_pool("first", "10.0.0.0/16"))
    made.gate.set()
    return made


async def test_a_thousand_services_are_assigned_with_one_write_each(
    api: FakeApi, make_service: Callable[..., Service]
) -> None:
    for number in range(1000):
        api.put(make_service(f"s{number}", created=f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z"))
    api.gate.clear()
    async with api.leading() as controller:
        await turns()
        assert api.in_flight == WORKERS
        api.gate.set()
        await controller.services.idle()
    assert api.most == WORKERS
    assert len(api.writes) == 1000
    addresses = {api.of(f"s{number}") for number in range(1000)}
    assert len(addresses) == 1000
    assert (api.of("s0"), api.of("s999")) == (("10.0.0.0",), ("10.0.3.231",))
    assert len(api.notices) == 1000


async def test_a_restart_writes_nothing_and_says_nothing(api: FakeApi, make_service: Callable[..., Service]) -> None:
    for number in range(20):
        api.put(make_service(f"s{number}"))
    async with api.leading() as controller:
        await controller.services.idle()
    api.writes.clear()
    api.notices.clear()
    async with api.leading() as controller:
        await controller.services.idle()
    assert api.writes == []
    assert api.notices == []


async def test_a_conflict_is_decided_anew_on_what_is_there_then(
    api: FakeApi, make_service: Callable[..., Service]
) -> None:
    service = api.put(make_service("a"))
    async with api.leading() as controller:
        await controller.services.idle()
        api.put(msgspec.structs.replace(service, spec=make_service(kind="ClusterIP").spec))
        api.put(make_service("a", requested="10.0.7.7"), deliver=False)  # the cache does not know yet
        api.put(make_service("a", requested="10.0.7.7", labels={"x": "y"}), deliver=False)
        await turns()
        assert "a" in api.writes
        api.show(Key("default", "a"))
        await controller.services.idle()
    assert api.of("a") == ("10.0.7.7",)


async def test_a_write_that_is_not_in_the_cache_yet_is_not_decided_over(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    """A reload just then would see an old object, and might give away again what was just given."""
    api.deliver = False
    api.put(make_service("a"))
    async with api.leading() as controller:
        await controller.services.idle()
        assert api.of("a") == ("10.0.0.0",)
        api.pool(make_pool("another", "10.9.0.0/31"))
        await controller.config.idle()
        await controller.services.idle()
        assert api.writes == ["a"]
        api.show(Key("default", "a"))
        await controller.services.idle()
    assert api.writes == ["a"]
    assert api.of("a") == ("10.0.0.0",)


@pytest.mark.parametrize(
    ("failure", "writes"),
    [
        pytest.param(RetryLaterError("PATCH", "busy", code=429), ["a", "a"], id="busy: again"),
        pytest.param(ConflictError("PATCH", "changed", code=409), ["a", "a"], id="conflict: again"),
        pytest.param(InvalidError("PATCH", "no", code=422), ["a"], id="invalid: not before it changes"),
        pytest.param(NotFoundError("PATCH", "gone", code=404), ["a"], id="gone: its deletion is another event"),
    ],
)
async def test_a_write_that_fails(
    api: FakeApi, make_service: Callable[..., Service], failure: Exception, writes: list[str]
) -> None:
    api.failures.append(failure)
    api.put(make_service("a"))
    async with api.leading() as controller:
        await controller.services.idle()
    assert api.writes == writes
    assert len(api.notices) == (1 if len(writes) == 2 or isinstance(failure, NotFoundError) else 0)


async def test_a_freed_address_is_given_on(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    api.stores.pools.replace([])
    api.pool(make_pool("first", "10.0.0.0/32"))
    api.put(make_service("a", created="2026-01-01T00:00:00Z"))
    api.put(make_service("b", created="2026-01-02T00:00:00Z"))
    async with api.leading():
        await turns()
        assert (api.of("a"), api.of("b")) == (("10.0.0.0",), ())
        api.delete("a")
        await turns()
        assert api.of("b") == ("10.0.0.0",)


async def test_a_pool_that_changes_is_no_work_for_services_that_are_content_elsewhere(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    wants = "metallb.io/address-pool"
    api.pool(make_pool("second", "10.1.0.0/24", auto_assign=False))
    for number in range(50):
        api.put(make_service(f"content{number}"))
    for number in range(3):
        api.put(make_service(f"touched{number}", annotations={wants: "second"}))
    api.put(make_service("waits", annotations={wants: "third"}))
    api.put(make_service("elsewhere", requested="10.2.0.9"))
    async with api.leading() as controller:
        await turns(200)
        api.put(make_service("wishes"))
        await turns(50)
        kept = api.of("wishes")
        api.put(
            msgspec.structs.replace(
                make_service("wishes", ips=kept, annotations={POOL_ANNOTATION: "first"}, requested="10.2.0.7"),
            )
        )
        await turns(50)
        assert api.of("wishes") == kept
        seen: list[str] = []
        decide = controller.assignment.decide

        def counted(key: Any, *rest: Any) -> Any:
            seen.append(key.name)
            return decide(key, *rest)

        controller.assignment = Spied(controller.assignment, counted)  # type: ignore[assignment]  # a proxy
        api.pool(make_pool("second", "10.1.0.0/25", auto_assign=False))
        await turns(100)
        assert set(seen) == {"touched0", "touched1", "touched2", "waits", "elsewhere", "wishes"}
        api.pool(make_pool("third", "10.2.0.0/24", auto_assign=False))
        await turns(200)
        assert (api.of("elsewhere"), api.of("wishes")) == (("10.2.0.9",), ("10.2.0.7",))
        assert api.of("waits") == ("10.2.0.0",)
        assert not any(name.startswith("content") for name in seen)


class Spied:
    """An Assignment whose decisions somebody counts."""

    def __init__(self, inner: Assignment, decide: Callable[..., Any]) -> None:
        self._inner = inner
        self.decide = decide

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_bad_configuration_is_told_and_the_last_one_serves_on(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    async with api.leading() as controller:
        good = api.stores.pools.values()
        api.pool(make_pool("second", "10.0.1.0/24"))
        await controller.config.idle()
        assert (api.stale, api.loaded) == ([False, True], 1)
        api.put(make_service("a"))
        await controller.services.idle()
        assert api.of("a") == ("10.0.0.0",)
        api.stores.pools.replace(good)
        controller.reload()
        await controller.config.idle()
        assert (api.stale, api.loaded) == ([False, True, False], 1)


async def test_a_bad_configuration_at_the_start_touches_nothing(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    api.pool(make_pool("second", "10.0.1.0/24"))
    api.put(make_service("a", ips=("10.0.0.9",)))
    api.put(make_service("b"))
    async with api.leading() as controller:
        await controller.services.idle()
        assert (api.writes, api.stale) == ([], [True])
        api.stores.pools.remove(Key("metallb-system", "second"))
        controller.reload()
        await controller.config.idle()
        await controller.services.idle()
        assert (api.of("a"), api.of("b")) == (("10.0.0.9",), ("10.0.0.0",))


async def test_the_same_trouble_is_said_once(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    api.put(make_service("a", annotations={"metallb.io/address-pool": "nosuch"}))
    async with api.leading() as controller:
        for number in range(3):
            await turns()
            api.pool(make_pool(f"extra{number}", f"10.9.{number}.0/24"))
            await controller.config.idle()
        await turns()
        assert [notice.reason for _, notice in api.notices] == ["AllocationFailed"]
        api.delete("a")
        api.put(make_service("a", annotations={"metallb.io/address-pool": "nosuch"}))
        await turns()
        assert len(api.notices) == 2, "another Service of that name"


async def test_a_stop_waits_for_the_write_that_is_under_way(api: FakeApi, make_service: Callable[..., Service]) -> None:
    """Cut off, it might arrive when another controller leads already."""
    api.gate.clear()
    api.put(make_service("a"))
    async with api.leading():
        await turns()
        assert api.in_flight == 1
        asyncio.get_running_loop().call_later(0.01, api.gate.set)
    assert (api.in_flight, api.writes) == (0, ["a"])
    assert api.of("a") == ("10.0.0.0",)


async def test_a_stop_does_not_wait_for_ever(
    api: FakeApi, make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metallb.controller.reconciler.LAST_WRITE_S", 0.01)
    api.gate.clear()
    api.put(make_service("a"))
    async with asyncio.timeout(60):
        async with api.leading():
            await turns()
    api.gate.set()
    await turns()


async def test_services_of_another_class_are_not_touched(api: FakeApi, make_service: Callable[..., Service]) -> None:
    api.put(make_service("a", lb_class="example.org/other", ips=("192.0.2.1",), annotations={POOL_ANNOTATION: "x"}))
    async with api.leading() as controller:
        await controller.services.idle()
    assert (api.writes, api.notices, api.of("a")) == ([], [], ("192.0.2.1",))


async def test_who_waits_is_looked_at_again_from_time_to_time(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metallb.controller.reconciler.PENDING_RESYNC_S", 0.05)
    api.pool(make_pool("first", "10.0.0.0/32"))
    api.put(make_service("has", created="2026-01-01T00:00:00Z"))
    api.put(make_service("waits", created="2026-01-01T00:00:01Z"))
    async with api.leading() as controller:
        await settled(api, "waits")
        assert api.of("waits") == ()
        controller.assignment.allocator.release(ServiceKey("default", "has"))  # and nobody is told
        await until(lambda: api.of("waits"))


async def test_who_waits_says_why_in_one_write_and_is_not_told_of_it_twice(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    api.pool(make_pool("first", "10.0.0.0/32"))
    api.put(make_service("has", created="2026-01-01T00:00:00Z"))
    api.put(make_service("waits", created="2026-01-01T00:00:01Z"))
    async with api.leading() as controller:
        await settled(api, "waits")
        (said,) = api.services[Key("default", "waits")].status.conditions
        assert said.reason == "AllocationFailed"
        edited = api.services[Key("default", "waits")]
        api.put(msgspec.structs.replace(edited, status=ServiceStatus()))
        await settled(api, "waits")
        assert controller.assignment.allocator.holder(edited.key) is None
    assert api.writes.count("waits") == 2, "the second puts right what somebody removed"
    assert [notice.reason for name, notice in api.notices if name == "waits"] == ["AllocationFailed"]
    api.writes.clear()
    async with api.leading():
        await turns()
    assert api.writes == [], "another controller finds it said"


async def test_a_condition_that_is_refused_does_not_hide_the_event(
    api: FakeApi, make_service: Callable[..., Service], make_pool: Callable[..., Any]
) -> None:
    api.pool(make_pool("first", "10.0.0.0/32"))
    api.put(make_service("waits", annotations={"metallb.io/address-pool": "none"}))
    api.failures.append(InvalidError("PATCH", "no conditions here", code=422))
    async with api.leading():
        await until(lambda: api.writes)
        await turns()
    assert [notice.reason for _, notice in api.notices] == ["AllocationFailed"]


async def settled(api: FakeApi, name: str) -> None:
    """Waits for the condition, and for what follows from it."""
    await until(lambda: api.services[Key("default", name)].status.conditions)
    await turns()


async def until(ask: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not ask():
            await turns(1)


async def test_a_conflict_that_speakers_find_is_one_write_and_no_event(
    api: FakeApi, make_service: Callable[..., Service]
) -> None:
    async with api.leading() as controller:
        api.put(make_service("web"))
        await controller.services.idle()
        (address,) = api.of("web")
        writes, notices = len(api.writes), len(api.notices)
        api.reports = [Report("a", False, (AddressConflict(address, "eth0", "02:00:00:00:00:66"),))]
        for _ in range(3):
            controller.services.add(Key("default", "web"))
            await controller.services.idle()
        assert [each.type for each in api.services[Key("default", "web")].status.conditions] == [CONDITION]
        assert (len(api.writes), len(api.notices)) == (writes + 1, notices)
        api.reports = []
        controller.services.add(Key("default", "web"))
        await controller.services.idle()
        assert len(api.writes) == writes + 1, "nobody says anything: it stays as it is"
        api.reports = [Report("b", True)]
        controller.services.add(Key("default", "web"))
        await controller.services.idle()
        assert api.services[Key("default", "web")].status.conditions == ()
        assert (len(api.writes), len(api.notices)) == (writes + 2, notices)

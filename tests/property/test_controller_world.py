"""A controller in a world where caches lag, writes land late, answers get lost and others edit all the time.

Every life is drawn from a seed and runs on a clock that jumps. After each step the API must not show two Services on one
address unless they share it; when the world comes to rest, another controller would find nothing to do.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from metallb.api import v1beta1
from metallb.api.core import Condition, LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus
from metallb.api.net import ServiceKey
from metallb.config.build import Snapshot, build
from metallb.config.state import Reading
from metallb.controller.assignment import Assignment
from metallb.controller.reconciler import Outlets, ServiceController
from metallb.controller.status import POOL_ANNOTATION, change_for
from metallb.kube.errors import ConflictError, NotFoundError, RetryLaterError, UnavailableError
from metallb.kube.objects import Bare, Key
from metallb.kube.store import Store

V4, V6 = "198.18.128.5", "2001:db8:300::5"
NAMES = [f"s{number}" for number in range(7)]
POOLS: list[dict[str, list[str]]] = [
    {"p": ["10.0.0.0/31", "2001:db8::/127"]},
    {"p": ["10.0.0.0/30", "2001:db8::/127"]},
    {"q": ["10.0.0.0/32", "2001:db8::/128"], "r": ["10.0.0.1/32"]},
    {"p": ["10.0.0.1-10.0.0.3"]},
    {"p": ["10.0.0.0/31"], "bad": ["10.0.0.0/24"]},
    {},
]


GOOD = [each for each in POOLS if "bad" not in each]


class JumpingLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer when everybody waits."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        inner: Any = self
        if not inner._ready and inner._scheduled:
            self._now = max(self._now, inner._scheduled[0].when())
        super()._run_once()  # type: ignore[misc]  # where the loop turns


@dataclass
class Write:
    """A status patch on its way: first it lands, or does not, then its answer arrives, or does not."""

    key: Key
    version: str
    status: Any
    annotations: Any
    answer: asyncio.Future[Bare]
    outcome: Bare | Exception | None = None


@dataclass
class World:
    """The API server, what it has not told yet, and the controller that leads."""

    draw: random.Random
    build_service: Callable[..., Service]
    build_pool: Callable[..., v1beta1.IPAddressPool]
    services: dict[Key, Service] = field(default_factory=dict)
    pools: list[v1beta1.IPAddressPool] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    known: defaultdict[Key, list[dict[Key, Service]]] = field(default_factory=lambda: defaultdict(list))
    events: list[tuple[Key, Service | None]] = field(default_factory=list)
    version: int = 0
    cache: Store[Service] = field(default_factory=Store)
    pool_cache: Store[v1beta1.IPAddressPool] = field(default_factory=Store)
    controller: ServiceController | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def read(self) -> Reading:
        return Reading(Snapshot(self.pool_cache.values()))

    # The API server

    def put(self, service: Service) -> Bare:
        self.version += 1
        metadata = msgspec.structs.replace(service.metadata, resource_version=str(self.version))
        key = Key(*service.key)
        self.services[key] = msgspec.structs.replace(service, metadata=metadata)
        self.events.append((key, self.services[key]))
        return Bare(metadata)

    async def write(self, key: Any, version: str, status: Any, annotations: Any) -> Bare:
        write = Write(Key(*key), version, status, annotations, asyncio.get_running_loop().create_future())
        self.writes.append(write)
        return await asyncio.shield(write.answer)

    def land(self, write: Write) -> None:
        known = self.services.get(write.key)
        if known is None:
            write.outcome = NotFoundError("PATCH", "gone", code=404)
        elif known.metadata.resource_version != write.version:
            write.outcome = ConflictError("PATCH", "changed", code=409)
        else:
            after = changed(known, write.status, write.annotations)
            self.check_write(known, after)
            write.outcome = Bare(known.metadata) if after == known else self.put(after)

    def check_write(self, before: Service, after: Service) -> None:
        """A write may show no address that another Service shows, unless they may share.

        What counts is how both were when they were decided on, the one with the claim that it has, or the other. A user
        may have changed the other since: that one is on its way out then.
        """
        key = Key(*after.key)
        for other, found in self.services.items():
            if other == key or not (shown(after) - shown(before)) & shown(found):
                continue
            views = [view for view in (*self.known[key], *self.known[other]) if key in view and other in view]
            views = [view for view in views if same_claim(view[key], before)]
            assert any(may_share(view[key], view[other]) for view in views), (key, other)

    # Steps

    def user(self) -> None:
        name = self.draw.choice(NAMES)
        key = Key("default", name)
        known = self.services.get(key)
        if known is not None and self.draw.random() < 0.3:
            del self.services[key]
            self.events.append((key, None))
            return
        cluster_ips = self.draw.choice([(V4,), (V4,), (V6,), (V4, V6)])
        policy = self.draw.choice(["PreferDualStack", "RequireDualStack"]) if len(cluster_ips) == 2 else "SingleStack"
        annotations = dict(self.draw.choice([{}, {}, {"metallb.io/allow-shared-ip": "k"}]))
        annotations |= self.draw.choice([{}, {}, {}, {"metallb.io/address-pool": self.draw.choice("pqr")}])
        asked = self.draw.choice(["", "", "", "10.0.0.0", "10.0.0.1"]) if cluster_ips == (V4,) else ""
        wanted = self.build_service(
            name,
            kind=self.draw.choice(["LoadBalancer"] * 6 + ["ClusterIP"]),
            cluster_ips=cluster_ips,
            policy=policy,
            annotations=annotations,
            ports=(("TCP", self.draw.choice([80, 443])),),
            requested=asked,
            created=f"2026-01-01T00:00:{self.version % 60:02}Z",
        )
        if known is not None:
            created = known.metadata.creation_timestamp
            held = known.metadata.annotations.get(POOL_ANNOTATION)
            metadata = msgspec.structs.replace(
                wanted.metadata,
                creation_timestamp=created,
                annotations={**annotations, **({POOL_ANNOTATION: held} if held else {})},
            )
            wanted = msgspec.structs.replace(wanted, metadata=metadata, status=known.status)
        self.put(wanted)

    def change_pools(self) -> None:
        self.pools = [self.build_pool(name, *parts) for name, parts in self.draw.choice(POOLS).items()]
        self.show_pools()

    def show_pools(self) -> None:
        self.version += 1
        self.pool_cache.replace(
            msgspec.structs.replace(
                each, metadata=msgspec.structs.replace(each.metadata, resource_version=str(self.version))
            )
            for each in self.pools
        )
        if self.controller is not None:
            self.controller.reload()

    def deliver(self) -> None:
        """The watch brings the next event; now and then it is a list that skips some."""
        if not self.events:
            return
        if self.draw.random() < 0.1:
            self.events.clear()
            changes = self.cache.replace(self.services.values())
        else:
            key, service = self.events.pop(0)
            one = self.cache.remove(key) if service is None else self.cache.put(service)
            changes = [] if one is None else [one]
        if self.controller is not None:
            for change in changes:
                self.controller.services.add(change.key)

    def network(self) -> None:
        """A write lands, or its answer arrives; both in any order between writes, and both may fail."""
        if not self.writes:
            return
        write = self.draw.choice(self.writes)
        chance = self.draw.random()
        if write.outcome is None:
            if chance < 0.05:
                write.outcome = RetryLaterError("PATCH", "busy", code=429)
            else:
                self.land(write)
            return
        self.writes.remove(write)
        if chance < 0.05:
            write.outcome = UnavailableError("PATCH", "connection lost")
        if not write.answer.done():
            if isinstance(write.outcome, Exception):
                write.answer.set_exception(write.outcome)
            else:
                write.answer.set_result(write.outcome)

    async def step(self) -> None:
        weighted = [self.user] * 3 + [self.deliver] * 5 + [self.network] * 6 + [self.change_pools]
        self.draw.choice(weighted)()
        for _ in range(self.draw.randint(0, 6)):
            await asyncio.sleep(0)
        if self.draw.random() < 0.05:
            await asyncio.sleep(1.0)
        if self.draw.random() < 0.01:
            await self.change_leader()

    async def change_leader(self) -> None:
        """As the lease has it: the next one starts when the old one's last write is done, and from a fresh cache."""
        for task in self.tasks:
            task.cancel()
        for _ in range(50):
            while self.writes:
                self.network()
            await asyncio.sleep(0)
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert not self.writes
        self.lead()

    def lead(self) -> None:
        self.events.clear()
        self.cache.replace(self.services.values())
        outlets = Outlets(
            record=lambda _service, _notice: None,
            config_loaded=lambda: None,
            config_judged=lambda _evaluation: None,
            observe=lambda _outcome: None,
        )
        writer: Any = self
        self.controller = ServiceController(Watched(self.known), self.cache, self.read, writer, outlets)
        clock = asyncio.get_running_loop().time
        for reconciler in (self.controller.services, self.controller.config):
            reconciler._clock = clock  # type: ignore[attr-defined]  # both jump together
        self.controller.reload()
        self.tasks = [
            asyncio.ensure_future(self.controller.config.run()),
            asyncio.ensure_future(self.controller.services.run()),
        ]

    async def come_to_rest(self) -> None:
        for _ in range(400):
            while self.writes:
                self.network()
            while self.events:
                self.deliver()
            before = self.version
            await asyncio.sleep(0.5)
            if not self.writes and not self.events and self.version == before:
                return
        raise AssertionError("it never comes to rest")


class Watched(Assignment):
    """Remembers, for each decision, how every Service was when it was last decided on."""

    def __init__(self, known: defaultdict[Key, list[dict[Key, Service]]]) -> None:
        super().__init__()
        self._known = known
        self._latest: dict[Key, Service] = {}
        self._shielding: dict[Key, Service] = {}

    def decide(self, key: ServiceKey, service: Service | None, now: float = 0.0) -> Any:
        if service is None:
            self._latest.pop(Key(*key), None)
        else:
            self._latest[Key(*key)] = service
        # What a Service gave up is shielded with the claims that it had when the pools were loaded.
        self._known[Key(*key)] += [dict(self._latest), {**self._shielding, Key(*key): service}] if service else []
        return super().decide(key, service, now)

    def adopt(self, services: Iterable[Service]) -> None:
        kept = list(services)
        held = set(self.allocator.allocations)
        super().adopt(kept)
        seen = {Key(*each.key): each for each in kept}
        self._shielding = seen
        self._latest |= {key: each for key, each in seen.items() if ServiceKey(*key) not in held}


def may_share(one: Service, other: Service) -> bool:
    key = one.metadata.annotations.get("metallb.io/allow-shared-ip")
    ports = [{(port.protocol, port.port) for port in each.spec.ports} for each in (one, other)]
    return bool(key) and key == other.metadata.annotations.get("metallb.io/allow-shared-ip") and not ports[0] & ports[1]


def same_claim(one: Service, other: Service) -> bool:
    name = "metallb.io/allow-shared-ip"
    keys = [each.metadata.annotations.get(name) for each in (one, other)]
    return keys[0] == keys[1] and one.spec.ports == other.spec.ports


def shown(service: Service) -> set[str]:
    return {entry.ip for entry in service.status.load_balancer.ingress}


def changed(service: Service, status: Any, annotations: Any) -> Service:
    conditions, balancer = service.status.conditions, service.status.load_balancer
    if "conditions" in status:
        conditions = msgspec.convert(status["conditions"] or [], tuple[Condition, ...])
    if "loadBalancer" in status:
        entries = status["loadBalancer"]["ingress"] or []
        balancer = LoadBalancerStatus(tuple(LoadBalancerIngress(ip=each["ip"], ip_mode="VIP") for each in entries))
    shown = ServiceStatus(balancer, conditions)
    merged = {**service.metadata.annotations, **annotations}
    metadata = msgspec.structs.replace(
        service.metadata, annotations={key: value for key, value in merged.items() if value is not None}
    )
    return msgspec.structs.replace(service, metadata=metadata, status=shown)


def leftovers(world: World) -> list[str]:
    """What another controller would do that starts on what the API shows: it must be nothing."""
    fresh = Assignment()
    config = build(Snapshot(world.pools)).config
    if config is not None:
        fresh.load(config)
    services = sorted(world.services.values(), key=lambda each: each.seniority)
    fresh.adopt(services)
    found = []
    for service in services:
        decision = fresh.decide(service.key, service).decision
        change = change_for(service, decision) if decision is not None else None
        if change is not None and change.moves:
            found.append(f"{service.key}: {decision} {change}")
    return found


async def live(world: World, steps: int) -> None:
    world.lead()
    for _ in range(steps):
        await world.step()
    world.pools = [world.build_pool(name, *parts) for name, parts in world.draw.choice(GOOD).items()]
    world.show_pools()
    await world.come_to_rest()
    for one in world.services.values():
        for other in world.services.values():
            if one.key < other.key and shown(one) & shown(other):
                assert may_share(one, other)
    rest = leftovers(world)
    assert rest == [], rest
    for task in world.tasks:
        task.cancel()
    await asyncio.gather(*world.tasks, return_exceptions=True)


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_order_of_events_gives_one_address_to_two(
    seed: int, service_factory: Callable[..., Service], pool_factory: Callable[..., v1beta1.IPAddressPool]
) -> None:
    world = World(random.Random(seed), service_factory, pool_factory)
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(live(world, 80))

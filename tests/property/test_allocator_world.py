"""Allocator, waiting lines and the controller's memory in a world where nothing is in time.

Users make, change and delete Services; pools grow, shrink, move, close, drain; the controller's view lags; writes land
late, fail, or land without an answer; controllers take over. Whatever happened: when all has arrived, the objects show
what the promises of docs/concepts/allocation.md say. What is expected is worked out from the objects alone, by looking
at every address.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from metallb.allocator import companions
from metallb.allocator.converge import Assign, Keep
from metallb.allocator.request import Request, Sharing, request_of, sharing_of
from metallb.allocator.reservations import Reservation
from metallb.api.core import (
    Condition,
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from metallb.api.net import Address, Range, ServiceKey
from metallb.api.v1beta1 import IPAddressPool, IPAddressPoolSpec, IPAddressPoolStatus
from metallb.config.model import Config, Pool, ServiceAllocation
from metallb.config.selectors import Requirement, Selector
from metallb.config.terms import Terms
from metallb.controller import remembered
from metallb.controller.assignment import Assignment
from metallb.controller.status import POOL_ANNOTATION, StatusChange, change_for

V4, V6 = "198.18.128.5", "2001:db8:300::5"
KEYS = [ServiceKey(namespace, f"s{number}") for namespace, count in (("a", 5), ("b", 3)) for number in range(count)]
BLOCKS = [
    "10.0.0.0/31",
    "10.0.0.2/32",
    "10.0.0.254-10.0.1.1",
    "2001:db8::/127",
    "2001:db8::2/128",
]
TIER = Selector((Requirement("tier", "In", ("x",)),))
ALLOCATIONS = [
    None,
    None,
    None,
    ServiceAllocation(1, frozenset({"a"}), ()),
    ServiceAllocation(0, frozenset({"a", "b"}), ()),
    ServiceAllocation(2, None, (TIER,)),
    ServiceAllocation(1, frozenset(), ()),
    ServiceAllocation(3, None, ()),
]
TERMS = [Terms(), Terms(), Terms(), Terms(draining=True), Terms(quota=1), Terms(quota=2), Terms(sticky_s=20)]
SINGLE = [((V4,), "SingleStack")] * 4 + [((V6,), "SingleStack"), ((V4,), "PreferDualStack")]
DUAL = [((V4, V6), "PreferDualStack"), ((V6, V4), "PreferDualStack"), ((V4, V6), "RequireDualStack")]
ASKED = ["10.0.0.0", "10.0.0.1", "2001:db8::", "10.0.0.0,2001:db8::", "nonsense"]


class Wish(NamedTuple):
    """What a user writes into a Service."""

    stack: tuple[tuple[str, ...], str]
    annotations: tuple[tuple[str, str], ...]
    ports: frozenset[int]
    local: bool
    labels: tuple[tuple[str, str], ...]
    kind: str
    lb_class: str | None


def draw_wish(draw: random.Random) -> Wish:
    annotations = [
        ("metallb.io/address-pool", draw.choice([*[""] * 12, "p", "q", "nosuch"])),
        ("metallb.io/allow-shared-ip", draw.choice(["", "", "k", "k", "l"])),
        ("metallb.io/loadBalancerIPs", draw.choice([*[""] * 15, *ASKED])),
    ]
    return Wish(
        stack=draw.choice(SINGLE + DUAL),
        annotations=tuple((name, value) for name, value in annotations if value),
        ports=frozenset(draw.choice([(80,), (80,), (443,), (80, 443)])),
        local=draw.random() < 0.1,
        labels=draw.choice([(), (("tier", "x"),)]),
        kind="ClusterIP" if draw.random() < 0.1 else "LoadBalancer",
        lb_class="other" if draw.random() < 0.03 else None,
    )


def draw_pool(draw: random.Random) -> Pool:
    blocks = draw.sample(BLOCKS, draw.choice([0, 1, 1, 2, 2, 3]))
    auto, buggy = draw.random() < 0.8, draw.random() < 0.2
    name, ranges = draw.choice("pqr"), tuple(map(Range.parse, blocks))
    return Pool(name, ranges, auto, buggy, draw.choice(ALLOCATIONS), terms=draw.choice(TERMS))


SEEDS = st.integers(0, 2**32 - 1)
# Drawn from a seed, as all parts of it should be equally likely.
wishes = SEEDS.map(lambda seed: draw_wish(random.Random(seed)))
pools = SEEDS.map(lambda seed: draw_pool(random.Random(seed)))
ORDERS = st.none() | st.just(0) | st.integers(1, 2**16)
"""In which order things happen until all is at rest: 0 is as they come, None is that they don't yet."""


@dataclass(slots=True)
class Write:
    """A status patch on its way."""

    version: str
    change: StatusChange
    landed: str = ""
    """The version that the API answers with; empty as long as it has not arrived."""
    refused: bool = False


class Lives(RuleBasedStateMachine):
    """The API server's objects, what the controller has not heard yet, and the controller."""

    def __init__(self) -> None:
        super().__init__()
        self.few, companions._FEW = companions._FEW, 0  # heaps for all
        self.api: dict[ServiceKey, Service] = {}
        self.pools: dict[str, Pool] = {}
        self.cache: dict[ServiceKey, Service] = {}
        self.events: deque[tuple[ServiceKey, Service | None]] = deque()
        self.writes: dict[ServiceKey, Write] = {}
        self.line: deque[ServiceKey] = deque()
        self.written_over: dict[ServiceKey, str] = {}
        self.version = 0
        self.now = 0.0
        self.assignment = Assignment()
        self.lacking: set[ServiceKey] = set()
        self.wishes: dict[ServiceKey, Wish] = {}
        self.expected: dict[ServiceKey, Reservation] = {}
        self.claims: dict[ServiceKey, set[tuple[Sharing, frozenset[int]]]] = {}
        self.touched: set[ServiceKey] = set()
        self.pools_changed = True
        self.at_rest: dict[ServiceKey, tuple[str, ...]] = {}

    @initialize(
        blocks=st.sampled_from([[BLOCKS[0]], [BLOCKS[1]], [BLOCKS[0], BLOCKS[3]], [BLOCKS[1], BLOCKS[4]]]),
        terms=st.sampled_from(TERMS),
    )
    def begin(self, blocks: list[str], terms: Terms) -> None:
        self.pools = {"p": Pool("p", tuple(map(Range.parse, blocks)), terms=terms)}
        self.take_over()

    # Users

    @rule(key=st.sampled_from(KEYS), wish=wishes, order=ORDERS)
    def write_service(self, key: ServiceKey, wish: Wish, order: int | None) -> None:
        self.write(key, wish)
        self.come_to_rest(order)

    @rule(key=st.sampled_from(KEYS), wish=wishes, field=st.sampled_from(Wish._fields), order=ORDERS)
    def edit_service(self, key: ServiceKey, wish: Wish, field: str, order: int | None) -> None:
        """One thing about it changes."""
        if key in self.api:
            self.write(key, self.wishes[key]._replace(**{field: getattr(wish, field)}))
            self.come_to_rest(order)

    @rule(key=st.sampled_from(KEYS), order=ORDERS)
    def make_service_again(self, key: ServiceKey, order: int | None) -> None:
        """As it was."""
        if key in self.wishes:
            self.delete_service(key, order)
            self.write(key, self.wishes[key])
            self.come_to_rest(order)

    def write(self, key: ServiceKey, wish: Wish) -> None:
        known = self.api.get(key)
        self.wishes[key] = wish
        annotations = dict(wish.annotations)
        if known is not None and POOL_ANNOTATION in known.metadata.annotations:
            annotations[POOL_ANNOTATION] = known.metadata.annotations[POOL_ANNOTATION]
        cluster_ips, policy = wish.stack
        self.put(
            Service(
                metadata=ObjectMeta(
                    name=key.name,
                    namespace=key.namespace,
                    annotations=annotations,
                    labels=dict(wish.labels),
                    creation_timestamp=known.metadata.creation_timestamp if known else f"2026-{self.version // 2:06}",
                ),
                spec=ServiceSpec(
                    type=wish.kind,
                    cluster_ips=cluster_ips,
                    cluster_ip=cluster_ips[0],
                    ip_family_policy=policy,
                    ports=tuple(ServicePort(protocol="TCP", port=port) for port in sorted(wish.ports)),
                    selector={"app": key.name},
                    external_traffic_policy="Local" if wish.local else "Cluster",
                    load_balancer_class=wish.lb_class if wish.kind == "LoadBalancer" else None,
                ),
                status=known.status if known else ServiceStatus(),
            )
        )
        self.touched.add(key)

    @rule(key=st.sampled_from(KEYS), order=ORDERS)
    def delete_service(self, key: ServiceKey, order: int | None) -> None:
        if self.api.pop(key, None) is not None:
            self.claims.pop(key, None)
            self.events.append((key, None))
            self.touched.add(key)
        self.come_to_rest(order)

    @rule(new=pools, order=ORDERS)
    def write_pool(self, new: Pool, order: int | None) -> None:
        """A pool gets these addresses, others lose them; one without addresses is gone."""
        left = {}
        for name, pool in self.pools.items():
            kept = tuple(each for each in pool.ranges if each not in new.ranges)
            if name != new.name and kept:
                left[name] = replace(pool, ranges=kept)
        if new.ranges:
            left[new.name] = new
        self.pools = dict(sorted(left.items()))
        self.pools_changed = True
        self.expected.clear()
        self.load()
        self.come_to_rest(order)

    @rule(seed=SEEDS)
    def live_for_a_while(self, seed: int) -> None:
        """Many changes, each followed by rest or not."""
        draw = random.Random(seed)
        for _ in range(draw.randint(5, 25)):
            key, order = draw.choice(KEYS), draw.choice([None, 0, draw.getrandbits(16)])
            chance = draw.random()
            if chance < 0.35:
                self.write_service(key, draw_wish(draw), order)
            elif chance < 0.65:
                self.edit_service(key, draw_wish(draw), draw.choice(Wish._fields), order)
            elif chance < 0.8:
                self.delete_service(key, order)
            elif chance < 0.9:
                self.make_service_again(key, order)
            elif chance < 0.95:
                self.delete_service(key, 0)
                self.another_leads(draw.getrandbits(32))
                self.make_service_again(key, 0)
            else:
                self.write_pool(draw_pool(draw), order)
            self.now += draw.choice([0, 0, 1, 15])
            self.remember_what_is_held()
            self.nobody_is_out_of_a_pool_or_in_anothers_way()
        self.come_to_rest(0)

    # The API server and the network

    def put(self, service: Service) -> None:
        self.version += 1
        metadata = msgspec.structs.replace(service.metadata, resource_version=str(self.version))
        self.api[service.key] = msgspec.structs.replace(service, metadata=metadata)
        self.events.append((service.key, self.api[service.key]))

    @rule()
    @precondition(lambda self: self.events)
    def deliver(self) -> None:
        key, service = self.events.popleft()
        if service is None:
            self.cache.pop(key, None)
        else:
            self.cache[key] = service
        self.enqueue([key])

    @rule()
    @precondition(lambda self: self.events)
    def list_again(self) -> None:
        """What happened between is not told."""
        changed = [key for key in KEYS if self.cache.get(key) != self.api.get(key)]
        self.events.clear()
        self.cache = dict(self.api)
        self.enqueue(changed)

    @rule(data=st.data())
    @precondition(lambda self: any(not each.landed and not each.refused for each in self.writes.values()))
    def land(self, data: st.DataObject) -> None:
        waiting = sorted(key for key, each in self.writes.items() if not each.landed and not each.refused)
        self.arrive(data.draw(st.sampled_from(waiting)))

    def arrive(self, key: ServiceKey) -> None:
        write, known = self.writes[key], self.api.get(key)
        if known is None or known.metadata.resource_version != write.version:
            write.refused = True
            return
        after = changed(known, write.change)
        for other, found in self.api.items():
            if other != key and (shown(after) - shown(known)) & shown(found):
                pairs = ((one, two) for one in self.claims[key] for two in self.claims.get(other, ()))
                assert any(compatible(one, two) for one, two in pairs), (key, other)
        if after != known:
            self.put(after)
        write.landed = self.api[key].metadata.resource_version

    @rule(data=st.data(), lost=st.sampled_from([False, False, True]))
    @precondition(lambda self: self.writes)
    def answer(self, data: st.DataObject, lost: bool) -> None:  # noqa: FBT001  # drawn
        """The answer comes, or gets lost on its way, or the write itself was."""
        key = data.draw(st.sampled_from(sorted(self.writes)))
        if lost or self.writes[key].landed or self.writes[key].refused:
            self.hear(key, lost=lost)

    def hear(self, key: ServiceKey, *, lost: bool = False) -> None:
        write = self.writes.pop(key)
        if lost or write.refused:
            self.enqueue([key])
        elif write.landed != write.version:
            self.written_over[key] = write.version
            self.enqueue([key])
        elif key in self.cache:
            self.assignment.confirm(self.cache[key])
            self.enqueue([key])

    @rule(seconds=st.sampled_from([1, 15, 30]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    # The controller

    def enqueue(self, keys: Iterable[ServiceKey]) -> None:
        self.line.extend(key for key in keys if key not in self.line)

    def load(self) -> None:
        """As the shell does it when pools change."""
        before = {pool.name: pool for pool in self.assignment.pools}
        if self.assignment.load(Config(pools=tuple(self.pools.values()))):
            self.assignment.adopt(self.cache.values())
            changed = {name for name, pool in self.pools.items() if before.get(name) != pool}
            for service in sorted(self.cache.values(), key=lambda each: each.seniority):
                held = self.assignment.allocator.holder(service.key)
                if held is None or held.pool in changed or service.key in self.lacking:
                    self.enqueue([service.key])

    @rule(data=st.data())
    @precondition(lambda self: self.line)
    def work(self, data: st.DataObject) -> None:
        free = [key for key in self.line if key not in self.writes]
        if free:
            self.decide(data.draw(st.sampled_from(free)))

    def decide(self, key: ServiceKey) -> None:
        self.line.remove(key)
        service = self.cache.get(key)
        if service is not None and self.written_over.get(key) == service.metadata.resource_version:
            return
        self.written_over.pop(key, None)
        held = {other: each.addresses for other, each in self.assignment.allocator.allocations.items() if other != key}
        expected = self.remembered(service) if service is not None else None
        if service is None:
            self.expect_to_be_remembered(key)
        outcome = self.assignment.decide(key, service, self.now)
        after = self.assignment.allocator.allocations
        assert held == {other: each.addresses for other, each in after.items() if other != key}, "it moved another"
        self.enqueue(outcome.woken)
        self.lacking.discard(key)
        if isinstance(outcome.decision, Keep | Assign) and outcome.decision.lacking is not None:
            self.lacking.add(key)
        if service is not None:
            self.claims.setdefault(key, set()).add(claim(service))
        if service is None or outcome.decision is None:
            return
        if expected is not None:
            assert isinstance(outcome.decision, Assign)
            assert outcome.decision.allocation.addresses == expected.addresses
        if isinstance(outcome.decision, Keep | Assign):
            self.check_limits(service, outcome.decision.allocation.addresses)
        change = change_for(service, outcome.decision)
        if change is None and self.assignment.unsure(service):
            change = StatusChange({}, {})
        if change is not None:
            self.writes[key] = Write(service.metadata.resource_version, change)

    @rule(seed=SEEDS)
    def another_leads(self, seed: int) -> None:
        """It begins when the last write of the one before is done, and knows what the objects show."""
        draw = random.Random(seed)
        for key in list(self.writes):
            if draw.random() < 0.5:
                self.arrive(key)
            del self.writes[key]
        self.cache = {key: self.api[key] for key in draw.sample(sorted(self.api), len(self.api))}
        shown = remembered.shown(self.assignment.allocator)
        self.take_over()
        statuses = [
            IPAddressPool(
                metadata=ObjectMeta(name=name),
                spec=IPAddressPoolSpec(()),
                status=IPAddressPoolStatus(0, 0, 0, 0, reservations),
            )
            for name, reservations in shown.items()
        ]
        remembered.restore(self.assignment.allocator, statuses, self.now)

    def take_over(self) -> None:
        self.assignment = Assignment()
        self.lacking.clear()
        self.events.clear()
        self.line.clear()
        self.written_over.clear()
        self.load()

    @rule(data=st.data(), order=ORDERS)
    def settle(self, data: st.DataObject, order: int | None) -> None:
        self.come_to_rest(order or 0)
        self.check_that_another_controller_changes_nothing(data.draw(st.permutations(sorted(self.api))))

    def come_to_rest(self, order: int | None) -> None:
        """All arrives, now and then an answer gets lost, and the controller works until it has nothing left to do."""
        if order is None:
            return
        draw = random.Random(order)
        for _ in range(2000):
            possible = self.possible(lost=bool(order) and draw.random() < 0.1)
            if not possible:
                break
            step = draw.choice(possible) if order else possible[0]
            step()
        else:
            raise AssertionError("it never comes to rest")
        self.check_rest()

    def possible(self, *, lost: bool) -> list[Callable[[], None]]:
        """What may happen next; an answer may be lost."""
        found: list[Callable[[], None]] = [self.deliver] if self.events else []
        for key, write in sorted(self.writes.items(), key=lambda item: item[0]):
            arrived = write.landed or write.refused
            found.append(partial(self.hear, key, lost=lost) if arrived else partial(self.arrive, key))
        return found + [partial(self.decide, key) for key in self.line if key not in self.writes]

    # What must be so

    def remembered(self, service: Service) -> Reservation | None:
        """What the Service must get because it was there before; None where nothing is certain."""
        allocator = self.assignment.allocator
        reservation, request = self.expected.pop(service.key, None), request_of(service)
        if reservation is None or not isinstance(request, Request) or reservation.until <= self.now:
            return None
        known = shown(service) or allocator.occupancy(service.key)
        ours = service.spec.type == "LoadBalancer" and self.assignment.concerns(service)
        families = sorted(address.family for address in reservation.addresses)
        if known or not ours or request.addresses or request.unusable or families != sorted(request.families):
            return None
        pool = next(each for each in self.pools.values() if reservation.addresses[0] in each)
        fits = pool.admits(service.key.namespace, service.metadata.labels)
        asked = request.pool == pool.name if request.pool else pool.auto_assign
        taken = any(allocator.holders_of(address) for address in reservation.addresses)
        return reservation if fits and asked and not taken else None

    def expect_to_be_remembered(self, key: ServiceKey) -> None:
        held = self.assignment.allocator.holder(key)
        if held is not None and self.pools[held.pool].terms.sticky_s:
            self.expected[key] = Reservation(key, held.addresses, self.now + self.pools[held.pool].terms.sticky_s)

    def check_limits(self, service: Service, addresses: tuple[Address, ...]) -> None:
        """Neither quotas nor draining let a Service have what it did not show before."""
        before = self.before_limits.get(service.key, frozenset()) | {Address.parse(ip) for ip in shown(service)}
        for address in set(addresses) - before:
            pool = next(pool for pool in self.pools.values() if address in pool)
            assert not pool.terms.draining
            if pool.terms.quota is not None and self.on(address, service.key.namespace) == [service.key]:
                assert len(self.held_in(service.key.namespace, pool)) <= pool.terms.quota

    def held_in(self, namespace: str, pool: Pool) -> set[Address]:
        """The addresses of a pool that a namespace's Services hold."""
        allocations = self.assignment.allocator.allocations
        return {
            a for key, each in allocations.items() if key.namespace == namespace for a in each.addresses if a in pool
        }

    @invariant()
    def remember_what_is_held(self) -> None:
        allocations = self.assignment.allocator.allocations
        self.before_limits = {key: frozenset(each.addresses) for key, each in allocations.items()}

    @invariant()
    def nobody_is_out_of_a_pool_or_in_anothers_way(self) -> None:
        allocator, users = self.assignment.allocator, dict[Address, list[ServiceKey]]()
        for key in KEYS:
            for each in allocator.occupancy(key):
                users.setdefault(each.address, []).append(key)
        for key, allocation in allocator.allocations.items():
            assert all(address in self.pools[allocation.pool] for address in allocation.addresses)
            assert key in KEYS
        for address, keys in users.items():
            assert allocator.holders_of(address) == set(keys)
            held = [
                key for key in keys if key in allocator.allocations and address in allocator.allocations[key].addresses
            ]
            claims = [each for key in held for each in allocator.occupancy(key) if each.address == address]
            assert len(claims) < 2 or (len({each.sharing for each in claims}) == 1 and claims[0].sharing.key)
            assert sum(len(each.ports) for each in claims) == len({port for each in claims for port in each.ports})
        for name, pool in self.pools.items():
            for family, usage in allocator.usage(name).items():
                assert usage.in_use == sum(a in pool and a.family == family for a in users)

    def check_rest(self) -> None:
        for key, service in self.api.items():
            held = self.assignment.allocator.holder(key)
            if not self.assignment.concerns(service):
                continue
            assert [each.ip for each in service.status.load_balancer.ingress] == list(
                map(str, held.addresses if held else ())
            )
            assert service.metadata.annotations.get(POOL_ANNOTATION, "") == (held.pool if held else "")
        for one, two in ((one, two) for one in KEYS for two in KEYS if one < two):
            if one in self.api and two in self.api and shown(self.api[one]) & shown(self.api[two]):
                ours = [self.assignment.concerns(self.api[each]) for each in (one, two)]
                assert not all(ours) or compatible(claim(self.api[one]), claim(self.api[two]))
        self.check_that_nobody_waits_in_vain()
        self.check_that_nobody_moved()
        self.check_that_another_controller_changes_nothing(sorted(self.api))
        self.touched.clear()
        self.pools_changed = False
        self.at_rest = {
            key: tuple(each.ip for each in service.status.load_balancer.ingress) for key, service in self.api.items()
        }

    def check_that_nobody_moved(self) -> None:
        """Who did not change, under pools that did not, keeps what it has, gains, or gets what it asks for."""
        if self.pools_changed:
            return
        for key, before in self.at_rest.items():
            if key not in self.touched and key in self.api:
                asked = set(self.api[key].metadata.annotations.get("metallb.io/loadBalancerIPs", "").split(","))
                now = shown(self.api[key])
                assert set(before) <= now or now == asked, (key, before, now)

    def check_that_another_controller_changes_nothing(self, order: list[ServiceKey]) -> None:
        assignment = Assignment()
        assignment.load(Config(pools=tuple(self.pools.values())))
        assignment.adopt(self.api[key] for key in order)
        for key in order:
            decision = assignment.decide(key, self.api[key], self.now).decision
            change = change_for(self.api[key], decision) if decision is not None else None
            assert change is None or not change.moves, (key, decision)

    def check_that_nobody_waits_in_vain(self) -> None:
        """Every address is tried for each who lacks one."""
        for key, service in self.api.items():
            request = request_of(service)
            ours = service.spec.type == "LoadBalancer" and self.assignment.concerns(service)
            if not ours or not isinstance(request, Request) or request.unusable:
                continue
            has = {Address.parse(ip) for ip in shown(service)}
            if request.addresses and has != set(request.addresses):
                assert not self.could_have(service, request, request.addresses, asked=True), key
            elif not has:
                assert not any(self.could_have(service, request, each) for each in self.choices(request)), key
            elif len(has) < len(request.families) and not request.addresses:
                assert not any(
                    self.could_have(service, request, each, extending=has)
                    for each in self.choices(request)
                    if has < set(each)
                ), key

    def choices(self, request: Request) -> Iterator[tuple[Address, ...]]:
        """All that the Service could be given."""
        for pool in self.pools.values():
            each = [Address(r.family, value) for r in pool.ranges for value in range(r.first, r.last + 1)]
            singles = [(address,) for address in each if address.family in request.families]
            pairs = [(one, two) for one in each for two in each if one.family < two.family]
            if len(request.families) == 1:
                yield from singles
            else:
                yield from pairs
                if not request.both_required:
                    yield from singles

    def could_have(
        self,
        service: Service,
        request: Request,
        addresses: tuple[Address, ...],
        *,
        asked: bool = False,
        extending: Iterable[Address] = (),
    ) -> bool:
        found = [pool for pool in self.pools.values() if all(address in pool for address in addresses)]
        if not found or found[0].terms.draining:
            return False
        pool = found[0]
        if not pool.admits(service.key.namespace, service.metadata.labels) or request.pool not in {"", pool.name}:
            return False
        if not asked and not request.pool and not pool.auto_assign and not extending:
            return False
        if pool.terms.quota is not None:
            alone = {a for a in self.mine(service) if a in pool and len(self.on(a, service.key.namespace)) == 1}
            if (
                len(self.held_in(service.key.namespace, pool) - (alone - set(addresses)) | set(addresses))
                > pool.terms.quota
            ):
                return False
        return all(self.could_join(service, address) for address in addresses)

    def mine(self, service: Service) -> set[Address]:
        held = self.assignment.allocator.holder(service.key)
        return set(held.addresses if held else ())

    def on(self, address: Address, namespace: str) -> list[ServiceKey]:
        allocations = self.assignment.allocator.allocations
        return [key for key, each in allocations.items() if key.namespace == namespace and address in each.addresses]

    def could_join(self, service: Service, address: Address) -> bool:
        others = [each for key, each in self.api.items() if key != service.key and str(address) in shown(each)]
        others = [each for each in others if each.spec.type == "LoadBalancer"]
        return all(compatible(claim(service), claim(each)) for each in others)

    def teardown(self) -> None:
        companions._FEW = self.few


def shown(service: Service) -> set[str]:
    return {entry.ip for entry in service.status.load_balancer.ingress}


def claim(service: Service) -> tuple[Sharing, frozenset[int]]:
    return sharing_of(service), frozenset(port.port for port in service.spec.ports)


def compatible(one: tuple[Sharing, frozenset[int]], two: tuple[Sharing, frozenset[int]]) -> bool:
    return bool(one[0].key) and one[0] == two[0] and not one[1] & two[1]


def changed(service: Service, change: StatusChange) -> Service:
    """After a status patch; the API server puts `ipMode: VIP` in."""
    conditions, balancer = service.status.conditions, service.status.load_balancer
    if "conditions" in change.status:
        conditions = msgspec.convert(change.status["conditions"] or [], tuple[Condition, ...])
    if "loadBalancer" in change.status:
        entries = change.status["loadBalancer"]["ingress"] or []
        balancer = LoadBalancerStatus(tuple(LoadBalancerIngress(ip=each["ip"], ip_mode="VIP") for each in entries))
    status = ServiceStatus(balancer, conditions)
    annotations = {**service.metadata.annotations, **change.annotations}
    kept = {name: value for name, value in annotations.items() if value is not None}
    return msgspec.structs.replace(
        service, metadata=msgspec.structs.replace(service.metadata, annotations=kept), status=status
    )


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


@settings(max_examples=50)
@given(seed=SEEDS, terms=st.sampled_from(TERMS))
def test_busy_lives_keep_all_promises(seed: int, terms: Terms) -> None:
    """More happens in them than in those that are drawn step by step, which are there to be short."""
    lives = Lives()
    try:
        lives.begin([BLOCKS[0], BLOCKS[3]] if seed % 2 else [BLOCKS[0]], terms)
        lives.remember_what_is_held()
        for part in range(3):
            lives.live_for_a_while(seed + part)
    finally:
        lives.teardown()

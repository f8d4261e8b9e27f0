"""What a speaker announces and withdraws when Services, endpoints, nodes, pods or the configuration change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from metallb.advertisement import reasons
from metallb.advertisement.election import elect
from metallb.advertisement.layer2 import EXCLUDE_LABEL, Announce
from metallb.advertisement.spread import share
from metallb.api import v1beta1, v1beta2
from metallb.api.core import (
    Condition,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
    LabelSelector,
    Node,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
)
from metallb.api.net import Address, InterfaceName, NodeName, ServiceKey
from metallb.config.build import Snapshot
from metallb.config.state import Evaluation, Reading
from metallb.kube.objects import Key, key_of
from metallb.kube.store import Store
from metallb.speaker.reconciler import PATIENCE_S, SLICES_BY_SERVICE, Outlets, ServiceSpeaker, Settings, Stores

A, B, C = map(NodeName, ("node-a", "node-b", "node-c"))
WEB = ServiceKey("default", "web")
ADDRESS = "10.0.0.1"  # node-b wins it, then node-a, then node-c
KINDS = {"IPAddressPool": "pools", "L2Advertisement": "l2_advertisements"}


@dataclass
class FakeAnnouncer:
    """Remembers what it was told; `changes` counts what was no repetition."""

    interface_names: frozenset[InterfaceName] = frozenset({InterfaceName("eth0")})
    announced: dict[ServiceKey, Announce] = field(default_factory=dict)
    changes: int = 0
    unproven: set[Address] = field(default_factory=set)

    def announce(self, service: ServiceKey, wanted: Announce | None, unproven: Iterable[Address] = frozenset()) -> bool:
        self.unproven |= set(unproven)
        if self.announced.get(service) == wanted:
            return False
        self.changes += 1
        if wanted is None:
            del self.announced[service]
        else:
            self.announced[service] = wanted
        return True


@dataclass
class World:
    """The caches of one speaker, and what it said to the outside."""

    me: NodeName
    version: int = 0
    now: float = 100.0
    announcer: FakeAnnouncer = field(default_factory=FakeAnnouncer)
    said: list[str] = field(default_factory=list)
    judged: list[Evaluation] = field(default_factory=list)
    stores: Stores = field(init=False)
    speakers: Store[Pod] = field(default_factory=Store)
    pools: Store[v1beta1.IPAddressPool] = field(default_factory=Store)
    l2_advertisements: Store[v1beta1.L2Advertisement] = field(default_factory=Store)
    peers: list[v1beta2.BGPPeer] = field(default_factory=list)
    unread: tuple[str, ...] = ()
    speaker: ServiceSpeaker = field(init=False)

    def __post_init__(self) -> None:
        announcer: Any = self.announcer
        self.stores = Stores(
            services=Store(),
            slices=Store({SLICES_BY_SERVICE: lambda each: [str(each.service)] if each.service else []}),
            nodes=Store(),
            live=lambda: frozenset(pod.spec.node_name for pod in self.speakers.values() if pod.ready),
        )
        outlets = Outlets(
            announced=lambda service, _announce: self.said.append(f"announced {service.key}"),
            withdrawn=lambda key, _service, _reason: self.said.append(f"withdrawn {key}"),
            unannounced=lambda service, reason: self.said.append(f"unannounced {service.key}: {reason.code}"),
            config_loaded=lambda: self.said.append("loaded"),
            config_judged=self.judged.append,
            observe=lambda _outcome: None,
        )
        self.speaker = ServiceSpeaker(
            Settings(self.me), self.stores, self.read, announcer, outlets, clock=lambda: self.now
        )

    def read(self) -> Reading:
        return Reading(
            Snapshot(self.pools.values(), self.l2_advertisements.values(), peers=self.peers), (), self.unread
        )

    async def put(self, *items: Any) -> None:
        """Objects appear or change, and the wiring of main.py does its part."""
        for item in items:
            self.version += 1
            metadata = msgspec.structs.replace(item.metadata, resource_version=str(self.version))
            named = msgspec.structs.replace(item, metadata=metadata)
            match named:
                case Service():
                    self.stores.services.put(named)
                    self.speaker.services.add(Key(*named.key))
                case EndpointSlice():
                    self.stores.slices.put(named)
                    if named.service:
                        self.speaker.services.add(Key(*named.service))
                case Node():
                    self.stores.nodes.put(named)
                    self.speaker.review_all()
                case Pod():
                    self.speakers.put(named)
                    self.speaker.review_all()
                case v1beta1.IPAddressPool():
                    self.pools.put(named)
                    self.speaker.reload()
                case v1beta1.L2Advertisement():
                    self.l2_advertisements.put(named)
                    self.speaker.reload()
        await self.rest()

    async def remove(self, kind: str, key: Key) -> None:
        of_config = kind in {"pools", "l2_advertisements"}
        store: Store[Any] = getattr(self if of_config or kind == "speakers" else self.stores, kind)
        store.remove(key)
        if kind == "services":
            self.speaker.services.add(key)
        elif of_config:
            self.speaker.reload()
        else:
            self.speaker.review_all()
        await self.rest()

    async def rest(self) -> None:
        """Everything that is due is done; what is only scheduled waits for the clock."""
        turns = 0
        while turns < 20:
            busy = self.speaker.config.depth or self.speaker.services.depth
            turns = 0 if busy else turns + 1
            await asyncio.sleep(0)

    async def wait(self, seconds: float) -> None:
        """Time passes, and the queue's timers with it."""
        self.now += seconds
        for key in list(map(key_of, self.stores.services.values())):
            self.speaker.services.add(key)
        await self.rest()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.speaker.config.run()), group.create_task(self.speaker.services.run())]
            yield self
            for task in tasks:
                task.cancel()

    @property
    def stale(self) -> list[bool]:
        return [bool(each.errors) for each in self.judged]

    @property
    def announced(self) -> list[str]:
        return sorted(key.name for key in self.announcer.announced)


def pod(node: NodeName, *, ready: bool = True, deleted: str | None = None) -> Pod:
    metadata = ObjectMeta(name=f"speaker-{node}", namespace="metallb-system", deletion_timestamp=deleted)
    conditions = (Condition(type="Ready", status=str(ready)),)
    return Pod(metadata, PodSpec(node), PodStatus("Running", conditions=conditions))


def node(name: NodeName, *, unavailable: bool = False, **labels: str) -> Node:
    conditions = (Condition(type="NetworkUnavailable", status="True"),) if unavailable else ()
    return Node(ObjectMeta(name=name, labels=labels), NodeStatus(conditions))


def slice_of(name: str, nodes: Iterable[NodeName], *, ready: bool = True, part: str = "1") -> EndpointSlice:
    labels = {"kubernetes.io/service-name": name}
    endpoints = tuple(Endpoint(EndpointConditions(ready=ready), each) for each in nodes)
    return EndpointSlice(ObjectMeta(name=f"{name}-{part}", namespace="default", labels=labels), endpoints or None)


@pytest.fixture
async def world(
    make_service: Callable[..., Service], make_pool: Callable[..., Any], make_l2: Callable[..., Any]
) -> AsyncIterator[World]:
    """Three nodes with speakers, one pool announced everywhere, one Service with its address; we are node-b."""
    async with World(B).running() as made:
        await made.put(*map(node, (A, B, C)), *map(pod, (A, B, C)))
        await made.put(make_service("web", ips=(ADDRESS,)), slice_of("web", [A, B, C]))
        assert made.announced == [], "no configuration, no announcement"
        await made.put(make_pool("first", "10.0.0.0/24"), make_l2())
        assert made.announced == ["web"]
        made.said.clear()
        yield made


async def test_the_elected_node_announces_and_says_so_once(world: World, make_service: Callable[..., Service]) -> None:
    await world.put(make_service("web", ips=(ADDRESS,), labels={"x": "y"}))
    world.speaker.review_all()
    await world.rest()
    assert world.said == []
    assert world.announcer.announced[WEB] == Announce((Address.parse(ADDRESS),), frozenset())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"kind": "ClusterIP"}, id="another type"),
        pytest.param({"ips": ()}, id="the address is gone"),
        pytest.param({"ips": ("192.0.2.1",)}, id="a foreign address"),
        pytest.param({"lb_class": "x"}, id="another class"),
    ],
)
async def test_a_service_that_changes_is_withdrawn(
    world: World, make_service: Callable[..., Service], change: dict[str, Any]
) -> None:
    await world.put(make_service("web", **{"ips": (ADDRESS,), **change}))
    assert (world.announced, world.said) == ([], ["withdrawn default/web"])


async def test_a_service_that_goes_is_withdrawn_and_forgotten(world: World) -> None:
    await world.remove("services", Key(*WEB))
    assert (world.announced, world.said) == ([], ["withdrawn default/web"])
    assert world.speaker.state.withheld == {}


async def test_another_address_of_the_service_is_announced_instead(
    world: World, make_service: Callable[..., Service]
) -> None:
    mine = next(f"10.0.0.{n}" for n in range(2, 200) if elect((A, B, C), Address.parse(f"10.0.0.{n}"), {}) == B)
    await world.put(make_service("web", ips=(mine,)))
    assert world.announcer.announced[WEB].addresses == (Address.parse(mine),)


async def test_whoever_waits_for_decisions_is_called_behind_them(
    world: World, make_service: Callable[..., Service]
) -> None:
    seen: list[list[str]] = []
    world.stores.services.put(make_service("web", ips=()))
    world.speaker.review_all()
    world.speaker.when_decided(lambda: seen.append(world.announced))
    await world.rest()
    assert seen == [[]]
    world.speaker.review_all()
    await world.rest()
    assert seen == [[]], "once"


class TestEndpoints:
    async def test_the_last_one_that_goes_withdraws(self, world: World) -> None:
        await world.put(slice_of("web", [A], ready=False))
        assert world.announced == []
        assert isinstance(world.speaker.state.withheld[WEB], reasons.NoServingEndpoint)
        await world.put(slice_of("web", [A]))
        assert world.announced == ["web"]

    async def test_a_slice_with_null_endpoints_is_an_empty_one(self, world: World) -> None:
        await world.put(slice_of("web", []))
        assert world.announced == []

    async def test_one_of_several_slices_is_enough(self, world: World) -> None:
        await world.put(slice_of("web", [A], part="2"), slice_of("web", []))
        assert world.announced == ["web"]

    async def test_local_traffic_follows_them(self, world: World, make_service: Callable[..., Service]) -> None:
        await world.put(make_service("web", ips=(ADDRESS,), traffic="Local"), slice_of("web", [A]))
        assert world.announced == []
        await world.put(slice_of("web", [A, B]))
        assert world.announced == ["web"]


class TestNodes:
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(node(B, unavailable=True), id="no network"),
            pytest.param(node(B, **{EXCLUDE_LABEL: ""}), id="excluded"),
        ],
    )
    async def test_ours_that_may_not_announce_any_more_withdraws(self, world: World, change: Node) -> None:
        await world.put(change)
        assert world.announced == []
        await world.put(node(B))
        assert world.announced == ["web"]

    async def test_selectors_follow_labels(self, world: World, make_l2: Callable[..., Any]) -> None:
        await world.put(make_l2(node_selectors=(LabelSelector(match_labels={"zone": "x"}),)))
        assert world.announced == []
        await world.put(node(B, zone="x"))
        assert world.announced == ["web"]


class TestTelling:
    @pytest.mark.parametrize("me", [A, B, C])
    async def test_of_all_nodes_one_says_that_nothing_serves(
        self,
        me: NodeName,
        make_service: Callable[..., Service],
        make_pool: Callable[..., Any],
        make_l2: Callable[..., Any],
    ) -> None:
        async with World(me).running() as world:
            await world.put(make_pool("first", "10.0.0.0/24"), make_l2(), *map(pod, (A, B, C)))
            await world.put(make_service("web", ips=(ADDRESS,)))
            await world.wait(PATIENCE_S)
            told = [each for each in world.said if each.startswith("unannounced")]
            assert told == (["unannounced default/web: notOwner"] if me == B else [])

    async def test_a_service_that_goes_is_not_talked_about_any_more(self, world: World) -> None:
        await world.put(slice_of("web", []))
        await world.remove("services", Key(*WEB))
        await world.wait(PATIENCE_S)
        assert world.said == ["withdrawn default/web"]


class TestPods:
    async def test_of_a_better_node_takes_over_and_its_death_gives_back(
        self, make_service: Callable[..., Service], make_pool: Callable[..., Any], make_l2: Callable[..., Any]
    ) -> None:
        async with World(A).running() as world:
            await world.put(make_pool("first", "10.0.0.0/24"), make_l2(), pod(A), pod(C))
            await world.put(make_service("web", ips=(ADDRESS,)), slice_of("web", [A]))
            assert world.announced == ["web"]
            await world.put(pod(B))
            assert (world.announced, world.speaker.state.withheld[WEB]) == ([], reasons.OtherNode(B))
            await world.put(pod(B, ready=False))
            assert world.announced == ["web"]
            await world.put(pod(B))
            await world.remove("speakers", Key("metallb-system", f"speaker-{B}"))
            assert world.announced == ["web"]

    async def test_our_own_on_its_way_out_hands_over(self, world: World) -> None:
        await world.put(pod(B, deleted="2026-01-01T00:00:00Z"))
        assert (world.announced, world.speaker.state.withheld[WEB]) == ([], reasons.OtherNode(A))

    async def test_without_any_one_node_says_so_and_none_announces(self, world: World) -> None:
        await world.put(pod(A, ready=False), pod(B, ready=False), pod(C, ready=False))
        assert world.announced == []
        assert world.speaker.state.withheld[WEB] == reasons.NoCandidate(local=False, witness=None)


class TestConfiguration:
    async def test_a_bad_one_leaves_the_last_one_in_force(
        self, world: World, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        await world.put(make_pool("second", "10.0.0.0/24"))
        assert world.stale[-1] is True
        world.speaker.review_all()
        await world.rest()
        assert world.announced == ["web"]
        await world.remove("pools", Key("metallb-system", "second"))
        assert world.stale[-1] is False
        assert world.said == [], "the same configuration as before loads nothing"

    async def test_a_bad_peer_leaves_the_last_one_in_force_too(
        self, world: World, make_pool: Callable[..., Any]
    ) -> None:
        world.peers = [v1beta2.BGPPeer(ObjectMeta(name="bad", namespace="metallb-system"))]
        await world.put(make_pool("first", "10.1.0.0/24"))
        assert world.stale[-1] is True
        assert (world.announced, world.said) == (["web"], [])
        world.peers = []
        world.speaker.reload()
        await world.rest()
        assert (world.announced, world.said) == ([], ["loaded", "withdrawn default/web"])

    async def test_a_good_peer_is_taken_and_no_service_is_looked_at_again(self, world: World) -> None:
        spec = v1beta2.BGPPeerSpec(my_asn=64500, peer_asn=64501, peer_address="192.0.2.1")
        world.peers = [v1beta2.BGPPeer(ObjectMeta(name="good", namespace="metallb-system"), spec)]
        done = world.speaker.services.counts.done
        world.speaker.reload()
        await world.rest()
        assert world.said == ["loaded"]
        assert world.speaker.services.counts.done == done

    async def test_a_look_that_takes_long_is_not_followed_by_the_next_at_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow() -> Reading:
            world.now += 0.5
            return world.read()

        due: list[float] = []
        monkeypatch.setattr(world.speaker, "_read", slow)
        world.speaker.reload()
        await world.rest()
        monkeypatch.setattr(world.speaker.config, "add_after", lambda _key, delay_s: due.append(delay_s))
        world.speaker.reload()
        world.now += 1.5
        world.speaker.reload()
        world.now += 1.0
        world.speaker.reload()
        assert due == [2.0, 0.5, 0.0]

    async def test_what_can_not_be_read_is_told_and_stops_nothing(
        self, world: World, make_pool: Callable[..., Any]
    ) -> None:
        world.unread = ("bgppeers.metallb.io can't be read: no right",)
        await world.put(make_pool("first", "10.1.0.0/24"))
        assert world.stale[-1] is False
        assert world.said == ["loaded", "withdrawn default/web"]
        assert world.judged[-1] == Evaluation(unread=world.unread)

    async def test_a_pool_that_goes_withdraws(self, world: World) -> None:
        await world.remove("pools", Key("metallb-system", "first"))
        assert (world.announced, world.said) == ([], ["loaded", "withdrawn default/web"])

    async def test_an_advertisement_that_goes_withdraws(self, world: World) -> None:
        await world.remove("l2_advertisements", Key("metallb-system", "all"))
        assert world.announced == []
        assert world.speaker.state.withheld[WEB] == reasons.NoAdvertisement("first", witness=B)

    async def test_an_advertisement_that_does_not_reach_any_pool_changes_nothing(
        self, world: World, make_l2: Callable[..., Any]
    ) -> None:
        await world.put(make_l2("nowhere", ip_address_pools=("nosuch",)))
        assert world.said == []


class TestSpreading:
    """Three speakers see the same objects; the pool asks for its addresses to be spread."""

    @pytest.fixture
    def spread_pool(self, make_pool: Callable[..., v1beta1.IPAddressPool]) -> v1beta1.IPAddressPool:
        return self.annotated(make_pool("first", "10.0.0.0/24"), "true")

    @pytest.fixture
    async def worlds(
        self, spread_pool: v1beta1.IPAddressPool, make_l2: Callable[..., Any]
    ) -> AsyncIterator[list[World]]:
        async with AsyncExitStack() as stack:
            made = [await stack.enter_async_context(World(me).running()) for me in (A, B, C)]
            await self.put(made, *map(node, (A, B, C)), *map(pod, (A, B, C)), spread_pool, make_l2())
            yield made

    @staticmethod
    def annotated(pool: v1beta1.IPAddressPool, value: str) -> v1beta1.IPAddressPool:
        metadata = msgspec.structs.replace(pool.metadata, annotations={"metallb.io/spread": value})
        return msgspec.structs.replace(pool, metadata=metadata)

    @staticmethod
    async def put(worlds: list[World], *items: Any) -> None:
        for world in worlds:
            await world.put(*items)

    @staticmethod
    def owners(worlds: list[World]) -> dict[str, NodeName]:
        """By Service, who announces it: one node each."""
        found = [(key.name, world.me) for world in worlds for key in world.announcer.announced]
        assert len(dict(found)) == len(found), "announced twice"
        return dict(found)

    @pytest.fixture
    async def owners_of_twelve(self, worlds: list[World], make_service: Callable[..., Service]) -> dict[str, NodeName]:
        for number in range(12):
            service = make_service(f"s{number}", ips=(f"10.0.0.{number}",))
            await self.put(worlds, service, slice_of(f"s{number}", [A]))
        for world in worlds:
            await world.wait(1)
        return self.owners(worlds)

    async def test_every_service_has_one_node_and_no_node_more_than_its_share(
        self, worlds: list[World], owners_of_twelve: dict[str, NodeName]
    ) -> None:
        assert len(owners_of_twelve) == 12
        assert max(len(world.announced) for world in worlds) <= share(12, 3)
        assert {elect((A, B, C), Address.parse(f"10.0.0.{each}"), {}) for each in range(12)} == {A, B, C}

    async def test_a_speaker_that_starts_comes_to_the_same_plan(
        self,
        worlds: list[World],
        owners_of_twelve: dict[str, NodeName],
        spread_pool: v1beta1.IPAddressPool,
        make_l2: Callable[..., Any],
    ) -> None:
        late = World(B)
        late.stores.services.replace(worlds[1].stores.services.values())
        late.stores.slices.replace(worlds[1].stores.slices.values())
        async with late.running():
            decided = asyncio.Event()
            await late.put(*map(pod, (A, B, C)), spread_pool, make_l2())
            late.speaker.review_all()
            late.speaker.when_decided(decided.set)
            await decided.wait()
            assert late.announced == worlds[1].announced, "one plan for all, before the first decision"

    async def test_a_node_that_dies_gives_its_own_to_the_others_at_once(
        self, worlds: list[World], owners_of_twelve: dict[str, NodeName]
    ) -> None:
        await self.put(worlds[:2], pod(C, ready=False))
        after = self.owners(worlds[:2])
        assert len(after) == 12
        moved = {name for name, owner in owners_of_twelve.items() if owner not in {C, after[name]}}
        assert len(moved) <= 2
        await self.put(worlds[:2], pod(C))
        assert self.owners(worlds) == owners_of_twelve

    async def test_a_service_that_goes_makes_room(
        self, worlds: list[World], owners_of_twelve: dict[str, NodeName]
    ) -> None:
        for number in range(3, 12):
            for world in worlds:
                await world.remove("services", Key("default", f"s{number}"))
                await world.wait(1)
        assert sorted(len(world.announced) for world in worlds) == [1, 1, 1]

    async def test_local_traffic_goes_to_nodes_with_endpoints_only(
        self, worlds: list[World], owners_of_twelve: dict[str, NodeName], make_service: Callable[..., Service]
    ) -> None:
        for number in range(6):
            local = make_service(f"s{number}", ips=(f"10.0.0.{number}",), traffic="Local")
            await self.put(worlds, local, slice_of(f"s{number}", [C]))
        for world in worlds:
            await world.wait(1)
        found = self.owners(worlds)
        assert all(found[f"s{number}"] == C for number in range(6))
        assert len(found) == 12

    async def test_a_service_without_endpoints_keeps_its_place(
        self, worlds: list[World], owners_of_twelve: dict[str, NodeName]
    ) -> None:
        await self.put(worlds, slice_of("s3", [A], ready=False))
        without = dict(owners_of_twelve)
        owner = without.pop("s3")
        assert self.owners(worlds) == without
        (speaker,) = [world.speaker for world in worlds if world.me == owner]
        assert isinstance(speaker.state.withheld[ServiceKey("default", "s3")], reasons.NoServingEndpoint)

    async def test_services_that_share_an_address_are_together_and_count_once(
        self, worlds: list[World], owners_of_twelve: dict[str, NodeName], make_service: Callable[..., Service]
    ) -> None:
        for number in range(20):
            await self.put(worlds, make_service(f"t{number}", ips=("10.0.0.1",)), slice_of(f"t{number}", [A]))
        for world in worlds:
            await world.wait(1)
        found = self.owners(worlds)
        assert {found[f"t{number}"] for number in range(20)} == {owners_of_twelve["s1"]}
        assert {name: found[name] for name in owners_of_twelve} == owners_of_twelve

    async def test_without_the_annotation_it_is_upstreams_election_again(
        self,
        worlds: list[World],
        owners_of_twelve: dict[str, NodeName],
        make_pool: Callable[..., v1beta1.IPAddressPool],
    ) -> None:
        await self.put(worlds, self.annotated(make_pool("first", "10.0.0.0/24"), "false"))
        for number in range(12):
            assert self.owners(worlds)[f"s{number}"] == elect((A, B, C), Address.parse(f"10.0.0.{number}"), {})

    async def test_a_value_that_means_nothing_is_told_and_the_plan_stays(
        self,
        worlds: list[World],
        owners_of_twelve: dict[str, NodeName],
        make_pool: Callable[..., v1beta1.IPAddressPool],
    ) -> None:
        await self.put(worlds, self.annotated(make_pool("first", "10.0.0.0/24"), "evenly"))
        assert self.owners(worlds) == owners_of_twelve
        (error,) = worlds[0].judged[-1].errors
        assert str(error).endswith("metadata.annotations[metallb.io/spread]: 'evenly' must be 'true' or 'false'")

    async def test_while_a_plan_rests_news_waits_and_then_goes_to_the_right_node(
        self, worlds: list[World], make_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world = worlds[0]
        spreading = world.speaker._spreading
        assert spreading is not None
        await world.put(make_service("first", ips=("10.0.0.1",)), slice_of("first", [A]))
        spreading._rested = world.now + 5
        due: list[float] = []
        monkeypatch.setattr(world.speaker.services, "add_after", lambda _key, delay_s: due.append(delay_s))
        names = [f"s{number}" for number in range(9)]
        for number, name in enumerate(names):
            await world.put(make_service(name, ips=(f"10.0.0.{10 + number}",)), slice_of(name, [A]))
        assert set(due) == {5.0}
        assert set(world.announced) <= {"first"}
        assert {key.name for key in world.speaker.state.withheld} <= {"first"}, "nobody knows yet"
        world.now += 5
        world.speaker.services.add(Key("", "plan"))
        await world.rest()
        decided = {key.name for key in world.speaker.state.withheld} | set(world.announced)
        assert decided == {"first", *names}


class TestInterfaces:
    async def test_that_the_node_has_are_announced_on(self, world: World, make_l2: Callable[..., Any]) -> None:
        await world.put(make_l2(interfaces=("eth0", "eth9")))
        assert world.announcer.announced[WEB].interfaces == {"eth0", "eth9"}

    async def test_that_the_node_lacks_are_told_once_it_lasts_and_not_announced(
        self, world: World, make_l2: Callable[..., Any]
    ) -> None:
        await world.put(make_l2(interfaces=("eth9",)))
        await world.wait(PATIENCE_S - 1)
        assert world.announced == []
        assert world.said == ["loaded", "withdrawn default/web"]
        await world.wait(1)
        await world.wait(100)
        assert world.said[2:] == ["unannounced default/web: noInterface"]

    async def test_that_come_back_in_time_are_no_trouble_for_anybody(
        self, world: World, make_l2: Callable[..., Any]
    ) -> None:
        await world.put(make_l2(interfaces=("eth9",)))
        await world.put(make_l2(interfaces=("eth0",)))
        await world.wait(100)
        assert not any(each.startswith("unannounced") for each in world.said)

    async def test_that_appear_are_announced_on(self, world: World, make_l2: Callable[..., Any]) -> None:
        await world.put(make_l2(interfaces=("eth9",)))
        world.announcer.interface_names = frozenset({InterfaceName("eth9")})
        world.speaker.review_all()
        await world.rest()
        assert world.announced == ["web"]


async def test_a_second_look_at_thousands_changes_nothing(world: World, make_service: Callable[..., Service]) -> None:
    services = [make_service(f"s{n}", ips=(f"10.0.0.{n % 250 + 2}",)) for n in range(1000)]
    for each in services:
        world.version += 1
        metadata = msgspec.structs.replace(each.metadata, resource_version=str(world.version))
        world.stores.services.put(msgspec.structs.replace(each, metadata=metadata))
        world.stores.slices.put(slice_of(each.metadata.name, [A]))
    world.speaker.review_all()
    await world.rest()
    mine = [
        each for each in services if elect((A, B, C), Address.parse(each.status.load_balancer.ingress[0].ip), {}) == B
    ]
    assert len(world.announcer.announced) == len(mine) + 1
    before = world.announcer.changes
    world.speaker.review_all()
    await world.rest()
    assert world.announcer.changes == before


async def test_a_service_that_is_announced_without_being_in_the_cache_is_withdrawn_at_the_next_look(
    world: World,
) -> None:
    """Its deletion was missed: level, not edge."""
    world.stores.services.remove(Key(*WEB))
    world.speaker.review_all()
    await world.rest()
    assert world.announced == []


async def test_an_outage_of_the_api_changes_nothing(world: World) -> None:
    """Caches keep what they have: nothing is put in line, and a look at everything ends as before."""
    before = dict(world.announcer.announced)
    world.speaker.review_all()
    world.speaker.reload()
    await world.rest()
    assert world.announcer.announced == before
    assert world.said == []

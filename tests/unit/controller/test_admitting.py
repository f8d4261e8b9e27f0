"""Reviews become decisions: on the cache, confirmed by lists before a refusal, and what was admitted is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from metallb.api import v1beta1, v1beta2
from metallb.api.core import ObjectMeta
from metallb.config.build import Snapshot
from metallb.config.change import FIELDS
from metallb.config.errors import ObjectName
from metallb.config.index import Index
from metallb.config.surroundings import Surroundings
from metallb.config.together import Resource
from metallb.controller.admitting import CONFIRM_S, NAMED, REVIEWED, Admission, Sources
from metallb.controller.assumed import ASSUME_S, Assumed
from metallb.kube.errors import UnavailableError

NAMESPACE = "metallb-system"
PATHS = {each.kind: each.path for each in REVIEWED}


def pool(name: str, *addresses: str, **metadata: Any) -> v1beta1.IPAddressPool:
    return v1beta1.IPAddressPool(
        metadata=ObjectMeta(name=name, namespace=NAMESPACE, **metadata),
        spec=v1beta1.IPAddressPoolSpec(addresses=addresses),
    )


def peer(**spec: Any) -> dict[str, Any]:
    body = {"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1"} | spec
    return {"kind": "BGPPeer", "metadata": {"name": "r", "namespace": NAMESPACE}, "spec": body}


@dataclass
class World:
    """What the API server has, what the cache shows of it, and an admission on top."""

    cache: dict[ObjectName, Resource] = field(default_factory=dict)
    server: dict[ObjectName, Resource] = field(default_factory=dict)
    waiting: str = ""
    broken: bool = False
    now: float = 0.0
    lists: int = 0
    gets: list[ObjectName] = field(default_factory=list)
    on_list: Callable[[], None] = lambda: None
    observed: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        index = Index("native", NAMESPACE)
        sources = Sources(
            index,
            self.cache.get,
            lambda: self.waiting,
            self._live,
            self._named,
            lambda kind, outcome: self.observed.append((kind, outcome)),
        )
        self.admission = Admission(sources, NAMESPACE, clock=lambda: self.now)

    async def _live(self) -> tuple[Snapshot, Surroundings]:
        if self.broken:
            raise UnavailableError("GET /x", "no answer")
        self.lists += 1
        self.on_list()
        pools: list[Any] = list(self.server.values())
        return Snapshot(pools=pools), Surroundings()

    async def _named(self, _kind: str, names: AbstractSet[ObjectName]) -> Snapshot:
        if self.broken:
            raise UnavailableError("GET /x", "no answer")
        self.gets += sorted(names)
        found: list[Any] = [self.server[name] for name in names if name in self.server]
        fields: dict[str, Any] = {
            of: [each for each in found if type(each).__name__ == kind] for kind, of in FIELDS.items()
        }
        return Snapshot(**fields)

    def store(self, *resources: Resource) -> None:
        """They are in the API."""
        for each in resources:
            self.server[ObjectName(type(each).__name__, NAMESPACE, each.metadata.name)] = each

    def drop(self, name: str) -> None:
        del self.server[ObjectName("IPAddressPool", NAMESPACE, name)]

    def show(self) -> None:
        """The cache catches up."""
        for name in {*self.cache, *self.server}:
            if name in self.server:
                self.cache[name] = self.server[name]
            else:
                del self.cache[name]
            self.admission.changed(name)

    async def ask(
        self, after: Any, operation: str = "CREATE", *, before: Any = None, kind: str = "IPAddressPool", **more: Any
    ) -> dict[str, Any]:
        """The response to a review."""
        shown = json.loads(msgspec.json.encode(after if after is not None else before))
        metadata = shown.get("metadata", {})
        request = {
            "uid": "1",
            "operation": operation,
            "kind": {"group": "metallb.io", "version": "v1beta1", "kind": kind},
            "name": metadata.get("name", ""),
            "namespace": metadata.get("namespace", ""),
            "userInfo": {"username": "admin"},
            "object": after,
            "oldObject": before,
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | more}
        answer = await self.admission.answers()[PATHS[kind]](msgspec.json.encode(review))
        response: dict[str, Any] = json.loads(answer)["response"]
        return response


@pytest.fixture
def world() -> World:
    return World()


async def test_a_rule_that_is_broken_refuses_with_all_it_has_to_say(world: World) -> None:
    response = await world.ask(pool("a", "10.0.0.9-10.0.0.1", "x"))
    assert not response["allowed"]
    assert response["status"]["code"] == 403
    lines = response["status"]["message"].split("\n")
    assert [line.partition("'")[0] for line in lines] == [
        f"IPAddressPool {NAMESPACE}/a: spec.addresses[0]: ",
        f"IPAddressPool {NAMESPACE}/a: spec.addresses[1]: ",
    ]
    assert world.observed == [("IPAddressPool", "refused")]


async def test_what_is_right_is_allowed_and_may_warn(world: World) -> None:
    response = await world.ask(pool("a", "10.0.0.0/24"))
    assert response["allowed"]
    assert "no advertisement announces this pool" in response["warnings"][0]
    assert world.lists == 0, "no list for what the cache allows"
    assert world.observed == [("IPAddressPool", "allowed")]


async def test_an_object_that_can_t_be_read_is_a_bad_request(world: World) -> None:
    bad = {"metadata": {"name": "a", "namespace": NAMESPACE}, "spec": {"addresses": "x"}}
    for after in (bad, None):
        response = await world.ask(after, before=bad)
        assert (response["allowed"], response["status"]["code"]) == (False, 400)
    assert f"IPAddressPool {NAMESPACE}/a: can't be read" in response["status"]["message"]


async def test_an_old_object_that_can_t_be_read_can_be_replaced(world: World) -> None:
    bad = {"metadata": {"name": "a", "namespace": NAMESPACE}, "spec": {"addresses": "x"}}
    assert (await world.ask(pool("a", "10.0.0.0/24"), "UPDATE", before=bad))["allowed"]


async def test_of_two_in_conflict_the_later_is_refused_and_names_the_earlier(world: World) -> None:
    world.store(pool("a", "10.0.0.0/24"))
    world.show()
    world.store(pool("c", "10.1.0.0/24"))
    world.show()
    response = await world.ask(pool("b", "10.0.0.128/25"))
    assert "of IPAddressPool metallb-system/a" in response["status"]["message"]
    assert world.gets == [ObjectName("IPAddressPool", NAMESPACE, "a")]
    assert world.lists == 0, "the other one confirms it: thousands need not be read for that"


async def test_a_cache_that_is_late_refuses_nothing_falsely(world: World) -> None:
    world.store(pool("a", "10.0.0.0/24"))
    world.show()
    world.drop("a")
    assert (await world.ask(pool("b", "10.0.0.128/25")))["allowed"]
    assert world.lists == 1


async def test_what_is_wrong_by_itself_is_refused_without_a_look_at_others(world: World) -> None:
    assert not (await world.ask(pool("a", "10.0.0.9-10.0.0.1")))["allowed"]
    assert (world.gets, world.lists) == ([], 0)


async def test_a_conflict_with_very_many_is_confirmed_by_lists(world: World) -> None:
    world.store(*(pool(f"p{n}", f"10.0.{n}.0/24") for n in range(NAMED + 1)))
    world.show()
    response = await world.ask(pool("all", *(f"10.0.{n}.0/24" for n in range(NAMED + 1))))
    assert response["status"]["message"].count("overlaps") == NAMED + 1
    assert (world.gets, world.lists) == ([], 1)


async def test_a_profile_that_is_used_stays_also_when_all_are_deleted_at_once(world: World) -> None:
    """The API server may leave the name out for each of a collection."""
    user = msgspec.convert(peer(bfdProfile="fast"), v1beta2.BGPPeer)
    world.store(user)
    world.show()
    profile = {"metadata": {"name": "fast", "namespace": NAMESPACE}, "spec": {}}
    response = await world.ask(None, "DELETE", before=profile, kind="BFDProfile", name="")
    assert "is the profile of BGPPeer r" in response["status"]["message"]


async def test_two_requests_at_once_do_not_both_get_in(world: World) -> None:
    """The first is admitted, and written right after: the lists show it before they show the cache."""
    first, second = pool("a", "10.0.0.0/24"), pool("b", "10.0.0.128/25")
    assert (await world.ask(first))["allowed"]
    world.on_list = lambda: world.store(first) if world.lists > 1 else None
    response = await world.ask(second)
    assert not response["allowed"]
    assert world.lists == 2


async def test_an_object_that_others_refused_stands_in_the_way_for_a_moment_only(world: World) -> None:
    assert (await world.ask(pool("a", "10.0.0.0/24")))["allowed"]

    def pass_time() -> None:
        world.now += CONFIRM_S

    world.on_list = pass_time
    assert (await world.ask(pool("b", "10.0.0.128/25")))["allowed"]


async def test_after_a_while_nothing_is_assumed(world: World) -> None:
    assert (await world.ask(pool("a", "10.0.0.0/24")))["allowed"]
    world.now += ASSUME_S
    assert (await world.ask(pool("b", "10.0.0.128/25")))["allowed"]
    assert world.lists == 0


async def test_a_dry_run_leaves_no_trace(world: World) -> None:
    assert (await world.ask(pool("a", "10.0.0.0/24"), dryRun=True))["allowed"]
    assert (await world.ask(pool("b", "10.0.0.128/25")))["allowed"]
    assert world.lists == 0


async def test_without_complete_caches_the_answer_is_to_try_again(world: World) -> None:
    world.waiting = "bgppeers.metallb.io are not read yet"
    for after, operation in ((pool("a", "10.0.0.0/24"), "CREATE"), (pool("a", "10.0.0.0/24"), "UPDATE")):
        response = await world.ask(after, operation, before=None if operation == "CREATE" else after)
        assert (response["allowed"], response["status"]["code"]) == (False, 503)
        assert response["status"]["message"].endswith("retry in a moment: bgppeers.metallb.io are not read yet")
    assert (await world.ask(None, "DELETE", before=pool("a", "10.0.0.0/24")))["allowed"], "nothing can be wrong with it"
    profile = {"metadata": {"name": "p", "namespace": NAMESPACE}, "spec": {}}
    assert not (await world.ask(None, "DELETE", before=profile, kind="BFDProfile"))["allowed"]
    assert {outcome for _, outcome in world.observed} == {"not_ready"}


async def test_a_refusal_that_can_t_be_confirmed_is_none(world: World) -> None:
    world.broken = True
    response = await world.ask(pool("a", "nonsense"))
    assert (response["allowed"], response["status"]["code"]) == (False, 503)


async def test_another_namespace_is_refused(world: World) -> None:
    elsewhere = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"addresses": ["10.0.0.0/24"]}}
    response = await world.ask(elsewhere)
    assert "is not the namespace of MetalLB" in response["status"]["message"]


async def test_an_object_on_its_way_out_is_allowed_whatever_it_looks_like(world: World) -> None:
    going = pool("a", "nonsense", deletion_timestamp="2026-11-25T00:00:00Z")
    assert (await world.ask(going, "UPDATE", before=going))["allowed"]


async def test_what_the_backend_can_t_do_is_refused(world: World) -> None:
    response = await world.ask(peer(vrf="red"), kind="BGPPeer")
    assert "backend native" in response["status"]["message"]


class TestAssumed:
    NAME = ObjectName("IPAddressPool", NAMESPACE, "a")

    def test_counts_until_the_cache_shows_it(self) -> None:
        assumed, admitted = Assumed(), pool("a", "10.0.0.0/24")
        assumed.put(self.NAME, admitted, 0)
        assert assumed.effective(self.NAME, None) is admitted
        assert assumed.effective(self.NAME, pool("a", "10.9.0.0/24")) is admitted, "an older state"
        shown = pool("a", "10.0.0.0/24", resource_version="7")
        assert assumed.effective(self.NAME, shown) is shown
        assert assumed.pending() == {}

    def test_ends_with_an_object_that_is_deleted(self) -> None:
        assumed = Assumed()
        assumed.put(self.NAME, pool("a", "10.0.0.0/24"), 0)
        going = pool("a", "10.9.0.0/24", deletion_timestamp="2026-11-25T00:00:00Z")
        assert assumed.effective(self.NAME, going) is going

    def test_is_over_in_time(self) -> None:
        assumed = Assumed()
        assumed.put(self.NAME, pool("a", "10.0.0.0/24"), 0)
        assert assumed.expired(ASSUME_S - 0.1) == []
        assert assumed.expired(ASSUME_S) == [self.NAME]
        assert assumed.effective(self.NAME, None) is None

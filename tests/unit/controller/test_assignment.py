"""The controller's memory: restarts, freed addresses, claims, classes, bad configurations; examples and properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metallb.allocator import reasons
from metallb.allocator.converge import Keep, Pending
from metallb.api import v1beta1
from metallb.api.core import LabelSelector, ObjectMeta, Service
from metallb.api.net import Address, ServiceKey
from metallb.config.model import Config
from metallb.controller.assignment import Assignment

V4, V6 = "198.18.128.5", "2001:db8:300::5"
ADDRESSES = "metallb.io/loadBalancerIPs"
FIRST, SECOND, THIRD = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))


@pytest.fixture
def running(life: Any, make_pool: Callable[..., Any]) -> Any:
    """One pool of two addresses."""
    life.pools["first"] = make_pool("first", "10.0.0.0/31")
    life.reload()
    return life


class TestConfiguration:
    def test_nothing_is_decided_before_the_first_one(self, make_service: Callable[..., Service]) -> None:
        assignment = Assignment()
        service = make_service(ips=("10.0.0.0",))
        assert assignment.decide(service.key, service).decision is None
        assert assignment.pools == ()

    def test_a_bad_one_leaves_the_last_one_in_force(
        self, running: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        running.put(make_service("held"))
        running.pools["second"] = make_pool("second", "10.0.0.1/32")
        assert not running.reload()
        assert [str(error.object) for error in running.errors] == ["IPAddressPool metallb-system/second"]
        running.put(make_service("next"))
        assert (running.of("held"), running.of("next")) == (("10.0.0.0",), ("10.0.0.1",))

    def test_the_same_again_is_no_change(self, running: Any) -> None:
        assert not running.reload()
        running.namespaces["another"] = {"a": "b"}
        assert not running.reload(), "no pool looks at namespaces"

    def test_a_namespaces_label_opens_a_pool(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        life.pools["p"] = make_pool("p", "10.0.0.0/32", namespace_selectors=({"tenant": "a"},))
        life.reload()
        life.put(make_service())
        assert life.of("web") == ()
        life.namespaces["default"] = {"tenant": "a"}
        assert life.reload()
        assert life.of("web") == ("10.0.0.0",)
        life.namespaces["default"] = {}
        life.reload()
        assert life.of("web") == ()

    def test_no_pools_at_all_is_a_configuration_and_takes_everything(
        self, running: Any, make_service: Callable[..., Service]
    ) -> None:
        running.put(make_service())
        running.pools.clear()
        assert running.reload()
        assert running.holds() == {"default/web": ((), "")}
        assert running.decisions[ServiceKey("default", "web")].reason == reasons.NoPools()

    def test_a_pool_that_comes_back_finds_its_services(
        self,
        running: Any,
        make_pool: Callable[..., Any],
        make_service: Callable[..., Service],
        config_of: Callable[..., Config],
    ) -> None:
        """Removed and made again before any Service was looked at: the cache still shows who had what."""
        running.put(make_service("b", created=SECOND), make_service("c", created=THIRD))
        before = running.holds()
        pools, running.pools = running.pools, {"other": make_pool("other", "10.9.0.0/32")}
        assert running.assignment.load(config_of(*running.pools.values()))
        running.pools = pools
        running.services[ServiceKey("default", "a")] = make_service("a", created=FIRST)
        assert running.reload()
        assert {key: value for key, value in running.holds().items() if key != "default/a"} == before
        assert running.of("a") == ()


class TestFreedAddresses:
    def test_go_to_the_oldest_who_waits(self, running: Any, make_service: Callable[..., Service]) -> None:
        running.put(make_service("a"), make_service("b"))
        running.put(
            make_service("y", created=SECOND), make_service("x", created=THIRD), make_service("z", created=FIRST)
        )
        running.delete(ServiceKey("default", "a"))
        assert (running.of("z"), running.of("y"), running.of("x")) == (("10.0.0.0",), (), ())
        running.delete(ServiceKey("default", "b"))
        assert running.of("y") == ("10.0.0.1",)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"kind": "ClusterIP"}, id="another type"),
            pytest.param({"annotations": {"metallb.io/address-pool": "second"}}, id="another pool"),
            pytest.param({"requested": "10.1.0.0"}, id="another address"),
            pytest.param({"cluster_ips": (V6,)}, id="another family"),
        ],
    )
    def test_are_noticed_however_they_are_given_up(
        self,
        life: Any,
        make_pool: Callable[..., Any],
        make_service: Callable[..., Service],
        change: dict[str, Any],
    ) -> None:
        life.pools["first"] = make_pool("first", "10.0.0.0/32")
        life.pools["second"] = make_pool("second", "10.1.0.0/32", auto_assign=False)
        life.reload()
        life.put(make_service("holder"))
        life.put(make_service("waiting"))
        assert life.of("waiting") == ()
        life.put(make_service("holder", **change))
        assert life.of("waiting") == ("10.0.0.0",)

    def test_extend_a_service_that_prefers_two_families(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        life.pools["dual"] = make_pool("dual", "10.0.0.0/32", "2001:db8::/127")
        life.reload()
        life.put(make_service("four"))
        life.put(make_service("both", cluster_ips=(V4, V6), policy="PreferDualStack"))
        assert life.of("both") == ("2001:db8::",)
        life.delete(ServiceKey("default", "four"))
        assert life.of("both") == ("2001:db8::", "10.0.0.0")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param({}, {"annotations": {"metallb.io/allow-shared-ip": "k"}}, id="gains the key"),
            pytest.param(
                {"annotations": {"metallb.io/allow-shared-ip": "k"}, "ports": (("TCP", 443),)},
                {"annotations": {"metallb.io/allow-shared-ip": "k"}, "ports": (("TCP", 80),)},
                id="leaves the port",
            ),
        ],
    )
    def test_a_holder_that_makes_room_is_joined(
        self,
        life: Any,
        make_pool: Callable[..., Any],
        make_service: Callable[..., Service],
        before: dict[str, Any],
        after: dict[str, Any],
    ) -> None:
        life.pools["first"] = make_pool("first", "10.0.0.0/32")
        life.reload()
        life.put(make_service("holder", **before))
        life.put(make_service("waiting", annotations={"metallb.io/allow-shared-ip": "k"}, ports=(("TCP", 443),)))
        assert life.of("waiting") == ()
        life.put(make_service("holder", **after))
        assert life.of("waiting") == life.of("holder") == ("10.0.0.0",)

    def test_wake_only_those_whom_they_can_help(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        life.pools["first"] = make_pool("first", "10.0.0.0/32", "2001:db8::/128")
        life.pools["second"] = make_pool("second", "10.1.0.0/32", auto_assign=False)
        life.reload()
        asks_second = {"annotations": {"metallb.io/address-pool": "second"}}
        life.put(make_service("one"), make_service("two", **asks_second), make_service("six", cluster_ips=(V6,)))
        life.put(
            make_service("any"),
            make_service("from-second", **asks_second),
            make_service("wants-six", cluster_ips=(V6,)),
            make_service("wants-that", requested="10.0.0.0"),
            make_service("malformed", requested="x"),
            make_service("unknown", annotations={"metallb.io/address-pool": "nosuch"}),
        )
        life.order.clear()
        life.delete(ServiceKey("default", "one"))
        assert [key.name for key in life.order] == ["one", "any", "any"], "decided, and seen again as written"
        life.order.clear()
        life.delete(ServiceKey("default", "any"))
        assert {key.name for key in life.order} == {"any", "wants-that"}
        assert life.of("wants-that") == ("10.0.0.0",)

    def test_go_down_the_line_until_somebody_can_use_them(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        life.pools["dual"] = make_pool("dual", "10.0.0.0/32", "2001:db8::/128")
        life.reload()
        both = {"cluster_ips": (V4, V6), "policy": "RequireDualStack"}
        life.put(make_service("four"), make_service("six", cluster_ips=(V6,)))
        life.put(
            *(make_service(f"d{n}", created=FIRST, **both) for n in range(5)), make_service("last", created=SECOND)
        )
        life.delete(ServiceKey("default", "four"))
        assert life.of("last") == ("10.0.0.0",)
        assert len(life.order) < 30

    def test_of_somebody_who_shares_are_joined_by_all_who_may(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        life.pools["first"] = make_pool("first", "10.0.0.0/32")
        life.reload()
        life.put(make_service("alone"))
        shared = {"metallb.io/allow-shared-ip": "k"}
        life.put(*(make_service(f"s{n}", annotations=shared, ports=(("TCP", n),)) for n in range(1, 6)))
        life.delete(ServiceKey("default", "alone"))
        assert {life.of(f"s{n}") for n in range(1, 6)} == {("10.0.0.0",)}


class TestShownAddresses:
    """An address that a status shows is nobody else's, whatever was decided."""

    def test_are_kept_from_others_until_the_status_is_written(
        self, running: Any, make_service: Callable[..., Service], make_pool: Callable[..., Any]
    ) -> None:
        running.pools["second"] = make_pool("second", "10.1.0.0/32", auto_assign=False)
        running.reload()
        running.put(make_service("a"), make_service("b"))
        moved = msgspec.structs.replace(
            running.services[ServiceKey("default", "a")], spec=make_service("a", requested="10.1.0.0").spec
        )
        decided = running.assignment.decide(moved.key, moved).decision
        assert decided.allocation.addresses == (Address.parse("10.1.0.0"),)
        newcomer = make_service("c", created=FIRST)
        assert isinstance(running.assignment.decide(newcomer.key, newcomer).decision, Pending)
        written = make_service("a", requested="10.1.0.0", ips=("10.1.0.0",))
        assert running.assignment.decide(written.key, written).woken == (newcomer.key,)
        given = running.assignment.decide(newcomer.key, newcomer).decision
        assert given.allocation.addresses == (Address.parse("10.0.0.0"),)

    def test_are_given_back_when_the_service_goes(self, running: Any, make_service: Callable[..., Service]) -> None:
        shows_two = make_service("a", ips=("10.0.0.0", "10.0.0.1"))
        running.assignment.decide(shows_two.key, shows_two)
        assert running.assignment.allocator.usage("first")[4].in_use == 2
        running.assignment.decide(shows_two.key, None)
        assert running.assignment.allocator.usage("first")[4].in_use == 0

    def test_of_a_service_that_may_not_have_them_are_kept_at_a_restart_until_it_is_told(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        life.pools["p"] = make_pool("p", "10.0.0.0/31", service_selectors=({"tier": "a"},))
        stranger = make_service("stranger", ips=("10.0.0.0",), created=SECOND)
        newcomer = make_service("newcomer", labels={"tier": "a"}, created=FIRST)
        life.services = {each.key: each for each in (stranger, newcomer)}
        life.reload()
        assert (life.of("newcomer"), life.of("stranger")) == (("10.0.0.1",), ())


class TestClaims:
    @pytest.mark.parametrize(("older", "younger"), [("a", "b"), ("b", "a")])
    def test_of_two_who_show_one_address_the_older_keeps_it(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service], older: str, younger: str
    ) -> None:
        life.pools["first"] = make_pool("first", "10.0.0.0/31")
        claims = (
            make_service(younger, ips=("10.0.0.0",), created=SECOND),
            make_service(older, ips=("10.0.0.0",), created=FIRST),
        )
        life.services = {each.key: each for each in claims}
        life.restart()
        assert (life.of(older), life.of(younger)) == (("10.0.0.0",), ("10.0.0.1",))

    def test_of_two_who_may_share_both_keep_it(
        self, life: Any, make_pool: Callable[..., Any], make_service: Callable[..., Service]
    ) -> None:
        life.pools["first"] = make_pool("first", "10.0.0.0/31")
        shared = {"ips": ("10.0.0.1",), "annotations": {"metallb.io/allow-shared-ip": "k"}}
        both = (make_service("a", **shared), make_service("b", ports=(("TCP", 443),), **shared))
        life.services = {each.key: each for each in both}
        life.restart()
        assert life.of("a") == life.of("b") == ("10.0.0.1",)


class TestClasses:
    @pytest.mark.parametrize(
        ("ours", "theirs", "served"),
        [("", None, True), ("", "x", False), ("x", "x", True), ("x", None, False), ("", "", True)],
    )
    def test_only_services_of_the_class_are_served(
        self,
        life: Any,
        make_pool: Callable[..., Any],
        make_service: Callable[..., Service],
        ours: str,
        theirs: str | None,
        served: bool,  # noqa: FBT001  # a column
    ) -> None:
        life.pools["first"] = make_pool("first", "10.0.0.0/31")
        foreign = make_service(lb_class=theirs, ips=("192.0.2.1",))
        life.services = {foreign.key: foreign}
        life.restart(ours)
        assert life.of("web") == (("10.0.0.0",) if served else ("192.0.2.1",))
        assert (life.writes == 1) is served

    def test_what_a_service_of_another_class_shows_is_nobody_elses(
        self, running: Any, make_service: Callable[..., Service]
    ) -> None:
        """The class that we serve was another one before: its Services keep what they show, and we give it to none."""
        running.put(make_service("old", lb_class="x", ips=("10.0.0.0",)))
        running.put(make_service("new"))
        assert running.of("old") == ("10.0.0.0",)
        assert running.of("new") == ("10.0.0.1",)
        running.restart()
        assert running.of("new") == ("10.0.0.1",)

    def test_an_address_goes_free_when_a_service_leaves_the_class(
        self, running: Any, make_service: Callable[..., Service]
    ) -> None:
        running.put(make_service("a"), make_service("b"), make_service("c"))
        running.put(make_service("a", kind="ClusterIP", lb_class="x"))
        assert running.of("c") == ("10.0.0.0",)


# Random clusters

annotations = st.fixed_dictionaries(
    {},
    optional={
        "metallb.io/address-pool": st.sampled_from(["p0", "p1", "p2", "nosuch"]),
        "metallb.io/allow-shared-ip": st.sampled_from(["k", "l"]),
        "metallb.io/loadBalancerIPs": st.sampled_from(["10.0.0.1", "2001:db8::1", "10.1.0.2,2001:db8:1::2", "x"]),
    },
)
families = st.sampled_from([(V4,), (V6,), (V4, V6), (V6, V4)])


@st.composite
def services(draw: st.DrawFn, number: int) -> Service:
    cluster_ips = draw(families)
    policy = draw(st.sampled_from(["PreferDualStack", "RequireDualStack"])) if len(cluster_ips) == 2 else "SingleStack"
    namespace = draw(st.sampled_from(["default", "team-a"]))
    written: dict[str, Any] = {
        "metadata": {
            "name": f"s{number}",
            "namespace": namespace,
            "labels": draw(st.sampled_from([{}, {"tier": "a"}])),
            "annotations": draw(annotations),
            "creationTimestamp": f"2026-01-0{draw(st.integers(1, 3))}T00:00:00Z",
            "resourceVersion": "1",
        },
        "spec": {
            "type": draw(st.sampled_from(["LoadBalancer"] * 5 + ["ClusterIP"])),
            "clusterIPs": cluster_ips,
            "clusterIP": cluster_ips[0],
            "ipFamilyPolicy": policy,
            "externalTrafficPolicy": draw(st.sampled_from(["Cluster", "Local"])),
            "selector": {"app": draw(st.sampled_from("ab"))},
            "ports": [{"port": port} for port in draw(st.sets(st.sampled_from([80, 443]), min_size=1))],
        },
    }
    return msgspec.convert(written, Service)


service_lists = st.integers(1, 8).flatmap(lambda count: st.tuples(*(services(number) for number in range(count))))


@st.composite
def pool_sets(draw: st.DrawFn) -> dict[str, v1beta1.IPAddressPool]:
    found = {}
    for number in range(draw(st.integers(1, 3))):
        parts = draw(
            st.sets(
                st.sampled_from([f"10.{number}.0.0/31", f"10.{number}.0.2/31", f"2001:db8:{number}::/127"]), min_size=1
            )
        )
        allocation = draw(
            st.none()
            | st.builds(
                v1beta1.ServiceAllocation,
                priority=st.integers(0, 2),
                namespaces=st.sampled_from([(), ("default",), ("team-a",)]),
                service_selectors=st.sampled_from([(), (LabelSelector(match_labels={"tier": "a"}),)]),
            )
        )
        spec = v1beta1.IPAddressPoolSpec(
            addresses=tuple(sorted(parts)),
            auto_assign=draw(st.booleans()),
            avoid_buggy_ips=draw(st.booleans()),
            service_allocation=allocation,
        )
        metadata = ObjectMeta(name=f"p{number}", namespace="metallb-system")
        found[f"p{number}"] = v1beta1.IPAddressPool(metadata=metadata, spec=spec)
    return found


def check(life: Any) -> None:
    """No two Services show one address unless they share it; every address is in the pool that is named."""
    users: dict[str, list[Service]] = {}
    for service in life.services.values():
        for entry in service.status.load_balancer.ingress:
            users.setdefault(entry.ip, []).append(service)
    for address, both in users.items():
        keys = {each.metadata.annotations.get("metallb.io/allow-shared-ip") for each in both}
        assert len(both) == 1 or (len(keys) == 1 and None not in keys), address
        ports = [(port.protocol, port.port) for each in both for port in each.spec.ports]
        assert len(ports) == len(set(ports)), address
    for ips, pool in life.holds().values():
        assert bool(ips) is bool(pool)
        assert all(Address.parse(ip) in life.assignment.allocator.pools[pool].pool for ip in ips)


@settings(max_examples=60)
@given(service_lists, pool_sets(), st.data())
def test_a_restart_keeps_everything(
    new_life: Callable[[], Any],
    drawn: tuple[Service, ...],
    pools: dict[str, v1beta1.IPAddressPool],
    data: st.DataObject,
) -> None:
    from_life = new_life()
    from_life.pools = pools
    from_life.reload()
    for service in drawn:
        from_life.put(service)
        check(from_life)
    before, writes = dict(from_life.services), from_life.writes
    order = data.draw(st.permutations(sorted(before)))
    from_life.services = {key: before[key] for key in order}
    from_life.restart()
    assert from_life.services == before
    assert from_life.writes == writes
    assert {key: d for key, d in from_life.decisions.items() if isinstance(d, Keep)}.keys() == {
        key for key, service in before.items() if service.status.load_balancer.ingress
    }


@settings(max_examples=60)
@given(service_lists, st.lists(pool_sets(), min_size=2, max_size=3), service_lists)
def test_nobody_loses_an_address_without_a_reason(
    new_life: Callable[[], Any],
    drawn: tuple[Service, ...],
    pools: list[dict[str, v1beta1.IPAddressPool]],
    changed: tuple[Service, ...],
) -> None:
    """A Service that did not change, under pools that did not change, keeps what it has or gets what it asks for."""
    life = new_life()
    for each in pools:
        life.pools = each
        life.reload()
        check(life)
        life.put(*drawn)
        for service in changed:
            before = life.holds()
            life.put(service)
            check(life)
            for key, (ips, pool) in before.items():
                if key != str(service.key):
                    now_ips, now_pool = life.holds()[key]
                    asked = life.services[ServiceKey(*key.split("/"))].metadata.annotations.get(ADDRESSES, "")
                    moved_where_it_asked = set(now_ips) == set(asked.split(","))
                    assert set(ips) <= set(now_ips) or moved_where_it_asked, key
                    assert not pool or pool == now_pool or moved_where_it_asked

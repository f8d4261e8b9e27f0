"""Whether this node announces a Service, and if not, why not: one row a rule (spec/speaker.md 2.5, 2.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from metallb.advertisement import reasons
from metallb.advertisement.interfaces import Exclusion, Interface
from metallb.advertisement.layer2 import EXCLUDE_LABEL, Announce, Cluster, Decision, Standing, Withhold, judge, stand
from metallb.api.core import (
    Condition,
    Endpoint,
    EndpointConditions,
    LabelSelector,
    Node,
    NodeStatus,
    ObjectMeta,
    Service,
)
from metallb.api.net import Address, InterfaceName, NodeName, Range
from metallb.config.model import Config, L2Advertisement, NodePreference, Pool
from metallb.config.selectors import parse
from metallb.protocols.ethernet import Mac

A, B, C = map(NodeName, ("node-a", "node-b", "node-c"))
ADDRESS = "10.0.0.1"  # node-b wins it, then node-a, then node-c
NONE = frozenset[InterfaceName]()


def ready(node: NodeName | None = A, **conditions: bool) -> Endpoint:
    return Endpoint(conditions=EndpointConditions(**{"ready": True, **conditions}), node_name=node)


def node(name: NodeName, *, unavailable: bool = False, **labels: str) -> Node:
    conditions = (Condition(type="NetworkUnavailable", status="True"),) if unavailable else ()
    return Node(metadata=ObjectMeta(name=name, labels=labels), status=NodeStatus(conditions=conditions))


def selector(**labels: str) -> Any:
    return parse(LabelSelector(match_labels=labels))


def config(*advertisements: L2Advertisement) -> Config:
    return Config((Pool("first", (Range.parse("10.0.0.0/24"), Range.parse("2001:db8::/64")), l2=advertisements),))


EVERYWHERE = L2Advertisement("all")
CLUSTER = Cluster(me=B, live=frozenset({A, B, C}))


def decide(service: Service | None, endpoints: list[Endpoint], config: Config, cluster: Cluster) -> Decision:
    """The whole decision by election, as the speaker comes to it."""
    standing = stand(service, endpoints, config)
    return judge(standing, cluster) if isinstance(standing, Standing) else Withhold(standing)


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service(ips=(ADDRESS,))


def test_the_elected_node_announces_all_addresses_on_all_interfaces(make_service: Callable[..., Service]) -> None:
    dual = make_service(ips=(ADDRESS, "2001:db8::1"))
    decision = decide(dual, [ready()], config(EVERYWHERE), CLUSTER)
    assert decision == Announce((Address.parse(ADDRESS), Address.parse("2001:db8::1")), NONE)


def test_every_node_comes_to_the_same_winner(service: Service) -> None:
    decisions = {me: decide(service, [ready()], config(EVERYWHERE), replace(CLUSTER, me=me)) for me in (A, B, C)}
    assert isinstance(decisions[B], Announce)
    assert decisions[A] == decisions[C] == Withhold(reasons.OtherNode(B))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"kind": "ClusterIP"}, reasons.NotLoadBalancer(), id="another type"),
        pytest.param({"lb_class": "other"}, reasons.NotLoadBalancer(), id="another class"),
        pytest.param({"ips": ()}, reasons.NoAddress(), id="no address"),
        pytest.param({"ips": ("192.0.2.1",)}, reasons.AddressForeign(("192.0.2.1",)), id="foreign address"),
        pytest.param(
            {"ips": (ADDRESS, "192.0.2.1")}, reasons.AddressForeign((ADDRESS, "192.0.2.1")), id="one foreign of two"
        ),
        pytest.param({"hostname": "a.example"}, reasons.AddressForeign(("", ADDRESS)), id="an entry without IP"),
    ],
)
def test_services_that_nobody_announces(
    make_service: Callable[..., Service], changes: dict[str, Any], reason: reasons.Reason
) -> None:
    service = make_service(**{"ips": (ADDRESS,), **changes})
    assert decide(service, [ready()], config(EVERYWHERE), CLUSTER) == Withhold(reason)


def test_a_service_that_is_gone_is_withheld() -> None:
    assert decide(None, [], config(EVERYWHERE), CLUSTER) == Withhold(reasons.NotLoadBalancer())


@pytest.mark.parametrize(
    ("endpoints", "announced"),
    [
        pytest.param([], False, id="none"),
        pytest.param([ready(ready=False)], False, id="not ready"),
        pytest.param([ready(ready=False, serving=True, terminating=True)], True, id="terminating but serving"),
        pytest.param([Endpoint()], True, id="nothing said means ready"),
        pytest.param([ready(ready=False), ready(C)], True, id="one of two"),
    ],
)
def test_something_has_to_serve(service: Service, endpoints: list[Endpoint], announced: bool) -> None:  # noqa: FBT001  # a column
    decision = decide(service, endpoints, config(EVERYWHERE), CLUSTER)
    assert isinstance(decision, Announce) is announced


@pytest.mark.parametrize(
    ("serving", "winner"),
    [
        pytest.param([A, C], A, id="the elected node has no endpoint"),
        pytest.param([B, C], B, id="the elected node has one"),
        pytest.param([NodeName("gone")], None, id="no speaker where the endpoint is"),
        pytest.param([None], None, id="an endpoint of no node"),
    ],
)
def test_local_traffic_stays_where_endpoints_are(
    make_service: Callable[..., Service], serving: list[NodeName | None], winner: NodeName | None
) -> None:
    service = make_service(ips=(ADDRESS,), traffic="Local")
    endpoints = [ready(each) for each in serving]
    decision = decide(service, endpoints, config(EVERYWHERE), replace(CLUSTER, me=winner or B))
    if winner is None:
        assert decision == Withhold(reasons.NoCandidate(local=True, witness=B))
    else:
        assert isinstance(decision, Announce)


@pytest.mark.parametrize(
    ("nodes", "changes", "winner"),
    [
        pytest.param([], {"live": frozenset({A, C})}, A, id="no living speaker on the first"),
        pytest.param([node(B, unavailable=True)], {}, A, id="its network is unavailable"),
        pytest.param([node(B, **{EXCLUDE_LABEL: ""})], {}, A, id="excluded from load balancing"),
        pytest.param([node(B, **{EXCLUDE_LABEL: ""})], {"ignore_exclude": True}, B, id="exclusion ignored"),
        pytest.param([node(A), node(C)], {}, B, id="an unknown node counts as available"),
    ],
)
def test_candidates(service: Service, nodes: list[Node], changes: dict[str, Any], winner: NodeName) -> None:
    cluster = replace(CLUSTER, nodes={each.name: each for each in nodes}, **changes)
    for me in (A, B, C):
        decision = decide(service, [ready()], config(EVERYWHERE), replace(cluster, me=me))
        assert isinstance(decision, Announce) is (me == winner)


def test_where_every_node_is_excluded_one_of_them_says_so(service: Service) -> None:
    nodes = {each: node(each, **{EXCLUDE_LABEL: ""}) for each in (A, B, C)}
    for me in (A, B, C):
        decision = decide(service, [ready()], config(EVERYWHERE), replace(CLUSTER, me=me, nodes=nodes))
        assert decision == Withhold(reasons.NoCandidate(local=False, witness=B))


class TestAdvertisements:
    nodes = {each.name: each for each in (node(A, zone="a"), node(B, zone="b"), node(C, zone="a"))}
    cluster = replace(CLUSTER, nodes=nodes)

    def test_none_means_not_announced(self, service: Service) -> None:
        for me in (A, B, C):
            decision = decide(service, [ready()], config(), replace(self.cluster, me=me))
            assert decision == Withhold(reasons.NoAdvertisement("first", witness=B)), "one node tells for all"

    def test_node_selectors_restrict_the_candidates(self, service: Service) -> None:
        zone = config(L2Advertisement("zone", node_selectors=(selector(zone="a"),)))
        assert decide(service, [ready()], zone, self.cluster) == Withhold(reasons.NoAdvertisement("first"))
        assert isinstance(decide(service, [ready()], zone, replace(self.cluster, me=A)), Announce)
        assert decide(service, [ready()], zone, replace(self.cluster, me=C)) == Withhold(reasons.OtherNode(A))

    def test_service_selectors_restrict_the_services(self, make_service: Callable[..., Service]) -> None:
        only = config(L2Advertisement("gold", service_selectors=(selector(tier="gold"),)))
        gold = make_service(ips=(ADDRESS,), labels={"tier": "gold"})
        assert isinstance(decide(gold, [ready()], only, self.cluster), Announce)
        assert isinstance(decide(make_service(ips=(ADDRESS,)), [ready()], only, self.cluster), Withhold)

    def test_a_service_that_may_share_excludes_service_selectors(self, make_service: Callable[..., Service]) -> None:
        only = config(L2Advertisement("gold", service_selectors=(selector(tier="gold"),)), EVERYWHERE)
        sharing = make_service(ips=(ADDRESS,), labels={"tier": "gold"}, annotations={"metallb.io/allow-shared-ip": "k"})
        decision = decide(sharing, [ready()], only, self.cluster)
        assert decision == Withhold(reasons.SharedWithSelectors("gold", witness=B))

    def test_preferred_nodes_win_and_weights_add_up(self, service: Service) -> None:
        preferring = (
            L2Advertisement("p1", preferences=(NodePreference(10, selector(zone="a")),)),
            L2Advertisement("p2", preferences=(NodePreference(5, selector(zone="b")),)),
        )
        assert decide(service, [ready()], config(*preferring), self.cluster) == Withhold(reasons.OtherNode(A))
        more = (*preferring, L2Advertisement("p3", preferences=(NodePreference(6, selector(zone="b")),)))
        assert isinstance(decide(service, [ready()], config(*more), self.cluster), Announce)

    def test_interfaces_are_united_over_those_that_select_this_node(self, service: Service) -> None:
        eth0, eth1 = InterfaceName("eth0"), InterfaceName("eth1")
        both = config(
            L2Advertisement("one", interfaces=frozenset({eth0})),
            L2Advertisement("two", interfaces=frozenset({eth1})),
            L2Advertisement("elsewhere", node_selectors=(selector(zone="a"),)),
        )
        decision = decide(service, [ready()], both, self.cluster)
        assert decision == Announce((Address.parse(ADDRESS),), frozenset({eth0, eth1}))

    def test_one_without_interfaces_means_all(self, service: Service) -> None:
        mixed = config(L2Advertisement("one", interfaces=frozenset({InterfaceName("eth0")})), EVERYWHERE)
        assert decide(service, [ready()], mixed, self.cluster) == Announce((Address.parse(ADDRESS),), NONE)


MAC = Mac(b"\x02\x00\x00\x00\x00\x01")


@pytest.mark.parametrize(
    ("changes", "arp", "ndp"),
    [
        pytest.param({}, True, True, id="an ordinary one"),
        pytest.param({"link_local": None}, True, False, id="no link-local address"),
        pytest.param({"up": False}, False, False, id="down"),
        pytest.param({"master": True}, False, False, id="in a bridge"),
        pytest.param({"noarp": True}, False, False, id="no ARP"),
        pytest.param({"broadcast": False}, False, True, id="no broadcast"),
        pytest.param({"mac": None}, False, False, id="no Ethernet address"),
        pytest.param({"running": False}, True, True, id="no carrier: it comes back"),
    ],
)
def test_interfaces_that_take_part(changes: dict[str, Any], arp: bool, ndp: bool) -> None:  # noqa: FBT001  # columns
    interface = replace(Interface(1, InterfaceName("eth0"), MAC, link_local=0xFE80 << 112 | 1), **changes)
    assert (interface.answers_arp, interface.answers_ndp) == (arp, ndp)


@pytest.mark.parametrize(
    ("patterns", "excluded"),
    [
        ([], []),
        (["^veth.*", "^lo$"], ["veth1", "lo"]),
        (["et"], ["veth1", "eth0"]),
    ],
)
def test_excluded_interfaces(patterns: list[str], excluded: list[str]) -> None:
    exclusion = Exclusion.parse(patterns)
    names = [InterfaceName(name) for name in ("veth1", "lo", "eth0", "lo1")]
    assert [name for name in names if exclusion.excludes(name)] == excluded


def test_a_malformed_exclusion_is_named() -> None:
    with pytest.raises(ValueError, match=r"announcedInterfacesToExclude: '\(' is no regular expression"):
        Exclusion.parse(["^a", "("])

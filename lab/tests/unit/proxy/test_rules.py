"""Rules of one service: who is dispatched where, refused or dropped, under each policy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.proxy.model import Endpoint, parse_service, parse_slice
from kubelab.proxy.rules import Element, Fragment, fragment, usable

HERE = {"addresses": ["198.18.1.2"], "nodeName": "worker-1", "conditions": {"ready": True}}
THERE = {"addresses": ["198.18.2.2"], "nodeName": "worker-2", "conditions": {"ready": True}}
DRAINS = {
    "addresses": ["198.18.1.3"],
    "nodeName": "worker-1",
    "conditions": {"ready": False, "serving": True, "terminating": True},
}
SICK = {"addresses": ["198.18.1.4"], "nodeName": "worker-1", "conditions": {"ready": False}}

CLUSTER_IP = "198.18.128.5 . tcp . 80"
BALANCER = "198.51.100.100 . tcp . 80"
BALANCED = {
    "type": "LoadBalancer",
    "ingress": ["198.51.100.100"],
    "ports": [{"name": "http", "port": 80, "nodePort": 30080}],
}
LOCAL = BALANCED | {"externalTrafficPolicy": "Local"}


def made(examples: Any, spec: dict[str, Any], *endpoints: dict[str, Any]) -> Fragment:
    service = parse_service(examples.service(**spec))
    assert service is not None
    return fragment(service, [parse_slice(examples.slice(*endpoints))] if endpoints else [], examples.node)


def verdict(part: Fragment, container: str, key: str) -> str | None:
    return part.elements.get(Element(container, key))


@pytest.mark.parametrize(
    ("spec", "endpoints", "container", "key", "wanted"),
    [
        pytest.param({}, [HERE], "services4", CLUSTER_IP, "goto entry4/default/web/tcp/80", id="cluster IP"),
        pytest.param({}, [], "refused4", CLUSTER_IP, "goto refuse", id="no endpoints: refused"),
        pytest.param({}, [SICK], "refused4", CLUSTER_IP, "goto refuse", id="none is ready: refused"),
        pytest.param({}, [], "services4", CLUSTER_IP, None, id="no endpoints: nothing to dispatch to"),
        pytest.param({}, [DRAINS], "services4", CLUSTER_IP, "goto entry4/default/web/tcp/80", id="draining only"),
        pytest.param(
            {"internalTrafficPolicy": "Local"}, [THERE], "refused4", CLUSTER_IP, "drop", id="internal Local, none here"
        ),
        pytest.param(
            {"internalTrafficPolicy": "Local"},
            [],
            "refused4",
            CLUSTER_IP,
            "goto refuse",
            id="internal Local, none at all",
        ),
        pytest.param(BALANCED, [THERE], "services4", BALANCER, "goto external4/default/web/tcp/80", id="balancer"),
        pytest.param(BALANCED, [], "refused4", BALANCER, "goto refuse", id="balancer without endpoints"),
        pytest.param(
            BALANCED, [THERE], "nodeports4", "tcp . 30080", "goto external4/default/web/tcp/80", id="node port"
        ),
        pytest.param(BALANCED, [], "refused_nodeports4", "tcp . 30080", "goto refuse", id="node port, no endpoints"),
        pytest.param(LOCAL, [THERE], "refused4", BALANCER, "drop", id="external Local, none here: dropped"),
        pytest.param(LOCAL, [THERE], "refused_nodeports4", "tcp . 30080", "drop", id="the same at the node port"),
        pytest.param(LOCAL, [HERE], "refused4", BALANCER, None, id="external Local, one here"),
        pytest.param(
            {"type": "NodePort", "externalIPs": ["203.0.113.9"]},
            [HERE],
            "services4",
            "203.0.113.9 . tcp . 80",
            "goto external4/default/web/tcp/80",
            id="external IP",
        ),
    ],
)
def test_where_a_destination_leads(
    examples: Any, spec: dict[str, Any], endpoints: list[Any], container: str, key: str, wanted: str | None
) -> None:
    assert verdict(made(examples, spec, *endpoints), container, key) == wanted


@pytest.mark.parametrize(
    ("spec", "chain", "rules"),
    [
        pytest.param(
            {},
            "entry4",
            ("ip saddr != @pods4 jump to_masquerade", "goto cluster4/default/web/tcp/80"),
            id="cluster IP: all but pods are masqueraded",
        ),
        pytest.param(
            BALANCED,
            "external4",
            ("jump to_masquerade", "goto cluster4/default/web/tcp/80"),
            id="external Cluster: any endpoint, masqueraded",
        ),
        pytest.param(
            LOCAL,
            "external4",
            (
                "ip saddr @pods4 goto cluster4/default/web/tcp/80",
                "fib saddr type local jump to_masquerade",
                "fib saddr type local goto cluster4/default/web/tcp/80",
                "goto local4/default/web/tcp/80",
            ),
            id="external Local: from outside only here, with its source",
        ),
        pytest.param(LOCAL, "local4", ("meta l4proto tcp dnat ip to 198.18.1.2:8080",), id="one endpoint here"),
        pytest.param(
            {},
            "cluster4",
            ("meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 198.18.1.2 . 8080, 1 : 198.18.2.2 . 8080 }",),
            id="chance decides among endpoints",
        ),
        pytest.param(
            {"sessionAffinity": "ClientIP"},
            "cluster4",
            (
                (
                    "meta l4proto tcp dnat ip to jhash ip saddr mod 2 seed 0x6b756265 "
                    "map { 0 : 198.18.1.2 . 8080, 1 : 198.18.2.2 . 8080 }"
                ),
            ),
            id="affinity is a hash of the client",
        ),
        pytest.param(
            BALANCED | {"loadBalancerSourceRanges": ["198.51.100.0/25", "198.51.100.128/25", "2001:db8::/32"]},
            "ranges4",
            ("ip saddr { 198.51.100.0/24 } return", "drop"),
            id="source ranges",
        ),
    ],
)
def test_what_a_chain_does(examples: Any, spec: dict[str, Any], chain: str, rules: tuple[str, ...]) -> None:
    assert made(examples, spec, HERE, THERE).chains[f"{chain}/default/web/tcp/80"] == rules


def test_only_an_endpoint_of_this_node_can_come_back_to_itself(examples: Any) -> None:
    part = made(examples, {}, HERE, THERE)
    assert verdict(part, "hairpin4", "198.18.1.2 . 198.18.1.2") == ""
    assert verdict(part, "hairpin4", "198.18.2.2 . 198.18.2.2") is None


def test_both_families_are_served_beside_each_other(examples: Any) -> None:
    service = parse_service(examples.service(clusterIPs=["198.18.128.5", "2001:db8:300::5"]))
    assert service is not None
    six = examples.slice(examples.endpoint("2001:db8:200:1::2"), name="web-6")
    part = fragment(service, [parse_slice(examples.slice(HERE)), parse_slice(six)], examples.node)
    assert verdict(part, "services6", "2001:db8:300::5 . tcp . 80") == "goto entry6/default/web/tcp/80"
    assert part.chains["cluster6/default/web/tcp/80"] == ("meta l4proto tcp dnat ip6 to [2001:db8:200:1::2]:8080",)
    assert part.local_endpoints == 1


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"clusterIPs": ["None"], "clusterIP": "None"}, id="headless"),
        pytest.param({"type": "ExternalName", "externalName": "a.example", "clusterIPs": []}, id="external name"),
        pytest.param({"clusterIPs": ["x; flush ruleset"]}, id="no address at all"),
    ],
)
def test_what_has_nothing_to_be_proxied_is_passed_over(examples: Any, spec: dict[str, Any]) -> None:
    assert parse_service(examples.service(**spec)) is None


def test_an_address_that_somebody_else_terminates_is_not_ours(examples: Any) -> None:
    obj = examples.service(**BALANCED)
    obj["status"]["loadBalancer"]["ingress"] = [{"ip": "198.51.100.100", "ipMode": "Proxy"}]
    service = parse_service(obj)
    assert service is not None
    assert service.balancer_ips == ()


def test_udp_backends_are_known_by_every_address_that_leads_to_them(examples: Any) -> None:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}]
    service = parse_service(examples.service(type="NodePort", ports=ports))
    assert service is not None
    piece = parse_slice(examples.slice(THERE, ports=[{"name": "dns", "port": 5353, "protocol": "UDP"}]))
    assert fragment(service, [piece], examples.node).udp_backends == {
        ("198.18.128.5", 53, "198.18.2.2"),
        ("198.51.100.11", 30053, "198.18.2.2"),
    }


endpoints = st.lists(
    st.builds(
        lambda host, node, ready, serving, terminating: {
            "addresses": [f"198.18.{node}.{host}"],
            "nodeName": f"worker-{node}",
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        },
        st.integers(2, 9),
        st.integers(1, 3),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
)


@given(
    endpoints=endpoints, external=st.sampled_from(["Cluster", "Local"]), internal=st.sampled_from(["Cluster", "Local"])
)
def test_every_port_with_usable_endpoints_is_reached_and_every_other_is_refused(
    examples: Any, endpoints: list[Any], external: str, internal: str
) -> None:
    spec = BALANCED | {"externalTrafficPolicy": external, "internalTrafficPolicy": internal}
    part = made(examples, spec, *endpoints)
    everywhere = usable([(item, 8080) for item in _parsed(examples, endpoints)])
    here = usable([(item, 8080) for item in _parsed(examples, endpoints) if item.node == "worker-1"])
    for key, wanted in ((CLUSTER_IP, here if internal == "Local" else everywhere), (BALANCER, everywhere)):
        assert (verdict(part, "services4", key) is not None) == bool(wanted)
    assert (verdict(part, "refused4", CLUSTER_IP) is None) == bool(here if internal == "Local" else everywhere)
    assert (verdict(part, "refused4", BALANCER) is None) == bool(here if external == "Local" else everywhere)
    _every_goto_arrives(part)
    targets = " ".join(rule for rules in part.chains.values() for rule in rules if "dnat" in rule)
    for backend in everywhere:
        assert str(backend.address) in targets or internal == external == "Local" or not part.chains


def _parsed(examples: Any, endpoints: list[Any]) -> list[Endpoint]:
    return list(parse_slice(examples.slice(*endpoints)).endpoints)


def _every_goto_arrives(part: Fragment) -> None:
    texts = [*part.elements.values(), *(rule for rules in part.chains.values() for rule in rules)]
    for text in texts:
        target = text.rpartition("goto ")[2] if "goto " in text else ""
        assert target in {"", "refuse"} or target in part.chains, text

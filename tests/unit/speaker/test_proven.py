"""What counts as announced before: at once for fail-over and restarts, probed for first otherwise."""

from __future__ import annotations

from metallb.advertisement import reasons
from metallb.advertisement.layer2 import Announce, Decision, Withhold
from metallb.api.core import LoadBalancerIngress, LoadBalancerStatus, ObjectMeta, Service, ServiceSpec, ServiceStatus
from metallb.api.net import Address, NodeName, ServiceKey
from metallb.speaker.proven import Proven

ONE, TWO = Address.parse("198.51.100.1"), Address.parse("2001:db8::1")
WEB, MAIL = ServiceKey("default", "web"), ServiceKey("default", "mail")
OTHER = Withhold(reasons.OtherNode(NodeName("b")))


def service(key: ServiceKey, *addresses: Address) -> Service:
    ingress = tuple(LoadBalancerIngress(ip=str(each)) for each in addresses)
    return Service(
        metadata=ObjectMeta(name=key.name, namespace=key.namespace),
        spec=ServiceSpec(type="LoadBalancer"),
        status=ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress)),
    )


def announce(*addresses: Address) -> Decision:
    return Announce(addresses, frozenset())


def test_a_new_address_is_unproven_once() -> None:
    proven = Proven()
    assert proven.judge(WEB, service(WEB, ONE, TWO), announce(ONE, TWO)) == {ONE, TWO}
    assert proven.judge(WEB, service(WEB, ONE, TWO), announce(ONE, TWO)) == frozenset()


def test_an_address_that_was_there_at_the_start_is_proven() -> None:
    proven = Proven()
    proven.begin([service(WEB, ONE)])
    assert proven.judge(WEB, service(WEB, ONE), announce(ONE)) == frozenset()


def test_an_address_that_another_node_announced_is_proven() -> None:
    for before in (OTHER, Withhold(reasons.NoAdvertisement("pool"))):
        proven = Proven()
        assert proven.judge(WEB, service(WEB, ONE), before) == frozenset()
        assert proven.judge(WEB, service(WEB, ONE), announce(ONE)) == frozenset()


def test_an_address_that_nobody_announced_yet_is_not() -> None:
    proven = Proven()
    for before in (reasons.NoServingEndpoint(), reasons.NoAdvertisement("pool", NodeName("a")), reasons.NoAddress()):
        proven.judge(WEB, service(WEB, ONE), Withhold(before))
    assert proven.judge(WEB, service(WEB, ONE), announce(ONE)) == {ONE}


def test_an_address_is_new_again_once_no_service_has_it() -> None:
    proven = Proven()
    proven.judge(WEB, service(WEB, ONE), announce(ONE))
    assert proven.judge(MAIL, service(MAIL, ONE), announce(ONE)) == frozenset()  # they share it
    assert proven.holders(ONE) == {WEB, MAIL}
    proven.judge(WEB, None, Withhold(reasons.NotLoadBalancer()))
    assert proven.judge(MAIL, service(MAIL, ONE), announce(ONE)) == frozenset()
    proven.judge(MAIL, service(MAIL, TWO), announce(TWO))
    assert proven.holders(ONE) == frozenset()
    assert proven.judge(WEB, service(WEB, ONE), announce(ONE)) == {ONE}

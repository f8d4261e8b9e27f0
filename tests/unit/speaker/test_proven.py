"""What counts as announced before: at once for fail-over and restarts, probed for first otherwise."""

from __future__ import annotations

from msgspec.structs import replace

from metallb.advertisement import reasons
from metallb.advertisement.conflicts import Report, condition_of
from metallb.advertisement.layer2 import Announce, Decision, Withhold
from metallb.api.core import LoadBalancerIngress, LoadBalancerStatus, ObjectMeta, Service, ServiceSpec, ServiceStatus
from metallb.api.net import Address, NodeName, ServiceKey
from metallb.api.v1beta1_states import AddressConflict
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


def said(found: Service, *conflicts: AddressConflict) -> Service:
    """With the condition that the controller makes of what a speaker says."""
    addresses = [each.ip for each in found.status.load_balancer.ingress]
    condition = condition_of(None, addresses, [Report("b", True, conflicts)], lambda: "2026-01-01T00:00:00Z")
    assert condition is not None
    return replace(found, status=replace(found.status, conditions=(condition,)))


def held(address: Address, *, announced: bool = False) -> AddressConflict:
    return AddressConflict(str(address), "eth0", "02:00:00:00:00:66", announced)


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


class TestWhatTheServiceSaysIsHeld:
    """By its condition: whoever found that out need not be there any more."""

    def test_is_not_proven_at_the_start(self) -> None:
        proven = Proven()
        found = said(service(WEB, ONE, TWO), held(TWO))
        proven.begin([found])
        assert proven.judge(WEB, found, announce(ONE, TWO)) == {TWO}
        assert proven.judge(WEB, found, announce(ONE, TWO)) == frozenset()

    def test_is_not_proven_for_the_next_node_until_it_is_announced_again(self) -> None:
        proven = Proven()
        proven.judge(WEB, service(WEB, ONE), OTHER)
        found = said(service(WEB, ONE), held(ONE))
        proven.judge(WEB, found, OTHER)
        assert proven.judge(WEB, found, announce(ONE)) == {ONE}
        proven.judge(WEB, found, OTHER)
        proven.judge(WEB, service(WEB, ONE), OTHER)
        assert proven.judge(WEB, service(WEB, ONE), announce(ONE)) == frozenset()

    def test_stays_unproven_while_nobody_may_announce(self) -> None:
        proven = Proven()
        proven.begin([service(WEB, ONE)])
        found = said(service(WEB, ONE), held(ONE))
        proven.judge(WEB, found, Withhold(reasons.NoServingEndpoint()))
        assert proven.judge(WEB, found, announce(ONE)) == {ONE}

    def test_is_proven_if_a_node_announces_it_all_the_same(self) -> None:
        proven = Proven()
        found = said(service(WEB, ONE), held(ONE, announced=True))
        proven.begin([found])
        assert proven.judge(WEB, found, announce(ONE)) == frozenset()

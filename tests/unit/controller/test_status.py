"""What a decision changes in the Service object, and what people are told (spec/controller.md 8, 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.allocator import reasons
from metallb.allocator.allocator import Allocation
from metallb.allocator.converge import Assign, Decision, Keep, Pending, Release
from metallb.allocator.request import ALONE
from metallb.api.core import LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus
from metallb.api.net import Address, ServiceKey
from metallb.controller.status import POOL_ANNOTATION, Notice, StatusChange, change_for, notices_for

ONE, OTHER, SIX = (Address.parse(text) for text in ("10.0.0.1", "10.0.0.2", "2001:db8::1"))
FULL = reasons.NothingLeft((4,), (reasons.PoolExhausted("first", (4,)),))
MALFORMED = reasons.RequestMalformed("metallb.io/loadBalancerIPs", "x", "must be IP addresses, separated by commas")
MISMATCH = reasons.FamilyMismatch((SIX,), (4,))
UNCLEAR = reasons.FamiliesUnclear(("10.96.0.1",), "RequireDualStack")
TWICE = reasons.StatusUnclear((ONE, OTHER))
TAKEN = reasons.AddressTaken(ONE, ServiceKey("default", "other"), "it uses port tcp/80 there")


def allocation(*addresses: Address, pool: str = "first") -> Allocation:
    return Allocation(pool, addresses, ALONE)


def entry(address: Address, **fields: str) -> dict[str, str]:
    return {"ip": str(address), **fields}


@pytest.mark.parametrize(
    ("shown", "pool", "decision", "status", "annotation"),
    [
        pytest.param((), None, Assign(allocation(ONE)), [entry(ONE)], "first", id="a first address"),
        pytest.param((ONE,), "first", Keep(allocation(ONE)), ..., ..., id="kept: nothing to write"),
        pytest.param((ONE,), None, Keep(allocation(ONE)), ..., "first", id="the annotation was lost"),
        pytest.param((ONE,), "old", Keep(allocation(ONE)), ..., "first", id="the pool has another name"),
        pytest.param(
            (ONE,),
            "first",
            Assign(allocation(ONE, SIX)),
            [entry(ONE, ipMode="VIP"), entry(SIX)],
            ...,
            id="a second address leaves the first entry as it is",
        ),
        pytest.param(
            (ONE,), "first", Assign(allocation(OTHER, pool="second")), [entry(OTHER)], "second", id="it moves"
        ),
        pytest.param((ONE, SIX), "first", Assign(allocation(SIX)), [entry(SIX, ipMode="VIP")], ..., id="a family goes"),
        pytest.param((ONE,), "first", Pending(FULL), None, None, id="it loses everything"),
        pytest.param((), None, Pending(FULL), ..., ..., id="it waits and shows nothing"),
        pytest.param((), "first", Pending(FULL), ..., None, id="a left-over annotation"),
        pytest.param((ONE,), "first", Release(), None, None, id="released"),
        pytest.param((), None, Release(), ..., ..., id="never had one"),
    ],
)
def test_only_what_differs_is_written(
    make_service: Callable[..., Service],
    shown: tuple[Address, ...],
    pool: str | None,
    decision: Decision,
    status: Any,
    annotation: Any,
) -> None:
    service = make_service(ips=tuple(map(str, shown)), annotations={POOL_ANNOTATION: pool} if pool else {})
    expected = StatusChange(
        {} if status is ... else {"loadBalancer": {"ingress": status}},
        {} if annotation is ... else {POOL_ANNOTATION: annotation},
    )
    assert change_for(service, decision) == (None if expected == StatusChange({}, {}) else expected)


def test_entries_of_others_are_replaced(make_service: Callable[..., Service]) -> None:
    service = make_service(ips=("10.0.0.1",), hostname="a.example", annotations={POOL_ANNOTATION: "first"})
    found = change_for(service, Keep(allocation(ONE)))
    assert found == StatusChange({"loadBalancer": {"ingress": [entry(ONE, ipMode="VIP")]}}, {})


def test_a_proxy_mode_survives(make_service: Callable[..., Service]) -> None:
    shown = ServiceStatus(LoadBalancerStatus((LoadBalancerIngress(ip="10.0.0.1", ip_mode="Proxy"),)))
    service = msgspec.structs.replace(make_service(annotations={POOL_ANNOTATION: "first"}), status=shown)
    assert change_for(service, Keep(allocation(ONE))) is None


def test_text_that_is_not_canonical_is_rewritten(make_service: Callable[..., Service]) -> None:
    service = make_service(ips=("2001:DB8:0::1",), annotations={POOL_ANNOTATION: "first"})
    found = change_for(service, Keep(allocation(SIX)))
    assert found is not None
    assert found.status["loadBalancer"]["ingress"][0]["ip"] == "2001:db8::1"


def test_a_written_status_needs_no_second_write(make_service: Callable[..., Service]) -> None:
    from_empty = change_for(make_service(), Assign(allocation(ONE, SIX)))
    assert from_empty is not None
    after = make_service(ips=("10.0.0.1", "2001:db8::1"), annotations={POOL_ANNOTATION: "first"})
    assert change_for(after, Keep(allocation(ONE, SIX))) is None


ASSIGNED = Notice("Normal", "IPAllocated", 'Assigned IP ["10.0.0.1"]')
CLEARED = Notice(
    "Normal",
    "ClearAssignment",
    'the present address of "default/web" is not allowed, another is tried: '
    "10.0.0.1 is in use by default/other: it uses port tcp/80 there",
)


@pytest.mark.parametrize(
    ("decision", "notices"),
    [
        pytest.param(Release(), [], id="release is silent"),
        pytest.param(Keep(allocation(ONE)), [], id="keeping is silent"),
        pytest.param(Assign(allocation(ONE)), [ASSIGNED], id="assigned"),
        pytest.param(
            Assign(allocation(ONE, SIX)),
            [Notice("Normal", "IPAllocated", 'Assigned IP ["10.0.0.1" "2001:db8::1"]')],
            id="two assigned",
        ),
        pytest.param(Assign(allocation(ONE), TAKEN), [CLEARED, ASSIGNED], id="replaced"),
        pytest.param(
            Pending(FULL),
            [
                Notice(
                    "Warning",
                    "AllocationFailed",
                    'Failed to allocate IP for "default/web": no available IPs for IPv4 (all IPv4 in use: first)',
                )
            ],
            id="nothing left",
        ),
        pytest.param(
            Pending(FULL, TAKEN),
            [
                CLEARED,
                Notice(
                    "Warning",
                    "AllocationFailed",
                    'Failed to allocate IP for "default/web": no available IPs for IPv4 (all IPv4 in use: first)',
                ),
            ],
            id="lost, and nothing left",
        ),
        pytest.param(
            Pending(MALFORMED),
            [
                Notice(
                    "Warning",
                    "LoadBalancerFailed",
                    "invalid requested load balancer IPs: metallb.io/loadBalancerIPs: 'x' must be IP addresses, "
                    "separated by commas",
                )
            ],
            id="a malformed request",
        ),
        pytest.param(
            Keep(allocation(ONE), MISMATCH),
            [
                Notice(
                    "Warning",
                    "LoadBalancerFailed",
                    "invalid requested load balancer IPs: 2001:db8::1 does not fit a Service of IPv4",
                )
            ],
            id="an unusable request beside an address",
        ),
        pytest.param(
            Keep(allocation(ONE), TAKEN),
            [
                Notice(
                    "Warning",
                    "AllocationFailed",
                    "the present address is kept, what is asked for can't be had: "
                    "10.0.0.1 is in use by default/other: it uses port tcp/80 there",
                )
            ],
            id="a request that can't be met",
        ),
        pytest.param(
            Pending(UNCLEAR),
            [
                Notice(
                    "Warning",
                    "noclusterIPsIPFamily",
                    "cluster IPs [10.96.0.1] do not fit ipFamilyPolicy RequireDualStack",
                )
            ],
            id="families unclear",
        ),
        pytest.param(
            Assign(allocation(ONE), TWICE),
            [
                Notice(
                    "Warning",
                    "nolbIPsIPFamily",
                    "its status shows 10.0.0.1, 10.0.0.2, but a Service holds at most one address of each family",
                ),
                ASSIGNED,
            ],
            id="a status that can't be",
        ),
    ],
)
def test_people_are_told(make_service: Callable[..., Service], decision: Decision, notices: list[Notice]) -> None:
    assert notices_for(make_service(), decision) == notices

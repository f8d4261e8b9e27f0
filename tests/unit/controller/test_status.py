"""What a decision changes in the Service object, and what people are told (spec/controller.md 8, 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.advertisement.conflicts import Report
from metallb.allocator import reasons
from metallb.allocator.allocator import Allocation
from metallb.allocator.converge import Assign, Decision, Keep, Pending, Release
from metallb.allocator.request import ALONE
from metallb.api.core import Condition, LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus
from metallb.api.net import Address, ServiceKey
from metallb.api.v1beta1_states import AddressConflict
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
    found = change_for(service, decision) or StatusChange({}, {})
    said = found.status.pop("conditions", None)
    assert found == expected
    assert bool(said) is isinstance(decision, Pending)


HIS = Condition("example.org/Ready", "True", "Fine", "all well", "2026-01-01T00:00:00Z")
NOON = 1_767_268_800.0
WAITS = {
    "type": "metallb.io/AddressAssigned",
    "status": "False",
    "reason": "AllocationFailed",
    "message": "no available IPs for IPv4 (all IPv4 in use: first)",
    "lastTransitionTime": "2026-01-01T12:00:00Z",
}
HIS_WRITTEN = msgspec.to_builtins(HIS)


class TestTheCondition:
    """Of a Service that waits."""

    @pytest.fixture
    def waiting(
        self, make_service: Callable[..., Service], apply_change: Callable[[Service, StatusChange], Service]
    ) -> Service:
        """Says why it waits, since noon, beside a condition of somebody else."""
        service = make_service()
        service = msgspec.structs.replace(service, status=ServiceStatus(conditions=(HIS,)))
        change = change_for(service, Pending(FULL), NOON)
        assert change == StatusChange({"conditions": [HIS_WRITTEN, WAITS]}, {})
        assert not change.moves
        return apply_change(service, change)

    def test_is_not_written_again(self, waiting: Service) -> None:
        assert change_for(waiting, Pending(FULL), NOON + 300) is None

    def test_says_another_reason_and_waits_since_then(self, waiting: Service) -> None:
        change = change_for(waiting, Pending(TAKEN), NOON + 300)
        assert change is not None
        assert change.status["conditions"] == [HIS_WRITTEN, WAITS | {"message": str(TAKEN)}]

    @pytest.mark.parametrize("decision", [Release(), Assign(allocation(ONE))])
    def test_goes_with_the_waiting_in_one_write(self, waiting: Service, decision: Decision) -> None:
        change = change_for(waiting, decision, NOON + 300)
        assert change is not None
        assert change.status["conditions"] == [HIS_WRITTEN]

    def test_leaves_none_behind(self, make_service: Callable[..., Service]) -> None:
        mine = msgspec.convert(WAITS, Condition)
        service = msgspec.structs.replace(make_service(), status=ServiceStatus(conditions=(mine,)))
        assert change_for(service, Release()) == StatusChange({"conditions": None}, {})

    def test_that_somebody_edited_is_put_right(self, waiting: Service) -> None:
        mine = msgspec.convert(WAITS | {"status": "True", "message": "all is well"}, Condition)
        edited = msgspec.structs.replace(waiting, status=ServiceStatus(conditions=(mine, mine)))
        change = change_for(edited, Pending(FULL), NOON)
        assert change is not None
        assert change.status["conditions"] == [WAITS]

    def test_stays_readable_whatever_is_quoted_in_it(self, make_service: Callable[..., Service]) -> None:
        change = change_for(
            make_service(), Pending(reasons.RequestMalformed("x", "y" * 200_000, "is no IP address")), NOON
        )
        assert change is not None
        assert len(change.status["conditions"][0]["message"]) <= 4096


class TestTheConflict:
    """The condition of a Service with an address that another host uses."""

    HELD = Report("worker-1", False, (AddressConflict("10.0.0.1", "eth0", "02:00:00:00:00:66"),))

    @pytest.fixture
    def served(self, make_service: Callable[..., Service]) -> Service:
        service = make_service(ips=("10.0.0.1",), annotations={POOL_ANNOTATION: "first"})
        return msgspec.structs.replace(service, status=msgspec.structs.replace(service.status, conditions=(HIS,)))

    @pytest.fixture
    def conflicted(self, served: Service, apply_change: Callable[[Service, StatusChange], Service]) -> Service:
        """Says since noon that a host has its address."""
        change = change_for(served, Keep(allocation(ONE)), NOON, [self.HELD])
        assert change is not None
        assert not change.moves
        his, mine = change.status["conditions"]
        assert (his, mine["type"], mine["status"]) == (HIS_WRITTEN, "metallb.io/AddressConflict", "True")
        assert (mine["reason"], mine["lastTransitionTime"]) == ("AddressHeld", "2026-01-01T12:00:00Z")
        assert mine["message"].startswith("10.0.0.1 is not announced by node 'worker-1' on eth0: the host 02:00:")
        return apply_change(served, change)

    @pytest.mark.parametrize("reports", [[HELD], []])
    def test_is_not_written_again(self, conflicted: Service, reports: list[Report]) -> None:
        assert change_for(conflicted, Keep(allocation(ONE)), NOON + 300, reports) is None

    @pytest.mark.parametrize(
        ("decision", "reports"),
        [
            pytest.param(Keep(allocation(ONE)), [Report("worker-2", True)], id="a node announces"),
            pytest.param(Assign(allocation(OTHER)), [HELD], id="another address"),
            pytest.param(Release(), [HELD], id="no load balancer any more"),
        ],
    )
    def test_goes_and_leaves_what_others_say(
        self, conflicted: Service, decision: Decision, reports: list[Report]
    ) -> None:
        change = change_for(conflicted, decision, NOON + 300, reports)
        assert change is not None
        assert change.status["conditions"] == [HIS_WRITTEN]

    def test_gives_way_to_why_it_waits(self, conflicted: Service) -> None:
        change = change_for(conflicted, Pending(FULL), NOON, [self.HELD])
        assert change is not None
        assert change.status["conditions"] == [HIS_WRITTEN, WAITS]

    def test_that_somebody_edited_is_put_right(self, conflicted: Service) -> None:
        (_, right) = conflicted.status.conditions
        for wrong in ((msgspec.structs.replace(right, status="False"),), (right, right), ()):
            status = msgspec.structs.replace(conflicted.status, conditions=(HIS, *wrong))
            edited = msgspec.structs.replace(conflicted, status=status)
            change = change_for(edited, Keep(allocation(ONE)), NOON, [self.HELD])
            assert change is not None
            assert msgspec.convert(change.status["conditions"], list[Condition]) == [HIS, right]


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

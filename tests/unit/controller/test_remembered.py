"""What pools remember for deleted Services: shown in their statuses, read back from there, never more than makes sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from metallb.api import v1beta1
from metallb.api.core import Service
from metallb.api.net import ServiceKey
from metallb.api.v1beta1 import PoolReservation
from metallb.config.model import Config
from metallb.controller import remembered
from metallb.controller.assignment import Assignment
from metallb.controller.poolstatus import status_of

NOON = 1_767_268_800.0
HOUR_S = 3600
KEY = ServiceKey("default", "web")
SHOWN = PoolReservation("default/web", ("10.0.0.0", "2001:db8::"), "2026-01-01T13:00:00Z")

MakePool = Callable[..., v1beta1.IPAddressPool]


@pytest.fixture
def sticky(make_pool: MakePool) -> Callable[..., v1beta1.IPAddressPool]:
    """A pool that remembers for an hour, with a status."""

    def make(*reservations: PoolReservation, seconds: int = HOUR_S) -> v1beta1.IPAddressPool:
        pool = limited(make_pool("p", "10.0.0.0/24", "2001:db8::/120"), seconds)
        return msgspec.structs.replace(pool, status=v1beta1.IPAddressPoolStatus(0, 0, 0, 0, reservations))

    return make


@pytest.fixture
def start(config_of: Callable[..., Config]) -> Callable[..., Assignment]:
    """A controller that starts on what the objects show."""

    def begin(*pools: v1beta1.IPAddressPool, services: tuple[Service, ...] = (), now: float = NOON) -> Assignment:
        assignment = Assignment()
        assignment.load(config_of(*pools))
        assignment.adopt(services)
        remembered.restore(assignment.allocator, pools, now)
        return assignment

    return begin


@pytest.fixture
def both(make_service: Callable[..., Service]) -> Callable[..., Service]:
    """A Service of two families."""

    def make(name: str = "web", **fields: Any) -> Service:
        return make_service(name, cluster_ips=("198.18.128.5", "2001:db8:300::5"), policy="RequireDualStack", **fields)

    return make


def limited(pool: v1beta1.IPAddressPool, seconds: int) -> v1beta1.IPAddressPool:
    metadata = msgspec.structs.replace(pool.metadata, annotations={"metallb.io/sticky-seconds": str(seconds)})
    return msgspec.structs.replace(pool, metadata=metadata)


def shown(assignment: Assignment) -> tuple[PoolReservation, ...]:
    return remembered.shown(assignment.allocator).get("p", ())


def test_a_deleted_service_is_shown_and_gets_its_address_from_another_controller(
    sticky: Any, start: Any, both: Any
) -> None:
    first = start(sticky())
    first.decide(KEY, both(), NOON)
    first.decide(KEY, None, NOON - 0.5)
    assert shown(first) == (SHOWN,), "whole seconds, rounded up"
    second = start(sticky(*shown(first)), now=NOON + 60)
    assert shown(second) == (SHOWN,)
    other = both("other")
    assert [str(each) for each in second.decide(other.key, other, NOON + 60).decision.allocation.addresses] == [
        "10.0.0.1",
        "2001:db8::1",
    ]
    outcome = second.decide(KEY, both(), NOON + 60)
    assert tuple(str(each) for each in outcome.decision.allocation.addresses) == SHOWN.addresses
    assert shown(second) == ()


def test_who_came_back_while_nobody_led_is_served_first_of_all(sticky: Any, start: Any, both: Any) -> None:
    assignment = start(sticky(SHOWN), services=(both("a"), both()))
    other = both("a")
    assert "10.0.0.0" not in map(str, assignment.decide(other.key, other, NOON).decision.allocation.addresses)
    outcome = assignment.decide(KEY, both(), NOON)
    assert tuple(map(str, outcome.decision.allocation.addresses)) == SHOWN.addresses


def test_who_has_addresses_again_has_nothing_remembered(sticky: Any, start: Any, both: Any) -> None:
    assert shown(start(sticky(SHOWN), services=(both(ips=("10.0.0.9", "2001:db8::9")),))) == ()


def test_what_another_holds_is_shown_and_stays_with_him(sticky: Any, start: Any, both: Any) -> None:
    other = both("other", ips=SHOWN.addresses)
    assignment = start(sticky(SHOWN), services=(other,))
    assert assignment.allocator.holder(other.key) is not None
    assert set(map(str, assignment.decide(KEY, both(), NOON).decision.allocation.addresses)).isdisjoint(SHOWN.addresses)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(PoolReservation("default/web", ("10.0.0.0",), "2026-01-01T12:00:00Z"), id="its time is up"),
        pytest.param(PoolReservation("default/web", ("10.0.0.0",), "soon"), id="no time"),
        pytest.param(PoolReservation("default/web", ("10.0.0.0",), "2026-01-01T13:00:00"), id="no zone"),
        pytest.param(PoolReservation("default/web", ("10.0.0.0",), ""), id="no end"),
        pytest.param(PoolReservation("web", ("10.0.0.0",), "2026-01-01T13:00:00Z"), id="no namespace"),
        pytest.param(PoolReservation("/", ("10.0.0.0",), "2026-01-01T13:00:00Z"), id="no name"),
        pytest.param(PoolReservation("default/web", (), "2026-01-01T13:00:00Z"), id="no address"),
        pytest.param(PoolReservation("default/web", ("x",), "2026-01-01T13:00:00Z"), id="no real address"),
        pytest.param(PoolReservation("default/web", ("10.0.9.0",), "2026-01-01T13:00:00Z"), id="another pool's"),
        pytest.param(PoolReservation("default/web", ("10.0.0.0", "10.0.0.1"), "2026-01-01T13:00:00Z"), id="two of one"),
    ],
)
def test_what_makes_no_sense_is_left_out(sticky: Any, start: Any, entry: PoolReservation) -> None:
    assert shown(start(sticky(entry))) == ()


def test_nothing_is_remembered_for_longer_than_the_pool_remembers(sticky: Any, start: Any) -> None:
    for_ever = msgspec.structs.replace(SHOWN, until="9999-12-31T23:59:59Z")
    assert shown(start(sticky(for_ever))) == (SHOWN,)
    assert shown(start(sticky(for_ever, seconds=0))) == ()


def test_of_two_entries_for_one_service_the_later_counts(sticky: Any, start: Any) -> None:
    earlier = PoolReservation("default/web", ("10.0.0.7",), "2026-01-01T12:30:00Z")
    assert shown(start(sticky(SHOWN, earlier))) == (SHOWN,)


def test_a_status_stays_small(make_pool: MakePool, start: Any, make_service: Callable[..., Service]) -> None:
    assignment = start(limited(make_pool("p", "10.0.0.0/16"), 60))
    for number in range(remembered.MOST_SHOWN + 10):
        service = make_service(f"s{number:04}")
        assignment.decide(service.key, service, NOON)
        assignment.decide(service.key, None, NOON + number / 100)
    found = shown(assignment)
    assert len(found) == remembered.MOST_SHOWN
    assert found[0].service == "default/s1009"
    assert len(msgspec.json.encode(status_of(assignment, "p", found))) < 200_000

"""What is said of hosts outside the cluster that use addresses of Services: steady, and gone when it is over."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.advertisement.conflicts import (
    CONDITION,
    CONTESTED,
    HELD,
    LONGEST_MESSAGE,
    Report,
    condition_of,
    is_said,
    is_suspect,
    suspects,
    words,
)
from metallb.api.core import Condition, Service, ServiceStatus
from metallb.api.net import Address
from metallb.api.v1beta1_states import AddressConflict

FOUR, SIX, OTHER = "198.51.100.7", "2001:db8::7", "198.51.100.70"
MAC = "02:00:00:00:00:66"
NOON, ONE = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"
REMEDY = "give that host another address, or take this one out of its pool"


def conflict(address: str = FOUR, interface: str = "eth0", *, announced: bool = False) -> AddressConflict:
    return AddressConflict(address, interface, MAC, announced)


def of(*conflicts: AddressConflict, node: str = "a", announces: bool = False) -> Report:
    return Report(node, announces, conflicts)


def condition(*reports: Report, before: Condition | None = None, now: str = NOON) -> Condition | None:
    return condition_of(before, {FOUR, SIX}, reports, lambda: now)


KEPT = condition(of(conflict()))
BOTH_USE = condition(of(conflict(announced=True), announces=True))
CLEARED = Condition(CONDITION, "False", HELD, f"{FOUR} is not announced", NOON)


def test_it_says_address_node_interface_host_and_what_to_do() -> None:
    assert (
        Condition(
            CONDITION,
            "True",
            "AddressHeld",
            f"{FOUR} is not announced by node 'a' on eth0: the host {MAC} on eth0, which is no node of this cluster, "
            f"has it; {REMEDY}",
            NOON,
        )
        == KEPT
    )
    assert BOTH_USE is not None
    assert BOTH_USE.reason == "AddressContested"
    assert BOTH_USE.message == (
        f"the host {MAC} on eth0, which is no node of this cluster, uses {FOUR} too, which node 'a' announces there: "
        f"clients may reach either; {REMEDY}"
    )


@pytest.mark.parametrize(
    ("before", "reports", "kept"),
    [
        pytest.param(None, [], False, id="nothing is said"),
        pytest.param(None, [of(announces=True)], False, id="all is well"),
        pytest.param(None, [of(conflict(OTHER))], False, id="about an address that it has no more"),
        pytest.param(KEPT, [], True, id="nobody says anything: who did may be gone"),
        pytest.param(KEPT, [of()], True, id="a speaker does not know yet"),
        pytest.param(KEPT, [of(announces=True)], False, id="a speaker announces it"),
        pytest.param(KEPT, [of(conflict(), announces=True)], True, id="it announces the other address only"),
        pytest.param(KEPT, [of(conflict()), of(node="b", announces=True)], True, id="two that do not hear each other"),
        pytest.param(BOTH_USE, [of(announces=True)], False, id="the other host was not seen for long"),
        pytest.param(CLEARED, [], False, id="somebody edited it"),
    ],
)
def test_it_goes_when_a_speaker_knows_better(before: Condition | None, reports: list[Report], kept: bool) -> None:  # noqa: FBT001  # a column
    assert condition(*reports, before=before, now=ONE) == (before if kept else None)


def test_it_goes_when_the_service_has_another_address() -> None:
    assert condition_of(KEPT, {OTHER}, [], lambda: ONE) is None
    assert condition_of(KEPT, set(), [], lambda: ONE) is None


def test_the_next_node_says_it_and_it_never_went() -> None:
    found = condition(of(conflict(), node="b"), before=KEPT, now=ONE)
    assert found is not None
    assert "node 'b'" in found.message
    assert found.last_transition_time == NOON
    again = condition(of(conflict()), before=CLEARED, now=ONE)
    assert again is not None
    assert again.last_transition_time == ONE


def test_one_that_is_held_counts_more_than_one_that_both_use() -> None:
    found = condition(of(conflict(), conflict(SIX, announced=True)))
    assert found is not None
    assert found.reason == HELD


def test_it_stays_readable() -> None:
    found = condition(of(*(conflict(interface=f"eth{number}") for number in range(1000))))
    assert found is not None
    assert len(found.message) <= LONGEST_MESSAGE


@st.composite
def some_reports(draw: st.DrawFn) -> list[Report]:
    addresses, interfaces = st.sampled_from([FOUR, SIX, OTHER]), st.sampled_from(["eth0", "eth1"])
    conflicts = st.builds(AddressConflict, addresses, interfaces, st.sampled_from([MAC, "02:aa"]), st.booleans())
    made = st.builds(Report, st.sampled_from("abc"), st.booleans(), st.lists(conflicts, max_size=4).map(tuple))
    return draw(st.lists(made, max_size=4))


@given(some_reports(), st.randoms(use_true_random=False), st.sampled_from([None, KEPT, BOTH_USE]))
def test_the_same_reports_in_any_order_are_said_once(
    reports: list[Report], chance: random.Random, before: Condition | None
) -> None:
    first = condition(*reports, before=before)
    shuffled = list(reports)
    chance.shuffle(shuffled)
    second = condition(*shuffled, before=first, now=ONE)
    if any(each.address in {FOUR, SIX} for report in reports for each in report.conflicts):
        assert first is not None
        assert second == first
    else:
        assert second in (first, None)


@given(some_reports())
def test_the_addresses_that_are_held_are_found_again_and_none_that_is_well(reports: list[Report]) -> None:
    found = condition(*reports)
    service = Service(status=ServiceStatus(conditions=() if found is None else (found,)))
    said = suspects(service)
    assert is_said(service) is (found is not None)
    told = {each for report in reports for each in report.conflicts}
    for text in (FOUR, SIX):
        mine = [each for each in told if each.address == text]
        if any(not each.announced for each in mine):
            assert is_suspect(Address.parse(text), said)
        if not mine:
            assert not is_suspect(Address.parse(text), said)
    if found is not None and found.reason == CONTESTED:
        assert not said


@pytest.mark.parametrize("change", [{"status": "False"}, {"type": "example.org/Other"}, {"reason": CONTESTED}])
def test_other_conditions_make_no_suspect(change: dict[str, str]) -> None:
    assert KEPT is not None
    edited = msgspec.structs.replace(KEPT, **change)
    assert suspects(Service(status=ServiceStatus(conditions=(edited,)))) == frozenset()


def test_one_address_is_not_another() -> None:
    said = frozenset(words(conflict(OTHER), "a").split())
    assert not is_suspect(Address.parse(FOUR), said)

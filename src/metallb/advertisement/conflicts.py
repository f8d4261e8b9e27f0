"""Hosts outside the cluster that use addresses of Services: what is said of them, and the condition that says it. Pure.

Speakers find them and put them into their ServiceL2Status; the controller, which may write Services, makes a condition
of that. It is a memory, too: no speaker need be left that found the host. So it goes when a speaker says that it
announces the address and that nobody else uses it, and not just because nobody says anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from metallb.api.core import Condition, Service
from metallb.api.net import Address
from metallb.api.v1beta1_states import AddressConflict

CONDITION: Final = "metallb.io/AddressConflict"
"""The condition of a Service with an address that a host outside the cluster uses, too; others have none."""

HELD: Final = "AddressHeld"
"""Its reason where the address is not announced somewhere."""

CONTESTED: Final = "AddressContested"
"""Its reason where all is announced, and somebody else uses it as well."""

LABEL: Final = "metallb.io/address-conflict"
"""Every ServiceL2Status has it, with the value `true`, that a condition follows from, or the end of one; no other."""

REMEDY: Final = "give that host another address, or take this one out of its pool"

LONGEST_MESSAGE: Final = 4096
"""Of a condition, in characters."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the speaker of a node says of a Service: whether it announces it, and who else uses its addresses."""

    node: str
    announces: bool
    conflicts: tuple[AddressConflict, ...] = ()


def words(conflict: AddressConflict, node: str) -> str:
    """What people are told. The address stands there as a word of its own: `suspects` finds it again."""
    who = f"the host {conflict.mac} on {conflict.interface}, which is no node of this cluster,"
    if conflict.announced:
        return f"{who} uses {conflict.address} too, which node {node!r} announces there: clients may reach either"
    return f"{conflict.address} is not announced by node {node!r} on {conflict.interface}: {who} has it"


def condition_of(
    before: Condition | None, addresses: Collection[str], reports: Iterable[Report], now: Callable[[], str]
) -> Condition | None:
    """The condition that a Service should have; None: none. It is `before` where nothing is new.

    Args:
        before: the one that it has.
        addresses: the Service's, in canonical text.
        reports: all that speakers say of it.
        now: the time, as conditions have it.
    """
    known = tuple(reports)
    found = {(each, report.node) for report in known for each in report.conflicts if each.address in addresses}
    if not found:
        answered = any(report.announces for report in known)
        return None if answered or before is None or not _names(before, addresses) else before
    told = sorted(words(each, node) for each, node in found)
    message = "; ".join([*told, REMEDY])
    lasts = before is not None and before.status == "True"
    return Condition(
        type=CONDITION,
        status="True",
        reason=CONTESTED if all(each.announced for each, _ in found) else HELD,
        message=message[:LONGEST_MESSAGE],
        last_transition_time=(before.last_transition_time if before is not None and lasts else None) or now(),
    )


def is_said(service: Service) -> bool:
    """Whether the Service has the condition."""
    return any(each.type == CONDITION for each in service.status.conditions)


def suspects(service: Service) -> frozenset[str]:
    """The words of the condition that says that an address of the Service is held: such addresses are among them."""
    said = (each for each in service.status.conditions if each.type == CONDITION and each.reason == HELD)
    return frozenset(word for each in said for word in each.message.split() if each.status == "True")


def is_suspect(address: Address, said: frozenset[str]) -> bool:
    """Whether `suspects` gave the address."""
    return bool(said) and str(address) in said


def _names(condition: Condition, addresses: Collection[str]) -> bool:
    return condition.status == "True" and not set(condition.message.split()).isdisjoint(addresses)

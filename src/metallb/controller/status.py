"""What a decision means for the Service object: the least change to write, and what to tell people. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from metallb.advertisement import conflicts
from metallb.advertisement.conflicts import Report
from metallb.allocator.allocator import Allocation
from metallb.allocator.converge import Assign, Decision, Keep, Pending, Release
from metallb.allocator.reasons import FamiliesUnclear, FamilyMismatch, Reason, RequestMalformed, StatusUnclear
from metallb.api.core import Condition, LoadBalancerIngress, Service
from metallb.api.net import Address

POOL_ANNOTATION = "metallb.io/ip-allocated-from-pool"
CONDITION: Final = "metallb.io/AddressAssigned"
"""The condition of a Service that waits; one that does not wait has none, as with MetalLB."""

LONGEST_MESSAGE: Final = 4096
"""Of a condition, in characters: annotations that are quoted in it can be long."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A merge patch of `status` and `metadata.annotations`; None in it removes."""

    status: dict[str, Any]
    annotations: dict[str, str | None]

    @property
    def moves(self) -> bool:
        """Whether addresses or their pool change, and not just what is said of them."""
        return "loadBalancer" in self.status or bool(self.annotations)


@dataclass(frozen=True, slots=True)
class Notice:
    """An event to record on the Service."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def change_for(
    service: Service, decision: Decision, now: float = 0.0, reports: Iterable[Report] = ()
) -> StatusChange | None:
    """What has to be written so that the object shows the decision; None where it does already.

    `ipMode` and other entries' fields of kept addresses stay as they are, and so do conditions of others. `now` is the
    time in seconds since 1970, `reports` what speakers say of the Service.
    """
    wanted = decision.allocation if isinstance(decision, Keep | Assign) else None
    ingress = service.status.load_balancer.ingress
    pool = service.metadata.annotations.get(POOL_ANNOTATION)
    entries = _entries(wanted, ingress)
    status_differs = [(entry["ip"], "") for entry in entries] != [(entry.ip, entry.hostname) for entry in ingress]
    pool_differs = pool != (wanted.pool if wanted else None)
    conditions = _conditions(service, decision, now, reports)
    if not status_differs and not pool_differs and conditions is None:
        return None
    status: dict[str, Any] = {"loadBalancer": {"ingress": entries or None}} if status_differs else {}
    if conditions is not None:
        status["conditions"] = [_written(each) for each in conditions] or None
    return StatusChange(
        status=status,
        annotations={POOL_ANNOTATION: wanted.pool if wanted else None} if pool_differs else {},
    )


def notices_for(service: Service, decision: Decision) -> list[Notice]:
    """What people are told about a decision (spec/controller.md 11)."""
    if isinstance(decision, Release):
        return []
    notices = []
    if not isinstance(decision, Keep) and decision.dropped is not None:
        notices.append(_dropped(service, decision.dropped))
    if isinstance(decision, Pending):
        return [*notices, _pending(service, decision.reason)]
    if isinstance(decision, Assign):
        notices.append(Notice("Normal", "IPAllocated", f"Assigned IP {_quoted(decision.allocation.addresses)}"))
    if decision.lacking is not None:
        notices.append(_lacking(decision.lacking))
    return notices


def _conditions(
    service: Service, decision: Decision, now: float, reports: Iterable[Report]
) -> tuple[Condition, ...] | None:
    """All conditions as they should be; None where they are."""
    present = service.status.conditions
    mine = [each for each in present if each.type in {CONDITION, conflicts.CONDITION}]
    if isinstance(decision, Pending):
        wanted: Condition | None = _waits(service, decision, mine, now)
    elif isinstance(decision, Keep | Assign):
        addresses = frozenset(map(str, decision.allocation.addresses))
        before = next((each for each in mine if each.type == conflicts.CONDITION), None)
        wanted = conflicts.condition_of(before, addresses, reports, lambda: _text(now))
    else:
        wanted = None
    if mine == ([] if wanted is None else [wanted]):
        return None
    others = (each for each in present if each not in mine)
    return (*others,) if wanted is None else (*others, wanted)


def _waits(service: Service, decision: Pending, mine: Iterable[Condition], now: float) -> Condition:
    since = (each.last_transition_time for each in mine if each.type == CONDITION and each.status == "False")
    return Condition(
        type=CONDITION,
        status="False",
        reason=_pending(service, decision.reason).reason,
        message=str(decision.reason)[:LONGEST_MESSAGE],
        last_transition_time=next(since, None) or _text(now),
    )


def _text(now: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def _written(condition: Condition) -> dict[str, Any]:
    written: dict[str, Any] = msgspec.to_builtins(condition)
    return {"reason": "", "message": "", "lastTransitionTime": None, **written}


def _entries(wanted: Allocation | None, ingress: tuple[LoadBalancerIngress, ...]) -> list[dict[str, str]]:
    modes = {entry.ip: entry.ip_mode for entry in ingress}
    entries = []
    for address in wanted.addresses if wanted else ():
        text = str(address)
        mode = modes.get(text)
        entries.append({"ip": text} | ({"ipMode": mode} if mode else {}))
    return entries


def _dropped(service: Service, reason: Reason) -> Notice:
    if isinstance(reason, StatusUnclear):
        return Notice("Warning", "nolbIPsIPFamily", str(reason))
    return Notice(
        "Normal",
        "ClearAssignment",
        f'the present address of "{service.key}" is not allowed, another is tried: {reason}',
    )


def _pending(service: Service, reason: Reason) -> Notice:
    if isinstance(reason, FamiliesUnclear):
        return Notice("Warning", "noclusterIPsIPFamily", str(reason))
    if isinstance(reason, RequestMalformed | FamilyMismatch):
        return Notice("Warning", "LoadBalancerFailed", f"invalid requested load balancer IPs: {reason}")
    return Notice("Warning", "AllocationFailed", f'Failed to allocate IP for "{service.key}": {reason}')


def _lacking(reason: Reason) -> Notice:
    if isinstance(reason, RequestMalformed | FamilyMismatch):
        return Notice("Warning", "LoadBalancerFailed", f"invalid requested load balancer IPs: {reason}")
    return Notice(
        "Warning", "AllocationFailed", f"the present address is kept, what is asked for can't be had: {reason}"
    )


def _quoted(addresses: tuple[Address, ...]) -> str:
    return "[" + " ".join(f'"{address}"' for address in addresses) + "]"

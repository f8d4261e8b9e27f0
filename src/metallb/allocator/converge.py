"""One Service brought to what it asks for: keep, assign, release or wait (spec/controller.md 8).

Differences from upstream, each on purpose: a request for another address is tried before the present one is given up;
going between single and dual stack keeps the address of the family that stays; `PreferDualStack` is extended only where
the Service has cluster IPs of both families.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from metallb.allocator.allocator import Allocation, Allocator
from metallb.allocator.reasons import NoPools, Reason, StatusUnclear
from metallb.allocator.request import Request, claim_of, held_addresses, request_of
from metallb.api.core import Service
from metallb.api.net import Address


@dataclass(frozen=True, slots=True)
class Keep:
    """The Service holds what its status shows. `lacking` says why it has not more, where it asks for more."""

    allocation: Allocation
    lacking: Reason | None = None


@dataclass(frozen=True, slots=True)
class Assign:
    """The Service holds other addresses than its status shows.

    `dropped` says why those of its status were not kept, `lacking` why it has not more.
    """

    allocation: Allocation
    dropped: Reason | None = None
    lacking: Reason | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The Service holds nothing, for this reason; `dropped` says why the addresses of its status were not kept."""

    reason: Reason
    dropped: Reason | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The Service is of a type that holds no address."""


Decision: TypeAlias = Keep | Assign | Pending | Release


def converge(service: Service, allocator: Allocator, maybe_shown: frozenset[Address] = frozenset()) -> Decision:
    """What becomes of a Service. The allocator holds the outcome when this returns; nothing is written yet.

    What the Service gives up stays its own until its status shows it no more: so no two Services ever show one address,
    however long the writes take. `maybe_shown` are addresses that its status may show by now, though not in this view.
    """
    allocator.unshield(service.key)
    decision = _decide(service, allocator)
    shield(service, allocator, maybe_shown)
    return decision


def _decide(service: Service, allocator: Allocator) -> Decision:
    if service.spec.type != "LoadBalancer":
        allocator.release(service.key)
        return Release()
    request = request_of(service) if allocator.pools else NoPools()
    if not isinstance(request, Request):
        allocator.release(service.key)
        return Pending(request)
    shown = held_addresses(service)
    kept = _keep(request, shown, allocator)
    if not isinstance(kept, Allocation):
        return _start(request, kept, allocator)
    if request.pool and request.pool != kept.pool:
        return _start(request, None, allocator)
    settled, lacking = _settle(request, kept, allocator)
    if settled is None:
        return _start(request, lacking, allocator)
    return Keep(settled, lacking) if settled.addresses == shown else Assign(settled, None, lacking)


def adopt(service: Service, allocator: Allocator) -> None:
    """Reserves what a Service's status shows, where it may hold it: done for all Services before any gets a new one.

    So a controller that starts anew gives no address away that another Service has.
    """
    if service.spec.type != "LoadBalancer":
        return
    request = request_of(service)
    if isinstance(request, Request):
        _keep(request, held_addresses(service), allocator)


def shield(service: Service, allocator: Allocator, maybe_shown: frozenset[Address] = frozenset()) -> None:
    """Keeps from others what a Service's status shows, or may show, whether the Service may hold it or not."""
    held = allocator.holder(service.key)
    mine = held.addresses if held else ()
    others = [each for each in (*held_addresses(service), *sorted(maybe_shown)) if each not in mine]
    if others:
        allocator.shield(claim_of(service), others)


def _keep(request: Request, shown: tuple[Address, ...], allocator: Allocator) -> Allocation | Reason | None:
    """What stays of the addresses it shows, or that were reserved for it; else why they don't stay (None: none)."""
    reserved = allocator.holder(request.key)
    refusal: Reason | None = None
    for addresses in (shown, reserved.addresses if reserved else ()):
        fitting = tuple(address for address in addresses if address.family in request.families)
        if not fitting:
            continue
        if len({address.family for address in fitting}) != len(fitting):
            refusal = StatusUnclear(addresses)
            continue
        outcome = allocator.assign(request, fitting)
        if isinstance(outcome, Allocation):
            return outcome
        refusal = refusal or outcome
    return refusal


def _settle(request: Request, kept: Allocation, allocator: Allocator) -> tuple[Allocation | None, Reason | None]:
    """What it holds after moving to what it asks for and adding what it lacks; None: it has to start anew."""
    if request.unusable is not None:
        return kept, request.unusable
    if request.addresses and set(request.addresses) != set(kept.addresses):
        moved = allocator.allocate(request)
        return (moved, None) if isinstance(moved, Allocation) else (kept, moved)
    if len(kept.addresses) == len(request.families):
        return kept, None
    extended = allocator.extend(request)
    if isinstance(extended, Allocation):
        return extended, None
    return (None if request.both_required else kept), extended


def _start(request: Request, dropped: Reason | None, allocator: Allocator) -> Decision:
    """A first allocation, or one after the old addresses had to go."""
    allocator.release(request.key)
    outcome = request.unusable or allocator.allocate(request)
    if isinstance(outcome, Allocation):
        return Assign(outcome, dropped)
    return Pending(outcome, dropped)

"""Who shares an address: Services with one sharing key and different ports (spec/controller.md 9.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from metallb.allocator.reasons import AddressTaken
from metallb.allocator.request import Port, Request, Sharing
from metallb.api.net import Address, ServiceKey


@dataclass(slots=True)
class Tenancy:
    """The Services on one address and the ports they use there.

    Attributes:
        sharing: of the tenants, which all have the same.
        ports: who uses which.
        tenants: Services that hold the address.
        leaving: Services that don't hold it, and whose status shows it still, with what they had there. Tenants may
            stay beside them as they are; newcomers and new claims must get on with them.
    """

    sharing: Sharing
    ports: dict[Port, ServiceKey] = field(default_factory=dict)
    tenants: dict[ServiceKey, frozenset[Port]] = field(default_factory=dict)
    leaving: dict[ServiceKey, Request] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nobody is here."""
        return not self.tenants and not self.leaving

    def refusal(self, request: Request, address: Address) -> AddressTaken | None:
        """Why the Service may not move in (or stay, with other ports or another key); None where it may."""
        others = [tenant for tenant in self.tenants if tenant != request.key]
        if others:
            why = _incompatible(self.sharing, request.sharing)
            if why:
                return AddressTaken(address, min(others), why)
        for port in sorted(request.ports):
            holder = self.ports.get(port, request.key)
            if holder != request.key:
                return AddressTaken(address, holder, f"it uses port {port} there")
        present = self.tenants.get(request.key)
        if present is not None and present >= request.ports and self.sharing == request.sharing:
            return None
        for key, left in sorted(self.leaving.items()):
            if key != request.key and (_incompatible(left.sharing, request.sharing) or left.ports & request.ports):
                return AddressTaken(address, key, "it gives it up, and its status shows it still")
        return None

    def claim_of(self, service: ServiceKey) -> Request | None:
        """A request for what a tenant has here, or what one that leaves had; None for others."""
        ports = self.tenants.get(service)
        if ports is None:
            return self.leaving.get(service)
        return Request(service, {}, (), both_required=False, ports=ports, sharing=self.sharing)

    def move_in(self, request: Request) -> None:
        """Adds the Service, or renews its ports and key; `refusal` must have allowed it."""
        self.move_out(request.key)
        self.sharing = request.sharing
        self.tenants[request.key] = request.ports
        self.ports.update(dict.fromkeys(request.ports, request.key))

    def move_out(self, service: ServiceKey) -> None:
        """Removes the Service, if it is there."""
        self.leaving.pop(service, None)
        for port in self.tenants.pop(service, frozenset()):
            del self.ports[port]


def _incompatible(held: Sharing, wanted: Sharing) -> str:
    if not held.key or not wanted.key:
        return "sharing an address takes the annotation metallb.io/allow-shared-ip on both Services"
    if held.key != wanted.key:
        return f"its sharing key is {held.key!r}, not {wanted.key!r}"
    if held.backends != wanted.backends:
        return "with externalTrafficPolicy Local only Services with the same selector share an address"
    return ""


@dataclass(slots=True)
class Companions:
    """Finds addresses on which a Service has companions: by sharing key, and by the ports that are used there."""

    _found: dict[tuple[Sharing, Port | None], dict[Address, int]] = field(default_factory=dict)

    def add(self, claim: Request, address: Address) -> None:
        """Somebody who shares is there now."""
        for name in _names(claim):
            counts = self._found.setdefault(name, {})
            counts[address] = counts.get(address, 0) + 1

    def remove(self, claim: Request, address: Address) -> None:
        """And is gone."""
        for name in _names(claim):
            counts = self._found[name]
            counts[address] -= 1
            if not counts[address]:
                del counts[address]
            if not counts:
                del self._found[name]

    def of(self, request: Request) -> set[Address]:
        """Addresses with the same sharing key and without the Service's ports."""
        found = set(self._found.get((request.sharing, None), ()))
        for port in request.ports:
            found.difference_update(self._found.get((request.sharing, port), ()))
        return found


def _names(claim: Request) -> list[tuple[Sharing, Port | None]]:
    if not claim.sharing.key:
        return []
    return [(claim.sharing, None), *((claim.sharing, port) for port in claim.ports)]

"""Who shares an address: Services with one sharing key and different ports (spec/controller.md 9.2)."""

from __future__ import annotations

from collections.abc import Iterator
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
    _first: ServiceKey | None = None
    """The first tenant by name, where it is known."""

    @property
    def empty(self) -> bool:
        """Whether nobody is here."""
        return not self.tenants and not self.leaving

    def sharings(self) -> set[Sharing]:
        """With whom those who are here share."""
        mine = {self.sharing} if self.tenants else set()
        return mine | {left.sharing for left in self.leaving.values()}

    def refusal(self, request: Request, address: Address) -> AddressTaken | None:
        """Why the Service may not move in (or stay, with other ports or another key); None where it may."""
        present = self.tenants.get(request.key)
        if len(self.tenants) > (present is not None):
            why = _incompatible(self.sharing, request.sharing)
            if why:
                return AddressTaken(address, self._other(request.key), why)
        for port in sorted(request.ports):
            holder = self.ports.get(port, request.key)
            if holder != request.key:
                return AddressTaken(address, holder, f"it uses port {port} there")
        if present is not None and present >= request.ports and self.sharing == request.sharing:
            return None
        in_the_way = min(self._in_the_way(request), default=None)
        if in_the_way is None:
            return None
        return AddressTaken(address, in_the_way, "it gives it up, and its status shows it still")

    def claim_of(self, service: ServiceKey) -> Request | None:
        """A request for what a tenant has here, or what one that leaves had; None for others."""
        ports = self.tenants.get(service)
        if ports is None:
            return self.leaving.get(service)
        return Request(service, {}, (), both_required=False, ports=ports, sharing=self.sharing)

    def claims(self) -> list[Request]:
        """Of all who are here."""
        found = (self.claim_of(service) for service in (*self.tenants, *self.leaving))
        return [claim for claim in found if claim is not None]

    def move_in(self, request: Request) -> None:
        """Adds the Service, or renews its ports and key; `refusal` must have allowed it."""
        self.move_out(request.key)
        self.sharing = request.sharing
        self._first = request.key if not self.tenants else self._first and min(self._first, request.key)
        self.tenants[request.key] = request.ports
        self.ports.update(dict.fromkeys(request.ports, request.key))

    def move_out(self, service: ServiceKey) -> None:
        """Removes the Service, if it is there."""
        self.leaving.pop(service, None)
        for port in self.tenants.pop(service, frozenset()):
            del self.ports[port]
        if service == self._first:
            self._first = None

    def _other(self, service: ServiceKey) -> ServiceKey:
        """The first tenant by name beside the Service."""
        if self._first is None:
            self._first = min(self.tenants)
        return self._first if self._first != service else min(each for each in self.tenants if each != service)

    def _in_the_way(self, request: Request) -> Iterator[ServiceKey]:
        for key, left in self.leaving.items():
            if key != request.key and (_incompatible(left.sharing, request.sharing) or left.ports & request.ports):
                yield key


def _incompatible(held: Sharing, wanted: Sharing) -> str:
    if not held.key or not wanted.key:
        return "sharing an address takes the annotation metallb.io/allow-shared-ip on both Services"
    if held.key != wanted.key:
        return f"its sharing key is {held.key!r}, not {wanted.key!r}"
    if held.backends != wanted.backends:
        return "with externalTrafficPolicy Local only Services with the same selector share an address"
    return ""

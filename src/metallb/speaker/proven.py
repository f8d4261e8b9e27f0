"""Which addresses the cluster has announced before: those are announced at once, others are probed for first.

Fail-over and restarts must not wait for probes. So an address counts as announced before if a Service had it when this
speaker started, if another node was elected for it since, or if it was announced from here.
"""

from __future__ import annotations

from collections.abc import Iterable

from metallb.advertisement.layer2 import Announce, Decision
from metallb.advertisement.reasons import NoAdvertisement, OtherNode
from metallb.api.core import Service
from metallb.api.net import Address, ServiceKey


class Proven:
    """Remembers addresses as long as a Service has them."""

    def __init__(self) -> None:
        """None was announced."""
        self._held: dict[ServiceKey, frozenset[Address]] = {}
        self._holders: dict[Address, set[ServiceKey]] = {}
        self._announced: set[Address] = set()

    def begin(self, services: Iterable[Service]) -> None:
        """These were there before us: whatever addresses they have may have been announced."""
        for service in services:
            held = _addresses(service)
            self._hold(service.key, held)
            self._announced |= held

    def judge(self, key: ServiceKey, service: Service | None, decision: Decision) -> frozenset[Address]:
        """Takes note of a decision; gives those of its addresses that nobody has announced before."""
        held = frozenset() if service is None else _addresses(service)
        self._hold(key, held)
        if not _is_announced(decision):
            return frozenset()
        fresh = held - self._announced
        self._announced |= held
        return fresh if isinstance(decision, Announce) else frozenset()

    def holders(self, address: Address) -> frozenset[ServiceKey]:
        """The Services that have an address."""
        return frozenset(self._holders.get(address, ()))

    def _hold(self, key: ServiceKey, addresses: frozenset[Address]) -> None:
        before = self._held.get(key, frozenset())
        if addresses == before:
            return
        for address in before - addresses:
            self._holders[address].discard(key)
            if not self._holders[address]:
                del self._holders[address]
                self._announced.discard(address)
        for address in addresses - before:
            self._holders.setdefault(address, set()).add(key)
        if addresses:
            self._held[key] = addresses
        else:
            del self._held[key]


def _is_announced(decision: Decision) -> bool:
    """Whether some node announces by this decision, as far as is known here."""
    if isinstance(decision, Announce):
        return True
    reason = decision.reason
    return isinstance(reason, OtherNode) or (isinstance(reason, NoAdvertisement) and reason.witness is None)


def _addresses(service: Service) -> frozenset[Address]:
    if service.spec.type != "LoadBalancer":
        return frozenset()
    found = set()
    for ingress in service.status.load_balancer.ingress:
        try:
            found.add(Address.parse(ingress.ip))
        except ValueError:
            continue  # announced by nobody
    return frozenset(found)

"""Which addresses the cluster has announced before: those are announced at once, others are probed for first.

Fail-over and restarts must not wait for probes. So an address counts as announced before if a Service had it when this
speaker started, if another node was elected for it since, or if it was announced from here. It does not while the
Service's condition says that a host outside the cluster has it, whichever speaker found that out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from metallb.advertisement.conflicts import is_suspect, suspects
from metallb.advertisement.layer2 import Announce, Decision, Withhold
from metallb.advertisement.reasons import NoAdvertisement, OtherNode
from metallb.api.core import Service
from metallb.api.net import Address, ServiceKey

_NONE: Final[frozenset[Address]] = frozenset()


class Proven:
    """Remembers addresses as long as a Service has them."""

    def __init__(self) -> None:
        """None was announced."""
        # Tuples: there are thousands, of one or two entries each, and a set takes 216 bytes.
        self._held: dict[ServiceKey, tuple[Address, ...]] = {}
        self._holders: dict[Address, tuple[ServiceKey, ...]] = {}
        self._announced: set[Address] = set()

    def begin(self, services: Iterable[Service]) -> None:
        """These were there before us: whatever addresses they have may have been announced."""
        for service in services:
            held = _addresses(service)
            self._hold(service.key, held)
            self._announced.update(_unsuspected(service, held))

    def judge(self, key: ServiceKey, service: Service | None, decision: Decision) -> frozenset[Address]:
        """Takes note of a decision; gives those of its addresses that nobody has announced before."""
        held = () if service is None else _addresses(service)
        self._hold(key, held)
        if isinstance(decision, Announce):
            fresh = frozenset(held) - self._announced
            self._announced.update(held)
            return fresh
        good = held if service is None else _unsuspected(service, held)
        if len(good) < len(held):
            self._announced.difference_update(set(held).difference(good))
        if _is_announced(decision):
            self._announced.update(good)
        return _NONE

    def holders(self, address: Address) -> frozenset[ServiceKey]:
        """The Services that have an address."""
        return frozenset(self._holders.get(address, ()))

    def _hold(self, key: ServiceKey, addresses: tuple[Address, ...]) -> None:
        before = self._held.get(key, ())
        if addresses == before:
            return
        for address in set(before).difference(addresses):
            others = tuple(each for each in self._holders[address] if each != key)
            if others:
                self._holders[address] = others
            else:
                del self._holders[address]
                self._announced.discard(address)
        for address in set(addresses).difference(before):
            self._holders[address] = (*self._holders.get(address, ()), key)
        if addresses:
            self._held[key] = addresses
        else:
            del self._held[key]


def _unsuspected(service: Service, held: tuple[Address, ...]) -> tuple[Address, ...]:
    """Those that no other host has, as far as the Service says."""
    said = suspects(service)
    return tuple(each for each in held if not is_suspect(each, said)) if said else held


def _is_announced(decision: Withhold) -> bool:
    """Whether another node announces by this decision, as far as is known here."""
    reason = decision.reason
    return isinstance(reason, OtherNode) or (isinstance(reason, NoAdvertisement) and reason.witness is None)


def _addresses(service: Service) -> tuple[Address, ...]:
    """Those that its status shows, each once."""
    if service.spec.type != "LoadBalancer":
        return ()
    found: dict[Address, None] = {}
    for ingress in service.status.load_balancer.ingress:
        try:
            found[Address.parse(ingress.ip)] = None
        except ValueError:
            continue  # announced by nobody
    return tuple(found)

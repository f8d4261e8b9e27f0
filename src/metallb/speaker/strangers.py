"""Hosts outside the cluster that use addresses of Services: who they are, and people are told, by events and log.

A stranger that has a new address keeps it from being announced on its network, until it is gone. One that comes later
does not: the address is announced again, and clients may reach the one or the other (RFC 5227 2.4 c).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from metallb.advertisement.conflicts import words
from metallb.api.core import Service
from metallb.api.net import Address, InterfaceName, NodeName
from metallb.api.v1beta1_states import AddressConflict
from metallb.protocols.ethernet import Mac, format_mac
from metallb.telemetry import logs

SEEN_S: Final = 60.0
"""How long one that uses an announced address counts as being there after it was seen."""

TELL_AGAIN_S: Final = 60.0
"""How often people are told of the same."""

MOST_HOSTS: Final = 8
"""How many that use one announced address are told apart: a host can take another Ethernet address for each frame."""

_NEVER: Final = float("-inf")
_log = logs.logger(op="conflict")


@dataclass(frozen=True, slots=True)
class Case:
    """One address, on one interface, used by one host; and whether it is announced there all the same."""

    interface: InterfaceName
    address: Address
    mac: Mac
    announced: bool

    @property
    def told(self) -> AddressConflict:
        """As it is shown to others."""
        return AddressConflict(str(self.address), self.interface, format_mac(self.mac), self.announced)


@dataclass(frozen=True, slots=True)
class Outlets:
    """Whom to tell.

    Attributes:
        node_of: the node of an Ethernet address; None: it belongs to no node that is known.
        services: those that have an address and are announced from here, or would be.
        event: called with Service, type, reason and message.
        show: called with a case that is there (true) or over.
        later: calls back after so many seconds.
    """

    node_of: Callable[[Mac], NodeName | None]
    services: Callable[[Address], Iterable[Service]]
    event: Callable[[Service, Literal["Normal", "Warning"], str, str], None]
    show: Callable[[Case, bool], None]
    later: Callable[[float, Callable[[], None]], object]


class Strangers:
    """All that are known here."""

    def __init__(self, node: NodeName, outlets: Outlets, clock: Callable[[], float] = time.monotonic) -> None:
        """None is known; `node` is ours."""
        self._node = node
        self._outlets = outlets
        self._clock = clock
        self._held: dict[Address, dict[InterfaceName, Case]] = {}
        self._seen: dict[Address, dict[Case, float]] = {}
        self._told: dict[Case, float] = {}
        self._expires = False

    @property
    def addresses(self) -> frozenset[Address]:
        """Those that they use."""
        return frozenset(self._held) | frozenset(self._seen)

    def __contains__(self, address: Address) -> bool:
        """Whether one uses it."""
        return address in self._held or address in self._seen

    def of(self, address: Address) -> list[Case]:
        """Who uses an address, one on each interface: whoever has it, otherwise who was seen first of those there."""
        found = {case.interface: case for case in reversed(self._seen.get(address, {}))}
        found |= self._held.get(address, {})
        return [found[name] for name in sorted(found)]

    def held(self, interface: InterfaceName, address: Address, mac: Mac) -> bool:
        """Another host has an address that was probed for; false: it is a node of ours, which counts for nothing."""
        if self._outlets.node_of(mac) is not None:
            self._release(interface, address)
            return False
        if not list(self._outlets.services(address)):
            return True  # a late report: nobody wants it any more
        case = Case(interface, address, mac, announced=False)
        if self._held.get(address, {}).get(interface) != case:
            self._release(interface, address)
            self._held.setdefault(address, {})[interface] = case
            self._outlets.show(case, True)
        self._tell(case)
        return True

    def free(self, interface: InterfaceName, address: Address) -> None:
        """Nobody has an address that was probed for: it is announced now."""
        case = self._release(interface, address)
        if case is None:
            return
        self._told.pop(case, None)
        message = f"{address} is announced by node {self._node!r} on {interface}: no other host has it any more"
        _log.info("an address is free again", event="addressFree", ip=str(address), interface=interface)
        for service in self._outlets.services(address):
            self._outlets.event(service, "Normal", "addressFree", message)

    def seen(self, interface: InterfaceName, address: Address, mac: Mac) -> None:
        """A host of nobody we know uses an address that is announced, or was probed for."""
        if interface in self._held.get(address, {}):
            return  # it is known, and the address is not announced
        if not list(self._outlets.services(address)):
            return
        case = Case(interface, address, mac, announced=True)
        known = self._seen.setdefault(address, {})
        if case not in known:
            if len(known) >= MOST_HOSTS:
                return
            known[case] = self._clock()
            self._outlets.show(case, True)
        known[case] = self._clock()
        self._expire_later()
        self._tell(case)

    def limit(self, address: Address, where: Callable[[InterfaceName], bool]) -> None:
        """The interfaces on which the address is announced from now on, or would be: it matters nowhere else."""
        for name in [each for each in self._held.get(address, {}) if not where(each)]:
            self._release(name, address)
        for case in [each for each in self._seen.get(address, {}) if not where(each.interface)]:
            self._forget(case)

    def _release(self, interface: InterfaceName, address: Address) -> Case | None:
        """Nobody has it there any more; gives who had."""
        cases = self._held.get(address, {})
        case = cases.pop(interface, None)
        if case is None:
            return None
        if not cases:
            del self._held[address]
        self._outlets.show(case, False)
        return case

    def _forget(self, case: Case) -> None:
        """It was not seen for long."""
        cases = self._seen[case.address]
        del cases[case]
        if not cases:
            del self._seen[case.address]
        self._outlets.show(case, False)

    def _tell(self, case: Case) -> None:
        now = self._clock()
        if now - self._told.get(case, _NEVER) < TELL_AGAIN_S:
            return
        self._told[case] = now
        self._expire_later()
        message = words(case.told, self._node)
        _log.warn(message, event="addressHeld", ip=str(case.address), mac=format_mac(case.mac))
        for service in self._outlets.services(case.address):
            self._outlets.event(service, "Warning", "addressConflict", message)

    def _expire_later(self) -> None:
        if not self._expires:
            self._expires = True
            self._outlets.later(SEEN_S, self._expire)

    def _expire(self) -> None:
        self._expires = False
        now = self._clock()
        for case, at in [each for cases in self._seen.values() for each in cases.items()]:
            if now - at >= SEEN_S:
                self._forget(case)
        self._told = {case: at for case, at in self._told.items() if now - at < TELL_AGAIN_S}
        if self._seen or self._told:
            self._expire_later()

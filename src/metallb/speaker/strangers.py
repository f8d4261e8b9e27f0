"""Hosts outside the cluster that use addresses of Services: people are told, by events, metrics and log.

A stranger that has a new address keeps it from being announced on its network, until it is gone. One that comes later
does not: the address is announced again, and clients may reach the one or the other (RFC 5227 2.4 c).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from metallb.api.core import Service
from metallb.api.net import Address, InterfaceName, NodeName
from metallb.protocols.ethernet import Mac, format_mac
from metallb.telemetry import logs

SEEN_S: Final = 60.0
"""How long one that uses an announced address counts as being there after it was seen."""

TELL_AGAIN_S: Final = 60.0
"""How often people are told of the same."""

_NEVER: Final = float("-inf")
_log = logs.logger(op="conflict")


@dataclass(frozen=True, slots=True)
class Case:
    """One address, on one interface, used by one host; and whether it is announced there all the same."""

    interface: InterfaceName
    address: Address
    mac: Mac
    announced: bool


@dataclass(frozen=True, slots=True)
class Outlets:
    """Whom to tell.

    Attributes:
        node_of: the node of an Ethernet address; None: it belongs to no node that is known.
        services: those that have an address and are announced from here, or would be.
        event: called with Service, type, reason and message.
        show: called with a case that is there (true) or over, for metrics.
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
        self._held: dict[tuple[InterfaceName, Address], Case] = {}
        self._seen: dict[Case, float] = {}
        self._told: dict[Case, float] = {}
        self._expires = False

    def held(self, interface: InterfaceName, address: Address, mac: Mac) -> bool:
        """Another host has an address that was probed for; false: it is a node of ours, which counts for nothing."""
        if self._outlets.node_of(mac) is not None:
            return False
        if not list(self._outlets.services(address)):
            return True  # a late report: nobody wants it any more
        case = Case(interface, address, mac, announced=False)
        before = self._held.get((interface, address))
        if before != case:
            self._held[interface, address] = case
            if before is not None:
                self._outlets.show(before, False)
            self._outlets.show(case, True)
        self._tell(case)
        return True

    def free(self, interface: InterfaceName, address: Address) -> None:
        """Nobody has an address that was probed for: it is announced now."""
        case = self._held.pop((interface, address), None)
        if case is None:
            return
        self._outlets.show(case, False)
        self._told.pop(case, None)
        message = f"{address} is announced by node {self._node!r} on {interface}: no other host has it any more"
        _log.info("an address is free again", event="addressFree", ip=str(address), interface=interface)
        for service in self._outlets.services(address):
            self._outlets.event(service, "Normal", "addressFree", message)

    def seen(self, interface: InterfaceName, address: Address, mac: Mac) -> None:
        """A host of nobody we know uses an address that is announced, or was probed for."""
        if (interface, address) in self._held:
            return  # it is known, and the address is not announced
        if not list(self._outlets.services(address)):
            return
        case = Case(interface, address, mac, announced=True)
        if case not in self._seen:
            self._outlets.show(case, True)
        self._seen[case] = self._clock()
        self._expire_later()
        self._tell(case)

    def withdrawn(self, address: Address) -> None:
        """No Service of this node has the address any more."""
        for place in [each for each in self._held if each[1] == address]:
            self._outlets.show(self._held.pop(place), False)
        for case in [each for each in self._seen if each.address == address]:
            del self._seen[case]
            self._outlets.show(case, False)

    def _tell(self, case: Case) -> None:
        now = self._clock()
        if now - self._told.get(case, _NEVER) < TELL_AGAIN_S:
            return
        self._told[case] = now
        self._expire_later()
        message = _words(case, self._node)
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
        for case, at in list(self._seen.items()):
            if now - at >= SEEN_S:
                del self._seen[case]
                self._outlets.show(case, False)
        self._told = {case: at for case, at in self._told.items() if now - at < TELL_AGAIN_S}
        if self._seen or self._told:
            self._expire_later()


def _words(case: Case, node: NodeName) -> str:
    who = f"the host {format_mac(case.mac)} on {case.interface}, which is no node of this cluster,"
    if case.announced:
        return f"{who} uses {case.address} too, which node {node!r} announces there: clients may reach either"
    return f"{case.address} is not announced by node {node!r} on {case.interface}: {who} has it"

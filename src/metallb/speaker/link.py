"""One interface on the wire: its packet sockets, and the responders that they feed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from metallb.advertisement.interfaces import Interface
from metallb.api.net import Address, Family
from metallb.protocols.announcing import (
    Count,
    Counter,
    Drop,
    Effect,
    FrameReceived,
    Input,
    JoinGroup,
    LeaveGroup,
    Send,
    TableChanged,
)
from metallb.protocols.arp.responder import ArpResponder
from metallb.protocols.ethernet import ETHERTYPE_ARP, ETHERTYPE_IPV6
from metallb.protocols.machine import Machine
from metallb.protocols.ndp.responder import NdpResponder
from metallb.telemetry import logs
from metallb.transports.drive import Driver
from metallb.transports.filters import arp_filters, ndp_filters
from metallb.transports.packet import Groups, PacketSocket

_log = logs.logger(op="link")
_FRAMES_PER_TURN = 64
"""After so many frames other work gets its turn, however busy the network is."""


class Observer(Protocol):
    """Is told what happens on the wire; must be quick."""

    def count(self, counter: Counter, address: Address) -> None:
        """Something happened that concerns an announced address."""

    def drop(self, protocol: str, reason: str) -> None:
        """A frame was not answered."""


class Responder:
    """One protocol on one interface."""

    def __init__(
        self,
        interface: Interface,
        protocol: str,
        family: Family,
        sock: PacketSocket,
        machine: Machine[Input, Effect],
        observer: Observer,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        """Answers from now on; `look` is called before frames are read."""
        self._interface = interface
        self._protocol = protocol
        self._family: Family = family
        self._socket = sock
        self._observer = observer
        self._look = look
        self._groups = Groups(interface.index)
        self._driver: Driver[Input, Effect] = Driver(machine, self._perform)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read)

    def answer_for(self, addresses: Iterable[Address]) -> None:
        """From now on it answers for exactly these, as far as they are of its family."""
        values = frozenset(address.value for address in addresses if address.family == self._family)
        make = arp_filters if self._family == 4 else ndp_filters  # noqa: PLR2004  # the family's own number
        self._attempt("filter", lambda: self._socket.filter(make(values)))
        self._driver.feed(TableChanged(values))

    def feed(self, event: Input) -> None:
        """Hands an event to the machine."""
        self._driver.feed(event)

    def close(self) -> None:
        """Answers no more."""
        self._loop.remove_reader(self._socket.fileno())
        self._driver.close()
        self._socket.close()
        self._groups.close()

    def discard(self) -> None:
        """Forgets the frames that wait."""
        while self._receive() is not None:
            pass

    def _read(self) -> None:
        self._look()
        for _ in range(_FRAMES_PER_TURN):
            frame = self._receive()
            if frame is None:
                return
            self._driver.feed(FrameReceived(frame))

    def _receive(self) -> bytes | None:
        try:
            return self._socket.receive()
        except OSError as error:
            # ENETDOWN: said once by the kernel; the interface watcher tells what comes next.
            _log.debug("receive failed", interface=self._interface.name, error=str(error))
            return None

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(frame, address, counter):
                if self._attempt("send", lambda: self._socket.send(frame)):
                    self._observer.count(counter, Address(self._family, address))
            case Count(address, counter):
                self._observer.count(counter, Address(self._family, address))
            case Drop(reason):
                self._observer.drop(self._protocol, reason)
            case JoinGroup(group):
                self._attempt("join", lambda: self._groups.join(Address(6, group)))
            case LeaveGroup(group):
                self._groups.leave(Address(6, group))

    def _attempt(self, what: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except OSError as error:
            self._observer.drop(self._protocol, f"{what}-failed")
            _log.debug(f"{what} failed", interface=self._interface.name, error=str(error))
            return False
        return True


class Link:
    """The responders of one interface."""

    def __init__(self, responders: list[Responder]) -> None:
        """Owns them from now on."""
        self._responders = responders

    def answer_for(self, addresses: frozenset[Address]) -> None:
        """From now on the interface answers for exactly these."""
        for responder in self._responders:
            responder.answer_for(addresses)

    def feed(self, event: Input) -> None:
        """Hands an event to each."""
        for responder in self._responders:
            responder.feed(event)

    def discard(self) -> None:
        """Forgets the frames that wait."""
        for responder in self._responders:
            responder.discard()

    def close(self) -> None:
        """Ends them."""
        for responder in self._responders:
            responder.close()


def open_link(interface: Interface, observer: Observer, look: Callable[[], object] = lambda: None) -> Link:
    """Opens what the interface needs; `look` is called before frames are read.

    Raises:
        OSError: the interface is gone, or CAP_NET_RAW is missing; nothing stays open.
    """
    if interface.mac is None:
        raise OSError(f"interface {interface.name} has no Ethernet address")
    responders: list[Responder] = []
    try:
        if interface.answers_arp:
            arp = PacketSocket(interface.name, ETHERTYPE_ARP, arp_filters(()))
            responders.append(Responder(interface, "arp", 4, arp, ArpResponder(interface.mac), observer, look))
        if interface.answers_ndp and interface.link_local is not None:
            ndp = PacketSocket(interface.name, ETHERTYPE_IPV6, ndp_filters(()))
            machine = NdpResponder(interface.mac, interface.link_local)
            responders.append(Responder(interface, "ndp", 6, ndp, machine, observer, look))
    except OSError:
        Link(responders).close()
        raise
    return Link(responders)

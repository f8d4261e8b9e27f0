"""One interface on the wire: its packet sockets, and the responders that they feed.

Runs in the process that answers (`answering.py`), which has neither an event loop nor the speaker's libraries.
"""

from __future__ import annotations

import math
from typing import Literal

from metallb.protocols.announcing import (
    Conflict,
    Count,
    Counter,
    Drop,
    Effect,
    FrameReceived,
    Held,
    Input,
    InterfaceChanged,
    JoinGroup,
    LeaveGroup,
    Proven,
    Send,
    TableChanged,
)
from metallb.protocols.arp.responder import ArpResponder
from metallb.protocols.ethernet import ETHERTYPE_ARP, ETHERTYPE_IPV6, Mac
from metallb.protocols.machine import Machine
from metallb.protocols.ndp.responder import NdpResponder
from metallb.speaker.orders import Family, Place, Probed, Table
from metallb.speaker.tally import Tally
from metallb.transports.bpf import NOTHING
from metallb.transports.packet import Groups, PacketSocket

_FRAMES_PER_TURN = 64
"""After so many frames other work gets its turn, however busy the network is."""

Kind = Literal["arp", "ndp"]
_FAMILY: dict[Kind, Family] = {"arp": 4, "ndp": 6}
_NOBODY: frozenset[int] = frozenset()


class Responder:
    """One protocol on one interface."""

    def __init__(
        self, place: Place, protocol: Kind, sock: PacketSocket, machine: Machine[Input, Effect], tally: Tally
    ) -> None:
        """Answers for nothing yet."""
        self.protocol = protocol
        self.doubtful = False
        """Whoever names one of our addresses as its own is believed: the speaker may not know what goes on."""
        self._interface = place.name
        self.family = _FAMILY[protocol]
        self._socket = sock
        self._machine = machine
        self._tally = tally
        self._groups = Groups(place.number)
        self._answered = _NOBODY
        self._unproven = _NOBODY
        self._proven: set[int] = set()

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def answer_for(self, addresses: frozenset[int], now: float, unproven: frozenset[int] = _NOBODY) -> None:
        """From now on it answers for exactly these; those that are unproven are probed for first, once."""
        unproven -= self._proven
        if (addresses, unproven) != (self._answered, self._unproven):
            self._answered, self._unproven = addresses, unproven
            self._do(self._machine.feed(TableChanged(addresses, unproven=unproven), now), now)

    def forget(self, addresses: frozenset[int]) -> None:
        """Only what is among these stays proven."""
        self._proven &= addresses

    def filter(self, programs: tuple[bytes, ...]) -> None:
        """From now on only what these pass is read."""
        try:
            self._socket.filter(programs)
        except OSError:
            self._drop("filter-failed")

    def announce_again(self, mac: Mac, now: float) -> None:
        """Tells all neighbours once more; the interface has this Ethernet address."""
        self._do(self._machine.feed(InterfaceChanged(mac), now), now)

    def renew(self, address: int, now: float) -> None:
        """Announces an address once more, if it is announced."""
        self._do(self._machine.feed(TableChanged(self._answered, frozenset({address}), self._unproven), now), now)

    def read(self, now: float) -> None:
        """Answers what has come, some of it if it is much."""
        for _ in range(_FRAMES_PER_TURN):
            frame = self._receive()
            if frame is None:
                return
            self._tally.passed[self._interface, self.protocol] += 1
            self._do(self._machine.feed(FrameReceived(frame), now), now)

    def discard(self) -> None:
        """Forgets what has come."""
        while self._receive() is not None:
            self._tally.passed[self._interface, self.protocol] += 1
            self._drop("silent")

    def tick(self, now: float) -> None:
        """Announces what is due."""
        self._do(self._machine.tick(now), now)

    def deadline(self) -> float | None:
        """When to announce next."""
        return self._machine.deadline()

    def close(self) -> None:
        """Answers no more."""
        self._socket.close()
        self._groups.close()

    def _receive(self) -> bytes | None:
        try:
            return self._socket.receive()
        except OSError:
            return None  # ENETDOWN: said once by the kernel; the speaker hears of it by netlink

    def _do(self, effects: list[Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case Send(frame, address, counter):
                    self._send(frame, address, counter)
                case Count(address, counter):
                    self._tally.counts[counter, self.family, address] += 1
                case Drop(reason):
                    self._drop(reason)
                case Conflict(address, mac):
                    self._disputed(address, mac, now)
                case Held(address, mac):
                    self._tally.probed.append(Probed(self._interface, self.family, address, mac))
                case Proven(address):
                    self._proven.add(address)
                    self._unproven -= {address}
                    self._tally.probed.append(Probed(self._interface, self.family, address, b""))
                case JoinGroup(group):
                    self._join(group)
                case LeaveGroup(group):
                    self._groups.leave(group)

    def _disputed(self, address: int, mac: Mac, now: float) -> None:
        self._tally.conflicts[self._interface, self.family, address, mac] += 1
        if self.doubtful:
            self.answer_for(self._answered - {address}, now, self._unproven - {address})

    def _drop(self, reason: str) -> None:
        self._tally.dropped[self._interface, self.protocol, reason] += 1

    def _send(self, frame: bytes, address: int, counter: Counter) -> None:
        try:
            self._socket.send(frame)
        except OSError:
            self._drop("send-failed")
            return
        self._tally.counts[counter, self.family, address] += 1

    def _join(self, group: int) -> None:
        try:
            self._groups.join(group)
        except OSError:
            self._drop("join-failed")


class Link:
    """The responders of one interface."""

    def __init__(self, place: Place, tally: Tally) -> None:
        """Opens what the interface needs; it answers for nothing yet.

        Raises:
            OSError: the interface is gone, or CAP_NET_RAW is missing; nothing stays open.
        """
        self.place = place
        self.responders: list[Responder] = []
        mac = Mac(place.mac)
        try:
            if place.arp:
                self._open("arp", ETHERTYPE_ARP, ArpResponder(mac), tally)
            if place.ndp and place.link_local is not None:
                self._open("ndp", ETHERTYPE_IPV6, NdpResponder(mac, place.link_local), tally)
        except OSError:
            self.close()
            raise

    def serves(self, place: Place) -> bool:
        """Whether the sockets serve the interface as it is now."""
        return _needs(self.place) == _needs(place)

    def follow(self, place: Place, now: float) -> None:
        """The interface is like this now: with another Ethernet address all is announced again."""
        before, self.place = self.place, place
        if before.mac != place.mac:
            self.announce_again(now)

    def announce_again(self, now: float) -> None:
        """Tells all neighbours once more."""
        for responder in self.responders:
            responder.announce_again(Mac(self.place.mac), now)

    def renew(self, family: Family, address: int, now: float) -> None:
        """Announces an address once more, if it is announced."""
        for responder in self.responders:
            if responder.family == family:
                responder.renew(address, now)

    def filter(self, table: Table) -> None:
        """From now on only frames about these addresses are read."""
        for responder in self.responders:
            responder.filter(table.arp_filters if responder.protocol == "arp" else table.ndp_filters)
            responder.forget(table.four if responder.protocol == "arp" else table.six)

    def answer_for(self, table: Table | None, now: float) -> None:
        """From now on the interface answers for exactly these, also those given up in doubt; None: for nothing."""
        for responder in self.responders:
            if table is None:
                responder.answer_for(_NOBODY, now)
            else:
                wanted = (
                    (table.four, table.unproven_four)
                    if responder.protocol == "arp"
                    else (table.six, table.unproven_six)
                )
                responder.answer_for(wanted[0], now, wanted[1])

    def tick(self, now: float) -> None:
        """Announces what is due."""
        for responder in self.responders:
            responder.tick(now)

    def deadline(self) -> float:
        """When to announce next; infinity: never."""
        due = (responder.deadline() for responder in self.responders)
        return min((each for each in due if each is not None), default=math.inf)

    def close(self) -> None:
        """Answers no more."""
        for responder in self.responders:
            responder.close()

    def _open(self, protocol: Kind, ethertype: int, machine: Machine[Input, Effect], tally: Tally) -> None:
        sock = PacketSocket(self.place.name, ethertype, (NOTHING,))
        self.responders.append(Responder(self.place, protocol, sock, machine, tally))


def _needs(place: Place) -> tuple[object, ...]:
    return place.name, place.arp, place.ndp, place.link_local

"""Answers ARP requests on one interface and announces addresses there (spec/speaker.md 2.3, 2.4; RFC 826, RFC 5227).

Whoever names one of the addresses as its own is told of (RFC 5227 2.4); what follows from that is decided elsewhere.

Budget of an answer: decode, one set lookup, encode: under 10 us.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from metallb.protocols.announcing import (
    Conflict,
    Count,
    Drop,
    Effect,
    FrameReceived,
    Input,
    InterfaceChanged,
    Send,
)
from metallb.protocols.arp.errors import DecodeError
from metallb.protocols.arp.packet import REPLY, REQUEST, ArpPacket, decode
from metallb.protocols.claims import Claims
from metallb.protocols.ethernet import BROADCAST, Mac

_NOBODY = Mac(bytes(6))


@dataclass(slots=True)
class ArpResponder:
    """A machine (protocols/machine.py) for one interface; addresses are integers of 32 bits."""

    mac: Mac
    _claims: Claims = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is announced yet."""
        self._claims = Claims(self._round, self._probe)

    def feed(self, event: Input, now: float) -> list[Effect]:
        """Takes a frame, a new table, or a new Ethernet address."""
        if isinstance(event, FrameReceived):
            return self._answer(event.frame, now)
        if isinstance(event, InterfaceChanged):
            self.mac = event.mac
            return self._claims.again(now)
        return self._claims.follow(event, now)

    def tick(self, now: float) -> list[Effect]:
        """Sends the probes and the rounds of announcements that fell due."""
        return self._claims.tick(now)

    def deadline(self) -> float | None:
        """When the next round or probe is due."""
        return self._claims.deadline()

    def _answer(self, frame: bytes, now: float) -> list[Effect]:
        try:
            heard = decode(frame)
        except DecodeError as error:
            return [Drop(f"malformed-{error.code}")]
        if heard.sender_mac == self.mac:
            return [Drop("own")]
        if self._claims.asks_for(heard.sender_ip):
            held = self._claims.heard(heard.sender_ip, heard.sender_mac, now)
            return [Conflict(heard.sender_ip, heard.sender_mac), *held]
        if heard.sender_ip not in self._claims.table:
            return self._reply(heard)
        conflict = Conflict(heard.sender_ip, heard.sender_mac)
        if heard.operation != REQUEST or heard.target_ip == heard.sender_ip:
            return [conflict]  # it tells, it does not ask
        return [conflict, *self._reply(heard)]

    def _reply(self, request: ArpPacket) -> list[Effect]:
        if request.operation != REQUEST:
            return [Drop("not-a-request")]
        if request.destination not in (BROADCAST, self.mac):
            return [Drop("other-destination")]
        address = request.target_ip
        if address not in self._claims.table:
            return [Drop("not-ours")]
        reply = ArpPacket(
            destination=request.sender_mac,
            source=self.mac,
            operation=REPLY,
            sender_mac=self.mac,
            sender_ip=request.target_ip,
            target_mac=request.sender_mac,
            target_ip=request.sender_ip,
        )
        return [Count(address, "requests_received"), Send(reply.encode(), address, "responses_sent")]

    def _round(self, address: int) -> Iterable[bytes]:
        """A request and a reply, both broadcast: hosts update their caches on the one or on the other."""
        for operation in (REQUEST, REPLY):
            yield ArpPacket(
                destination=BROADCAST,
                source=self.mac,
                operation=operation,
                sender_mac=self.mac,
                sender_ip=address,
                target_mac=BROADCAST,
                target_ip=address,
            ).encode()

    def _probe(self, address: int) -> bytes:
        """A request that names no sender, so that nobody's cache changes by it (RFC 5227 2.1.1)."""
        return ArpPacket(
            destination=BROADCAST,
            source=self.mac,
            operation=REQUEST,
            sender_mac=self.mac,
            sender_ip=0,
            target_mac=_NOBODY,
            target_ip=address,
        ).encode()

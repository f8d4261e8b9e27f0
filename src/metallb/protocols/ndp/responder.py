"""Answers Neighbour Solicitations on one interface and announces addresses there.

Source: spec/speaker.md 2.3, 2.4; RFC 4861 7.2.3, 7.2.4, 7.2.6; RFC 4862 5.4 (probes for duplicates are answered to all
nodes, so that nobody can take an announced address). Solicited answers set the Override flag as RFC 4861 7.2.4 wants
it for addresses that are neither anycast nor proxied; upstream leaves it clear, which delays a client's move to a new
node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from metallb.protocols.announcing import (
    Bursts,
    Count,
    Drop,
    Effect,
    FrameReceived,
    Input,
    InterfaceChanged,
    JoinGroup,
    LeaveGroup,
    Send,
    TableChanged,
)
from metallb.protocols.ethernet import Mac
from metallb.protocols.ndp.errors import DecodeError
from metallb.protocols.ndp.packet import (
    ADVERTISEMENT,
    ALL_NODES,
    OVERRIDE,
    SOLICITATION,
    SOLICITED,
    NdpPacket,
    decode,
    multicast_mac,
    solicited_node,
)


@dataclass(slots=True)
class NdpResponder:
    """A machine (protocols/machine.py) for one interface; addresses are integers of 128 bits.

    `link_local` is the interface's own address, from which it speaks.
    """

    mac: Mac
    link_local: int
    table: frozenset[int] = frozenset()
    _bursts: Bursts = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is announced yet."""
        self._bursts = Bursts(self._round)

    def feed(self, event: Input, now: float) -> list[Effect]:
        """Takes a frame, a new table, or a new Ethernet address."""
        if isinstance(event, FrameReceived):
            return self._answer(event.frame)
        if isinstance(event, InterfaceChanged):
            self.mac = event.mac
            return self._bursts.start(sorted(self.table), now)
        return self._replace(event, now)

    def tick(self, now: float) -> list[Effect]:
        """Sends the rounds of announcements that fell due."""
        return self._bursts.tick(now)

    def deadline(self) -> float | None:
        """When the next round is due."""
        return self._bursts.deadline()

    def _replace(self, event: TableChanged, now: float) -> list[Effect]:
        before, self.table = self.table, event.addresses
        left, joined = _groups(before) - _groups(self.table), _groups(self.table) - _groups(before)
        effects: list[Effect] = [LeaveGroup(group) for group in sorted(left)]
        effects += [JoinGroup(group) for group in sorted(joined)]
        return effects + self._bursts.follow(before, event, now)

    def _answer(self, frame: bytes) -> list[Effect]:
        try:
            request = decode(frame)
        except DecodeError as error:
            return [Drop(f"malformed-{error.code}")]
        if request.kind != SOLICITATION:
            return [Drop("not-a-solicitation")]
        if request.source == self.link_local:
            return [Drop("own")]
        address = request.target
        if address not in self.table:
            return [Drop("not-ours")]
        return [Count(address, "requests_received"), Send(self._reply(request).encode(), address, "responses_sent")]

    def _reply(self, request: NdpPacket) -> NdpPacket:
        if request.source == 0:
            return self._advertisement(request.target, ALL_NODES, multicast_mac(ALL_NODES), OVERRIDE)
        to = request.link_layer or request.source_mac
        return self._advertisement(request.target, request.source, to, SOLICITED | OVERRIDE)

    def _round(self, address: int) -> Iterable[bytes]:
        """One unsolicited advertisement to all nodes, which overrides what they have cached."""
        yield self._advertisement(address, ALL_NODES, multicast_mac(ALL_NODES), OVERRIDE).encode()

    def _advertisement(self, target: int, destination: int, destination_mac: Mac, flags: int) -> NdpPacket:
        return NdpPacket(
            destination_mac=destination_mac,
            source_mac=self.mac,
            destination=destination,
            source=self.link_local,
            kind=ADVERTISEMENT,
            target=target,
            flags=flags,
            link_layer=self.mac,
        )


def _groups(table: Iterable[int]) -> frozenset[int]:
    return frozenset(solicited_node(address) for address in table)

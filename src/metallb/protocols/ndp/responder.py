"""Answers Neighbour Solicitations on one interface and announces addresses there.

Source: spec/speaker.md 2.3, 2.4; RFC 4861 7.2.3, 7.2.4, 7.2.6; RFC 4862 5.4 (probes for duplicates are answered to all
nodes, so that nobody can take an announced address). Solicited answers set the Override flag as RFC 4861 7.2.4 wants
it for addresses that are neither anycast nor proxied; upstream leaves it clear, which delays a client's move to a new
node. Whoever advertises one of the addresses is told of (RFC 4862 5.4.4); what follows from that is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
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
    JoinGroup,
    LeaveGroup,
    Send,
)
from metallb.protocols.claims import Claims
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
    _claims: Claims = field(init=False)
    _users: Counter[int] = field(default_factory=Counter)

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
        groups = self._regroup(self._claims.addresses, event.addresses)
        return [*groups, *self._claims.follow(event, now)]

    def tick(self, now: float) -> list[Effect]:
        """Sends the probes and the rounds of announcements that fell due."""
        return self._claims.tick(now)

    def deadline(self) -> float | None:
        """When the next round or probe is due."""
        return self._claims.deadline()

    def _regroup(self, before: frozenset[int], after: frozenset[int]) -> list[Effect]:
        """Leaves groups that no address needs any more, joins those that one needs now, answered for or probed for."""
        changes = Counter(map(solicited_node, after - before))
        changes.subtract(map(solicited_node, before - after))
        left, joined = [], []
        for group, change in changes.items():
            users, self._users[group] = self._users[group], self._users[group] + change
            if self._users[group] == 0:
                del self._users[group]
                left += [group] if users else []
            elif not users:
                joined.append(group)
        return [*map(LeaveGroup, sorted(left)), *map(JoinGroup, sorted(joined))]

    def _answer(self, frame: bytes, now: float) -> list[Effect]:
        try:
            heard = decode(frame)
        except DecodeError as error:
            return [Drop(f"malformed-{error.code}")]
        if heard.source == self.link_local or heard.source_mac == self.mac:
            return [Drop("own")]
        address, mac = heard.target, heard.link_layer or heard.source_mac
        if heard.kind == ADVERTISEMENT and self._claims.asks_for(address):
            return [Conflict(address, mac), *self._claims.heard(address, mac, now)]
        if address not in self._claims.table:
            return [Drop("not-ours")]
        if heard.kind == ADVERTISEMENT:
            return [Conflict(address, mac)]
        return [Count(address, "requests_received"), Send(self._reply(heard).encode(), address, "responses_sent")]

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

    def _probe(self, address: int) -> bytes:
        """A solicitation from nobody (RFC 4862 5.4.2): whoever has the address answers to all nodes."""
        group = solicited_node(address)
        return NdpPacket(
            destination_mac=multicast_mac(group),
            source_mac=self.mac,
            destination=group,
            source=0,
            kind=SOLICITATION,
            target=address,
        ).encode()

"""Two nodes announce the same address: who that is on the wire, and that it lives, whatever gossip says.

Nodes that can't hear each other by gossip take each other for dead and announce the same addresses. On the wire they
see each other do it. A node that is seen there counts as living from then on, so the election, which is the same on
both, lets the lower one give way; the other tells the neighbours once more.

It counts as long as the API says that its speaker is ready, `SEEN_S` at most: once we have given way, nothing of it is
seen on the wire any more. When gossip hears it again, gossip's word counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from metallb.api.net import Address, InterfaceName, NodeName
from metallb.protocols.ethernet import Mac, format_mac
from metallb.telemetry import logs

SEEN_S: Final = 60.0
"""How long a node counts as living after it was seen."""

DEFEND_S: Final = 10.0
"""How often an address is announced again for another's claim: two hosts that both insist must not flood the network
(RFC 5227 2.4: DEFEND_INTERVAL)."""

_log = logs.logger(op="conflict")


FRESH_S: Final = 1.0
"""What was found out about a host is not asked again for so long: thousands of addresses may be disputed at once."""

_NEVER: Final = float("-inf")
_log = logs.logger(op="conflict")


@dataclass(frozen=True, slots=True)
class Outside:
    """What is asked and told.

    Attributes:
        node_of: the node of an Ethernet address; None: it belongs to no node that is known.
        heard: the nodes with a living speaker, as gossip says.
        ready: the same, as the API says.
        changed: called when other nodes count as living.
        defend: called with an address to announce again.
        later: calls back after so many seconds.
        stranger: told of hosts that belong to no node that is known.
    """

    node_of: Callable[[Mac], NodeName | None]
    heard: Callable[[], AbstractSet[NodeName]]
    ready: Callable[[], AbstractSet[NodeName]]
    changed: Callable[[], None]
    defend: Callable[[Address], None]
    later: Callable[[float, Callable[[], None]], object]
    stranger: Callable[[InterfaceName, Address, Mac], None] = lambda _interface, _address, _mac: None


class Disputes:
    """The nodes that were seen on the wire with one of our addresses."""

    def __init__(self, outside: Outside, clock: Callable[[], float] = time.monotonic) -> None:
        """None was seen."""
        self._outside = outside
        self._clock = clock
        self._seen: dict[NodeName, float] = {}
        self._told: frozenset[NodeName] = frozenset()
        self._defended: dict[Address, float] = {}
        self._hosts: dict[Mac, tuple[float, NodeName | None]] = {}

    @property
    def alive(self) -> frozenset[NodeName]:
        """The nodes that were seen and count as living, without those that gossip hears."""
        if not self._seen:
            return frozenset()
        now, ready, heard = self._clock(), self._outside.ready(), self._outside.heard()
        self._seen = {
            node: at for node, at in self._seen.items() if now - at < SEEN_S and node in ready and node not in heard
        }
        return frozenset(self._seen)

    def look(self) -> None:
        """Something may have changed about who counts as living."""
        if not (self._seen or self._told):
            return
        before, self._told = self._told, self.alive
        for node in sorted(self._told - before):
            _log.warn("a node that gossip does not hear is seen on the wire", event="nodeSeen", node=node)
        if self._told != before:
            self._outside.changed()

    def disputed(self, interface: InterfaceName, address: Address, mac: Mac) -> None:
        """Another host says that it has an address that is announced here."""
        now = self._clock()
        node = self._host(interface, address, mac)
        if now - self._defended.get(address, _NEVER) >= DEFEND_S:
            self._defended[address] = now
            self._outside.defend(address)
        if node is None:
            self._outside.stranger(interface, address, mac)
            return
        if now - self._seen.get(node, _NEVER) < FRESH_S or node in self._outside.heard():
            return
        self._seen[node] = now
        self._outside.later(SEEN_S, self.look)
        self.look()

    def _host(self, interface: InterfaceName, address: Address, mac: Mac) -> NodeName | None:
        """Whose Ethernet address that is; people are told of hosts that were not seen for a while."""
        now = self._clock()
        at, node = self._hosts.get(mac, (_NEVER, None))
        if now - at < FRESH_S:
            return node
        node = self._outside.node_of(mac)
        if now - at >= DEFEND_S:
            self._defended = {each: then for each, then in self._defended.items() if now - then < DEFEND_S}
            self._hosts = {each: found for each, found in self._hosts.items() if now - found[0] < DEFEND_S}
            _log.warn(
                "another host says that it has an address that is announced here",
                event="addressConflict",
                ip=str(address),
                interface=interface,
                mac=format_mac(mac),
                node=node or "",
            )
        self._hosts[mac] = (now, node)
        return node

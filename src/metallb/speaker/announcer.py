"""Carries decisions to the process that answers: for each interface, what is announced there from now on.

One writer: whatever is announced on this node's networks goes through here. Changes are collected and reach the
process once per turn of the event loop, and more seldom where tables are long, so that a thousand changed Services cost
a few new tables for each interface.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

from metallb.advertisement.interfaces import Interface
from metallb.advertisement.layer2 import Announce
from metallb.api.net import Address, Family, InterfaceName, ServiceKey
from metallb.protocols.announcing import Counter
from metallb.protocols.ethernet import Mac
from metallb.speaker.orders import (
    Again,
    Closed,
    Failed,
    Heard,
    Hush,
    Message,
    Opened,
    Order,
    Place,
    Places,
    Probed,
    Renew,
    Table,
    Vouch,
    Yield,
)
from metallb.speaker.outpost import Outpost
from metallb.telemetry import logs
from metallb.transports.filters import arp_filters, ndp_filters

REST = 4
"""After new tables were made the next ones wait this many times as long as that took."""

_log = logs.logger(op="announce")


class Observer(Protocol):
    """Is told what happens on the wire, a few times a second; must be quick."""

    def count(self, counter: Counter, address: Address, amount: int) -> None:
        """So often more something happened that concerns an announced address."""

    def passed(self, interface: str, protocol: str, amount: int) -> None:
        """So many more frames came through the kernel's filter."""

    def drop(self, interface: str, protocol: str, reason: str, amount: int) -> None:
        """So many more of them were not answered."""

    def conflict(self, interface: InterfaceName, address: Address, mac: Mac, amount: int) -> None:
        """So many more frames of another host named an address that is announced or probed for as its own."""

    def held(self, interface: InterfaceName, address: Address, mac: Mac) -> bool:
        """Another host has an address that is therefore not announced there; false: it is to be, all the same."""

    def free(self, interface: InterfaceName, address: Address) -> None:
        """Nobody has an address that was probed for: it is announced there since now."""

    def learned(self, address: Address) -> None:
        """What `real` gives for Services with an address that was probed for may be another now."""


@dataclass(slots=True)
class Announcer:
    """What this node announces, and where.

    Attributes:
        observer: is told what was counted and dropped.
        announced: the Services that are announced now.
        look: called before the process is told that we live: it may find that we stood still.
    """

    observer: Observer
    announced: dict[ServiceKey, Announce] = field(default_factory=dict)
    look: Callable[[], object] = lambda: None
    _hushed: bool = False
    _ends: bool = False
    _unproven: dict[Address, set[InterfaceName]] = field(default_factory=dict)
    _probed: dict[int, set[Address]] = field(default_factory=dict)
    _interfaces: dict[int, Interface] = field(default_factory=dict)
    _tables: dict[int, Table] = field(default_factory=dict)
    _outpost: Outpost = field(init=False)
    _due: asyncio.Handle | None = None
    _rested: float = float("-inf")

    def __post_init__(self) -> None:
        """Nothing is announced, and no process runs."""
        self._outpost = Outpost(self._hear, self._orders, self._look)

    @property
    def interface_names(self) -> frozenset[InterfaceName]:
        """The interfaces that take part."""
        return frozenset(each.name for each in self._interfaces.values())

    def real(self, service: ServiceKey) -> Announce | None:
        """How the Service is announced in truth: with those of its addresses that nobody else has everywhere.

        What is probed for is not announced yet. None: there is none.
        """
        wanted = self.announced.get(service)
        if wanted is None or self._unproven.keys().isdisjoint(wanted.addresses):
            return wanted
        names, free = wanted.interfaces or self.interface_names, self._unproven
        addresses = tuple(each for each in wanted.addresses if each not in free or not names.isdisjoint(free[each]))
        if addresses == wanted.addresses:
            return wanted
        return Announce(addresses, wanted.interfaces) if addresses else None

    @property
    def unproven(self) -> frozenset[Address]:
        """The addresses that were probed for, or are, or will be."""
        return frozenset(self._unproven)

    def start(self) -> None:
        """Starts the process that answers, which takes it a moment; otherwise the first interfaces do."""
        self._outpost.start()

    def announce(
        self, service: ServiceKey, wanted: Announce | None, unproven: Collection[Address] = frozenset()
    ) -> bool:
        """From now on the Service is announced so, or not at all; returns whether that is a change.

        What is `unproven` is announced only where no other host has it, from here on until that is known.
        """
        for address in unproven:
            self._unproven.setdefault(address, set())
        if self.announced.get(service) == wanted:
            return False
        if wanted is None:
            del self.announced[service]
        else:
            self.announced[service] = wanted
        self._plan()
        return True

    def use(self, interfaces: Iterable[Interface]) -> None:
        """The interfaces that take part from now on, as they are now."""
        self._interfaces = {each.index: each for each in interfaces}
        answering = {each.index for each in self._answering()}
        self._tables = {index: table for index, table in self._tables.items() if index in answering}
        self.start()
        self._outpost.send(self._places())
        self._plan()

    def announce_again(self) -> None:
        """Tells all neighbours once more: they may have been told otherwise."""
        if not self._ends:
            self._outpost.send(Again())

    def defend(self, address: Address) -> None:
        """Tells all neighbours once more where an address is, if it is announced: another host claimed it."""
        if not self._ends:
            self._outpost.send(Renew(address.family, address.value))

    def hand_over(self) -> None:
        """Still answers for what is announced now, each address until another host announces it."""
        self.flush()
        self._ends = True
        self._outpost.send(Yield())

    def lend(self, sock: socket.socket | None) -> None:
        """The process that answers may send signs of life with this socket."""
        self._outpost.lend(sock)

    def vouch(self, sign: Vouch) -> None:
        """Shows another node that we live: through the process that answers, for without it we might as well not."""
        self._outpost.send(sign)

    def hush(self) -> None:
        """Answers nothing from now on, and forgets what was asked: it may be that others announce instead."""
        self._hushed = True
        self._outpost.send(Hush(silent=True))

    def resume(self) -> None:
        """Answers again, and tells all neighbours so."""
        self.flush()
        self._hushed = False
        self._outpost.send(Hush(silent=False))

    def flush(self) -> None:
        """Sends new tables now instead of in the next turn."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        loop = asyncio.get_running_loop()
        began = loop.time()
        for table in self._new_tables():
            self._tables[table.number] = table
            self._outpost.send(table)
        ended = loop.time()
        self._rested = ended + REST * (ended - began)

    def close(self) -> None:
        """Stops answering."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._outpost.close()

    def _look(self) -> None:
        self.look()

    def _plan(self) -> None:
        """New tables are due; while nothing is answered nobody needs them, and `resume` sends the last."""
        if self._due is None and not self._ends and not self._hushed:
            loop = asyncio.get_running_loop()
            late = self._rested > loop.time()
            self._due = loop.call_at(self._rested, self.flush) if late else loop.call_soon(self.flush)

    def _orders(self) -> Iterator[Order]:
        """All that a new process has to know."""
        yield Hush(self._hushed)
        yield self._places()
        for index, table in self._tables.items():
            yield _placed(table, index, self._probed.get(index, set()))

    def _places(self) -> Places:
        return Places(
            tuple(
                Place(
                    each.index, each.name, each.mac, each.link_local, each.running, each.answers_arp, each.answers_ndp
                )
                for each in self._answering()
                if each.mac is not None
            )
        )

    def _answering(self) -> list[Interface]:
        return [each for each in self._interfaces.values() if each.answers_arp or each.answers_ndp]

    def _new_tables(self) -> Iterator[Table]:
        """Those that differ from what the process has."""
        addresses: dict[InterfaceName | None, set[Address]] = {}
        for announcement in self.announced.values():
            for name in announcement.interfaces or (None,):
                addresses.setdefault(name, set()).update(announcement.addresses)
        everywhere = addresses.get(None, set())
        self._forget(everywhere.union(*addresses.values()))
        made: dict[tuple[frozenset[int], frozenset[int]], Table] = {}
        for interface in self._answering():
            wanted = everywhere | addresses.get(interface.name, set())
            four, six, unproven = _values(wanted, 4), _values(wanted, 6), self._to_prove(interface, wanted)
            before = self._tables.get(interface.index)
            if (
                before is not None
                and (before.four, before.six) == (four, six)
                and unproven == self._probed.get(interface.index, set())
            ):
                continue
            self._probed[interface.index] = unproven
            if (four, six) not in made:
                made[four, six] = _table(four, six, before)
            yield _placed(made[four, six], interface.index, unproven)

    def _forget(self, announced: AbstractSet[Address]) -> None:
        """What was free once and is announced no more is nobody's business; what was held stays to be proven."""
        self._unproven = {each: free for each, free in self._unproven.items() if not free or each in announced}

    def _to_prove(self, interface: Interface, addresses: AbstractSet[Address]) -> set[Address]:
        """What is announced there only if no other host has it, and is not known to be free."""
        return {each for each, free in self._unproven.items() if interface.name not in free and each in addresses}

    def _hear(self, report: Message) -> None:
        match report:
            case Heard():
                self._observe(report)
            case Probed(interface, family, address, mac):
                self._learn(InterfaceName(interface), Address(family, address), Mac(mac))
            case Opened(name, arp, ndp):
                _log.info("interface takes part", interface=name, arp=arp, ndp=ndp)
            case Closed(name):
                _log.info("interface takes no part any more", interface=name)
            case Failed(name, error):
                _log.warn("interface can't be used yet, trying again", interface=name, error=error)

    def _learn(self, interface: InterfaceName, address: Address, mac: Mac) -> None:
        """Who has an address that was probed for. One that is free on one interface may be held on another."""
        if not mac:
            self._unproven.get(address, set()).add(interface)
            for each in self._interfaces.values():
                if each.name == interface:
                    self._probed.get(each.index, set()).discard(address)
            self.observer.free(interface, address)
        elif mac in {each.mac for each in self._interfaces.values()} or not self.observer.held(interface, address, mac):
            self._unproven.pop(address, None)
            self._plan()
        self.observer.learned(address)

    def _observe(self, report: Heard) -> None:
        observer = self.observer
        for counter, family, address, amount in report.counts:
            observer.count(counter, Address(family, address), amount)
        for interface, protocol, amount in report.passed:
            observer.passed(interface, protocol, amount)
        for interface, protocol, reason, amount in report.dropped:
            observer.drop(interface, protocol, reason, amount)
        own = {each.mac for each in self._interfaces.values()}
        for interface, family, address, mac, amount in report.conflicts:
            if mac not in own and not self._ends:
                observer.conflict(InterfaceName(interface), Address(family, address), Mac(mac), amount)


def _values(addresses: Iterable[Address], family: Family) -> frozenset[int]:
    return frozenset(each.value for each in addresses if each.family == family)


def _placed(table: Table, index: int, unproven: AbstractSet[Address]) -> Table:
    """The table for an interface, which probes for some of the addresses."""
    four, six = _values(unproven, 4), _values(unproven, 6)
    return table._replace(number=index, unproven_four=four, unproven_six=six)


def _table(four: frozenset[int], six: frozenset[int], before: Table | None) -> Table:
    """A table with filters; those of the one before are kept where they can be."""
    return Table(
        0,
        four,
        six,
        before.arp_filters if before is not None and before.four == four else arp_filters(four),
        before.ndp_filters if before is not None and before.six == six else ndp_filters(six),
    )

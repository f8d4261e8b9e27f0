"""Carries decisions to the wire: for each interface, sockets and the machines that answer and announce there.

One writer: whatever is announced on this node's networks goes through here. Changes are collected and reach the
machines once per turn of the event loop, so that a thousand changed Services cost one new table for each interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from metallb.advertisement.interfaces import Interface
from metallb.advertisement.layer2 import Announce
from metallb.api.net import Address, InterfaceName, ServiceKey
from metallb.protocols.announcing import InterfaceChanged
from metallb.speaker.link import Link, Observer, open_link
from metallb.telemetry import logs

_log = logs.logger(op="announce")
_RETRY_S = 1.0


@dataclass(slots=True)
class Announcer:
    """What this node announces, and where.

    Attributes:
        observer: is told what was counted and dropped.
        announced: the Services that are announced now.
        look: called before frames are read: they may have waited while the process stood still.
    """

    observer: Observer
    announced: dict[ServiceKey, Announce] = field(default_factory=dict)
    look: Callable[[], object] = lambda: None
    _hushed: bool = False
    _interfaces: dict[int, Interface] = field(default_factory=dict)
    _links: dict[int, Link] = field(default_factory=dict)
    _due: asyncio.Handle | None = None
    _retry: asyncio.TimerHandle | None = None

    @property
    def interface_names(self) -> frozenset[InterfaceName]:
        """The interfaces that take part."""
        return frozenset(each.name for each in self._interfaces.values())

    def announce(self, service: ServiceKey, wanted: Announce | None) -> bool:
        """From now on the Service is announced so, or not at all; returns whether that is a change."""
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
        fresh = {each.index: each for each in interfaces}
        before, self._interfaces = self._interfaces, fresh
        for index in before.keys() | fresh.keys():
            self._follow(before.get(index), fresh.get(index))
        self._plan()

    def announce_again(self) -> None:
        """Tells all neighbours once more: they may have been told otherwise."""
        for interface in self._interfaces.values():
            if interface.index in self._links:
                self._announce_again(interface)

    def hush(self) -> None:
        """Answers nothing from now on, and forgets what was asked: it may be that others announce instead."""
        self._hushed = True
        self.flush()
        for link in self._links.values():
            link.discard()

    def resume(self) -> None:
        """Answers again, and tells all neighbours so."""
        self._hushed = False
        self.flush()

    def flush(self) -> None:
        """Brings the machines up to date now instead of in the next turn."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        for index, link in self._links.items():
            link.answer_for(self._table(self._interfaces[index].name))

    def close(self) -> None:
        """Stops answering."""
        for handle in (self._due, self._retry):
            if handle is not None:
                handle.cancel()
        for link in self._links.values():
            link.close()
        self._links.clear()

    def _plan(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self.flush)

    def _table(self, name: InterfaceName) -> frozenset[Address]:
        if self._hushed:
            return frozenset()
        return frozenset(
            address
            for each in self.announced.values()
            if not each.interfaces or name in each.interfaces
            for address in each.addresses
        )

    def _follow(self, before: Interface | None, now: Interface | None) -> None:
        """Opens, closes or corrects the link of one interface."""
        if now is None or not (now.answers_arp or now.answers_ndp):
            self._close(before or now)
            return
        if now.index in self._links and before is not None and _same_sockets(before, now):
            if before.mac != now.mac or (now.running and not before.running):
                self._announce_again(now)
            return
        self._close(before)
        self._open(now)

    def _announce_again(self, interface: Interface) -> None:
        if interface.mac is not None:
            self._links[interface.index].feed(InterfaceChanged(interface.mac))

    def _open(self, interface: Interface) -> None:
        try:
            self._links[interface.index] = open_link(interface, self.observer, self.look)
        except OSError as error:
            _log.warn("interface can't be used yet, trying again", interface=interface.name, error=str(error))
            self._try_again()
            return
        _log.info(
            "interface takes part", interface=interface.name, arp=interface.answers_arp, ndp=interface.answers_ndp
        )

    def _close(self, interface: Interface | None) -> None:
        link = self._links.pop(interface.index, None) if interface is not None else None
        if link is not None and interface is not None:
            link.close()
            _log.info("interface takes no part any more", interface=interface.name)

    def _try_again(self) -> None:
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._reopen)

    def _reopen(self) -> None:
        self._retry = None
        for index, interface in self._interfaces.items():
            if index not in self._links and (interface.answers_arp or interface.answers_ndp):
                self._open(interface)
        self._plan()


def _same_sockets(before: Interface, now: Interface) -> bool:
    """Whether the sockets opened before serve the interface as it is now."""

    def needs(each: Interface) -> tuple[object, ...]:
        return each.name, each.answers_arp, each.answers_ndp, each.link_local

    return needs(before) == needs(now)

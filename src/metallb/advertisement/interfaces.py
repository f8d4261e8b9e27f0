"""Which network interfaces of a node take part in layer 2 (spec/speaker.md 2.1, 2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metallb.api.net import InterfaceName
from metallb.protocols.ethernet import Mac


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface as the kernel shows it.

    Attributes:
        index: the kernel's number; a new interface of the same name has another one.
        mac: Ethernet address; None for links that have none.
        up: administratively up.
        running: has a carrier.
        master: part of a bridge, a bond or the like, which has the traffic; one of a VRF has its own.
        broadcast, noarp: the flags IFF_BROADCAST and IFF_NOARP.
        link_local: its IPv6 link-local address, as an integer.
    """

    index: int
    name: InterfaceName
    mac: Mac | None
    up: bool = True
    running: bool = True
    master: bool = False
    broadcast: bool = True
    noarp: bool = False
    link_local: int | None = None

    @property
    def _usable(self) -> bool:
        return self.up and not self.master and not self.noarp and self.mac is not None

    @property
    def answers_arp(self) -> bool:
        """Whether ARP requests are answered there; an IPv4 address of its own is not needed."""
        return self._usable and self.broadcast

    @property
    def answers_ndp(self) -> bool:
        """Whether Neighbour Solicitations are answered there."""
        return self._usable and self.link_local is not None


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Names of interfaces that never take part, as one regular expression searched in the name."""

    pattern: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, patterns: Sequence[str]) -> Exclusion:
        """One expression of several alternatives; none excludes nothing.

        Raises:
            ValueError: names the expression that is malformed.
        """
        for text in patterns:
            try:
                re.compile(text)
            except re.error as error:
                raise ValueError(f"announcedInterfacesToExclude: {text!r} is no regular expression: {error}") from None
        return cls(re.compile("|".join(f"(?:{text})" for text in patterns)) if patterns else None)

    def excludes(self, name: InterfaceName) -> bool:
        """Whether the interface of this name takes no part."""
        return self.pattern is not None and self.pattern.search(name) is not None

    def apply(self, interfaces: Iterable[Interface]) -> list[Interface]:
        """The interfaces that may take part."""
        return [each for each in interfaces if not self.excludes(each.name)]

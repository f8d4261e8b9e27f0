"""What happens on the wire, as metrics; and whom a conflict about an address concerns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from metallb.api.net import Address, InterfaceName
from metallb.protocols.announcing import Counter
from metallb.protocols.ethernet import Mac
from metallb.telemetry import metrics as m

Disputed: TypeAlias = Callable[[InterfaceName, Address, Mac], None]
"""Is told on which interface which address is named as its own by the host of this Ethernet address."""

Holds: TypeAlias = Callable[[InterfaceName, Address, Mac], bool]

_COUNTERS: Final[dict[Counter, m.Metric]] = {
    "requests_received": m.LAYER2_REQUESTS,
    "responses_sent": m.LAYER2_RESPONSES,
    "gratuitous_sent": m.LAYER2_GRATUITOUS,
    "probes_sent": m.LAYER2_PROBES,
}


class Wire:
    """An observer (`announcer.py`) that counts.

    Attributes:
        disputed: is told of each conflict, a few times a second while it lasts. An address that moves from node to
            node is in conflict for a moment; what lasts longer is for the election to decide: the lower one gives way.
        holds: asked whether that host, which has an address that was probed for, keeps it from being announced.
        freed: is told where such an address is announced now.
        learns: is told of each address that is announced in more or fewer places.
    """

    def __init__(self, metrics: m.Metrics, disputed: Disputed = lambda _interface, _address, _mac: None) -> None:
        """Nothing is counted yet."""
        self.disputed = disputed
        self.holds: Holds = lambda _interface, _address, _mac: True
        self.freed: Callable[[InterfaceName, Address], None] = lambda _interface, _address: None
        self.learns: Callable[[Address], None] = lambda _address: None
        self._metrics = metrics

    def count(self, counter: Counter, address: Address, amount: int) -> None:
        """So often more."""
        self._metrics.add(_COUNTERS[counter], str(address), amount=amount)

    def passed(self, interface: str, protocol: str, amount: int) -> None:
        """So many more frames."""
        self._metrics.add(m.LAYER2_PASSED, interface, protocol, amount=amount)

    def drop(self, interface: str, protocol: str, reason: str, amount: int) -> None:
        """So many more."""
        self._metrics.add(m.LAYER2_DROPPED, interface, protocol, reason, amount=amount)

    def conflict(self, interface: InterfaceName, address: Address, mac: Mac, amount: int) -> None:
        """So many more, and whoever decides hears of it."""
        self._metrics.add(m.LAYER2_CONFLICTS, interface, str(address), amount=amount)
        self.disputed(interface, address, mac)

    def held(self, interface: InterfaceName, address: Address, mac: Mac) -> bool:
        """Whether that keeps the address from being announced there."""
        return self.holds(interface, address, mac)

    def free(self, interface: InterfaceName, address: Address) -> None:
        """It is announced there now."""
        self.freed(interface, address)

    def learned(self, address: Address) -> None:
        """Its announcement may be another."""
        self.learns(address)

"""Which addresses pods get from their node's ranges: never one twice, a freed one as late as possible."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Sequence

from kubelab.proxy.model import Network

_MOST = 1 << 16


class AddressesError(Exception):
    """No address is left; the message names the range."""


class PodAddresses:
    """One number per pod, the same in the ranges of both families: `198.18.1.5` and `2001:db8:200:1::5`.

    Number 1 is the gateway, 0 and the last of a range are not given.
    """

    def __init__(self, ranges: Sequence[Network]) -> None:
        self._ranges = tuple(ranges)
        self._next = 2
        self._last = min((network.num_addresses - 2 for network in ranges), default=0)
        self._last = min(self._last, _MOST)
        self._freed: deque[int] = deque()
        self._used: dict[str, int] = {}

    @property
    def gateways(self) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
        """The node's own address in each range."""
        return tuple(network[1] for network in self._ranges)

    def take(self, owner: str) -> tuple[str, ...]:
        """The addresses of `owner` (a pod's uid), the same again if it has some already.

        Raises:
            AddressesError: all are in use.
        """
        if owner not in self._used:
            self._used[owner] = self._draw()
        number = self._used[owner]
        return tuple(str(network[number]) for network in self._ranges)

    def keep(self, owner: str, addresses: Sequence[str]) -> bool:
        """Note addresses that a pod has from before; whether they are free and from these ranges."""
        numbers = {self._number(address) for address in addresses}
        number = next(iter(numbers)) if len(numbers) == 1 else None
        if number is None or number in self._used.values() or not 1 < number <= self._last:
            return False
        self._used[owner] = number
        while self._next <= number:
            if self._next != number:
                self._freed.append(self._next)
            self._next += 1
        if number in self._freed:
            self._freed.remove(number)
        return True

    def give_back(self, owner: str) -> None:
        """Free what a pod had; nothing if it had none."""
        number = self._used.pop(owner, None)
        if number is not None:
            self._freed.append(number)

    def _draw(self) -> int:
        if self._next <= self._last:
            self._next += 1
            return self._next - 1
        if self._freed:
            return self._freed.popleft()
        raise AddressesError(f"no pod address is left in {', '.join(map(str, self._ranges)) or 'no range'}")

    def _number(self, address: str) -> int | None:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return None
        for network in self._ranges:
            if parsed.version == network.version and parsed in network:
                return int(parsed) - int(network.network_address)
        return None

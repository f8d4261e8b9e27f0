"""IP addresses and ranges as users write them: parsed once, then integers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, NewType

Family = Literal[4, 6]
NodeName = NewType("NodeName", str)
InterfaceName = NewType("InterfaceName", str)


class ServiceKey(NamedTuple):
    """A Service by namespace and name; printed `namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As in logs, events and metric labels."""
        return f"{self.namespace}/{self.name}"


class Address(NamedTuple):
    """An IP address: family and value. Ordered: IPv4 before IPv6, then by value."""

    family: Family
    value: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads dotted quad without leading zeros, or RFC 4291 text without a zone; IPv4-mapped IPv6 is IPv4.

        Hot path: texts come again and again, a Service's several times for each decision.

        Raises:
            ValueError: the text is no IP address.
        """
        return _parse(text)

    @classmethod
    def unpack(cls, packed: bytes) -> Address:
        """From 4 or 16 bytes in network order."""
        return cls(4 if len(packed) == _PACKED[4] else 6, int.from_bytes(packed))

    def pack(self) -> bytes:
        """4 or 16 bytes in network order."""
        return self.value.to_bytes(_PACKED[self.family])

    def __str__(self) -> str:
        """RFC 5952 text: equal addresses have equal text, on which elections rest."""
        if self.family == 4:  # noqa: PLR2004  # the family's own number
            return str(ipaddress.IPv4Address(self.value))
        return str(ipaddress.IPv6Address(self.value))


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address:
    parsed = ipaddress.ip_address(text)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.scope_id is not None:
            raise ValueError(f"{text!r} has a zone")
        mapped = parsed.ipv4_mapped
        return Address(6, int(parsed)) if mapped is None else Address(4, int(mapped))
    return Address(4, int(parsed))


_PACKED: dict[Family, int] = {4: 4, 6: 16}
BITS: dict[Family, int] = {4: 32, 6: 128}
"""Bits of an address, by family."""
_LONGEST_LENGTH = 9
"""Digits of a prefix length that are looked at."""


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """All addresses from `first` to `last`, both included, of one family."""

    family: Family
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many addresses."""
        return self.last - self.first + 1

    def __contains__(self, address: object) -> bool:
        """Whether an `Address` lies in the range."""
        return (
            isinstance(address, Address) and address.family == self.family and self.first <= address.value <= self.last
        )

    def overlaps(self, other: Range) -> bool:
        """Whether the two share an address."""
        return self.family == other.family and self.first <= other.last and other.first <= self.last

    @classmethod
    def parse(cls, text: str) -> Range:
        """Reads `ip/len` (host bits are dropped) or `first-last` (spec/crds.md 10.1, rows P3 to P7).

        Raises:
            ValueError: says which rule the text breaks.
        """
        if "-" in text:
            return cls._parse_pair(text)
        return cls._parse_prefix(text)

    @classmethod
    def _parse_prefix(cls, text: str) -> Range:
        host, slash, length = text.partition("/")
        if not slash:
            raise ValueError("is neither a CIDR (192.0.2.0/24) nor a range (192.0.2.10-192.0.2.20)")
        if not length.isascii() or not length.isdigit():
            raise ValueError(f"has the prefix length {length!r}, which is not a number")
        try:
            parsed = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"has the address {host!r}, which is no IP address") from None
        # Leading zeros count for nothing, as in Go's ParseCIDR; a length of more digits than that is too long anyway.
        return cls._of_prefix(parsed, int((length.lstrip("0") or "0")[:_LONGEST_LENGTH]))

    @classmethod
    def _of_prefix(cls, parsed: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> Range:
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id is not None:
            raise ValueError("has a zone")
        if length > parsed.max_prefixlen:
            raise ValueError(f"has the prefix length {length}, more than {parsed.max_prefixlen}")
        family: Family = 4 if parsed.version == 4 else 6  # noqa: PLR2004  # the family's own number
        value = int(parsed)
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            mapped_bits = BITS[6] - BITS[4]
            if length < mapped_bits:
                raise ValueError(f"is IPv4-mapped with a prefix length under {mapped_bits}")
            family, value, length = 4, int(parsed.ipv4_mapped), length - mapped_bits
        low_bits = (1 << (BITS[family] - length)) - 1
        return cls(family, value & ~low_bits, value | low_bits)

    @classmethod
    def _parse_pair(cls, text: str) -> Range:
        start, _, end = (part.strip() for part in text.partition("-"))
        first, last = (cls._parse_end(part) for part in (start, end))
        if first.family != last.family:
            raise ValueError(f"goes from IPv{first.family} to IPv{last.family}")
        if first.value > last.value:
            raise ValueError(f"starts at {first}, after its end {last}")
        return cls(first.family, first.value, last.value)

    @staticmethod
    def _parse_end(text: str) -> Address:
        try:
            return Address.parse(text)
        except ValueError:
            raise ValueError(f"has the end {text!r}, which is no IP address") from None

    def __str__(self) -> str:
        """`first-last`, or the CIDR where the range is one."""
        low_bits = self.first ^ self.last
        if low_bits & (low_bits + 1) == 0 and self.first & low_bits == 0:
            return f"{Address(self.family, self.first)}/{BITS[self.family] - low_bits.bit_length()}"
        return f"{Address(self.family, self.first)}-{Address(self.family, self.last)}"

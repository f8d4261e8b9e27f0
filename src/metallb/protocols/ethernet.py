"""Ethernet addresses and headers (IEEE 802.3, Ethernet II framing)."""

from __future__ import annotations

from typing import NewType

Mac = NewType("Mac", bytes)
"""Six bytes."""

BROADCAST = Mac(b"\xff" * 6)
HEADER_LENGTH = 14
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD


def header(destination: Mac, source: Mac, ethertype: int) -> bytes:
    """The 14 bytes before the payload."""
    return destination + source + ethertype.to_bytes(2)


def format_mac(mac: bytes) -> str:
    """As in `02:00:5e:00:53:01`."""
    return mac.hex(":")


def parse_mac(text: str) -> Mac:
    """Reads `02:00:5e:00:53:01`.

    Raises:
        ValueError: the text is no Ethernet address.
    """
    raw = bytes.fromhex(text.replace(":", ""))
    if len(raw) != len(BROADCAST):
        raise ValueError(f"{text!r} is no Ethernet address")
    return Mac(raw)

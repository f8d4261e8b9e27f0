"""ARP for IPv4 over Ethernet, as whole frames (RFC 826)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from metallb.protocols.arp.errors import DecodeError
from metallb.protocols.ethernet import ETHERTYPE_ARP, HEADER_LENGTH, Mac, header

REQUEST: Final = 1
REPLY: Final = 2

_HTYPE_ETHERNET = 1
_PTYPE_IPV4 = 0x0800
_BODY = struct.Struct("!HHBBH6s4s6s4s")
_FIXED = (_HTYPE_ETHERNET, _PTYPE_IPV4, 6, 4)


@dataclass(frozen=True, slots=True)
class ArpPacket:
    """An ARP message and the Ethernet addresses of its frame. IPv4 addresses are integers."""

    destination: Mac
    source: Mac
    operation: int
    sender_mac: Mac
    sender_ip: int
    target_mac: Mac
    target_ip: int

    def encode(self) -> bytes:
        """The frame: 42 bytes; the network card pads it."""
        body = _BODY.pack(
            *_FIXED,
            self.operation,
            self.sender_mac,
            self.sender_ip.to_bytes(4),
            self.target_mac,
            self.target_ip.to_bytes(4),
        )
        return header(self.destination, self.source, ETHERTYPE_ARP) + body


def decode(frame: bytes) -> ArpPacket:
    """Reads a frame; padding after the message is ignored.

    Raises:
        DecodeError: the frame is too short, or not ARP for IPv4 over Ethernet.
    """
    if len(frame) < HEADER_LENGTH + _BODY.size:
        raise DecodeError("short", len(frame))
    if int.from_bytes(frame[12:14]) != ETHERTYPE_ARP:
        raise DecodeError("ethertype", 12)
    *fixed, operation, sender_mac, sender_ip, target_mac, target_ip = _BODY.unpack_from(frame, HEADER_LENGTH)
    if tuple(fixed) != _FIXED:
        raise DecodeError("type", HEADER_LENGTH)
    return ArpPacket(
        destination=Mac(frame[0:6]),
        source=Mac(frame[6:12]),
        operation=operation,
        sender_mac=Mac(sender_mac),
        sender_ip=int.from_bytes(sender_ip),
        target_mac=Mac(target_mac),
        target_ip=int.from_bytes(target_ip),
    )

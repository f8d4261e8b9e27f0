"""Neighbour Solicitation and Advertisement, as whole Ethernet frames (RFC 4861 4.3, 4.4, 4.6.1, 7.1; RFC 4443 2.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from metallb.protocols.ethernet import ETHERTYPE_IPV6, HEADER_LENGTH, Mac, header
from metallb.protocols.ndp.errors import DecodeError

SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
SOLICITED: Final = 0x40000000
OVERRIDE: Final = 0x20000000
ALL_NODES: Final = 0xFF020000_00000000_00000000_00000001

_SOURCE_LINK_LAYER = 1
_TARGET_LINK_LAYER = 2
_NEXT_HEADER_ICMPV6 = 58
_HOP_LIMIT = 255
_IPV6 = struct.Struct("!IHBB16s16s")
_ICMP = struct.Struct("!BBHI16s")
_OPTION_UNIT = 8
_ICMP_START = HEADER_LENGTH + _IPV6.size
_SOLICITED_NODE = 0xFF020000_00000000_00000001_FF000000
_MULTICAST = 0xFF


@dataclass(frozen=True, slots=True)
class NdpPacket:
    """A solicitation or advertisement and the addresses of its frame. IPv6 addresses are integers.

    `flags` are those of an advertisement, 0 for a solicitation. `link_layer` is the source's (solicitation) or the
    target's (advertisement) Ethernet address, where the message carries that option.
    """

    destination_mac: Mac
    source_mac: Mac
    destination: int
    source: int
    kind: int
    target: int
    flags: int = 0
    link_layer: Mac | None = None

    def encode(self) -> bytes:
        """The frame, with the ICMPv6 checksum."""
        body = _ICMP.pack(self.kind, 0, 0, self.flags, self.target.to_bytes(16))
        if self.link_layer is not None:
            option = _SOURCE_LINK_LAYER if self.kind == SOLICITATION else _TARGET_LINK_LAYER
            body += bytes((option, 1)) + self.link_layer
        total = checksum(self.source, self.destination, body)
        body = body[:2] + total.to_bytes(2) + body[4:]
        ip = _IPV6.pack(
            6 << 28, len(body), _NEXT_HEADER_ICMPV6, _HOP_LIMIT, self.source.to_bytes(16), self.destination.to_bytes(16)
        )
        return header(self.destination_mac, self.source_mac, ETHERTYPE_IPV6) + ip + body


def decode(frame: bytes) -> NdpPacket:
    """Reads a frame and checks what RFC 4861 7.1.1 and 7.1.2 demand of every receiver.

    Raises:
        DecodeError: the frame is too short, no Neighbour Discovery message of these two kinds, or not valid.
    """
    if len(frame) < _ICMP_START + _ICMP.size:
        raise DecodeError("short", len(frame))
    if int.from_bytes(frame[12:14]) != ETHERTYPE_IPV6:
        raise DecodeError("ethertype", 12)
    version, length, next_header, hop_limit, raw_source, raw_destination = _IPV6.unpack_from(frame, HEADER_LENGTH)
    if version >> 28 != 6 or next_header != _NEXT_HEADER_ICMPV6:  # noqa: PLR2004  # IPv6
        raise DecodeError("header", HEADER_LENGTH)
    if hop_limit != _HOP_LIMIT:
        raise DecodeError("hop-limit", HEADER_LENGTH + 7)
    if length < _ICMP.size or len(frame) < _ICMP_START + length:
        raise DecodeError("length", HEADER_LENGTH + 4)
    source, destination = int.from_bytes(raw_source), int.from_bytes(raw_destination)
    body = frame[_ICMP_START : _ICMP_START + length]
    kind, code, _, flags, raw_target = _ICMP.unpack_from(body)
    if kind not in (SOLICITATION, ADVERTISEMENT) or code != 0:
        raise DecodeError("kind", _ICMP_START)
    if checksum(source, destination, body) != 0:
        raise DecodeError("checksum", _ICMP_START + 2)
    if raw_target[0] == _MULTICAST:
        raise DecodeError("target", _ICMP_START + 8)
    wanted = _SOURCE_LINK_LAYER if kind == SOLICITATION else _TARGET_LINK_LAYER
    link_layer = _link_layer(body, wanted)
    if source == 0:
        _check_unspecified(kind, destination, link_layer)
    return NdpPacket(
        destination_mac=Mac(frame[0:6]),
        source_mac=Mac(frame[6:12]),
        destination=destination,
        source=source,
        kind=kind,
        target=int.from_bytes(raw_target),
        flags=flags if kind == ADVERTISEMENT else 0,
        link_layer=link_layer,
    )


def checksum(source: int, destination: int, body: bytes) -> int:
    """ICMPv6 checksum over pseudo-header and body; 0 where the body carries the right one."""
    pseudo = source.to_bytes(16) + destination.to_bytes(16) + struct.pack("!II", len(body), _NEXT_HEADER_ICMPV6)
    data = pseudo + body + (b"\0" if len(body) % 2 else b"")
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def solicited_node(address: int) -> int:
    """The solicited-node multicast address of an IPv6 address (RFC 4291 2.7.1)."""
    return _SOLICITED_NODE | (address & 0xFFFFFF)


def multicast_mac(group: int) -> Mac:
    """The Ethernet address of an IPv6 multicast group (RFC 2464 7)."""
    return Mac(b"\x33\x33" + (group & 0xFFFFFFFF).to_bytes(4))


def _check_unspecified(kind: int, destination: int, link_layer: Mac | None) -> None:
    """From the unspecified address only duplicate-address probes come: to the solicited-node group, without option."""
    if kind != SOLICITATION or destination & ~0xFFFFFF != _SOLICITED_NODE or link_layer is not None:
        raise DecodeError("unspecified-source", HEADER_LENGTH + 8)


def _link_layer(body: bytes, wanted: int) -> Mac | None:
    """The Ethernet address in the option of that type; unknown options are skipped (RFC 4861 4.6)."""
    offset, found = _ICMP.size, None
    while offset < len(body):
        if len(body) < offset + 2 or body[offset + 1] == 0:
            raise DecodeError("option", _ICMP_START + offset)
        end = offset + body[offset + 1] * _OPTION_UNIT
        if end > len(body):
            raise DecodeError("option", _ICMP_START + offset)
        if body[offset] == wanted and body[offset + 1] == 1:
            found = Mac(body[offset + 2 : end])
        offset = end
    return found

"""Interfaces, their link-local addresses, and neighbours: dumps from the kernel, and a socket that says when to dump.

Only what layer 2 needs is read (rtnetlink(7): RTM_NEWLINK, RTM_NEWADDR, RTM_NEWNEIGH). The library for all of rtnetlink
costs 23 MiB of memory on every node; this reads seven attributes.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from metallb.advertisement.interfaces import Interface
from metallb.api.net import Address, InterfaceName
from metallb.protocols.ethernet import BROADCAST, Mac

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_NEIGHBOUR = struct.Struct("=BxHiHBB")
_ATTRIBUTE = struct.Struct("=HH")

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_RTM_NEWLINK = 16
_RTM_GETLINK = 18
_RTM_NEWADDR = 20
_RTM_GETADDR = 22
_RTM_NEWNEIGH = 28
_RTM_GETNEIGH = 30
_NLM_F_REQUEST_DUMP = 0x301
_NLM_F_DUMP_INTR = 0x10
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MASTER = 10
_IFLA_LINKINFO = 18
_IFLA_INFO_SLAVE_KIND = 4
_IFA_ADDRESS = 1
_NDA_DST = 1
_NDA_LLADDR = 2
_SCOPE_LINK = 253
_IFA_F_TENTATIVE = 0x40
_ATTRIBUTE_TYPE = 0x3FFF

_IFF_UP = 0x1
_IFF_BROADCAST = 0x2
_IFF_RUNNING = 0x40
_IFF_NOARP = 0x80

_GROUPS: Final = 0x1 | 0x100
"""RTMGRP_LINK and RTMGRP_IPV6_IFADDR."""

_ADDRESS_SIZES: Final = (4, 16)
_BODY_SIZE: Final = {_RTM_GETLINK: _LINK.size, _RTM_GETADDR: _ADDRESS.size, _RTM_GETNEIGH: _NEIGHBOUR.size}
_BUFFER = 1 << 18


class InterruptedDumpError(Exception):
    """Interfaces changed while they were listed: list again."""


@dataclass(frozen=True, slots=True)
class _Message:
    kind: int
    flags: int
    sequence: int
    body: bytes


class Netlink:
    """One rtnetlink socket for dumps, one for notices of changes."""

    def __init__(self) -> None:
        """Opens both.

        Raises:
            OSError: the kernel has no rtnetlink.
        """
        self._requests = _open(0)
        self._notices = _open(_GROUPS)
        self._notices.setblocking(False)
        self._sequence = 0

    def fileno(self) -> int:
        """Readable when something changed; call `drain` before `interfaces`."""
        return self._notices.fileno()

    def drain(self) -> None:
        """Takes all notices: what they say is found out by listing. An overrun is a notice, too."""
        while True:
            try:
                self._notices.recv(_BUFFER)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return  # closed: whoever lists next learns why

    def interfaces(self) -> list[Interface]:
        """Every interface of the network namespace, by number.

        Raises:
            InterruptedDumpError: something changed meanwhile.
            OSError: the kernel refuses.
        """
        found = {link.index: link for link in map(decode_link, self._dump(_RTM_GETLINK, _RTM_NEWLINK))}
        for index, address in filter(None, map(decode_link_local, self._dump(_RTM_GETADDR, _RTM_NEWADDR))):
            if index in found and found[index].link_local is None:
                found[index] = replace(found[index], link_local=address)
        return [found[index] for index in sorted(found)]

    def neighbours(self, mac: Mac) -> frozenset[Address]:
        """The addresses at which the kernel knows the host of that Ethernet address.

        Raises:
            InterruptedDumpError: something changed meanwhile.
            OSError: the kernel refuses.
        """
        found = map(decode_neighbour, self._dump(_RTM_GETNEIGH, _RTM_NEWNEIGH))
        return frozenset(address for known, address in filter(None, found) if known == mac)

    def close(self) -> None:
        """Gives both sockets back."""
        self._requests.close()
        self._notices.close()

    def _dump(self, request: int, answer: int) -> Iterator[bytes]:
        family = socket.AF_INET6 if request == _RTM_GETADDR else socket.AF_UNSPEC
        body = bytes((family,)) + bytes(_BODY_SIZE[request] - 1)
        self._sequence += 1  # tells the answer from what is left of one that was broken off
        header = _HEADER.pack(_HEADER.size + len(body), request, _NLM_F_REQUEST_DUMP, self._sequence, 0)
        self._requests.send(header + body)
        interrupted = False
        while True:
            for message in split(self._requests.recv(_BUFFER)):
                if message.sequence != self._sequence:
                    continue
                interrupted |= bool(message.flags & _NLM_F_DUMP_INTR)
                if message.kind == _NLMSG_DONE:
                    if interrupted:
                        raise InterruptedDumpError
                    return
                if message.kind == _NLMSG_ERROR:
                    raise OSError(-struct.unpack_from("=i", message.body)[0], "rtnetlink refused to list")
                if message.kind == answer:
                    yield message.body


def split(data: bytes) -> Iterator[_Message]:
    """The messages of one datagram; a cut-off one ends it."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield _Message(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def decode_link(body: bytes) -> Interface:
    """An interface from the body of RTM_NEWLINK."""
    _, _, index, flags, _ = _LINK.unpack_from(body)
    attributes = dict(_attributes(body, _LINK.size))
    mac = attributes.get(_IFLA_ADDRESS, b"")
    return Interface(
        index=index,
        name=InterfaceName(attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")),
        mac=Mac(mac) if len(mac) == len(BROADCAST) else None,
        up=bool(flags & _IFF_UP),
        running=bool(flags & _IFF_RUNNING),
        master=_IFLA_MASTER in attributes and _kind_as_part(attributes) != b"vrf",
        broadcast=bool(flags & _IFF_BROADCAST),
        noarp=bool(flags & _IFF_NOARP),
    )


def decode_link_local(body: bytes) -> tuple[int, int] | None:
    """Interface number and address from the body of RTM_NEWADDR; None for other addresses and tentative ones."""
    family, _, flags, scope, index = _ADDRESS.unpack_from(body)
    if family != socket.AF_INET6 or scope != _SCOPE_LINK or flags & _IFA_F_TENTATIVE:
        return None
    address = dict(_attributes(body, _ADDRESS.size)).get(_IFA_ADDRESS)
    return None if address is None else (index, int.from_bytes(address))


def decode_neighbour(body: bytes) -> tuple[Mac, Address] | None:
    """Ethernet and IP address from the body of RTM_NEWNEIGH; None for one that has not been found out."""
    attributes = dict(_attributes(body, _NEIGHBOUR.size))
    mac, address = attributes.get(_NDA_LLADDR, b""), attributes.get(_NDA_DST, b"")
    if len(mac) != len(BROADCAST) or len(address) not in _ADDRESS_SIZES:
        return None
    return Mac(mac), Address.unpack(address)


def _kind_as_part(attributes: Mapping[int, bytes]) -> bytes:
    """What a link is a part of, as `bridge`, `bond` or `vrf`; a part of a VRF carries traffic of its own."""
    info = dict(_attributes(attributes.get(_IFLA_LINKINFO, b""), 0))
    return info.get(_IFLA_INFO_SLAVE_KIND, b"").rstrip(b"\0")


def _attributes(body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size or offset + length > len(body):
            return
        yield kind & _ATTRIBUTE_TYPE, body[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3


def _open(groups: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        opened.bind((0, groups))
    except OSError:
        opened.close()
        raise
    return opened

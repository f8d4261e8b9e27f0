"""Makes the kernel forget UDP connections to service addresses whose endpoint went, or that began before it had any.

A UDP client that keeps its source port would otherwise be sent to a dead pod until its entry ages out (30-120 s).
Spoken in ctnetlink by hand: one dump and one deletion are 60 lines, and a library's import costs more than that.
Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_NETLINK_NETFILTER = 12
_CT_GET, _CT_DELETE = 0x101, 0x102
_NLM_REQUEST, _NLM_ACK, _NLM_DUMP = 0x1, 0x4, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_TUPLE_ORIGINAL, _TUPLE_REPLY = 1, 2
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_SOURCES, _DESTINATIONS = (1, 3), (2, 4)
_PROTO_NUMBER, _PROTO_DPORT = 1, 3
_HEADER = struct.Struct("=IHHII")
_TYPE_MASK = 0x3FFF

_log = logging.getLogger(__name__)

Triple = tuple[str, int, str]
"""Service address, port, endpoint address."""


class Entry(NamedTuple):
    """A UDP connection: where the client sent to, who answers, and the kernel's own name for it."""

    destination: str
    port: int
    answers: str
    family: int
    original: bytes


def entries(data: bytes) -> Iterator[Entry]:
    """The UDP connections in one datagram of a dump; whatever else is there is passed over."""
    offset = 0
    while offset + _HEADER.size + 4 <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        if kind not in {_NLMSG_ERROR, _NLMSG_DONE}:
            body = data[offset + _HEADER.size : offset + length]
            entry = _entry(body[0], dict(_attributes(body[4:])))
            if entry is not None:
                yield entry
        offset += (length + 3) & ~3


def is_stale(entry: Entry, gone: frozenset[Triple], new: frozenset[Triple]) -> bool:
    """Whether an entry leads to an endpoint that went, or past the service to nobody."""
    if (entry.destination, entry.port, entry.answers) in gone:
        return True
    unserved = entry.answers == entry.destination
    return unserved and any((entry.destination, entry.port) == (address, port) for address, port, _ in new)


async def forget_udp(*, gone: set[Triple], new: set[Triple]) -> None:
    """Forget what is stale. Best effort: a kernel that refuses is noted in the log."""
    try:
        count = await asyncio.to_thread(_forget, frozenset(gone), frozenset(new))
    except OSError as error:
        _log.warning("connection tracking: %s", error)
    else:
        if count:
            _log.info("forgot %d UDP connections of vanished endpoints", count)


def _forget(gone: frozenset[Triple], new: frozenset[Triple]) -> int:
    count = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as link:
        link.settimeout(2.0)
        link.bind((0, 0))
        for family in (socket.AF_INET, socket.AF_INET6):
            for entry in [entry for entry in _dump(link, family) if is_stale(entry, gone, new)]:
                tuple_attribute = struct.pack("=HH", 4 + len(entry.original), _TUPLE_ORIGINAL | 0x8000) + entry.original
                link.send(_message(_CT_DELETE, _NLM_REQUEST | _NLM_ACK, entry.family, tuple_attribute))
                link.recv(4096)
                count += 1
    return count


def _dump(link: socket.socket, family: int) -> list[Entry]:
    link.send(_message(_CT_GET, _NLM_REQUEST | _NLM_DUMP, family, b""))
    found: list[Entry] = []
    while True:
        data = link.recv(1 << 18)
        found += entries(data)
        if _ends(data):
            return found


def _ends(data: bytes) -> bool:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if kind in {_NLMSG_DONE, _NLMSG_ERROR} or length < _HEADER.size:
            return True
        offset += (length + 3) & ~3
    return False


def _message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    payload = struct.pack("=BBH", family, 0, 0) + body
    return _HEADER.pack(_HEADER.size + len(payload), kind, flags, 1, 0) + payload


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4 or offset + length > len(data):  # noqa: PLR2004  # an attribute's own header
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def _entry(family: int, attributes: dict[int, bytes]) -> Entry | None:
    original, reply = attributes.get(_TUPLE_ORIGINAL), attributes.get(_TUPLE_REPLY)
    if original is None or reply is None:
        return None
    parts, answer = dict(_attributes(original)), dict(_attributes(reply))
    protocol = dict(_attributes(parts.get(_TUPLE_PROTO, b"")))
    port = protocol.get(_PROTO_DPORT, b"")
    destination, answers = _address(parts, _DESTINATIONS), _address(answer, _SOURCES)
    if protocol.get(_PROTO_NUMBER) != bytes([socket.IPPROTO_UDP]) or len(port) != 2 or not (destination and answers):  # noqa: PLR2004  # a port's size
        return None
    return Entry(destination, int.from_bytes(port, "big"), answers, family, original)


def _address(parts: dict[int, bytes], kinds: tuple[int, int]) -> str:
    addresses = dict(_attributes(parts.get(_TUPLE_IP, b"")))
    for kind, family, size in zip(kinds, (socket.AF_INET, socket.AF_INET6), (4, 16), strict=True):
        if len(addresses.get(kind, b"")) == size:
            return socket.inet_ntop(family, addresses[kind])
    return ""

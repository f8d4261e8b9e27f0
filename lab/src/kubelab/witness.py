"""Sees who answers for an address, and when: asks again and again by ARP or NDP, and takes every answer that comes.

    python -m kubelab.witness --interval 0.01 --seconds 10 eth0 198.51.100.200 198.51.100.100
    python -m kubelab.witness eth0 2001:db8:100::200 2001:db8:100::1:0

Prints one JSON line at its end, or at SIGTERM: each answer and each announcement, with its moment by the system's
monotonic clock, in seconds, and the Ethernet address that it names. No neighbour table is involved.
"""

from __future__ import annotations

import argparse
import ipaddress
import itertools
import json
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Final

_ALL: Final = 3
_ARP, _IPV6 = 0x0806, 0x86DD
_ARP_FRAME = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_REPLY = 2
_BROADCAST = b"\xff" * 6
_ETHERNET = 14
_IPV6_HEADER = 40
_ICMPV6 = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_TARGET_LINK_LAYER = b"\x02\x01"
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_NDP_LENGTH = _ETHERNET + _IPV6_HEADER + 32

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Answer:
    """Somebody says that it has the address; `asked`: to whoever asked, not to everybody."""

    at_s: float
    mac: str
    asked: bool = True


@dataclass(slots=True)
class Record:
    """What was asked, from when to when, and what came."""

    began_s: float = 0.0
    ended_s: float = 0.0
    asked: int = 0
    answers: list[Answer] = field(default_factory=list)

    @classmethod
    def parse(cls, line: str | bytes) -> Record:
        """What `main` printed."""
        found = json.loads(line)
        answers = [Answer(**each) for each in found.pop("answers")]
        return cls(**found, answers=answers)

    def between(self, start_s: float, end_s: float) -> Record:
        """The part between two moments."""
        part = [each for each in self.answers if start_s <= each.at_s < end_s]
        return Record(max(start_s, self.began_s), min(end_s, self.ended_s), 0, part)

    def by(self) -> list[str]:
        """The Ethernet addresses in the order of their first answers."""
        return list(dict.fromkeys(each.mac for each in self.answers if each.asked))

    def first(self, mac: str, *, after_s: float = 0.0) -> float | None:
        """When an Ethernet address first answered, from a moment on."""
        return next(
            (each.at_s for each in self.answers if each.asked and each.mac == mac and each.at_s >= after_s), None
        )

    def first_other(self, mac: str, *, after_s: float = 0.0) -> float | None:
        """When any other one first answered, from a moment on."""
        return next(
            (each.at_s for each in self.answers if each.asked and each.mac != mac and each.at_s >= after_s), None
        )

    def longest_gap_s(self) -> float:
        """The longest time between two answers, or an answer and either end."""
        moments = [self.began_s, *(each.at_s for each in self._answered(self.began_s)), self.ended_s]
        return round(max(later - earlier for earlier, later in itertools.pairwise(moments)), 4)

    def _answered(self, after_s: float) -> Iterator[Answer]:
        return (each for each in self.answers if each.asked and each.at_s >= after_s)

    def longest_double_s(self, apart_s: float = 0.1) -> float:
        """The longest time for which two answered in turn; 0 where one took over from the other.

        One that answers again after more than `apart_s` has not answered all the time.
        """
        longest, began, ended = 0.0, 0.0, float("-inf")
        last: dict[str, float] = {}
        before = ""
        for each in (answer for answer in self.answers if answer.asked):
            since = last.get(each.mac, float("-inf"))
            if before != each.mac and each.at_s - since <= apart_s:
                began = since if since - ended > apart_s else began
                ended = each.at_s
                longest = max(longest, ended - began)
            last[each.mac] = each.at_s
            before = each.mac
        return round(longest, 4)


def arp_question(mac: bytes, source: Address, target: Address) -> bytes:
    """The frame of an ARP request (RFC 826)."""
    return _ARP_FRAME.pack(_BROADCAST, mac, _ARP, 1, 0x0800, 6, 4, 1, mac, source.packed, bytes(6), target.packed)


def ndp_question(mac: bytes, source: Address, target: Address) -> bytes:
    """The frame of a Neighbour Solicitation to the target's solicited-node group (RFC 4861 4.3)."""
    low = target.packed[-3:]
    group = bytes.fromhex("ff0200000000000000000001ff") + low
    message = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + target.packed + b"\x01\x01" + mac
    pseudo = source.packed + group + struct.pack("!II", len(message), _ICMPV6)
    checksum = _checksum(pseudo + message)
    message = message[:2] + struct.pack("!H", checksum) + message[4:]
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + source.packed + group
    return b"\x33\x33\xff" + low + mac + struct.pack("!H", _IPV6) + header + message


def question(mac: bytes, source: Address, target: Address) -> bytes:
    """The frame that asks who has the target: by ARP, or by NDP."""
    make = arp_question if target.version == 4 else ndp_question  # noqa: PLR2004  # IPv4
    return make(mac, source, target)


def answer_in(frame: bytes, target: Address) -> tuple[str, bool] | None:
    """The Ethernet address that a frame names for the target, and whether it answers a question."""
    kind = int.from_bytes(frame[12:14])
    if kind == _ARP and len(frame) >= _ARP_FRAME.size:
        return _arp_answer(frame, target)
    if kind == _IPV6 and len(frame) >= _NDP_LENGTH and frame[20] == _ICMPV6 and frame[54] == _ADVERTISEMENT:
        return _ndp_answer(frame, target)
    return None


def _arp_answer(frame: bytes, target: Address) -> tuple[str, bool] | None:
    *_, operation, sender, address, _, asked_for = _ARP_FRAME.unpack_from(frame)
    everybody = frame[:6] == _BROADCAST
    if address != target.packed or not (operation == _REPLY or (everybody and asked_for == address)):
        return None
    return sender.hex(":"), not everybody


def _ndp_answer(frame: bytes, target: Address) -> tuple[str, bool] | None:
    if frame[62:78] != target.packed or frame[78:80] != _TARGET_LINK_LAYER:
        return None
    return frame[80:86].hex(":"), frame[:6] != _ALL_NODES_MAC


def watch(interface: str, source: str, target: str, interval_s: float, seconds: float) -> Record:
    """Asks every `interval_s` for `seconds`, or until SIGTERM.

    Raises:
        OSError: no such interface, or no right to raw sockets.
    """
    ours, theirs = ipaddress.ip_address(source), ipaddress.ip_address(target)
    ending = False

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGTERM, end)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as sock:
        sock.bind((interface, _ALL))
        sock.setblocking(False)
        mac = sock.getsockname()[4]
        frame = question(mac, ours, theirs)
        record = Record(began_s=time.monotonic())
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            for number in range(round(seconds / interval_s)):
                if ending:
                    break
                sock.send(frame)
                record.asked += 1
                for answer in frames_until(selector, sock, record.began_s + (number + 1) * interval_s):
                    found = answer_in(answer, theirs)
                    if found is not None:
                        record.answers.append(Answer(round(time.monotonic(), 4), *found))
        record.ended_s = time.monotonic()
    return record


def frames_until(selector: selectors.BaseSelector, sock: socket.socket, moment_s: float) -> Iterator[bytes]:
    """The frames that come until then, in monotonic seconds; the selector holds the socket."""
    while (left := moment_s - time.monotonic()) > 0:
        for _ in selector.select(left):
            yield sock.recv(2048)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def main() -> None:
    """Reads the command line, asks, prints."""
    parser = argparse.ArgumentParser(prog="kubelab.witness", description=__doc__.splitlines()[0])
    parser.add_argument("interface")
    parser.add_argument("source", help="our own address")
    parser.add_argument("target", help="the address to ask for, of the same family")
    parser.add_argument("--interval", type=float, default=0.01, help="seconds between questions")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to ask")
    given = parser.parse_args()
    record = watch(given.interface, given.source, given.target, given.interval, given.seconds)
    sys.stdout.write(json.dumps(asdict(record)) + "\n")


if __name__ == "__main__":
    main()

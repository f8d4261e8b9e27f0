"""Asks who has an address, by ARP from a packet socket: no neighbour table is involved, so thousands can be asked.

    python -m kubelab.arping --interval 0.01 --count 100 eth0 198.51.100.200 198.51.100.100 [more addresses]

Prints one JSON line: how many questions were asked and answered, by which Ethernet addresses, and after how long.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import selectors
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, field

ETHERTYPE = 0x0806
_ARP = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_BROADCAST = b"\xff" * 6


@dataclass(slots=True)
class Result:
    """What came of the questions; latencies are in microseconds."""

    asked: int = 0
    answered: int = 0
    by: dict[str, int] = field(default_factory=dict)
    latency_us: dict[str, float] = field(default_factory=dict)


def question(mac: bytes, source: bytes, target: bytes) -> bytes:
    """The frame of an ARP request (RFC 826)."""
    return _ARP.pack(_BROADCAST, mac, ETHERTYPE, 1, 0x0800, 6, 4, _REQUEST, mac, source, bytes(6), target)


def ask(interface: str, source: str, targets: list[str], count: int, interval_s: float, wait_s: float) -> Result:
    """Asks for the targets in turn, `count` questions in all, each once the one before is answered or `wait_s` is over.

    Raises:
        OSError: no such interface, or no right to raw sockets.
    """
    result, latencies = Result(), []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as sock:
        sock.bind((interface, ETHERTYPE))
        sock.setblocking(False)
        mac = sock.getsockname()[4]
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            began = time.monotonic()
            for number in range(count):
                target = ipaddress.IPv4Address(targets[number % len(targets)]).packed
                _wait_until(selector, sock, began + number * interval_s)
                sent = time.perf_counter()
                sock.send(question(mac, ipaddress.IPv4Address(source).packed, target))
                result.asked += 1
                who = _answer(selector, sock, target, sent + wait_s)
                if who is not None:
                    result.answered += 1
                    latencies.append(1e6 * (time.perf_counter() - sent))
                    result.by[who.hex(":")] = result.by.get(who.hex(":"), 0) + 1
    latencies.sort()
    for name, share in (("min", 0.0), ("median", 0.5), ("p99", 0.99), ("max", 1.0)):
        if latencies:
            result.latency_us[name] = round(latencies[min(len(latencies) - 1, int(share * len(latencies)))], 1)
    return result


def _wait_until(selector: selectors.BaseSelector, sock: socket.socket, moment: float) -> None:
    """Lets time pass; frames that arrive meanwhile are old answers or others' talk."""
    while (left := moment - time.monotonic()) > 0:
        for _ in selector.select(left):
            sock.recv(2048)


def _answer(selector: selectors.BaseSelector, sock: socket.socket, target: bytes, deadline: float) -> bytes | None:
    """The Ethernet address that answers for the target, until the deadline."""
    while (left := deadline - time.perf_counter()) > 0:
        for _ in selector.select(left):
            frame = sock.recv(2048)
            if len(frame) < _ARP.size:
                continue
            *_, operation, sender_mac, sender_ip, _, _ = _ARP.unpack_from(frame)
            if operation == _REPLY and sender_ip == target and frame[:6] != _BROADCAST:
                found: bytes = sender_mac
                return found
    return None


def main() -> None:
    """Reads the command line, asks, prints; exit code 1 if nothing was answered."""
    parser = argparse.ArgumentParser(prog="kubelab.arping", description=__doc__.splitlines()[0])
    parser.add_argument("interface")
    parser.add_argument("source", help="our own IPv4 address")
    parser.add_argument("targets", nargs="+", help="IPv4 addresses to ask for, in turn")
    parser.add_argument("--count", type=int, default=100, help="how many questions")
    parser.add_argument("--interval", type=float, default=0.01, help="seconds between questions")
    parser.add_argument("--wait", type=float, default=1.0, help="seconds after which there is no answer")
    given = parser.parse_args()
    result = ask(given.interface, given.source, given.targets, given.count, given.interval, given.wait)
    print(json.dumps(asdict(result)), flush=True)
    sys.exit(0 if result.answered else 1)


if __name__ == "__main__":
    main()

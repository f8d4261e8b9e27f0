"""Asks once, for many addresses of both families, who has them; everybody's answer counts.

    python -m kubelab.answerers --wait 0.3 eth0 198.51.100.200 2001:db8:100::200 -- 198.51.100.100 2001:db8:100::1:0

Prints one JSON object: each address with the Ethernet addresses that answered for it, the first one first. No neighbour
table is involved.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

from kubelab.witness import Address, answer_in, frames_until, question

_ALL: Final = 3
_BATCH: Final = 200
"""So many questions are asked before answers are taken: a socket's buffer holds that many."""


def ask(interface: str, sources: Sequence[str], targets: Sequence[str], wait_s: float) -> dict[str, list[str]]:
    """Each target with who answers for it within `wait_s` of the last question of its batch.

    Targets of a family that no source is of are left out: nobody can ask for them.

    Raises:
        OSError: no such interface, or no right to raw sockets.
    """
    own = {source.version: source for source in map(ipaddress.ip_address, sources)}
    wanted = [target for target in map(ipaddress.ip_address, targets) if target.version in own]
    found: dict[Address, list[str]] = {target: [] for target in wanted}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as sock:
        sock.bind((interface, _ALL))
        sock.setblocking(False)
        mac = sock.getsockname()[4]
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            for at in range(0, len(wanted), _BATCH):
                batch = wanted[at : at + _BATCH]
                for target in batch:
                    sock.send(question(mac, own[target.version], target))
                for frame in frames_until(selector, sock, time.monotonic() + wait_s):
                    _take(frame, batch, found)
    return {str(target): macs for target, macs in found.items()}


def _take(frame: bytes, batch: Sequence[Address], found: dict[Address, list[str]]) -> None:
    for target in batch:
        answer = answer_in(frame, target)
        if answer is not None and answer[0] not in found[target]:
            found[target].append(answer[0])


def main() -> None:
    """Reads the command line, asks, prints."""
    parser = argparse.ArgumentParser(prog="kubelab.answerers", description=__doc__.splitlines()[0])
    parser.add_argument("--wait", type=float, default=0.3, help="seconds to wait for answers")
    parser.add_argument("interface")
    parser.add_argument("words", nargs="+", help="our own addresses, --, and those to ask for")
    given, after = _split(sys.argv[1:])
    options = parser.parse_args(given)
    found = ask(options.interface, options.words, after, options.wait)
    sys.stdout.write(json.dumps(found) + "\n")


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and after `--`."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


if __name__ == "__main__":
    main()

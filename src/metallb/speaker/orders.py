"""What a speaker and the process that answers for it tell each other, and how that is written on their socket.

Orders go to the process, reports come back. Each message is its length in four bytes, then a number for its kind and
its fields in Python's own format: one program run by one interpreter is at both ends.
"""

from __future__ import annotations

import marshal
import time
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from metallb.protocols.announcing import Counter

Family: TypeAlias = Literal[4, 6]


def clock() -> float:
    """Seconds that also count while the machine sleeps; both ends read the same."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Place(NamedTuple):
    """An interface that takes part: what of it matters for answers; `link_local` is its IPv6 address, where it has one.

    `running`: it has a carrier; `arp` and `ndp`: what is answered there.
    """

    number: int
    name: str
    mac: bytes
    link_local: int | None
    running: bool
    arp: bool
    ndp: bool


class Places(NamedTuple):
    """Order: from now on exactly these interfaces take part."""

    places: tuple[Place, ...]


class Table(NamedTuple):
    """Order: from now on the interface of this number answers for exactly these addresses.

    With the filters for its sockets, as `transports.filters` makes them: packed programs, the best first. Those of
    `unproven_four` and `unproven_six` it probes for first, unless it answers for them already.
    """

    number: int
    four: frozenset[int]
    six: frozenset[int]
    arp_filters: tuple[bytes, ...]
    ndp_filters: tuple[bytes, ...]
    unproven_four: frozenset[int] = frozenset()
    unproven_six: frozenset[int] = frozenset()


class Again(NamedTuple):
    """Order: announce everything once more."""


class Renew(NamedTuple):
    """Order: announce this address once more where it is announced."""

    family: Family
    address: int


class Hush(NamedTuple):
    """Order: answer nothing and forget what was asked, or (not `silent`) go on."""

    silent: bool


class Alive(NamedTuple):
    """Order: the speaker lives; `at` is when it said so, by `clock`."""

    at: float


class Yield(NamedTuple):
    """Order: the speaker ends. Go on, but whoever says that it has one of our addresses has it from then on."""


class Vouch(NamedTuple):
    """Order: send this host a sign of life at once; and each of the later ones so many seconds from now.

    A further order for the same host with later ones takes the place of what is left. The socket comes beside the
    stream, as a file descriptor; before it has come nothing can be sent.
    """

    host: str
    port: int
    datagram: bytes
    later: tuple[tuple[float, bytes], ...] = ()


class Opened(NamedTuple):
    """Report: the interface of this name takes part."""

    interface: str
    arp: bool
    ndp: bool


class Closed(NamedTuple):
    """Report: the interface of this name takes part no more."""

    interface: str


class Failed(NamedTuple):
    """Report: the interface of this name can't be used yet; it is tried again."""

    interface: str
    error: str


class Probed(NamedTuple):
    """Report: an unproven address is held on that interface by the host of this Ethernet address; empty: by nobody."""

    interface: str
    family: Family
    address: int
    mac: bytes


class Heard(NamedTuple):
    """Report: the answer to `Alive(at)`, with all that was counted since the last one.

    `counts`: counter, family, address, how often; `passed`: interface, protocol, how many frames came through the
    filter; `dropped`: interface, protocol, reason, how many; `conflicts`: interface, family, address, the other host's
    Ethernet address, how often.
    """

    at: float
    counts: tuple[tuple[Counter, Family, int, int], ...] = ()
    passed: tuple[tuple[str, str, int], ...] = ()
    dropped: tuple[tuple[str, str, str, int], ...] = ()
    conflicts: tuple[tuple[str, Family, int, bytes, int], ...] = ()


Order: TypeAlias = Places | Table | Again | Renew | Hush | Alive | Yield | Vouch
Report: TypeAlias = Opened | Closed | Failed | Probed | Heard
Message: TypeAlias = Order | Report

_KINDS: Final = (Places, Table, Again, Renew, Hush, Alive, Yield, Vouch, Opened, Closed, Failed, Probed, Heard)
_LENGTH_BYTES: Final = 4


def encode(message: Message) -> bytes:
    """The bytes of one message."""
    fields = list(map(tuple, message.places)) if isinstance(message, Places) else list(message)
    body = marshal.dumps([_KINDS.index(type(message)), *fields])
    return len(body).to_bytes(_LENGTH_BYTES) + body


class Inbox:
    """Messages from a stream of bytes, however it is cut."""

    def __init__(self) -> None:
        """Nothing came yet."""
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """More bytes came; gives the messages that are whole now."""
        self._bytes += data
        while len(self._bytes) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._bytes[:_LENGTH_BYTES])
            if len(self._bytes) < end:
                return
            kind, *fields = marshal.loads(self._bytes[_LENGTH_BYTES:end])  # noqa: S302  # written by ourselves
            del self._bytes[:end]
            yield _restored(kind, fields)


def _restored(kind: int, fields: list[Any]) -> Message:
    made = _KINDS[kind]
    if made is Places:
        return Places(tuple(map(Place._make, fields)))
    message: Message = made(*fields)
    return message

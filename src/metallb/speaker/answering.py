"""The process that answers: it owns the sockets and has nothing else to do, so no answer waits for the speaker's work.

    python -m metallb.speaker.answering      with one end of a socket pair as its standard input

The speaker sends it interfaces and tables (`orders.py`) and, several times a second, a word that it lives. Without that
word for `LEASE_S` the process answers nothing: what it knows may be wrong by then. Long before, from `DOUBT_S` on, it
believes whoever names one of its addresses as its own. The speaker's end is its end: the socket closes with it.

It says so to others, too: the speaker makes signs of life in advance, and a socket to send them with is borrowed from
it. So a speaker that is busy does not look dead, one that is stuck or gone soon does, and so does one whose answers
come from nowhere.

After a standstill of its own (stopped, frozen with the machine) it forgets what has come meanwhile, and is silent until
the speaker says that it lives, at a time after that.

Little memory is a purpose here: neither asyncio nor any library of others is loaded.
"""

from __future__ import annotations

import gc
import math
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import Final

from metallb.speaker.link import Link, Responder
from metallb.speaker.orders import (
    Again,
    Alive,
    Closed,
    Failed,
    Hush,
    Inbox,
    Message,
    Opened,
    Place,
    Places,
    Renew,
    Table,
    Vouch,
    Yield,
    clock,
    encode,
)
from metallb.speaker.tally import Tally
from metallb.speaker.vouching import Vouching

LEASE_S: Final = 3.0
"""How long a word of the speaker's counts."""

DOUBT_S: Final = 0.5
"""After so long without a word, others that say they have our addresses are right."""

STANDSTILL_S: Final = 0.5
"""We are never away for so long, unless we stood still: others take a speaker that is silent for so long for dead."""

PULSE_S: Final = 0.2
"""How often the clock is looked at when nothing happens."""

RETRY_S: Final = 1.0
"""How soon an interface is tried again that can't be used."""

_RECEIVE_BYTES: Final = 1 << 18
_FILES: Final = 4
_NEVER: Final = float("-inf")


class Answering:
    """Links, tables, and whether the speaker lives."""

    def __init__(self, speaker: socket.socket, clock: Callable[[], float] = clock) -> None:
        """Answers nothing yet.

        Args:
            speaker: where orders come from and reports go.
            clock: as `clock`.
        """
        speaker.setblocking(False)
        self._speaker = speaker
        self._clock = clock
        self._inbox = Inbox()
        self._tally = Tally()
        self._poll = select.poll()
        self._poll.register(speaker, select.POLLIN)
        self._places: dict[int, Place] = {}
        self._tables: dict[int, Table] = {}
        self._links: dict[int, Link] = {}
        self._files: dict[int, Responder] = {}
        self._failed: dict[int, str] = {}
        self._retry_at = math.inf
        self._hushed = False
        self._alive_at = _NEVER
        self._not_before = _NEVER
        self._speaks = False
        self._doubtful = True
        self._yields = False
        self._outgoing = bytearray()
        self._vouching = Vouching()
        self._last = clock()

    def run(self) -> None:
        """Answers until the speaker ends."""
        while self.turn():
            pass

    def turn(self) -> bool:
        """Waits for something to do, for a moment at most, and does it; false: the speaker has ended."""
        ready = self._poll.poll(self._patience_ms())
        now = self._clock()
        if now - self._last > STANDSTILL_S:
            self._not_before = now
            self._vouching.forget()
        self._last = now
        files = [file for file, _ in ready]
        if self._speaker.fileno() in files and not self._obey(now):
            return False
        self._vouching.tick(now)
        self._judge(now)
        for file in files:
            if file in self._files:
                self._files[file].read(now)
        for link in self._links.values():
            link.tick(now)
        for found in self._tally.take_probed():
            self._tell(found)
        if now >= self._retry_at:
            self._open_missing(now)
        return True

    def close(self) -> None:
        """Gives everything back."""
        for link in self._links.values():
            link.close()
        self._vouching.close()
        self._speaker.close()

    def _patience_ms(self) -> float:
        due = min((link.deadline() for link in self._links.values()), default=math.inf)
        left_s = min(due, self._retry_at, self._vouching.deadline()) - self._clock()
        return max(0, math.ceil(1000 * min(left_s, PULSE_S)))

    def _obey(self, now: float) -> bool:
        """Does what the speaker says; false: it has ended."""
        if self._outgoing:
            self._flush()
        try:
            data, lent, *_ = socket.recv_fds(self._speaker, _RECEIVE_BYTES, _FILES)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        for file in lent:
            self._vouching.use(file)
        for order in self._inbox.feed(data):
            if isinstance(order, Vouch):
                self._vouching.begin(order, now)
            else:
                self._follow(order, now)
        return bool(data)

    def _follow(self, order: Message, now: float) -> None:
        match order:
            case Alive(at):
                self._alive_at = max(self._alive_at, at)
                self._tell(self._tally.take(at))
            case Hush(silent):
                self._hushed = silent
                self._judge(now)  # before the next order, which may be to announce
            case Places(places):
                self._use({place.number: place for place in places}, now)
            case Table():
                self._tables[order.number] = order
                if order.number in self._links:
                    self._links[order.number].filter(order)
                self._answer(order.number, now)
            case Yield():
                self._yields = True
            case Renew() | Again():
                self._repeat(order, now)

    def _repeat(self, order: Renew | Again, now: float) -> None:
        for link in self._links.values():
            if isinstance(order, Renew):
                link.renew(order.family, order.address, now)
            else:
                link.announce_again(now)

    def _judge(self, now: float) -> None:
        """Whether to answer now, and whom to believe."""
        word = self._alive_at if self._alive_at >= self._not_before else _NEVER
        speaks, doubtful = not self._hushed and now < word + LEASE_S, self._yields or now >= word + DOUBT_S
        if speaks == self._speaks and doubtful == self._doubtful:
            return
        for link in self._links.values():
            for responder in link.responders:
                responder.doubtful = doubtful
                if speaks != self._speaks:
                    responder.discard()  # asked while we were silent or away: others may have answered
        self._speaks, self._doubtful = speaks, doubtful
        if not (speaks and doubtful):
            for index in self._links:
                self._answer(index, now)

    def _answer(self, index: int, now: float) -> None:
        """Brings what the interface answers for up to date: nothing without a carrier, and all anew when it is back."""
        link, table = self._links.get(index), self._tables.get(index)
        if link is not None and table is not None:
            link.answer_for(table if self._speaks and link.place.running else None, now)

    def _use(self, places: dict[int, Place], now: float) -> None:
        for index in self._places.keys() - places.keys():
            self._close(index)
        self._places = places
        for index, link in list(self._links.items()):
            if link.serves(places[index]):
                link.follow(places[index], now)
                self._answer(index, now)
            else:
                self._close(index)
        self._tables = {index: table for index, table in self._tables.items() if index in places}
        self._open_missing(now)

    def _open_missing(self, now: float) -> None:
        self._retry_at = math.inf
        for index, place in self._places.items():
            if index not in self._links:
                self._open(index, place, now)

    def _open(self, index: int, place: Place, now: float) -> None:
        try:
            link = Link(place, self._tally)
        except OSError as error:
            self._retry_at = now + RETRY_S
            if self._failed.get(index) != str(error):
                self._failed[index] = str(error)
                self._tell(Failed(place.name, str(error)))
            return
        self._failed.pop(index, None)
        self._links[index] = link
        for responder in link.responders:
            responder.doubtful = self._doubtful
            self._files[responder.fileno()] = responder
            self._poll.register(responder, select.POLLIN)
        if index in self._tables:
            link.filter(self._tables[index])
        self._answer(index, now)
        self._tell(Opened(place.name, place.arp, place.ndp))

    def _close(self, index: int) -> None:
        self._failed.pop(index, None)
        link = self._links.pop(index, None)
        if link is None:
            return
        for responder in link.responders:
            del self._files[responder.fileno()]
            self._poll.unregister(responder)
        link.close()
        self._tell(Closed(link.place.name))

    def _tell(self, report: Message) -> None:
        self._outgoing += encode(report)
        self._flush()

    def _flush(self) -> None:
        """Writes what the speaker takes; answers don't wait for it."""
        try:
            del self._outgoing[: self._speaker.send(self._outgoing)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._outgoing.clear()  # it has ended: the next read tells
        wanted = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
        self._poll.modify(self._speaker, wanted)


def main() -> None:
    """Answers for the speaker at the other end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # the speaker says when it is over: it may hand over first
    answering = Answering(socket.socket(fileno=os.dup(0)))
    gc.freeze()
    answering.run()
    answering.close()


if __name__ == "__main__":
    main()

"""The process that answers, as the speaker sees it: started, told, listened to, and started again when it ends.

    outpost = Outpost(report, orders, look)
    outpost.start()
    outpost.send(Table(...))

It ends with the speaker, whatever ends that: its standard input closes then.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import metallb
from metallb.kube import progress
from metallb.speaker.orders import Alive, Heard, Inbox, Message, Order, Vouch, clock, encode
from metallb.telemetry import logs

RENEW_S: Final = 0.2
"""How often the process is told that the speaker lives."""

HANGS_S: Final = 5.0
"""A process that does not answer for so long is started anew."""

AGAIN_S: Final = 1.0
"""How soon a process is started after the one before: one that can't run must not keep the node busy."""

_RECEIVE_BYTES: Final = 1 << 18
_PROGRAM: Final = "import sys; sys.path.append(sys.argv[1]); from metallb.speaker.answering import main; main()"

_log = logs.logger(op="responder")


class Outpost:
    """One process at a time, between `start` and `close`. For one event loop."""

    def __init__(
        self, hear: Callable[[Message], None], orders: Callable[[], Iterable[Order]], look: Callable[[], object]
    ) -> None:
        """Nothing runs yet.

        Args:
            hear: is told each report.
            orders: all that a new process has to know.
            look: called before the process is told that the speaker lives: it may find that the speaker stood still.
        """
        self._hear = hear
        self._orders = orders
        self._look = look
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._inbox = Inbox()
        self._outgoing = bytearray()
        self._gathers = False
        self._lent: socket.socket | None = None
        self._to_lend = False
        self._timer: asyncio.TimerHandle | None = None
        self._started_at = float("-inf")
        self._heard_at = float("-inf")
        self._watch = ExitStack()

    @property
    def pid(self) -> int | None:
        """Of the process; None: there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """From now on there is a process; where one is, nothing happens."""
        if self._timer is not None:
            return
        self._watch.enter_context(progress.watched("responder", lambda: self._heard_at))
        self._heard_at = time.monotonic()
        self._begin()
        self._renew()

    def send(self, order: Order) -> None:
        """Tells the process; one that does not run yet is told all by `orders` once it does.

        Signs of life for several hosts go out together: each time the process is woken costs both of us.
        """
        if self._socket is None:
            return
        self._outgoing += encode(order)
        if not isinstance(order, Vouch):
            self._write()
        elif not self._gathers:
            self._gathers = True
            asyncio.get_running_loop().call_soon(self._write_gathered)

    def lend(self, sock: socket.socket | None) -> None:
        """The process may send with this socket, too; None: with none that it does not have yet."""
        self._lent = sock
        self._to_lend = sock is not None

    def close(self) -> None:
        """Ends the process; nothing is answered from here on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watch.close()
        self._end()

    def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(RENEW_S, self._renew)
        self._look()
        now = time.monotonic()
        if self._process is None:
            if now - self._started_at >= AGAIN_S:
                self._begin()
            return
        if now - self._heard_at >= HANGS_S and now - self._started_at >= HANGS_S:
            _log.error("the responder does not answer, starting another", event="responder", pid=self.pid)
            self._end()
            self._begin()
        self.send(Alive(clock()))

    def _begin(self) -> None:
        self._started_at = time.monotonic()
        ours, theirs = socket.socketpair()
        package = Path(metallb.__file__).parent.parent
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _PROGRAM, str(package)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                )
        except OSError as error:
            ours.close()
            _log.error("the responder can't be started", event="responder", error=error)
            return
        ours.setblocking(False)
        self._socket = ours
        self._inbox = Inbox()
        self._to_lend = self._lent is not None
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read, ours)
        for order in self._orders():
            self.send(order)
        self.send(Alive(clock()))

    def _end(self) -> None:
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket.fileno())
            loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._outgoing.clear()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            _log.error("the responder has ended, starting another", event="responder", pid=self.pid)
            self._end()
            return
        for report in self._inbox.feed(data):
            if isinstance(report, Heard):
                self._heard_at = time.monotonic()
            self._hear(report)

    def _put(self, sock: socket.socket) -> int:
        if not self._to_lend or self._lent is None:
            return sock.send(self._outgoing)
        sent = socket.send_fds(sock, [self._outgoing], [self._lent.fileno()])
        self._to_lend = False
        return sent

    def _write_gathered(self) -> None:
        self._gathers = False
        if self._outgoing:  # nothing else has taken it along
            self._write()

    def _write(self) -> None:
        """Sends what the process takes now; the rest when it takes more."""
        sock = self._socket
        if sock is None:
            return
        try:
            del self._outgoing[: self._put(sock)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._outgoing.clear()  # it has ended: the next read tells
        loop = asyncio.get_running_loop()
        if self._outgoing:
            loop.add_writer(sock.fileno(), self._write)
        else:
            loop.remove_writer(sock.fileno())

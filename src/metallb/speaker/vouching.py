"""Signs of life that the speaker made in advance, sent when they are due by a process that always has the time."""

from __future__ import annotations

import math
import socket

from metallb.speaker.orders import Vouch

_NOWHERE = math.inf


class Vouching:
    """What is left to be sent, and the socket that it is sent with."""

    def __init__(self) -> None:
        """Nothing can be sent yet."""
        self._socket: socket.socket | None = None
        self._left: dict[tuple[str, int], list[tuple[float, bytes]]] = {}
        self._due = _NOWHERE

    def use(self, file: int) -> None:
        """Sends with this socket from now on; it is ours to close."""
        self.close()
        self._socket = socket.socket(fileno=file)

    def begin(self, order: Vouch, now: float) -> None:
        """Does what the speaker says."""
        to = order.host, order.port
        self._send(to, order.datagram)
        if order.later:
            self._left[to] = [(now + seconds, datagram) for seconds, datagram in reversed(order.later)]
            self._plan()

    def tick(self, now: float) -> None:
        """Sends what is due: the speaker has not said anything else meanwhile."""
        if now < self._due:
            return
        for to, left in list(self._left.items()):
            while left and left[-1][0] <= now:
                self._send(to, left.pop()[1])
            if not left:
                del self._left[to]
        self._plan()

    def forget(self) -> None:
        """Sends nothing of what is left: it may not be true any more."""
        self._left.clear()
        self._due = _NOWHERE

    def deadline(self) -> float:
        """When something is due next; infinity: nothing is."""
        return self._due

    def close(self) -> None:
        """Gives the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _plan(self) -> None:
        self._due = min((left[-1][0] for left in self._left.values()), default=_NOWHERE)

    def _send(self, to: tuple[str, int], datagram: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(datagram, to)
        except OSError:
            return  # nobody hears us: that is what the others are to find

"""Whole Ethernet frames of one interface, by AF_PACKET sockets; and the multicast groups it listens to."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence

from metallb.transports.bpf import attach_best

_LONGEST_FRAME = 2048
_QUEUE_BYTES = 1 << 22
"""Asked for, each way; the kernel gives what its limits allow. Small frames cost it some 800 bytes each."""
_GROUP_SOCKET_FULL = frozenset({errno.ENOBUFS, errno.ENOMEM})


class PacketSocket:
    """Reads and writes frames of one EtherType on one interface; the filter is on before the first frame is seen."""

    def __init__(self, interface: str, ethertype: int, programs: Sequence[bytes]) -> None:
        """Opens the socket; of the filters the first counts that the kernel has room for.

        Raises:
            OSError: the interface is gone, or the process lacks CAP_NET_RAW.
        """
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            for queue in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                self._socket.setsockopt(socket.SOL_SOCKET, queue, _QUEUE_BYTES)
            attach_best(self._socket, programs)
            self._socket.bind((interface, ethertype))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def filter(self, programs: Sequence[bytes]) -> None:
        """Puts another filter on: the first that the kernel has room for. No frame is seen by none or by both.

        Raises:
            OSError: the kernel refuses all.
        """
        attach_best(self._socket, programs)

    def receive(self) -> bytes | None:
        """The next frame; None when there is none.

        Raises:
            OSError: the interface went down or away.
        """
        try:
            return self._socket.recv(_LONGEST_FRAME)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, frame: bytes) -> None:
        """Puts a frame on the wire.

        Raises:
            OSError: the interface is down or gone, or its queue is full.
        """
        self._socket.send(frame)

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()


class Groups:
    """IPv6 multicast groups joined on one interface, so that the kernel reports them to switches (RFC 3810).

    A group is an integer of 128 bits. One socket holds some thousand memberships; more sockets are opened as they fill.
    """

    def __init__(self, index: int) -> None:
        """Nothing is joined yet; `index` is the interface's."""
        self._index = index
        self._sockets: list[socket.socket] = []
        self._joined: dict[int, socket.socket] = {}

    def join(self, group: int) -> None:
        """Listens to a group.

        Raises:
            OSError: the interface is gone.
        """
        if group in self._joined:
            return
        for sock in reversed(self._sockets):
            try:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, self._membership(group))
            except OSError as error:
                if error.errno not in _GROUP_SOCKET_FULL:
                    raise
                continue
            self._joined[group] = sock
            return
        fresh = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._sockets.append(fresh)
        fresh.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, self._membership(group))
        self._joined[group] = fresh

    def leave(self, group: int) -> None:
        """Stops listening; a group that is not joined, or whose interface is gone, is left already."""
        sock = self._joined.pop(group, None)
        if sock is None:
            return
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, self._membership(group))
        except OSError:
            return

    def close(self) -> None:
        """Leaves every group."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        self._joined.clear()

    def _membership(self, group: int) -> bytes:
        return group.to_bytes(16) + struct.pack("=I", self._index)

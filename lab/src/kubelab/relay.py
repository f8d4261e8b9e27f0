"""Hands connections on a socket of the host's on to an address in this namespace: `python -m kubelab.relay CONFIG`.

The host reaches a real API server by it: that one listens inside the lab only.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import Final

import msgspec

from kubelab import component
from kubelab.component import Ready

_BACKLOG: Final = 1024
_LOOK_AGAIN_S: Final = 0.02
_CHUNK: Final = 1 << 16
"""Bytes that are handed on at once."""


class Config(msgspec.Struct, frozen=True):
    """The configuration file: the inherited socket, and where its connections go."""

    listen_fd: int
    host: str
    port: int


async def serve(config: Config, ready: Ready) -> None:
    """Hand on until cancelled; `ready` is called once connections are taken."""
    listener = socket.socket(fileno=config.listen_fd)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    ready()
    async with asyncio.TaskGroup() as open_ones:
        while True:
            taken, _ = await loop.sock_accept(listener)
            try:
                there = await asyncio.open_connection(config.host, config.port)
            except OSError:
                taken.close()
                await _refuse(listener, config)
                continue
            open_ones.create_task(_hand_on(taken, *there))


async def _refuse(listener: socket.socket, config: Config) -> None:
    """Until there is a server again the host is told that there is none, and not that connections break."""
    listener.shutdown(socket.SHUT_RDWR)
    while True:
        await asyncio.sleep(_LOOK_AGAIN_S)
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(config.host, config.port)
            writer.close()
            listener.listen(_BACKLOG)
            return


async def _hand_on(taken: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        here_reader, here_writer = await asyncio.open_connection(sock=taken)
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(pour(here_reader, writer), pour(reader, here_writer))
    finally:
        here_writer.close()
        writer.close()


async def pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Hand on what comes in one direction, and its end; one side that breaks breaks the other."""
    try:
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
        target.write_eof()
    except (OSError, RuntimeError):  # the latter is uvloop's word for a connection that is closed already
        target.transport.abort()


def main() -> int:
    """Hand on until SIGTERM or SIGINT; the exit code."""
    return component.live("relay", Config, serve)


if __name__ == "__main__":
    sys.exit(main())

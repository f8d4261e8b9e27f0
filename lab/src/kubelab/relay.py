"""Hands connections on a socket of the host's on to an address in this namespace: `python -m kubelab.relay CONFIG`.

The host reaches a real API server by it: that one listens inside the lab only.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import msgspec

_BACKLOG: Final = 1024
_LOOK_AGAIN_S: Final = 0.02
_CHUNK: Final = 1 << 16
"""Bytes that are handed on at once."""


class Config(msgspec.Struct, frozen=True):
    """The configuration file: the inherited socket, and where its connections go."""

    listen_fd: int
    host: str
    port: int


async def serve(config: Config) -> None:
    """Hand on until cancelled; `ready` is printed once connections are taken."""
    listener = socket.socket(fileno=config.listen_fd)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    print("ready", flush=True)  # noqa: T201  # the starter waits for it
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
    except OSError:
        target.transport.abort()


async def _until_stopped(config: Config) -> None:
    task = asyncio.create_task(serve(config))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> None:
    """Hand on until SIGTERM."""
    asyncio.run(_until_stopped(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Config)))


if __name__ == "__main__":
    main()

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

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(config.host, config.port)
        except OSError:
            writer.transport.abort()
            return
        # Cancelled is whoever is open when the relay ends; asyncio would print that.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(pour(reader, there_writer), pour(there_reader, writer))
        there_writer.close()
        writer.close()

    server = await asyncio.start_server(hand_on, sock=listener)
    print("ready", flush=True)  # noqa: T201  # the starter waits for it
    async with server:
        await server.serve_forever()


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

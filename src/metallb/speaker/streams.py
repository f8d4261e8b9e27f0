"""Gossip's streams: one question and one answer each, ours and others'."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from metallb.api.net import Address
from metallb.protocols.swim import packet
from metallb.protocols.swim.errors import DecodeError
from metallb.protocols.swim.framing import STREAM_HEADER, STREAM_MAX, Framing
from metallb.protocols.swim.keyring import NONCE_SIZE
from metallb.protocols.swim.roster import Endpoint
from metallb.telemetry import logs

SERVED: Final = 64
"""How many streams of others are served at a time."""

_RECEIVE_BYTES: Final = 1 << 16
_log = logs.logger(op="memberlist")


class Streams:
    """Asks others, and hands on what others ask. What can't be read is counted, and raises nothing."""

    def __init__(
        self,
        framing: Framing,
        timeout_s: float,
        asked: Callable[[int, packet.Message], None],
        drop: Callable[[str], None],
    ) -> None:
        """Does not listen yet.

        Args:
            framing: encryption and compression.
            timeout_s: how long a stream of others may take.
            asked: gets the number of a stream and the message that came; may answer it by `reply` at once.
            drop: is told why something could not be read.
        """
        self._framing = framing
        self._timeout_s = timeout_s
        self._asked = asked
        self._drop = drop
        self._server: asyncio.Server | None = None
        self._waiting: dict[int, asyncio.StreamWriter] = {}
        self._count = 0

    async def start(self, host: str, port: int) -> None:
        """Serves others.

        Raises:
            OSError: the address is not ours, or taken.
        """
        self._server = await asyncio.start_server(self._serve, host, port)

    def close(self) -> None:
        """Takes no further streams."""
        if self._server is not None:
            self._server.close()

    def reply(self, stream: int, message: bytes) -> None:
        """Answers a stream, if it still waits."""
        writer = self._waiting.get(stream)
        if writer is not None:
            writer.write(self._framing.stream(message, os.urandom(NONCE_SIZE)))

    async def ask(self, to: Endpoint, message: bytes, timeout_s: float) -> packet.Message | None:
        """What a member answers; None: nothing that can be read, in this time."""
        address = str(Address.unpack(to.address))
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(address, to.port, message)
        except (OSError, TimeoutError, ValueError) as error:
            _log.debug("a speaker does not answer", address=address, error=str(error))
        except DecodeError as error:
            self._drop(error.code)
        return None

    async def _ask(self, address: str, port: int, message: bytes) -> packet.Message:
        reader, writer = await asyncio.open_connection(address, port)
        try:
            writer.write(self._framing.stream(message, os.urandom(NONCE_SIZE)))
            return await self._read(reader)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One stream that another member opened."""
        if len(self._waiting) >= SERVED:
            self._drop("busy")
            writer.close()
            return
        self._count += 1
        stream = self._count
        self._waiting[stream] = writer
        try:
            async with asyncio.timeout(self._timeout_s):
                message = await self._read(reader)
                self._asked(stream, message)
                await writer.drain()
        except DecodeError as error:
            self._drop(error.code)
        except (OSError, TimeoutError) as error:
            _log.debug("a stream broke off", error=str(error))
        finally:
            self._waiting.pop(stream, None)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> packet.Message:
        """The message of a stream. One that is not encrypted has no length: it is whole when it can be read."""
        try:
            data = await reader.readexactly(1)
            if data[0] == packet.Type.ENCRYPT:
                data += await reader.readexactly(STREAM_HEADER - 1)
            size = self._framing.stream_size(data)
            if size is not None:
                data += await reader.readexactly(size)
                return packet.decode(self._framing.read_stream(data))[0]
        except asyncio.IncompleteReadError as error:
            raise DecodeError("short", len(error.partial)) from None
        while True:
            try:
                return packet.decode(self._framing.read_stream(data))[0]
            except DecodeError as error:
                more = await reader.read(_RECEIVE_BYTES) if error.code == "short" else b""
                if not more or len(data) + len(more) > STREAM_MAX:
                    raise
                data += more

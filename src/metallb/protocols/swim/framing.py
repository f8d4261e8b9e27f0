"""What wraps messages on the wire: checksum, compression, encryption; datagrams and streams (spec/speaker.md 3.6)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from metallb.protocols.swim import lzw, rawmsgpack
from metallb.protocols.swim.errors import DecodeError
from metallb.protocols.swim.keyring import Keyring
from metallb.protocols.swim.packet import Type

STREAM_MAX: Final = 20 << 20
"""Bytes that a stream may hold, encrypted or not."""

DATAGRAM_MAX: Final = 1 << 16
"""Bytes that may come out of a compressed datagram."""

STREAM_HEADER: Final = 5
"""Bytes of an encrypted stream that say how many follow."""

_LZW: Final = 0
_MAX_LAYERS: Final = 3
"""Checksum, compression, and one in reserve: nobody wraps deeper."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How this cluster's members wrap what they send.

    Attributes:
        keyring: None: nothing is encrypted.
        compress: whether to compress.
        verify_incoming: refuse what is not encrypted, when there is a key.
        verify_outgoing: encrypt, when there is a key.
    """

    keyring: Keyring | None = None
    compress: bool = True
    verify_incoming: bool = True
    verify_outgoing: bool = True

    def datagram(self, message: bytes, nonce: bytes, *, checksum: bool) -> bytes:
        """A message as it goes into a datagram.

        Args:
            message: encoded, perhaps a compound.
            nonce: 12 random bytes; not used without a key.
            checksum: whether the receiver is known to read checksums (protocol version 5).
        """
        if self.compress:
            smaller = _compressed(message)
            message = smaller if len(smaller) < len(message) else message
        if checksum:
            message = struct.pack("!BI", Type.CRC, zlib.crc32(message)) + message
        if self.keyring is None or not self.verify_outgoing:
            return message
        return self.keyring.encrypt(message, nonce)

    def read_datagram(self, data: bytes) -> bytes:
        """The message in a datagram.

        Raises:
            DecodeError: it can't be decrypted or decompressed, is damaged, or should have been encrypted.
        """
        if self.keyring is not None:
            try:
                data = self.keyring.decrypt(data)
            except DecodeError:
                if self.verify_incoming:
                    raise
        return _unwrapped(data, DATAGRAM_MAX)

    def stream(self, message: bytes, nonce: bytes) -> bytes:
        """A message as it goes into a stream."""
        if self.compress:
            message = _compressed(message)
        if self.keyring is None or not self.verify_outgoing:
            return message
        size = len(message) + 1 + len(nonce) + 16
        header = struct.pack("!BI", Type.ENCRYPT, size)
        return header + self.keyring.encrypt(message, nonce, header)

    def stream_size(self, header: bytes) -> int | None:
        """How many bytes follow the first five of a stream; None: it ends where the sender stops.

        Raises:
            DecodeError: it should be encrypted and is not, or the other way round, or it is too long.
        """
        encrypted = header[:1] == bytes([Type.ENCRYPT])
        if encrypted != (self.keyring is not None) and (encrypted or self.verify_incoming):
            raise DecodeError("crypto")
        if not encrypted:
            return None
        if len(header) < STREAM_HEADER:
            raise DecodeError("short", len(header))
        size = int.from_bytes(header[1:STREAM_HEADER])
        if size > STREAM_MAX:
            raise DecodeError("length", 1)
        return size

    def read_stream(self, data: bytes) -> bytes:
        """The message in a whole stream.

        Raises:
            DecodeError: as `stream_size` and `read_datagram`.
        """
        if self.stream_size(data[:STREAM_HEADER]) is not None and self.keyring is not None:
            data = self.keyring.decrypt(data[STREAM_HEADER:], data[:STREAM_HEADER])
        return _unwrapped(data, STREAM_MAX)


def _compressed(message: bytes) -> bytes:
    return bytes([Type.COMPRESS]) + rawmsgpack.encode({"Algo": _LZW, "Buf": lzw.compress(message)})


def _unwrapped(data: bytes, limit: int) -> bytes:
    for _ in range(_MAX_LAYERS):
        if data[:1] == bytes([Type.CRC]):
            data = _checked(data)
        elif data[:1] == bytes([Type.COMPRESS]):
            data = _decompressed(data, limit)
        else:
            return data
    raise DecodeError("type")


def _checked(data: bytes) -> bytes:
    if len(data) < STREAM_HEADER:
        raise DecodeError("short", len(data))
    if zlib.crc32(data[STREAM_HEADER:]) != int.from_bytes(data[1:STREAM_HEADER]):
        raise DecodeError("checksum", 1)
    return data[STREAM_HEADER:]


def _decompressed(data: bytes, limit: int) -> bytes:
    fields, _ = rawmsgpack.decode(data, 1)
    if not isinstance(fields, dict) or fields.get(b"Algo", 0) != _LZW:
        raise DecodeError("compression", 1)
    packed = fields.get(b"Buf")
    if not isinstance(packed, bytes):
        raise DecodeError("compression", 1)
    return lzw.decompress(packed, limit=limit)

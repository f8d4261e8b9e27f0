"""The key that speakers share, and what is encrypted with it (spec/speaker.md 3.3, 3.6; NIST SP 800-38D).

Both sides of the wire give their own additional data: datagrams none, streams the five bytes before them.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from metallb.protocols.swim.errors import DecodeError

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
OVERHEAD: Final = 1 + NONCE_SIZE + TAG_SIZE
"""Bytes by which encryption lengthens a message."""

_VERSION: Final = 1


def derive_key(secret: bytes) -> bytes:
    """The AES-256 key of a secret, as MetalLB has always derived it: its bytes, then the SHA-256 of nothing, cut to 32.

    Raises:
        ValueError: the secret is empty: then nothing is encrypted.
    """
    if not secret:
        raise ValueError("an empty secret gives no key")
    return (secret + hashlib.sha256().digest())[:KEY_SIZE]


class Keyring:
    """Encrypts with the first key, reads with any."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        """Keys of 16, 24 or 32 bytes, the one to write with first.

        Raises:
            ValueError: there is none, or one has another length.
        """
        if not keys:
            raise ValueError("a keyring needs a key")
        self._ciphers = tuple(map(AESGCM, keys))

    def encrypt(self, message: bytes, nonce: bytes, additional: bytes = b"") -> bytes:
        """Version, nonce, ciphertext and tag. The nonce is 12 random bytes that were never used before."""
        return bytes([_VERSION]) + nonce + self._ciphers[0].encrypt(nonce, message, additional)

    def decrypt(self, data: bytes, additional: bytes = b"") -> bytes:
        """The message.

        Raises:
            DecodeError: no key fits, the bytes were changed, or they are not encrypted.
        """
        if len(data) < OVERHEAD or data[0] != _VERSION:
            raise DecodeError("crypto")
        nonce, sealed = data[1 : 1 + NONCE_SIZE], data[1 + NONCE_SIZE :]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, sealed, additional)
            except InvalidTag:
                continue
        raise DecodeError("crypto")

"""A byte stream becomes lines, whatever its chunks are; a watch is one event a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

LIMIT: Final = 64 << 20
"""The longest line we take, in bytes: etcd stores at most 1.5 MiB an object, aggregated servers more."""


class LineTooLongError(Exception):
    """More than `LIMIT` bytes without an end of line: this is no watch."""


class Lines:
    """Feed it chunks, it gives the lines that they complete; empty lines are skipped."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` completes, without their ends.

        Raises:
            LineTooLongError: the line under way is longer than the limit.
        """
        head, newline, tail = chunk.partition(b"\n")
        self._rest += head
        if len(self._rest) > self._limit:
            raise LineTooLongError(f"a line of more than {self._limit} bytes")
        if not newline:
            return
        *whole, rest = tail.split(b"\n")
        lines = [bytes(self._rest), *whole]
        self._rest = bytearray(rest)
        yield from (line for line in lines if line.strip())

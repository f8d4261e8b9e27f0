"""A container's log on disk: each line with the time it was read, bounded, followed while it grows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_LONGEST_LINE = 16 * 1024
_STAMP = len("2026-01-01T00:00:00.000000000Z ")


def stamp(wall_ns: int) -> bytes:
    """RFC 3339 with nanoseconds, as container runtimes write it."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % rest


class LogWriter:
    """Takes a program's output as it comes; when the file is full the one before it is dropped.

    `limit` is bytes per file: current (`path`) and previous (`path` + `.old`).
    """

    def __init__(self, path: Path, limit: int, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self.grown = asyncio.Event()
        self.closed = False
        self._limit, self._clock_ns = limit, clock_ns
        self._rest = b""
        self._file: BinaryIO = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        """Append whole lines; what has no end yet waits for it, unless it is very long."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        if lines:
            prefix = stamp(self._clock_ns()) + b" "
            self._append(b"".join(prefix + line + b"\n" for line in lines))

    def close(self) -> None:
        """Write what is left; followers then come to an end."""
        if self._rest:
            self._append(stamp(self._clock_ns()) + b" " + self._rest + b"\n")
            self._rest = b""
        self.closed = True
        self._file.close()
        self._wake()

    def _append(self, data: bytes) -> None:
        if self._file.tell() and self._file.tell() + len(data) > self._limit:
            self._file.close()
            self.path.rename(old_path(self.path))
            self._file = self.path.open("ab", buffering=0)
        self._file.write(data)
        self._wake()

    def _wake(self) -> None:
        self.grown.set()
        self.grown = asyncio.Event()


def old_path(path: Path) -> Path:
    """Where the lines before the current file's are."""
    return path.with_name(path.name + ".old")


def lines_of(path: Path) -> Iterator[bytes]:
    """All lines that are kept, oldest first, each with its time and line end."""
    for part in (old_path(path), path):
        if part.exists():
            with part.open("rb") as file:
                yield from file


def tail(path: Path, count: int) -> list[bytes]:
    """The last lines; a negative count is all of them."""
    lines = list(lines_of(path))
    return lines if count < 0 else lines[len(lines) - min(count, len(lines)) :]


def last_text(path: Path, lines: int = 80, most: int = 2048) -> str:
    """The end of a log without times: the termination message of a program that failed without leaving one."""
    text = b"".join(line[_STAMP:] for line in tail(path, lines))
    return text[-most:].decode(errors="replace")


async def follow(
    path: Path, writer: LogWriter | None, since: bytes = b"", count: int = -1
) -> AsyncGenerator[bytes, None]:
    """Lines that are there, then those that come, until the writer is closed.

    `since` is a time stamp: earlier lines are passed over. `count` limits the lines that are there already.
    """
    start = [line for line in tail(path, -1) if line[: _STAMP - 1] >= since]
    for line in start if count < 0 else start[len(start) - min(count, len(start)) :]:
        yield line
    if writer is None:
        return
    file: BinaryIO = path.open("rb")
    try:
        file.seek(0, 2)
        while True:
            grown, closed = writer.grown, writer.closed
            for line in file:
                yield line
            if _was_replaced(path, file):
                file.close()
                file = path.open("rb")
            elif closed:
                return
            else:
                await grown.wait()
    finally:
        file.close()


def _was_replaced(path: Path, file: BinaryIO) -> bool:
    return path.exists() and path.stat().st_ino != os.fstat(file.fileno()).st_ino

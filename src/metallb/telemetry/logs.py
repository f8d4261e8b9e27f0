"""Structured logs: one JSON object a line on stdout, under the key names that MetalLB's users already search for.

Keys: `ts` (RFC 3339, UTC), `level`, `caller` (file:line), `msg`, then what the call adds: `op`, `event`, `error`, ...
Source: spec/controller.md 1 (logs).

    log = logs.logger(op="reconcile")
    log.info("address assigned", event="ipAllocated", service=str(key), ips=["198.51.100.1"])

A message below the level costs one comparison. Pure rooms never log: they return reasons, shells log them.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Mapping, MutableMapping
from typing import IO, Any, Final

import msgspec

from metallb.telemetry.lean_structlog import BoundLoggerBase

LEVELS: Final = {"all": 0, "debug": 10, "info": 20, "warn": 30, "error": 40, "none": 100}
"""The values of `--log-level` by rising severity."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class _Sink:
    """Where lines go and from which level on: one a process, changed by `configure`."""

    def __init__(self) -> None:
        self.threshold = LEVELS["info"]
        self.stream: IO[bytes] | None = None

    def msg(self, line: bytes) -> None:
        """Writes one line at once; a reader that has gone away must not stop the process."""
        stream = self.stream if self.stream is not None else sys.stdout.buffer
        try:
            stream.write(line + b"\n")
            stream.flush()
        except (OSError, ValueError):
            return


_SINK = _Sink()


def configure(level: str, *, stream: IO[bytes] | None = None) -> None:
    """Sets the level and the stream (default stdout) of every logger, also of those that exist already.

    Messages of the standard library's `logging` (asyncio, aiohttp) from warning on join the same stream.

    Raises:
        ValueError: the level is none of `LEVELS`.
    """
    if level not in LEVELS:
        raise ValueError(f"invalid log level {level!r}: want one of {', '.join(LEVELS)}")
    _SINK.threshold = LEVELS[level]
    _SINK.stream = stream
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)


def timestamp(wall_s: float) -> str:
    """RFC 3339 text in UTC with milliseconds of `wall_s`, seconds since 1970."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall_s))
    return f"{whole}.{int(wall_s * 1000) % 1000:03d}Z"


def _render(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> bytes:
    """A structlog processor: the JSON line; what JSON does not know is written as text."""
    try:
        return _encode(fields)
    except (TypeError, ValueError, RecursionError):
        return _encode({key: repr(value) for key, value in fields.items()})


def _caller(depth: int) -> str:
    """`file.py:line` of the frame `depth` calls above."""
    frame = sys._getframe(depth)  # noqa: SLF001  # the only cheap way to the caller's line
    name = frame.f_code.co_filename
    return f"{name[name.rfind('/') + 1 :]}:{frame.f_lineno}"


class Logger(BoundLoggerBase):
    """Writes messages with the fields it was bound to. `bind(**fields)` (inherited) returns one with more fields.

    The message is positional only, so that `event=` and `msg`-like keys stay free for fields.
    """

    def debug(self, msg: str, /, **fields: Any) -> None:
        """What a developer needs to follow a decision."""
        if _SINK.threshold <= LEVELS["debug"]:
            self._write("debug", msg, fields)

    def info(self, msg: str, /, **fields: Any) -> None:
        """What an administrator may want to know."""
        if _SINK.threshold <= LEVELS["info"]:
            self._write("info", msg, fields)

    def warn(self, msg: str, /, **fields: Any) -> None:
        """What works, but is not as it should be."""
        if _SINK.threshold <= LEVELS["warn"]:
            self._write("warn", msg, fields)

    def error(self, msg: str, /, *, error: object = None, **fields: Any) -> None:
        """What failed. An exception as `error` is written as its text; unexpected ones pass `traceback=True` too."""
        if _SINK.threshold > LEVELS["error"]:
            return
        if error is not None:
            fields["error"] = describe(error)
        if fields.pop("traceback", False) and isinstance(error, BaseException):
            fields["traceback"] = "".join(traceback.format_exception(error))
        self._write("error", msg, fields)

    def _write(self, level: str, msg: str, fields: Mapping[str, Any]) -> None:
        head = {"ts": timestamp(time.time()), "level": level, "caller": _caller(3), "msg": msg}
        self._logger.msg(_render(self._logger, level, {**head, **self._context, **fields}))


def describe(error: object) -> str:
    """One line of text for an error: its message, or its type where it has none."""
    return str(error) or type(error).__name__


def logger(**fields: Any) -> Logger:
    """A logger whose every message carries `fields`; cheap, may be made at import."""
    return Logger(_SINK, [_render], fields)


class _Bridge(logging.Handler):
    """Carries the standard library's log records into the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warn"
        if _SINK.threshold > LEVELS[level]:
            return
        fields: dict[str, Any] = {
            "ts": timestamp(record.created),
            "level": level,
            "caller": f"{record.filename}:{record.lineno}",
            "msg": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = describe(record.exc_info[1])
            fields["traceback"] = "".join(traceback.format_exception(record.exc_info[1]))
        _SINK.msg(_render(None, level, fields))

"""Keeps what is stored in a file, so that an API server that was killed comes back with all of it.

One line a change, written before the answer that tells of it: what a client was told is there after a kill. A process
that is killed loses nothing that it has written; what a machine's crash does to the file is no matter, since the lab is
gone then. Past events are not kept: whoever watches from before the restart gets 410 and lists again, as with the real
server.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from kubelab.apiserver.storage import Event, Storage, Stored
from kubelab.objects import GroupResource, Object

REWRITE_BYTES: Final = 32 << 20
"""A journal is written anew, without what is overwritten by now, once it has grown by this much."""


class _Line(msgspec.Struct, array_like=True):
    group: str
    resource: str
    key: str
    revision: int
    obj: Object | None


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(_Line)


class Journal:
    """The file of one server."""

    def __init__(self, path: Path, *, rewrite_bytes: int = REWRITE_BYTES) -> None:
        self._path = path
        self._rewrite_bytes = rewrite_bytes
        self._file: int | None = None
        self._grown = 0

    def restore(self, storage: Storage) -> bool:
        """Fill an empty storage with what the file holds and keep it from now on; whether there was anything.

        Raises:
            OSError: the file cannot be read or written.
        """
        for line in self._lines():
            storage.revision = line.revision
            if not line.resource:
                continue
            table = storage.table(GroupResource(line.group, line.resource))
            table.revision = line.revision
            if line.obj is None:
                table.objects.pop(line.key, None)
            else:
                table.objects[line.key] = Stored(line.obj, line.revision)
        found = storage.revision > 1
        storage.forget()
        self._rewrite(storage)
        return found

    def note(self, storage: Storage, resource: GroupResource, event: Event) -> None:
        """Write a change down.

        Raises:
            OSError: the file cannot be written.
        """
        assert self._file is not None, "restore comes first"
        obj = None if event.new is None else event.new.obj
        line = _Line(resource.group, resource.resource, event.key, event.revision, obj)
        self._grown += os.write(self._file, _ENCODER.encode(line) + b"\n")
        if self._grown > self._rewrite_bytes:
            self._rewrite(storage)

    def close(self) -> None:
        """Nothing more is written."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lines(self) -> Iterator[_Line]:
        """The changes in their order; a last line that the writer was killed in was never told to anybody."""
        with contextlib.suppress(FileNotFoundError):
            for raw in self._path.read_bytes().split(b"\n")[:-1]:
                yield _DECODER.decode(raw)

    def _rewrite(self, storage: Storage) -> None:
        """Only what is there now; the newest revision last, so that it is known although its object may be gone."""
        self.close()
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            for resource, table in storage.tables():
                for key, stored in table.objects.items():
                    line = _Line(resource.group, resource.resource, key, stored.revision, stored.obj)
                    file.write(_ENCODER.encode(line) + b"\n")
            file.write(_ENCODER.encode(_Line("", "", "", storage.revision, None)) + b"\n")
        fresh.replace(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._grown = 0

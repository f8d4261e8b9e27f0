"""Bodies in protobuf, as clients written in Go send built-in kinds: bytes in, the object of their JSON form out.

The data are in `protobuf_fields.jsonl`: the fields of each message by number, each as `name type`, where the type is a
scalar, one of the types that have a JSON form of their own (`time`, `quantity` ...) or the name of a message, and
behind it `[]` for lists, `{}` for maps with text as keys, `?` for what Go holds by pointer (kept whenever it was sent)
or `!` for what JSON always has. Anything else is left out when it is zero or empty, since Go sends such fields always.
`...message` is a structure that Go embeds: its fields are the message's own in JSON.

Source: field numbers, names and types as published in k8s.io/api and k8s.io/apimachinery 1.36; envelope: apimachinery
`runtime.Unknown` behind the bytes `k8s` and zero; JSON forms: apimachinery `metav1.Time`, `resource.Quantity` ...
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources as package_files
from typing import Final, NamedTuple, TypeVar

from kubelab.apiserver import protobuf_wire as wire
from kubelab.apiserver.protobuf_values import NUMBERS, TEXTS, ZEROS, string
from kubelab.apiserver.protobuf_wire import DecodeError
from kubelab.objects import GroupVersionKind, Json, Object

__all__ = ["MEDIA_TYPE", "DecodeError", "decode"]

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_DELETE_OPTIONS: Final = "meta.v1.DeleteOptions"
_EMBEDDED: Final = "..."

Wire = TypeVar("Wire", int, bytes)


def decode(body: bytes, expected: GroupVersionKind) -> Object:
    """The object in a body; what the body does not say of its kind is as expected.

    Raises:
        DecodeError: the bytes are no message, or one of a kind that nobody knows.
    """
    claimed, raw = _envelope(body, expected)
    name = _DELETE_OPTIONS if claimed.kind == "DeleteOptions" else _table().kinds.get(claimed)
    if name is None:
        where = f'is registered for version "{claimed.api_version}" in scheme "pkg/api/legacyscheme/scheme.go:30"'
        raise DecodeError(f'no kind "{claimed.kind}" {where}', claimed)
    try:
        found = _message(name).read(raw, {})
    except DecodeError as error:
        raise DecodeError(str(error), claimed) from error
    return {"kind": claimed.kind, "apiVersion": claimed.api_version} | found


def _envelope(body: bytes, expected: GroupVersionKind) -> tuple[GroupVersionKind, bytes]:
    if not body:
        raise DecodeError("empty data")
    if not body.startswith(_MAGIC):
        prefix = " ".join(map(str, _MAGIC))
        raise DecodeError(f"provided data does not appear to be a protobuf message, expected prefix [{prefix}]")
    if body == _MAGIC:
        raise DecodeError("empty body")
    unknown = wire.parts(body[len(_MAGIC) :], "Unknown", texts={1, 2, 3, 4}).texts
    said = wire.parts(unknown.get(1, b""), "TypeMeta", texts={1, 2}).texts
    claimed = GroupVersionKind.of({"apiVersion": string(said.get(1, b"")), "kind": string(said.get(2, b""))})
    if not claimed.version and not claimed.group:
        claimed = claimed._replace(group=expected.group, version=expected.version)
    return claimed._replace(kind=claimed.kind or expected.kind), unknown.get(2, b"")


@dataclass(frozen=True, slots=True)
class _Table:
    """The data: fields by number and message, messages by kind."""

    fields: Mapping[str, Mapping[str, str]]
    kinds: Mapping[GroupVersionKind, str]


@functools.cache
def _table() -> _Table:
    text = package_files.files("kubelab.apiserver").joinpath("protobuf_fields.jsonl").read_text(encoding="utf-8")
    rows = [row for row in map(json.loads, text.splitlines()) if "message" in row]
    kinds = {}
    for row in rows:
        if "kind" in row:
            api_version, kind = row["kind"].split()
            kinds[GroupVersionKind.of({"apiVersion": api_version, "kind": kind})] = row["message"]
    return _Table({row["message"]: row["fields"] for row in rows}, kinds)


@dataclass(frozen=True, slots=True)
class _Message:
    """A message that can be read: what to do with the value behind each tag, and what JSON always has."""

    name: str
    numbers: dict[int, Callable[[Object, int], None]] = field(default_factory=dict)
    texts: dict[int, Callable[[Object, bytes], None]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    shown: dict[str, Callable[[], Json]] = field(default_factory=dict)

    def read(self, data: bytes, found: Object) -> Object:
        """Put the fields of a message into an object; it is the answer too."""
        at, numbers, texts = 0, self.numbers, self.texts
        while at < len(data):
            start = at
            tag, at = wire.varint(data, at)
            if put_text := texts.get(tag):
                text, at = wire.chunk(data, at)
                put_text(found, text)
            elif put_number := numbers.get(tag):
                number, at = wire.varint(data, at)
                put_number(found, number)
            else:
                at = self._unknown(tag, data, start)
        for name, zero in self.shown.items():
            if name not in found:
                found[name] = zero()
        return found

    def _unknown(self, tag: int, data: bytes, at: int) -> int:
        """Skip a field that nobody knows: clients may be newer."""
        wire.check_tag(tag, self.name)
        if tag >> 3 in self.names:
            raise wire.wrong_wire_type(tag, self.names[tag >> 3])
        return wire.skip(data, at)


@functools.cache
def _message(name: str) -> _Message:
    built = _Message(name.rpartition(".")[2])
    for number, written in _table().fields[name].items():
        if written.startswith(_EMBEDDED):
            _embed(built, int(number), _message(written.removeprefix(_EMBEDDED)))
        else:
            _add(built, int(number), _Field.of(written))
    return built


class _Field(NamedTuple):
    """A field as the data have it."""

    name: str
    base: str
    mark: str

    @classmethod
    def of(cls, written: str) -> _Field:
        name, kind = written.split()
        base = kind.rstrip("?![]{}")
        return cls(name, base, kind[len(base) :])


def _embed(built: _Message, number: int, embedded: _Message) -> None:
    """Take a field as a structure whose fields are the message's own."""

    def put(found: Object, text: bytes) -> None:
        embedded.read(text, found)

    built.names[number] = embedded.name
    built.texts[number << 3 | wire.BYTES] = put
    built.shown.update(embedded.shown)


def _add(built: _Message, number: int, field: _Field) -> None:
    built.names[number] = field.name[:1].upper() + field.name[1:]
    text, num = number << 3 | wire.BYTES, number << 3 | wire.VARINT
    if field.base in NUMBERS:
        to_json = NUMBERS[field.base]
        if field.mark == "[]":
            built.numbers[num] = _appending(field.name, to_json)
            built.texts[text] = _extending(field.name, to_json)
        else:
            built.numbers[num] = _setting(field, to_json)
    elif field.mark == "[]":
        built.texts[text] = _appending(field.name, _reader(field.base))
    elif field.mark == "{}":
        built.texts[text] = _entering(field.name, _reader(field.base))
    elif field.base in TEXTS:
        built.texts[text] = _setting(field, TEXTS[field.base])
    else:
        built.texts[text] = _merging(field.name, _message(field.base))
    if field.mark == "!" and (field.base in ZEROS or field.base not in TEXTS):
        built.shown[field.name] = _zero(field.base)


def _reader(base: str) -> Callable[[bytes], Json]:
    if base in TEXTS:
        return TEXTS[base]
    message = _message(base)
    return lambda text: message.read(text, {})


def _zero(base: str) -> Callable[[], Json]:
    if base in ZEROS:
        return lambda: ZEROS[base]
    message = _message(base)
    return lambda: message.read(b"", {})


def _setting(field: _Field, to_json: Callable[[Wire], Json]) -> Callable[[Object, Wire], None]:
    """A single value. What was not set is left out, and so is zero where JSON leaves it out."""
    name, kept = field.name, field.mark in {"?", "!"}

    def put(found: Object, value: Wire) -> None:
        part = to_json(value)
        if part is None or not (part or kept):
            found.pop(name, None)
        else:
            found[name] = part

    return put


def _merging(name: str, message: _Message) -> Callable[[Object, bytes], None]:
    """A single message; one that is there twice is one in two parts."""

    def put(found: Object, text: bytes) -> None:
        found[name] = message.read(text, found.get(name, {}))

    return put


def _appending(name: str, to_json: Callable[[Wire], Json]) -> Callable[[Object, Wire], None]:
    def put(found: Object, value: Wire) -> None:
        found.setdefault(name, []).append(to_json(value))

    return put


def _extending(name: str, to_json: Callable[[int], Json]) -> Callable[[Object, bytes], None]:
    def put(found: Object, text: bytes) -> None:
        found.setdefault(name, []).extend(map(to_json, wire.packed(text)))

    return put


def _entering(name: str, to_json: Callable[[bytes], Json]) -> Callable[[Object, bytes], None]:
    """An entry of a map: a message of key and value."""

    def put(found: Object, text: bytes) -> None:
        entry = wire.parts(text, name, texts={1, 2}).texts
        found.setdefault(name, {})[string(entry.get(1, b""))] = to_json(entry.get(2, b""))

    return put

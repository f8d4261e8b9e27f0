r"""The messages of memberlist, each a type byte and a MessagePack map (spec/speaker.md 3.6).

    data = encode(Ping(7, "n2", Source(b"\xc6\x33\x64\x0a", 7946, "n1")))
    messages = decode(data)

A compound is written by `compound` and read as the messages in it. Addresses are 4 or 16 bytes in network order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from metallb.protocols.swim import rawmsgpack
from metallb.protocols.swim.errors import DecodeError
from metallb.protocols.swim.rawmsgpack import Signed, Value, Writable

PORT: Final = 7946
"""Where members listen unless told otherwise."""

VERSIONS: Final = bytes([1, 5, 2, 0, 0, 0])
"""Protocol versions that we understand (1 to 5) and speak (2), and the same of a delegate that there is not."""

COMPOUND_MAX: Final = 255
"""Messages that one compound can hold."""

_U32: Final = 1 << 32
_U16: Final = 1 << 16


class Type(IntEnum):
    """First byte of a message."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10
    NACK = 11
    CRC = 12
    ERROR = 13
    LABEL = 244


class State(IntEnum):
    """What a member is taken for."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


@dataclass(frozen=True, slots=True)
class Source:
    """Where an answer is to go."""

    address: bytes
    port: int
    node: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks a member whether it lives. One with another name does not answer."""

    sequence: int
    node: str
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class IndirectPing:
    """Asks a third member to ping a target; with `nack`, to say so when the target is silent."""

    sequence: int
    target: bytes
    port: int
    node: str
    nack: bool
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """Answers a ping."""

    sequence: int
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Nack:
    """The target of an indirect ping has not answered so far."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """`sender` has had no answer from `node`."""

    incarnation: int
    node: str
    sender: str


@dataclass(frozen=True, slots=True)
class Dead:
    """`sender` takes `node` for dead; about itself: it leaves."""

    incarnation: int
    node: str
    sender: str


@dataclass(frozen=True, slots=True)
class Alive:
    """A member, where it is, and which versions it speaks."""

    incarnation: int
    node: str
    address: bytes
    port: int
    meta: bytes | None = None
    versions: bytes = VERSIONS


@dataclass(frozen=True, slots=True)
class MemberState:
    """One row of the table that two members exchange."""

    node: str
    address: bytes
    port: int
    incarnation: int
    state: State
    meta: bytes | None = None
    versions: bytes = VERSIONS


@dataclass(frozen=True, slots=True)
class PushPull:
    """A member's whole table, over a stream; `join` marks the first one of a newcomer."""

    members: tuple[MemberState, ...]
    join: bool = False
    user_state: bytes = b""


@dataclass(frozen=True, slots=True)
class User:
    """A message of an application; MetalLB has none."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """The other end of a stream could not do what it was asked."""

    message: str


Message = Ping | IndirectPing | Ack | Nack | Suspect | Dead | Alive | PushPull | User | Failure


def encode(message: Message) -> bytes:
    """The bytes of one message.

    Raises:
        ValueError: a number that its field can't hold.
    """
    match message:
        case PushPull():
            return _encode_push_pull(message)
        case User(data):
            return bytes([Type.USER]) + data
        case _:
            kind, fields = _fields(message)
            return bytes([kind]) + rawmsgpack.encode(fields)


def _fields(  # noqa: PLR0911  # one return for each kind of message
    message: Ping | IndirectPing | Ack | Nack | Suspect | Dead | Alive | Failure,
) -> tuple[Type, dict[str, Writable]]:
    match message:
        case Ping(sequence, node, source):
            return Type.PING, {**_source(source), "SeqNo": sequence, "Node": node}
        case IndirectPing(sequence, target, port, node, nack, source):
            asked: dict[str, Writable] = {"SeqNo": sequence, "Target": target, "Port": port, "Node": node, "Nack": nack}
            return Type.INDIRECT_PING, asked | _source(source)
        case Ack(sequence, payload):
            return Type.ACK, {"SeqNo": sequence, "Payload": payload}
        case Nack(sequence):
            return Type.NACK, {"SeqNo": sequence}
        case Suspect(incarnation, node, sender):
            return Type.SUSPECT, {"Incarnation": incarnation, "Node": node, "From": sender}
        case Dead(incarnation, node, sender):
            return Type.DEAD, {"Incarnation": incarnation, "Node": node, "From": sender}
        case Alive(incarnation, node, address, port, meta, versions):
            return Type.ALIVE, {
                "Incarnation": incarnation,
                "Node": node,
                "Addr": address,
                "Port": port,
                "Meta": meta,
                "Vsn": versions,
            }
        case Failure(text):
            return Type.ERROR, {"Error": text}


def _source(source: Source | None) -> dict[str, Writable]:
    if source is None:
        return {}
    fields: dict[str, Writable] = {
        "SourceAddr": source.address,
        "SourcePort": source.port,
        "SourceNode": source.node,
    }
    return {name: value for name, value in fields.items() if value}


def _encode_push_pull(message: PushPull) -> bytes:
    header: dict[str, Writable] = {
        "Nodes": Signed(len(message.members)),
        "UserStateLen": Signed(len(message.user_state)),
        "Join": message.join,
    }
    parts = [bytes([Type.PUSH_PULL]), rawmsgpack.encode(header)]
    for each in message.members:
        row: dict[str, Writable] = {
            "Name": each.node,
            "Addr": each.address,
            "Port": each.port,
            "Meta": each.meta,
            "Incarnation": each.incarnation,
            "State": Signed(each.state),
            "Vsn": each.versions,
        }
        parts.append(rawmsgpack.encode(row))
    return b"".join([*parts, message.user_state])


def compound(messages: Sequence[bytes]) -> bytes:
    """Several encoded messages as one.

    Raises:
        ValueError: more than 255, or one of 64 KiB or more.
    """
    if len(messages) > COMPOUND_MAX:
        raise ValueError(f"{len(messages)} messages: a compound holds {COMPOUND_MAX}")
    if any(len(each) >= _U16 for each in messages):
        raise ValueError("a message of 64 KiB or more does not fit a compound")
    lengths = struct.pack(f"!{len(messages)}H", *map(len, messages))
    return bytes([Type.COMPOUND, len(messages)]) + lengths + b"".join(messages)


def decode(data: bytes) -> list[Message]:
    """The messages of a datagram or a stream, decrypted, checked and decompressed; a compound's in order.

    What is damaged in a compound does not take the others with it, unless nothing of it can be read.

    Raises:
        DecodeError: nothing can be read.
    """
    if not data:
        raise DecodeError("short")
    if data[0] == Type.COMPOUND:
        return _decode_compound(data)
    return [_decode_one(data)]


def _decode_compound(data: bytes) -> list[Message]:
    if len(data) < 2:  # noqa: PLR2004  # type and count
        raise DecodeError("short", 1)
    count = data[1]
    start = 2 + 2 * count
    if len(data) < start:
        raise DecodeError("short", 2)
    messages: list[Message] = []
    problem = DecodeError("short", start)
    for length in struct.unpack_from(f"!{count}H", data, 2):
        if start + length > len(data):
            break
        part, start = data[start : start + length], start + length
        try:
            messages.append(_decode_one(part))
        except DecodeError as error:
            problem = error
    if count and not messages:
        raise problem
    return messages


def _decode_one(data: bytes) -> Message:
    if not data:
        raise DecodeError("short")
    if data[0] == Type.USER:
        return User(data[1:])
    if data[0] == Type.PUSH_PULL:
        return _decode_push_pull(data)
    read = _READERS.get(data[0])
    if read is None:
        raise DecodeError("type")
    return read(_Fields.read(data, 1)[0])


def _decode_push_pull(data: bytes) -> PushPull:
    header, offset = _Fields.read(data, 1)
    count, user = header.number("Nodes", _U32), header.number("UserStateLen", _U32)
    members = []
    for _ in range(count):
        row, offset = _Fields.read(data, offset)
        members.append(_member(row))
    if offset + user > len(data):
        raise DecodeError("short", offset)
    return PushPull(tuple(members), header.flag("Join"), data[offset : offset + user])


def _member(row: _Fields) -> MemberState:
    state = row.number("State", len(State))
    return MemberState(
        row.text("Name"),
        row.data("Addr") or b"",
        row.number("Port", _U16),
        row.number("Incarnation", _U32),
        State(state),
        row.data("Meta"),
        row.data("Vsn") or b"",
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a message. A field that is missing is empty, as in Go; one of another type is an error."""

    values: Mapping[bytes, Value]
    offset: int

    @classmethod
    def read(cls, data: bytes, offset: int) -> tuple[_Fields, int]:
        value, end = rawmsgpack.decode(data, offset)
        if not isinstance(value, dict):
            raise DecodeError("value", offset)
        return cls(value, offset), end

    def number(self, name: str, bound: int) -> int:
        value = self.values.get(name.encode())
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < bound:
            raise DecodeError(f"field {name}", self.offset)
        return value

    def data(self, name: str) -> bytes | None:
        value = self.values.get(name.encode())
        if value is not None and not isinstance(value, bytes):
            raise DecodeError(f"field {name}", self.offset)
        return value

    def text(self, name: str) -> str:
        return (self.data(name) or b"").decode("utf-8", "surrogateescape")

    def flag(self, name: str) -> bool:
        value = self.values.get(name.encode())
        if value is not None and not isinstance(value, bool):
            raise DecodeError(f"field {name}", self.offset)
        return bool(value)

    def source(self) -> Source | None:
        address = self.data("SourceAddr")
        if not address:
            return None
        return Source(address, self.number("SourcePort", _U16), self.text("SourceNode"))


_READERS: Final[Mapping[int, Callable[[_Fields], Message]]] = {
    Type.PING: lambda f: Ping(f.number("SeqNo", _U32), f.text("Node"), f.source()),
    Type.INDIRECT_PING: lambda f: IndirectPing(
        f.number("SeqNo", _U32),
        f.data("Target") or b"",
        f.number("Port", _U16),
        f.text("Node"),
        f.flag("Nack"),
        f.source(),
    ),
    Type.ACK: lambda f: Ack(f.number("SeqNo", _U32), f.data("Payload")),
    Type.NACK: lambda f: Nack(f.number("SeqNo", _U32)),
    Type.SUSPECT: lambda f: Suspect(f.number("Incarnation", _U32), f.text("Node"), f.text("From")),
    Type.DEAD: lambda f: Dead(f.number("Incarnation", _U32), f.text("Node"), f.text("From")),
    Type.ALIVE: lambda f: Alive(
        f.number("Incarnation", _U32),
        f.text("Node"),
        f.data("Addr") or b"",
        f.number("Port", _U16),
        f.data("Meta"),
        f.data("Vsn") or b"",
    ),
    Type.ERROR: lambda f: Failure(f.text("Error")),
}

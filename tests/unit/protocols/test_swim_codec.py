"""Gossip on the wire: what is written is read, and no bytes of a stranger do harm."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.protocols.swim import lzw, packet, rawmsgpack
from metallb.protocols.swim.errors import DecodeError
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring, derive_key

U32 = st.integers(0, 2**32 - 1)
U16 = st.integers(0, 2**16 - 1)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
DATA = st.binary(max_size=300)
SOURCES = st.none() | st.builds(packet.Source, st.binary(min_size=1, max_size=16), U16, NAMES)
MEMBERS = st.builds(
    packet.MemberState, NAMES, DATA, U16, U32, st.sampled_from(packet.State), st.none() | DATA, st.binary(max_size=6)
)
MESSAGES: st.SearchStrategy[packet.Message] = st.one_of(
    st.builds(packet.Ping, U32, NAMES, SOURCES),
    st.builds(packet.IndirectPing, U32, DATA, U16, NAMES, st.booleans(), SOURCES),
    st.builds(packet.Ack, U32, st.none() | DATA),
    st.builds(packet.Nack, U32),
    st.builds(packet.Suspect, U32, NAMES, NAMES),
    st.builds(packet.Dead, U32, NAMES, NAMES),
    st.builds(packet.Alive, U32, NAMES, DATA, U16, st.none() | DATA, st.binary(max_size=6)),
    st.builds(packet.PushPull, st.lists(MEMBERS, max_size=20).map(tuple), st.booleans(), DATA),
    st.builds(packet.User, DATA),
    st.builds(packet.Failure, NAMES),
)
KEY = Keyring((bytes(32),))
FRAMINGS = st.builds(Framing, st.sampled_from([None, KEY]), st.booleans())


@given(MESSAGES)
def test_a_message_is_read_as_it_was_written(message: packet.Message) -> None:
    assert packet.decode(packet.encode(message)) == [message]


@given(st.lists(MESSAGES, max_size=20))
def test_a_compound_holds_its_messages_in_order(messages: list[packet.Message]) -> None:
    assert packet.decode(packet.compound([packet.encode(each) for each in messages])) == messages


@given(st.binary(max_size=2000))
def test_compression_loses_nothing(data: bytes) -> None:
    assert lzw.decompress(lzw.compress(data), limit=len(data)) == data


@pytest.mark.parametrize("size", [0, 1, 254, 3837, 3838, 3839, 4096, 70_000])
def test_compression_outlives_a_full_table(size: int) -> None:
    data = bytes((position * position) >> 3 & 0xFF for position in range(size))
    assert lzw.decompress(lzw.compress(data), limit=size) == data


def test_decompression_ends_at_its_limit() -> None:
    bomb = lzw.compress(bytes(10_000))
    with pytest.raises(DecodeError) as caught:
        lzw.decompress(bomb, limit=9_999)
    assert caught.value.code == "length"


@given(FRAMINGS, DATA, st.binary(min_size=12, max_size=12), st.booleans())
def test_framing_loses_nothing(framing: Framing, message: bytes, nonce: bytes, checksum: bool) -> None:  # noqa: FBT001  # drawn
    message = b"\x08" + message
    assert framing.read_datagram(framing.datagram(message, nonce, checksum=checksum)) == message
    stream = framing.stream(message, nonce)
    assert framing.read_stream(stream) == message
    assert framing.stream_size(stream[:5]) == (None if framing.keyring is None else len(stream) - 5)


READERS: list[Callable[[bytes], object]] = [
    packet.decode,
    lambda data: lzw.decompress(data, limit=1 << 16),
    rawmsgpack.decode,
    Framing(None).read_datagram,
    Framing(None).read_stream,
    Framing(KEY).read_datagram,
    Framing(KEY).read_stream,
    Framing(KEY, verify_incoming=False).read_datagram,
]


@pytest.mark.parametrize("read", READERS)
@given(st.binary(max_size=300))
def test_no_bytes_of_a_stranger_do_harm(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except DecodeError as error:
        assert error.code


@given(MESSAGES, st.data())
def test_a_damaged_message_is_an_error_or_another_message(message: packet.Message, data: st.DataObject) -> None:
    damaged = bytearray(packet.encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        packet.decode(cut)
    except DecodeError as error:
        assert error.code


def test_a_damaged_part_leaves_the_rest_of_a_compound() -> None:
    whole = packet.encode(packet.Nack(1))
    assert packet.decode(packet.compound([b"\xff", whole])) == [packet.Nack(1)]
    with pytest.raises(DecodeError):
        packet.decode(packet.compound([b"\xff"]))


def test_present_msgpack_is_read_too() -> None:
    written = bytes([packet.Type.PING, 0x82]) + b"\xd9\x05SeqNo\xcf" + struct.pack("!Q", 7) + b"\xa4Node\xc4\x02n1"
    assert packet.decode(written) == [packet.Ping(7, "n1")]


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        (b"A" * 22, b"A" * 22 + bytes.fromhex("e3b0c44298fc1c149afb")),
        (b"B" * 32, b"B" * 32),
        (b"C" * 40, b"C" * 32),
    ],
)
def test_the_key_is_derived_as_upstream_does(secret: bytes, key: bytes) -> None:
    assert derive_key(secret) == key


def test_an_empty_secret_gives_no_key() -> None:
    with pytest.raises(ValueError, match="empty"):
        derive_key(b"")


def test_another_key_reads_nothing_and_an_older_one_is_still_read() -> None:
    sealed = Framing(KEY).datagram(b"\x08hi", bytes(12), checksum=True)
    other = Keyring((bytes(31) + b"\x01",))
    with pytest.raises(DecodeError):
        Framing(other).read_datagram(sealed)
    assert Framing(Keyring((bytes(31) + b"\x01", bytes(32)))).read_datagram(sealed) == b"\x08hi"


def test_clear_text_is_refused_where_there_is_a_key() -> None:
    clear = Framing(None).datagram(b"\x08hi", bytes(12), checksum=False)
    with pytest.raises(DecodeError):
        Framing(KEY).read_datagram(clear)
    assert Framing(KEY, verify_incoming=False).read_datagram(clear) == b"\x08hi"
    with pytest.raises(DecodeError):
        Framing(KEY).read_stream(Framing(None).stream(b"\x08hi", bytes(12)))


def test_a_changed_checksum_is_noticed() -> None:
    sent = bytearray(Framing(None).datagram(b"\x08hi", bytes(12), checksum=True))
    sent[-1] ^= 1
    with pytest.raises(DecodeError) as caught:
        Framing(None).read_datagram(bytes(sent))
    assert caught.value.code == "checksum"

"""Messages as memberlist's own code writes them (go-msgpack 2.1.1, Go's LZW, its AES-GCM; spec/speaker.md 11)."""

from __future__ import annotations

import pytest

from metallb.protocols.swim import lzw, packet
from metallb.protocols.swim.framing import Framing
from metallb.protocols.swim.keyring import Keyring, derive_key
from metallb.protocols.swim.packet import Alive, Ping, Source

HERE = bytes([10, 0, 0, 1])
LONG = "node-with-a-very-long-name-exceeding-thirty-one-bytes"
KEY = derive_key(b"A" * 22)
FRAMING = Framing(Keyring((KEY,)), compress=False)


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        pytest.param(
            Ping(1, "node-b", Source(HERE, 7946, "node-a")),
            "0085a44e6f6465a66e6f64652d62a55365714e6f01aa536f7572636541646472a40a000001aa536f757263654e6f6465a66e6f64652d61"
            "aa536f75726365506f7274cd1f0a",
            id="ping",
        ),
        pytest.param(
            Alive(1, "node-a", HERE, 7946, None, packet.VERSIONS),
            "0486a441646472a40a000001ab496e6361726e6174696f6e01a44d657461c0a44e6f6465a66e6f64652d61a4506f7274cd1f0a"
            "a356736ea6010502000000",
            id="alive",
        ),
        pytest.param(
            Ping(300, LONG, None),
            "0082a44e6f6465da0035" + LONG.encode().hex() + "a55365714e6fcd012c",
            id="a long name",
        ),
    ],
)
def test_messages_are_the_same_bytes(message: packet.Message, wire: str) -> None:
    assert packet.encode(message).hex() == wire
    assert packet.decode(bytes.fromhex(wire)) == [message]


def test_a_table_begins_with_its_numbers() -> None:
    header = "0683a44a6f696ec3a54e6f64657302ac5573657253746174654c656ed100c8"
    member = packet.MemberState("node-a", HERE, 7946, 1, packet.State.ALIVE, None, packet.VERSIONS)
    table = packet.PushPull((member, member), join=True, user_state=bytes(200))
    assert packet.encode(table).hex().startswith(header)


def test_compression_is_gos() -> None:
    text, squeezed = b"a" * 10 + b"b" * 10, bytes.fromhex("00c3081c48508cc183080302")
    assert lzw.compress(text) == squeezed
    assert lzw.decompress(squeezed, limit=1000) == text
    wrapped = bytes.fromhex("0982a4416c676f00a3427566ac00c3081c48508cc183080302")
    assert Framing(None).read_datagram(wrapped) == text


@pytest.mark.parametrize(
    ("wire", "text", "is_stream"),
    [
        pytest.param(
            "01cb8daaab0c6bb80604aeee430dcef442370c532477f0c655bbdd9ea983bf19f74df48a0ddd",
            b"hello-udp",
            False,
            id="datagram",
        ),
        pytest.param(
            "0a0000002601b2e76a9d59697155c7b3119f183b9071322eaa400ea84e22e938efbd63ec200a5f8addb9d6",
            b"hello-tcp",
            True,
            id="stream",
        ),
    ],
)
def test_encryption_is_memberlists(wire: str, text: bytes, is_stream: bool) -> None:  # noqa: FBT001  # a column
    data = bytes.fromhex(wire)
    if is_stream:
        assert FRAMING.read_stream(data) == text
        assert FRAMING.stream(text, data[6:18]) == data
    else:
        assert FRAMING.read_datagram(data) == text
        assert FRAMING.datagram(text, data[1:13], checksum=False) == data

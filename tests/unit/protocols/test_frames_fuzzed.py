"""No frame, however it is made, brings a responder down, or makes it say what is not its own to say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metallb.protocols.announcing import Conflict, FrameReceived, InterfaceChanged, Send, TableChanged
from metallb.protocols.arp import packet as arp
from metallb.protocols.arp.responder import ArpResponder
from metallb.protocols.ethernet import BROADCAST, Mac, parse_mac
from metallb.protocols.ndp import packet as ndp
from metallb.protocols.ndp.responder import NdpResponder

MINE = parse_mac("02:00:00:00:00:01")
ME = 0xFE80 << 112 | 1
ANNOUNCED, PROBED, FOREIGN = 0, 1, 2
FOURS = [0xC6336464, 0xC6336465, 0xC6336466]
SIXES = [(0x20010DB8 << 96) | each for each in (0x64, 0x65, 0x66)]

macs = st.one_of(st.sampled_from([MINE, BROADCAST]), st.binary(min_size=6, max_size=6)).map(Mac)
four = st.one_of(st.sampled_from([*FOURS, 0]), st.integers(0, 2**32 - 1))
six = st.one_of(st.sampled_from([*SIXES, 0, ME, ndp.ALL_NODES]), st.integers(0, 2**128 - 1))
arps = st.builds(arp.ArpPacket, macs, macs, st.sampled_from([1, 2, 0, 9]), macs, four, macs, four).map(
    arp.ArpPacket.encode
)
ndps = st.builds(
    ndp.NdpPacket, macs, macs, six, six, st.sampled_from([133, 135, 136]), six, link_layer=st.none() | macs
).map(ndp.NdpPacket.encode)


@st.composite
def mutated(draw: st.DrawFn, frames: st.SearchStrategy[bytes]) -> bytes:
    """A valid frame with bytes turned over, cut off or put on."""
    frame = bytearray(draw(frames))
    for _ in range(draw(st.integers(0, 4))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))]) if draw(st.booleans()) else bytes(frame) + draw(st.binary())


def steps(frames: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[tuple[float, bytes]]]:
    frame = st.one_of(frames, mutated(frames), st.binary(max_size=120))
    return st.lists(st.tuples(st.floats(0, 3), frame), max_size=30)


def follow(made: ArpResponder | NdpResponder, addresses: list[int], found: list[tuple[float, bytes]]) -> None:
    ours, now = {addresses[ANNOUNCED], addresses[PROBED]}, 0.0
    table = TableChanged(frozenset(ours), unproven=frozenset({addresses[PROBED]}))
    effects = made.feed(table, now)
    for wait, frame in found:
        now += wait
        effects += made.tick(now)
        effects += made.feed(FrameReceived(frame), now)
    effects += made.feed(InterfaceChanged(MINE), now)
    assert all(each.address in ours for each in effects if isinstance(each, Send | Conflict))
    assert all(each.frame[6:12] == MINE for each in effects if isinstance(each, Send))


@given(steps(arps))
def test_no_arp_frame_brings_the_responder_down(found: list[tuple[float, bytes]]) -> None:
    follow(ArpResponder(MINE), FOURS, found)


@given(steps(ndps))
def test_no_ndp_frame_brings_the_responder_down(found: list[tuple[float, bytes]]) -> None:
    follow(NdpResponder(MINE, ME), SIXES, found)

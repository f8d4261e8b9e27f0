"""What a speaker and the process that answers tell each other survives the way, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metallb.speaker import orders as o

addresses = st.frozensets(st.integers(0, (1 << 128) - 1), max_size=8)
programs = st.lists(st.binary(max_size=16), max_size=3).map(tuple)
amount = st.integers(1, 1 << 40)
family = st.sampled_from([4, 6])
places = st.builds(
    o.Place,
    number=st.integers(1, 1 << 31),
    name=st.text(max_size=15),
    mac=st.binary(min_size=6, max_size=6),
    link_local=st.none() | st.integers(0, (1 << 128) - 1),
    running=st.booleans(),
    arp=st.booleans(),
    ndp=st.booleans(),
)
messages: st.SearchStrategy[o.Message] = st.one_of(
    st.lists(places, max_size=4).map(lambda each: o.Places(tuple(each))),
    st.builds(o.Table, st.integers(1, 1 << 31), addresses, addresses, programs, programs),
    st.builds(o.Again),
    st.builds(o.Yield),
    st.builds(o.Renew, family, st.integers(0, (1 << 128) - 1)),
    st.builds(o.Hush, st.booleans()),
    st.builds(o.Alive, st.floats(allow_nan=False)),
    st.builds(
        o.Vouch,
        st.text(),
        st.integers(0, 65535),
        st.binary(),
        st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=9)), max_size=4).map(tuple),
    ),
    st.builds(o.Opened, st.text(), st.booleans(), st.booleans()),
    st.builds(o.Closed, st.text()),
    st.builds(o.Failed, st.text(), st.text()),
    st.builds(
        o.Heard,
        st.floats(allow_nan=False),
        st.lists(st.tuples(st.sampled_from(["requests_received"]), family, amount, amount)).map(tuple),
        st.lists(st.tuples(st.text(), st.text(), amount)).map(tuple),
        st.lists(st.tuples(st.text(), st.text(), st.text(), amount)).map(tuple),
        st.lists(st.tuples(st.text(), family, amount, st.binary(max_size=6), amount)).map(tuple),
    ),
)


@given(st.lists(messages, max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_messages_arrive_as_they_were_sent(sent: list[o.Message], cuts: list[int]) -> None:
    stream = b"".join(map(o.encode, sent))
    inbox, received = o.Inbox(), []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        received += list(inbox.feed(stream[start:end]))
    assert received == sent
    assert [type(each) for each in received] == [type(each) for each in sent]
    for each in received:
        if isinstance(each, o.Places):
            assert all(isinstance(place, o.Place) for place in each.places)

"""News is told in upstream's order, as often as it has to be, and nothing old once there is something newer."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from metallb.protocols.swim.broadcasts import Broadcasts

MULT = 2
OVERHEAD = 2
puts = st.tuples(st.sampled_from("abcdefgh"), st.integers(20, 60))
takes = st.tuples(st.integers(0, 200), st.integers(1, 2000))


class Plain:
    """The same, sorted anew for each datagram."""

    def __init__(self) -> None:
        self.news: dict[str, tuple[int, int, int, bytes]] = {}
        self.count = 0

    def put(self, subject: str, message: bytes) -> None:
        self.count += 1
        self.news[subject] = (0, -len(message), -self.count, message)

    def take(self, room: int, members: int) -> list[bytes]:
        limit = MULT * math.ceil(math.log10(members + 1))
        taken = []
        for subject, (sent, length, age, message) in sorted(self.news.items(), key=lambda each: each[1][:3]):
            if OVERHEAD - length <= room:
                room += length - OVERHEAD
                taken.append(message)
                self.news[subject] = (sent + 1, length, age, message)
                if sent + 1 >= limit:
                    del self.news[subject]
        return taken


@given(st.lists(st.one_of(puts, takes), max_size=60))
def test_the_line_is_in_the_order_of_the_rules(steps: list[tuple[str, int] | tuple[int, int]]) -> None:
    line, plain = Broadcasts(MULT), Plain()
    for number, (what, amount) in enumerate(steps):
        if isinstance(what, str):
            message = number.to_bytes(amount)
            line.put(what, message)
            plain.put(what, message)
        else:
            assert line.take(what, OVERHEAD, amount) == plain.take(what, amount)
        assert len(line) == len(plain.news)
        assert all((subject in line) == (subject in plain.news) for subject in "abcdefgh")


def test_what_is_told_often_enough_is_told_no_more() -> None:
    line = Broadcasts(MULT)
    line.put("n1", bytes(30))
    told = [line.take(100, OVERHEAD, members=9) for _ in range(4)]
    assert [len(each) for each in told] == [1, 1, 0, 0]
    assert "n1" not in line

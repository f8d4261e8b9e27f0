"""Address spaces: the arithmetic that stands for walks over addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.allocator.intervals import AddressSpace
from metallb.api.net import Address, Range


@pytest.mark.parametrize(
    ("text", "skip", "expected"),
    [
        ("10.0.0.0/30", False, ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        ("10.0.0.254-10.0.1.1", False, ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]),
        ("10.0.0.254-10.0.1.1", True, ["10.0.0.254", "10.0.1.1"]),
        ("10.0.0.0/32", True, []),
        ("10.0.0.255-10.0.1.0", True, []),
        ("2001:db8::-2001:db8::1", True, ["2001:db8::", "2001:db8::1"]),
    ],
)
def test_positions_are_the_usable_addresses_in_order(text: str, skip: bool, expected: list[str]) -> None:  # noqa: FBT001  # a column
    each = Range.parse(text)
    space = AddressSpace.of(each.family, [each], skip_buggy=skip)
    assert [str(space.address(position)) for position in range(space.size)] == expected
    with pytest.raises(IndexError):
        space.address(space.size)


ranges = st.lists(
    st.tuples(st.integers(0, 3000), st.integers(0, 600)).map(lambda t: Range(4, t[0], t[0] + t[1])),
    min_size=1,
    max_size=4,
)


@given(ranges, st.booleans())
def test_position_and_address_are_inverse_and_skip_exactly_the_buggy(given_ranges: list[Range], skip: bool) -> None:  # noqa: FBT001  # drawn
    distinct = [r for n, r in enumerate(given_ranges) if not any(r.overlaps(o) for o in given_ranges[:n])]
    space = AddressSpace.of(4, distinct, skip_buggy=skip)
    naive = [
        Address(4, value)
        for each in distinct
        for value in range(each.first, each.last + 1)
        if not (skip and value & 0xFF in {0, 255})
    ]
    assert space.size == len(naive)
    assert [space.address(position) for position in range(space.size)] == naive
    assert [space.position(address) for address in naive] == list(range(space.size))
    absent = set(range(3700)) - {address.value for address in naive}
    assert all(space.position(Address(4, value)) is None for value in absent)

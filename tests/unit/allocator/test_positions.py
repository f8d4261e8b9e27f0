"""The set of positions in use, against a plain set; and that its steps depend on the size's bytes only."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.allocator.positions import Positions

SIZES = st.sampled_from([1, 2, 255, 256, 257, 600, 65_536, 70_000])


def first_gap(model: set[int], start: int, size: int) -> int | None:
    return next((each for each in itertools.count(start) if each not in model), None) if start < size else None


@given(SIZES, st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 700)), max_size=12), st.integers(0, 70_000))
def test_it_is_a_set_that_knows_its_gaps(size: int, steps: list[tuple[int, int]], start: int) -> None:
    """Each step toggles a stretch of positions, so that nodes fill up and empty again."""
    positions, model = Positions(size), set[int]()
    for first, length in steps:
        for each in range(first % size, min(first % size + length, size)):
            if each in model:
                positions.remove(each)
                model.discard(each)
            else:
                positions.add(each)
                model.add(each)
        assert positions.count == len(model)
        for begin in {0, start % size, first % size, 255, 256}:
            expected = first_gap(model, begin, size)
            assert positions.first_gap(begin) == (expected if expected is not None and expected < size else None)
        probes = {0, start % size, first % size, (first + length) % size}
        assert all((each in positions) is (each in model) for each in probes)
    assert list(itertools.islice(positions.gaps(), 300)) == list(
        itertools.islice((each for each in range(size) if each not in model), 300)
    )


@given(st.sets(st.integers(0, 2**128 - 1), max_size=30), st.sets(st.integers(0, 300), max_size=40))
def test_sparse_and_huge_ones_work_alike(far: set[int], near: set[int]) -> None:
    positions = Positions(2**128)
    for each in far | near:
        positions.add(each)
    assert positions.first_gap() == next(each for each in itertools.count() if each not in far | near)
    for each in far - near:
        positions.remove(each)
    assert positions.count == len(near)
    assert all(each in positions for each in near)
    assert not any(each in positions for each in far - near)


@pytest.mark.parametrize("bits", [1, 8, 9, 16, 24, 64, 96, 128])
def test_a_set_that_is_filled_from_the_bottom_stays_small(bits: int) -> None:
    positions = Positions(2**bits)
    for each in range(min(2**bits, 5000)):
        assert positions.first_gap() == each
        positions.add(each)
    nodes = sum(len(level) for level in positions._levels)
    assert nodes <= 2
    assert len(positions._levels) == -(-bits // 8)

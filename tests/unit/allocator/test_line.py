"""The line against a sorted list."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.allocator import line
from metallb.allocator.line import Line, Seniority
from metallb.api.net import ServiceKey


@pytest.fixture(autouse=True, scope="module")
def short_stretches() -> Iterator[None]:
    """So that few places make many of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line, "_LONGEST", 4)
        yield


def place(number: int) -> Seniority:
    return f"2026-01-01T00:{number // 3:02}:00Z", ServiceKey("ns", f"s{number}")


@given(st.lists(st.integers(0, 40)), st.none() | st.integers(0, 41))
def test_it_is_sorted_and_goes_on_from_any_place(steps: list[int], start: int | None) -> None:
    found, model = Line(), set[Seniority]()
    for step in steps:
        if place(step) in model:
            found.remove(place(step))
            model.discard(place(step))
        else:
            found.add(place(step))
            model.add(place(step))
        assert bool(found) is bool(model)
        assert list(found.after()) == sorted(model)
        after = None if start is None else place(start)
        assert list(found.after(after)) == [each for each in sorted(model) if after is None or each > after]

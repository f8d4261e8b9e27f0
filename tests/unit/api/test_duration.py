"""Durations as Go reads and prints them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.api.duration import SECOND, parse, render

LIMIT = 1 << 63


@pytest.mark.parametrize(
    ("text", "nanoseconds", "printed"),
    [
        ("0", 0, "0s"),
        ("-0", 0, "0s"),
        ("+0s", 0, "0s"),
        ("90s", 90 * SECOND, "1m30s"),
        ("+90s", 90 * SECOND, "1m30s"),
        ("1h", 3600 * SECOND, "1h0m0s"),
        ("1m30.5s", 90_500_000_000, "1m30.5s"),
        ("1.5h", 5400 * SECOND, "1h30m0s"),
        (".5s", SECOND // 2, "500ms"),
        ("1.s", SECOND, "1s"),
        ("1s1s", 2 * SECOND, "2s"),
        ("500ms", SECOND // 2, "500ms"),
        ("1500us", 1_500_000, "1.5ms"),
        ("1µs", 1_000, "1µs"),
        ("1\u03bcs", 1_000, "1µs"),
        ("1ns", 1, "1ns"),
        ("0.9ns", 0, "0s"),
        ("-2s", -2 * SECOND, "-2s"),
        ("2562047h47m16.854775807s", LIMIT - 1, "2562047h47m16.854775807s"),
        ("-2562047h47m16.854775808s", -LIMIT, "-2562047h47m16.854775808s"),
    ],
)
def test_what_go_reads(text: str, nanoseconds: int, printed: str) -> None:
    assert parse(text) == nanoseconds
    assert render(nanoseconds) == printed


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "+", "90", "1", "s", ".s", ".", "1 s", " 1s", "1s ", "1d", "1S", "--1s", "1.2.3s", "1e3s", "0x1s"),
        *("٣s", "2562047h47m16.854775808s", "9223372036854775808ns", "-9223372036854775809ns", "9" * 5000 + "s"),
    ],
)
def test_what_go_does_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse(text)


@given(st.integers(-LIMIT, LIMIT - 1))
def test_what_is_printed_is_read_back(nanoseconds: int) -> None:
    assert parse(render(nanoseconds)) == nanoseconds


@given(st.text(st.sampled_from("0123456789.-+nsumµh "), max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert -LIMIT <= parse(text) < LIMIT

"""Warnings as headers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.warning_headers import headers


def test_warnings_are_told_once_in_their_order() -> None:
    assert headers(["b", 'a "quoted" \\', "", "b"]) == [
        ("Warning", '299 - "b"'),
        ("Warning", '299 - "a \\"quoted\\" \\\\"'),
    ]


def test_what_no_header_can_hold_is_left_out() -> None:
    assert headers(["two\nlines", "tab\t", "fine", "\x7f", "größer"]) == [
        ("Warning", '299 - "fine"'),
        ("Warning", '299 - "größer"'),
    ]


def test_too_many_are_cut_and_then_left_out() -> None:
    long = [f"{number:03}" + "x" * 997 for number in range(30)]
    told = headers(long[:4])
    assert [len(value) for _, value in told] == [1000 + 8] * 4
    told = headers(long)
    assert [len(value) for _, value in told] == [256 + 8] * 16
    assert told[0][1].startswith('299 - "000xxx')


@given(st.lists(st.text()))
def test_no_warning_breaks_an_answer(sentences: list[str]) -> None:
    for _, value in headers(sentences):
        assert "\n" not in value
        assert "\r" not in value
        value.encode()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb.cli.goflags import normalise, truth

SWITCHES = {"webhook-http2"}


@pytest.mark.parametrize(
    ("given_", "read"),
    [
        (["--port=9120"], ["--port=9120"]),
        (["-port=9120"], ["--port=9120"]),
        (["--port", "9120"], ["--port=9120"]),
        (["-port", "9120"], ["--port=9120"]),
        (["--port="], ["--port="]),
        (["--lb-class=a=b"], ["--lb-class=a=b"]),
        (["--port", "-1"], ["--port=-1"]),
        (["--webhook-http2"], ["--webhook-http2=true"]),
        (["-webhook-http2"], ["--webhook-http2=true"]),
        (["--webhook-http2=false"], ["--webhook-http2=false"]),
        (["--webhook-http2", "--port=1"], ["--webhook-http2=true", "--port=1"]),
        (["--webhook-http2", "false"], ["--webhook-http2=true", "false"]),
        (["-h"], ["--help"]),
        (["-help"], ["--help"]),
        (["--help"], ["--help"]),
        (["--port"], ["--port"]),
        (["stop", "--port", "1"], ["stop", "--port", "1"]),
        (["--", "--port"], ["--", "--port"]),
        (["-"], ["-"]),
        (["---port=1"], ["---port=1"]),
        (["--=1"], ["--=1"]),
        ([], []),
    ],
)
def test_arguments_are_read_as_go_reads_them(given_: list[str], read: list[str]) -> None:
    assert normalise(given_, SWITCHES) == read


@given(st.lists(st.text(alphabet="-=ab1", max_size=6), max_size=5))
def test_reading_twice_is_reading_once(arguments: list[str]) -> None:
    once = normalise(arguments, {"a"})
    assert normalise(once, {"a"}) == once


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_what_go_calls_true_is_true(text: str) -> None:
    assert truth(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_what_go_calls_false_is_false(text: str) -> None:
    assert truth(text) is False


@pytest.mark.parametrize("text", ["", "yes", "tRUE", "2"])
def test_anything_else_is_neither(text: str) -> None:
    with pytest.raises(ValueError):
        truth(text)

"""Tokens of service accounts as signed texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver.tokens import TokenKeys

KEYS = TokenKeys.generate()
CLAIMS = {"sub": "system:serviceaccount:n:a", "exp": 5}


def test_a_token_says_what_was_signed() -> None:
    assert KEYS.claims(KEYS.sign(CLAIMS)) == CLAIMS


def test_another_key_does_not_believe_it() -> None:
    assert TokenKeys.generate().claims(KEYS.sign(CLAIMS)) is None


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_changed_token_says_nothing(at: int, character: str) -> None:
    token = KEYS.sign(CLAIMS)
    at %= len(token) - 1  # the last letter of base64 has spare bits
    if token[at] != character:
        assert KEYS.claims(token[:at] + character + token[at + 1 :]) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert KEYS.claims(text) is None


def test_only_keys_of_the_right_kind_are_taken() -> None:
    with pytest.raises(ValueError, match="PEM"):
        TokenKeys.load(b"nope")


def test_the_public_half_is_a_key_set() -> None:
    (key,) = KEYS.jwks()["keys"]
    assert (key["kid"], key["kty"], key["crv"]) == (KEYS.key_id, "EC", "P-256")

"""Patches in errors, as Go prints them."""

from __future__ import annotations

from typing import Any

import pytest

from kubelab.apiserver.patching.element_order import go_text


@pytest.mark.parametrize(
    ("patch", "text"),
    [
        ({"nope": 1}, "map[nope:1]"),
        (
            {"spec": {"ports": "x", "selector": {"b": "c", "a": "d"}, "type": None, "z": [1, "a", True, {"x": 1.5}]}},
            "map[spec:map[ports:x selector:map[a:d b:c] type:<nil> z:[1 a true map[x:1.5]]]]",
        ),
        ({}, "map[]"),
    ],
)
def test_a_patch_is_printed_as_by_the_real_server(patch: Any, text: str) -> None:
    assert go_text(patch) == text

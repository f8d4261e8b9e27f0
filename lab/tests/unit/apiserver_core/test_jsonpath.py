"""JSON paths of columns and scale."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubelab.apiserver import jsonpath

OBJ = {
    "metadata": {"name": "a", "annotations": {"example.org/x": "y"}},
    "spec": {"items": [{"n": "one", "v": 1}, {"n": "two", "v": 2}]},
    "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".metadata.name", "a"),
        ("metadata.name", "a"),
        ("{.metadata.name}", "a"),
        (r".metadata.annotations.example\.org/x", "y"),
        (".metadata.annotations['example.org/x']", "y"),
        (".spec.items[1].v", 2),
        (".spec.items[-1].n", "two"),
        (".spec.items[9].n", None),
        (".spec.items[*].n", "one"),
        ('.status.conditions[?(@.type=="Ready")].status', "True"),
        (".status.conditions[?(@.type!='Ready')].status", "False"),
        (".nope.nothing", None),
        (".spec.items.n", None),
        ("..", None),
    ],
)
def test_a_path_leads_to_its_first_value(path: str, value: Any) -> None:
    assert jsonpath.first(path, OBJ) == value


@given(st.text())
def test_no_path_raises(path: str) -> None:
    jsonpath.first(path, OBJ)

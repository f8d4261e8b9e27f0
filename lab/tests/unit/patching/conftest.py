"""Recorded exchanges, and the built-in types they are about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubelab.apiserver.schema.builtin import Types
from kubelab.apiserver.schema.model import Schema
from kubelab.objects import GroupVersionKind, Object

VECTORS = Path(__file__).parents[2] / "vectors" / "apiserver"


@pytest.fixture(scope="session")
def schema_of() -> Callable[[str, str], Schema]:
    """The type of a built-in kind by apiVersion and kind."""
    types = Types.load()

    def find(api_version: str, kind: str) -> Schema:
        group, _, version = api_version.rpartition("/")
        found = types.schema(GroupVersionKind(group, version, kind))
        assert found is not None, f"{api_version} {kind}"
        return found

    return find


@pytest.fixture(scope="session")
def story() -> Callable[[str], list[dict[str, Any]]]:
    """The exchanges of one recorded story, in order."""

    def read(name: str) -> list[Object]:
        return [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines()]

    return read

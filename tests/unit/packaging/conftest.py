"""The bundle and the catalog as they are generated now, and as they stand in the repository."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # the scripts are no distribution

from scripts.olm.__main__ import packaged
from scripts.olm.names import releases
from scripts.olm.source import Source


@pytest.fixture(scope="session")
def source() -> Source:
    return Source.read()


@pytest.fixture(scope="session")
def files(source: Source) -> dict[str, str]:
    return packaged(source, releases())


@pytest.fixture(scope="session")
def parsed(files: dict[str, str]) -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for path, text in files.items() if path.startswith("bundle/manifests/")]


@pytest.fixture
def manifests(parsed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A copy for each test."""
    return copy.deepcopy(parsed)


@pytest.fixture
def csv(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in manifests if each["kind"] == "ClusterServiceVersion")

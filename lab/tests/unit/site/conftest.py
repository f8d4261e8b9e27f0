"""A lab's place that engines prepare."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubelab import state
from kubelab.cluster import Cluster, plan
from kubelab.engines import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    layout = state.layout("one", tmp_path)
    lock = state.claim(layout)
    cluster = Cluster.default()
    yield Site(
        layout, cluster, plan(cluster), 7, "https://127.0.0.1:4321", "/venv/python", 1_800_000_000.0, lambda n: n // 3
    )
    os.close(lock)

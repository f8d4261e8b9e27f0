"""The rules of who may import whom are alive: a bad import in each of them is seen and refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LINT = Path(sys.executable).with_name("lint-imports")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all code, to do wrong in."""
    copy = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", "lab/src"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{house / 'src'}:{house / 'lab' / 'src'}"}
    return subprocess.run(
        [LINT, "--no-cache"], cwd=house, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_house_keeps_its_rules(house: Path) -> None:
    done = lint(house)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        pytest.param(
            "src/metallb/allocator/pool.py", "import metallb.kube.client", "rooms stand in layers", id="upwards"
        ),
        pytest.param(
            "src/metallb/speaker/main.py", "import metallb.controller.main", "rooms stand in layers", id="sideways"
        ),
        pytest.param("src/metallb/config/build.py", "import asyncio", "deciding does nothing", id="I/O in a pure room"),
        pytest.param("src/metallb/allocator/pool.py", "import random", "deciding does nothing", id="chance"),
        pytest.param(
            "lab/src/kubelab/proxy/rules.py", "import subprocess", "deciding does nothing", id="pure in the lab"
        ),
        pytest.param(
            "src/metallb/cli/main.py", "import kubelab.lab", "product and lab are strangers", id="product to lab"
        ),
        pytest.param(
            "lab/src/kubelab/lab.py", "import metallb.api", "product and lab are strangers", id="lab to product"
        ),
    ],
)
def test_a_bad_import_is_refused(house: Path, file: str, line: str, broken: str) -> None:
    path = house / file
    before = path.read_text()
    path.write_text(
        before.replace("from __future__ import annotations\n", f"from __future__ import annotations\n\n{line}\n", 1)
    )
    try:
        done = lint(house)
    finally:
        path.write_text(before)
    assert done.returncode != 0
    assert f"{broken} BROKEN" in done.stdout


def test_a_new_room_must_choose_its_layer(house: Path) -> None:
    room = house / "src" / "metallb" / "attic"
    room.mkdir()
    (room / "__init__.py").write_text('"""Nobody knows where it belongs."""\n')
    try:
        done = lint(house)
    finally:
        shutil.rmtree(room)
    assert done.returncode != 0
    assert "attic" in done.stdout + done.stderr

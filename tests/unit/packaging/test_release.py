"""A release has everything, and is the same when it is built again elsewhere, later and by somebody else."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest
from scripts.olm.source import ROOT
from scripts.release import __main__ as command
from scripts.release import contents
from scripts.release.archive import packed
from scripts.release.build import SUMS, build

EPOCH: Final = 1_750_000_000
VERSION: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
PARTS: Final = ("src", "lab/src", "manifests", "packaging")
FILES: Final = (
    *("pyproject.toml", "README.md", "LICENSE", "requirements.lock", ".gitignore"),
    *("lab/pyproject.toml", "lab/README.md"),
)


def _copied(into: Path, *, mode: int, time: int) -> Path:
    for name in PARTS:
        shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, into / name)
    for path in into.rglob("*"):
        if path.is_file():
            path.chmod(mode | (path.stat().st_mode & 0o100))
            os.utime(path, (time, time))
    return into


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One tree, built in two places from files of other ages and modes."""
    made = []
    for mode, time in ((0o644, 1_600_000_000), (0o600, 1_700_000_000)):
        folder = tmp_path_factory.mktemp("release")
        build(_copied(folder / "tree", mode=mode, time=time), folder / "out", EPOCH, lambda _: None)
        made.append(folder / "out")
    return made[0], made[1]


def test_a_release_is_the_same_byte_by_byte_when_it_is_built_again(twice: tuple[Path, Path]) -> None:
    first, second = ({each.name: each.read_bytes() for each in folder.iterdir()} for folder in twice)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_release_has_everything_and_its_sums_are_right(twice: tuple[Path, Path]) -> None:
    folder, _ = twice
    assert {each.name for each in folder.iterdir()} == {
        SUMS,
        "images.txt",
        "metallb-operator.yaml",
        f"kubelab-{VERSION}-py3-none-any.whl",
        f"kubelab-{VERSION}.tar.gz",
        f"metallb-{VERSION}-py3-none-any.whl",
        f"metallb-{VERSION}.cdx.json",
        f"metallb-{VERSION}.tar.gz",
        f"metallb-operator-{VERSION}.tgz",
        f"metallb-operator-bundle-{VERSION}.tar.gz",
        f"metallb-operator-catalog-{VERSION}.tar.gz",
        f"metallb-operator-manifests-{VERSION}.tar.gz",
    }
    sums = dict(line.split("  ")[::-1] for line in (folder / SUMS).read_text().splitlines())
    expected = {each.name for each in folder.iterdir()} - {SUMS}
    assert sums == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in expected}


def test_the_packaged_chart_is_one_to_helm(twice: tuple[Path, Path]) -> None:
    chart = twice[0] / f"metallb-operator-{VERSION}.tgz"
    with tarfile.open(chart) as tar:
        names = tar.getnames()
    assert {"metallb-operator/Chart.yaml", "metallb-operator/values.schema.json"} <= set(names)
    assert "metallb-operator/schema.yaml" not in names
    helm = shutil.which("helm", path=f"{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}")
    if helm:
        said = subprocess.run([helm, "lint", "--strict", str(chart)], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout


def test_overlays_work_where_the_archive_is_unpacked(twice: tuple[Path, Path], tmp_path: Path) -> None:
    subprocess.run(
        ["tar", "-xf", twice[0] / f"metallb-operator-manifests-{VERSION}.tar.gz", "-C", tmp_path], check=True
    )
    kubectl = ROOT / ".tools" / "kubectl-1.35" / "kubectl"
    overlay = tmp_path / "packaging" / "kustomize" / "native"
    assert (overlay / "../../../manifests/kustomization.yaml").resolve().exists()
    if kubectl.exists():
        subprocess.run([kubectl, "kustomize", overlay], capture_output=True, check=True)


def test_the_wheel_has_the_product_and_nothing_else(twice: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(twice[0] / f"metallb-{VERSION}-py3-none-any.whl") as wheel:
        assert {name.partition("/")[0] for name in wheel.namelist()} == {"metallb", f"metallb-{VERSION}.dist-info"}


def test_the_list_of_contents_has_what_the_product_asks_for_and_no_tool(twice: tuple[Path, Path]) -> None:
    listed = json.loads((twice[0] / f"metallb-{VERSION}.cdx.json").read_text())
    names = {each["name"] for each in listed["components"]}
    asked = {"aiohttp", "click", "cryptography", "msgspec", "pyyaml", "structlog", "uvloop"}
    assert asked | {"yarl", "multidict", "cffi"} <= names
    assert not {"pytest", "ruff", "hatchling", "kubelab"} & names
    assert listed["metadata"]["component"]["purl"] == f"pkg:pypi/metallb@{VERSION}"
    (root,) = listed["dependencies"]
    assert set(root["dependsOn"]) == {each["bom-ref"] for each in listed["components"]}


def test_what_is_needed_and_not_locked_is_named() -> None:
    with pytest.raises(contents.ContentsError, match=r"click is needed and not in requirements\.lock"):
        contents.document("metallb", VERSION, ["click"], "", EPOCH)
    with pytest.raises(contents.ContentsError, match=r"requirements\.lock has 0\.0\.1: run `make setup`"):
        contents.document("metallb", VERSION, ["click"], "click==0.0.1 \\\n", EPOCH)
    with pytest.raises(contents.ContentsError, match="no-such-thing: not in the environment"):
        contents.document("metallb", VERSION, ["no-such-thing"], "", EPOCH)


def _committed(folder: Path) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    (folder / "file").write_text("one")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)


def test_a_tree_with_changes_is_refused_and_they_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _committed(tmp_path)
    assert command.changes(tmp_path) == []
    (tmp_path / "file").write_text("two")
    for number in range(6):
        (tmp_path / f"new{number}").touch()
    assert command.main([], tmp_path) == 1
    said = capsys.readouterr().err
    assert "the tree is not clean" in said
    assert " M file" in said
    assert "and 2 more" in said
    assert not (tmp_path / "dist").exists()


def test_without_a_repository_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([], tmp_path) == 1
    assert "release: git says: " in capsys.readouterr().err


def test_an_archive_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    one = {"x": tmp_path / "a", "y": tmp_path / "b"}
    made = packed(one, EPOCH)
    os.utime(tmp_path / "a", (1, 1))
    assert packed(dict(reversed(one.items())), EPOCH) == made
    (tmp_path / "a").write_text("other")
    assert packed(one, EPOCH) != made

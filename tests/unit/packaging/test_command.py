"""What `make bundle` runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.olm.__main__ import main, write


def test_images_get_other_names_and_the_list_says_so(tmp_path: Path) -> None:
    other = "registry.example/x/operator@sha256:" + "1" * 64
    assert main(["--image", f"operator={other}", "--into", str(tmp_path)]) == 0
    assert other in (tmp_path / "images.txt").read_text().split()
    assert "metallb-py/operator:" not in (tmp_path / "images.txt").read_text()
    assert other in (tmp_path / "catalog" / "metallb-operator" / "catalog.yaml").read_text()


def test_a_next_version_replaces_the_newest(tmp_path: Path) -> None:
    assert main(["--next", "9.9.9", "--into", str(tmp_path)]) == 0
    csv = (tmp_path / "bundle" / "manifests" / "metallb-operator.clusterserviceversion.yaml").read_text()
    assert "name: metallb-operator.v9.9.9" in csv
    assert "replaces: metallb-operator.v" in csv


@pytest.mark.parametrize("given", ["nothing", "unknown=registry.example/x:1"])
def test_an_unknown_image_is_told(given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image", given, "--into", str(tmp_path)]) == 2
    assert "want NAME=REFERENCE" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_breaks_a_rule_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image", "speaker=Not/An Image", "--into", str(tmp_path)]) == 1
    assert "is no image" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_manifests_that_are_no_more_go(tmp_path: Path) -> None:
    write({"bundle/manifests/a.yaml": "a", "bundle/manifests/b.yaml": "b"}, tmp_path)
    write({"bundle/manifests/b.yaml": "c"}, tmp_path)
    assert [path.name for path in (tmp_path / "bundle" / "manifests").iterdir()] == ["b.yaml"]
